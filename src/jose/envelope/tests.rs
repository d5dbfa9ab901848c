use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::rsa::tests::{hex, number, vectors};
use super::*;

fn part(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

fn envelope(header: &str) -> Value {
    json!({
        "header": part(header), "iv": part([1; 12]), "encryptedPayload": part("text"), "tag": part([2; 16]),
        "encryptedKey": part([3; 256]),
    })
}

fn opened(body: &Value) -> Result<Compact, EnvelopeFault> {
    Envelope::read(body.to_string().as_bytes()).unwrap().open()
}

const GOOD: &str = r#"{"enc":"A256GCM","typ":"JWT","alg":"RSA-OAEP-256","kid":"any"}"#;

#[test]
fn a_request_is_taken_apart() {
    let jwe = opened(&envelope(GOOD)).unwrap();
    assert_eq!((jwe.encrypted_key, jwe.iv), (vec![3; 256], [1; 12]));
    assert_eq!((jwe.ciphertext.as_slice(), jwe.tag), (&b"text"[..], [2; 16]));
    assert_eq!(jwe.aad, part(GOOD).into_bytes());
}

#[test]
fn other_bodies_are_no_jwe() {
    for body in [json!({}), json!([]), json!({"merchant_id": "m"}), json!({"header": 1})] {
        assert!(Envelope::read(body.to_string().as_bytes()).is_none());
    }
    for member in ["header", "iv", "encryptedPayload", "tag", "encryptedKey"] {
        let mut body = envelope(GOOD);
        body.as_object_mut().unwrap().remove(member);
        assert!(Envelope::read(body.to_string().as_bytes()).is_none(), "{member}");
    }
}

#[test]
fn requests_are_taken_strictly() {
    for (header, fault) in [
        (r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, EnvelopeFault::Algorithm),
        (r#"{"alg":"RSA1_5","enc":"A256GCM"}"#, EnvelopeFault::Algorithm),
        (r#"{"alg":"RSA-OAEP-256","enc":"A128GCM"}"#, EnvelopeFault::Algorithm),
        (r#"{"alg":"RSA-OAEP-256"}"#, EnvelopeFault::Algorithm),
        (
            r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":"DEF"}"#,
            EnvelopeFault::Header,
        ),
        (
            r#"{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}"#,
            EnvelopeFault::Header,
        ),
        ("[]", EnvelopeFault::Header),
    ] {
        assert_eq!(opened(&envelope(header)).err(), Some(fault), "{header}");
    }
    for (member, text) in [
        ("iv", part([1; 11])),
        ("iv", part([1; 16])),
        ("tag", part([1; 15])),
        ("tag", String::new()),
        ("encryptedKey", String::new()),
        ("encryptedKey", "AA==".to_owned()),
        ("encryptedPayload", "A".to_owned()),
        ("header", "e30=".to_owned()),
    ] {
        let mut body = envelope(GOOD);
        body[member] = json!(text);
        assert_eq!(opened(&body).err(), Some(EnvelopeFault::Form), "{member} {text}");
    }
}

fn claim(compact: &str) -> Option<Claimed> {
    let parts: Vec<&str> = compact.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return None;
    };
    let text = json!({"header": header, "payload": payload, "signature": signature}).to_string();
    Claimed::read(text.as_bytes()).ok()
}

/// Signatures of others, where the vectors are at hand. A key here is for RS256 and says nothing of its own use, so only
/// vectors with such keys say anything.
#[test]
fn vectors_of_wycheproof_hold() {
    let (mut held, mut refused) = (0, 0);
    for file in ["json_web_signature_test.json", "json_web_crypto_test.json"] {
        let Some(file) = vectors(file) else { return };
        for group in file["testGroups"].as_array().unwrap() {
            let jwk = &group["public"];
            // how the numbers of a key were chosen cannot be seen
            if jwk["alg"] != "RS256" || group["comment"] == "jws_rsa_roca_key" {
                continue;
            }
            let key = RsaPublicKey::new(&number(jwk, "n"), &number(jwk, "e")).unwrap();
            for test in group["tests"].as_array().unwrap() {
                let claimed = claim(test["jws"].as_str().unwrap());
                let holds = claimed.is_some_and(|claim| key.verifies(&claim.message, &claim.signature));
                assert_eq!(holds, test["result"] == "valid", "{}: {test}", group["comment"]);
                if holds {
                    held += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(held > 5 && refused > 200, "{held} {refused}");
}

/// JWE of others with just our algorithms, in five members.
#[test]
fn jwe_of_wycheproof_are_taken_apart() {
    let Some(file) = vectors("json_web_encryption_test.json") else {
        return;
    };
    let mut taken = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let parts: Vec<&str> = test["jwe"].as_str().unwrap_or_default().split('.').collect();
            let [header, key, iv, text, tag] = parts.as_slice() else {
                continue;
            };
            let body = json!({"header": header, "encryptedKey": key, "iv": iv, "encryptedPayload": text, "tag": tag});
            let Ok(jwe) = opened(&body) else { continue };
            assert_eq!(jwe.aad, header.as_bytes());
            if test["result"] == "valid" {
                assert_eq!(jwe.ciphertext.len(), hex(&test["pt"]).len());
                taken += 1;
            }
        }
    }
    assert!(taken > 0);
}

#[test]
fn what_is_put_together_is_taken_apart() {
    for payload in [&b"{}"[..], b"", &[0xff; 300]] {
        let unsigned = Unsigned::new(payload);
        let message = unsigned.message().to_vec();
        let text = unsigned.signed(&[5; 256]);
        let claimed = Claimed::read(&text).unwrap();
        assert_eq!(*claimed.message, message);
        assert_eq!((claimed.payload.as_slice(), claimed.signature), (payload, vec![5; 256]));
    }
    assert_eq!(BASE64URL_NOPAD.decode(RS256.as_bytes()).unwrap(), br#"{"alg":"RS256"}"#);
}

#[test]
fn a_signature_of_another_kind_is_refused() {
    let with = |header: &str| {
        let text = json!({"header": part(header), "payload": part("x"), "signature": part("y")}).to_string();
        Claimed::read(text.as_bytes()).err()
    };
    assert_eq!(with(r#"{"alg":"RS256","kid":"1"}"#), None);
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"PS256"}"#, "{}"] {
        assert_eq!(with(header), Some(EnvelopeFault::Algorithm), "{header}");
    }
    assert_eq!(
        with(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#),
        Some(EnvelopeFault::Header)
    );
    for text in ["", "{}", r#"{"header":"","payload":"","signature":1}"#] {
        assert_eq!(
            Claimed::read(text.as_bytes()).err(),
            Some(EnvelopeFault::Form),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,300}", parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,40}", 5)) {
        let _ = Claimed::read(text.as_bytes());
        let names = ["header", "iv", "encryptedPayload", "tag", "encryptedKey"];
        let members = names.iter().zip(parts).map(|(name, part)| ((*name).to_owned(), json!(part)));
        let _ = opened(&Value::Object(members.collect()));
    }
}

#[test]
fn members_may_be_written_with_escapes() {
    let text = envelope(GOOD).to_string().replace("encryptedKey", "encr\\u0079ptedKey");
    assert!(Envelope::read(text.as_bytes()).is_some());
}
