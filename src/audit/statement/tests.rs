use std::fs;
use std::io::Write;
use std::process::Command;

use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::*;
use crate::audit::{Deletion, SealedDigest};
use crate::hsm::{Epoch, signed_form};
use crate::id::{MerchantId, RecordId, RepositoryName, Token, UnixMillis};

fn deletion() -> Deletion {
    Deletion {
        vault: VaultId::parse("vault_1").unwrap(),
        repository: RepositoryName::parse("shop").unwrap(),
        merchant: MerchantId::parse("TEST_shop").unwrap(),
        token: Token::parse("tok_abc").unwrap(),
        record: RecordId([0xab; 16]),
        sealed: Some(SealedDigest {
            epoch: Epoch(3),
            kek: Some("00ff".to_owned()),
            sha256: [1; 32],
        }),
        deleted_at: UnixMillis(1_800_000_000_123),
    }
}

fn ed25519(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    (pair, PublicKey::Ed25519 { x })
}

fn signed(seed: u8) -> Statement {
    let (pair, public) = ed25519(seed);
    let receipt = deletion().receipt(&public).unwrap();
    let signature = pair.sign(&signed_form(Kind::Deletion.domain(), &receipt.signed_bytes()));
    receipt.with_signature(signature.as_ref().to_vec())
}

fn verdict(value: &Value) -> Result<Verdict, StatementFault> {
    Statement::parse(value.to_string().as_bytes())?.verify(&[])
}

#[test]
fn a_receipt_is_read_and_believed_as_far_as_the_pin_goes() {
    let text = signed(1).to_json();
    let read = Statement::parse(text.as_bytes()).unwrap();
    assert_eq!(read, signed(1));
    assert_eq!(read.member("token").unwrap(), "tok_abc");
    assert_eq!(read.verify(&[]), Ok(Verdict::ConsistentNotAuthenticated));
    let (right, other) = (ed25519(1).1.fingerprint().unwrap(), ed25519(2).1.fingerprint().unwrap());
    assert_eq!(read.verify(&[right]), Ok(Verdict::Authentic));
    assert_eq!(read.verify(&[other]), Err(StatementFault::OtherKey(right)));
}

#[test]
fn the_form_stays_what_it_is() {
    let key = ed25519(1).1.fingerprint().unwrap();
    let PublicKey::Ed25519 { x } = ed25519(1).1 else {
        unreachable!()
    };
    let expected = format!(
        r#"{{"cka_id":"00ff","deleted_at":"2027-01-15T08:00:00.123Z","format":2,"kek_epoch":3,"key":"{key}","kind":"deletion","merchant":"TEST_shop","public_key":{{"alg":"ed25519","x":"{x}"}},"record":"{}","repository":"shop","sealed_sha256":"{}","token":"tok_abc","vault":"vault_1"}}"#,
        "ab".repeat(16),
        BASE64URL_NOPAD.encode(&[1; 32]),
    );
    assert_eq!(String::from_utf8(signed(1).signed_bytes()).unwrap(), expected);
}

/// As version 1 wrote it: receipts are kept for years.
#[test]
fn a_receipt_of_the_first_format_verifies_and_a_newer_one_is_named() {
    let (pair, public) = ed25519(1);
    let as_format = |kind: Kind, format: u64| {
        let mut receipt = deletion().receipt(&public).unwrap();
        receipt.kind = kind;
        receipt.members.insert("kind".to_owned(), kind.name().into());
        receipt.members.insert("format".to_owned(), format.into());
        receipt.members.remove("cka_id");
        let signature = pair.sign(&signed_form(kind.domain(), &receipt.signed_bytes()));
        receipt.with_signature(signature.as_ref().to_vec()).to_json()
    };
    let old = Statement::parse(as_format(Kind::Deletion, 1).as_bytes()).unwrap();
    assert_eq!(old.verify(&[]), Ok(Verdict::ConsistentNotAuthenticated));
    for kind in Kind::ALL {
        assert!(kind.format() <= Kind::LATEST);
        let newer = Statement::parse(as_format(kind, kind.format() + 1).as_bytes());
        assert_eq!(newer, Err(StatementFault::NewerFormat(kind.format() + 1)));
        let none = Statement::parse(as_format(kind, 0).as_bytes());
        assert_eq!(none, Err(StatementFault::Member("format")));
    }
}

#[test]
fn indenting_and_reordering_do_no_harm() {
    let value: Value = serde_json::from_str(&signed(1).to_json()).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let read = Statement::parse(pretty.as_bytes()).unwrap();
    assert_eq!(read.verify(&[]), Ok(Verdict::ConsistentNotAuthenticated));
}

#[test]
fn a_change_of_any_member_is_found() {
    let good: Value = serde_json::from_str(&signed(1).to_json()).unwrap();
    let names: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 14);
    for name in &names {
        let mut gone = good.clone();
        gone.as_object_mut().unwrap().remove(name);
        assert!(verdict(&gone).is_err(), "without {name}");

        let mut changed = good.clone();
        let member = changed.get_mut(name).unwrap();
        *member = match &*member {
            Value::Number(n) => (n.as_u64().unwrap() + 1).into(),
            Value::String(text) => {
                let first = if text.starts_with('B') { 'C' } else { 'B' };
                format!("{first}{}", text.get(1..).unwrap()).into()
            }
            _ => serde_json::to_value(ed25519(2).1).unwrap(),
        };
        assert!(verdict(&changed).is_err(), "{name} changed");

        let mut other_kind = good.clone();
        *other_kind.get_mut(name).unwrap() = Value::Null;
        assert!(verdict(&other_kind).is_err(), "{name} null");
    }
    let mut more = good;
    more.as_object_mut().unwrap().insert("note".to_owned(), "x".into());
    assert_eq!(
        verdict(&more),
        Err(StatementFault::Signature(SignatureFault::WrongSignature))
    );
}

#[test]
fn unknown_members_are_covered_by_the_signature() {
    let (pair, public) = ed25519(1);
    let mut receipt = deletion().receipt(&public).unwrap();
    receipt.members.insert("later".to_owned(), 7.into());
    let signature = pair.sign(&signed_form(Kind::Deletion.domain(), &receipt.signed_bytes()));
    let text = receipt.with_signature(signature.as_ref().to_vec()).to_json();
    assert!(Statement::parse(text.as_bytes()).unwrap().verify(&[]).is_ok());
    let changed = text.replace("\"later\":7", "\"later\":8");
    assert!(Statement::parse(changed.as_bytes()).unwrap().verify(&[]).is_err());
}

#[test]
fn faults_are_named() {
    let good: Value = serde_json::from_str(&signed(1).to_json()).unwrap();
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        *changed.get_mut(name).unwrap() = value;
        verdict(&changed)
    };
    assert_eq!(with("format", 3.into()), Err(StatementFault::NewerFormat(3)));
    assert_eq!(with("format", 0.into()), Err(StatementFault::Member("format")));
    assert_eq!(with("kind", "shed".into()), Err(StatementFault::Member("kind")));
    assert_eq!(with("signature", "!".into()), Err(StatementFault::Member("signature")));
    let mut relabelled = good.clone();
    relabelled["kind"] = "shred".into();
    relabelled["format"] = Kind::Shred.format().into();
    assert_eq!(
        verdict(&relabelled),
        Err(StatementFault::Signature(SignatureFault::WrongSignature)),
        "a receipt is not a certificate"
    );
    assert_eq!(
        with("public_key", serde_json::to_value(ed25519(2).1).unwrap()),
        Err(StatementFault::KeyName)
    );
    assert_eq!(
        Statement::parse(&vec![b' '; TEXT_MAX + 1]),
        Err(StatementFault::TooLong)
    );
    assert!(matches!(Statement::parse(b"{"), Err(StatementFault::NotJson(_))));
}

#[test]
fn spent_tokens_have_no_sealed_card() {
    let without = Deletion {
        sealed: None,
        ..deletion()
    };
    let text = without.receipt(&ed25519(1).1).unwrap().to_json();
    assert!(!text.contains("kek_epoch") && !text.contains("sealed_sha256"));
}

/// Another program, with nothing but this page's words, comes to the same verdict.
#[test]
fn openssl_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        // not by a print macro: the test runner keeps back what those write
        writeln!(
            std::io::stderr(),
            "SKIPPED openssl_agrees: there is no openssl command here"
        )
        .unwrap();
        return;
    }
    let receipt = signed(1);
    let ed25519_signature = receipt.signature.clone().unwrap();
    check_with_openssl(&ed25519(1).1, &receipt.signed_bytes(), &ed25519_signature, &["-rawin"]);

    let rng = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
    let point = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let public = PublicKey::P256 { point };
    let receipt = deletion().receipt(&public).unwrap();
    let message = signed_form(Kind::Deletion.domain(), &receipt.signed_bytes());
    let signature = pair.sign(&rng, &message).unwrap().as_ref().to_vec();
    let bytes = receipt.signed_bytes();
    let signed = receipt.with_signature(signature.clone());
    assert!(signed.verify(&[]).is_ok());
    // openssl takes r and s as a DER SEQUENCE
    let integer = |part: &[u8]| {
        let digits: Vec<u8> = part.iter().copied().skip_while(|b| *b == 0).collect();
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        let body = [sign, &digits].concat();
        [&[2, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let (r, s) = signature.split_at(32);
    let pair = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(pair.len()).unwrap()], pair.as_slice()].concat();
    check_with_openssl(&public, &bytes, &der, &["-rawin", "-digest", "sha256"]);
}

fn check_with_openssl(public: &PublicKey, bytes: &[u8], signature: &[u8], how: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    // the documented form by hand: each of domain and bytes after its length
    let length = |part: &[u8]| u64::try_from(part.len()).unwrap().to_be_bytes();
    let domain = b"panvault deletion receipt v1";
    let message = [&length(domain)[..], domain, &length(bytes), bytes].concat();
    let key = file("key.der", &public.spki().unwrap());
    let signature = file("signature", signature);
    let verified = |message: &[u8]| {
        let status = Command::new("openssl")
            .args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey"])
            .arg(&key)
            .args(how)
            .arg("-in")
            .arg(file("message", message))
            .arg("-sigfile")
            .arg(&signature)
            .output()
            .unwrap();
        status.status.success()
    };
    assert!(verified(&message));
    assert!(!verified(&[message.as_slice(), b" "].concat()));
    let digest = Command::new("openssl")
        .args(["dgst", "-sha256", "-binary"])
        .arg(&key)
        .output()
        .unwrap();
    assert_eq!(digest.stdout, public.fingerprint().unwrap().0);
}

proptest! {
    #[test]
    fn one_changed_byte_is_found_or_changes_nothing(at in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        let good = signed(1);
        let mut text = good.to_json().into_bytes();
        let at = at.index(text.len());
        text[at] ^= flip;
        // a byte of JSON that may stand in two ways (a letter's escape) could change without a change of meaning
        if let Ok(read) = Statement::parse(&text) {
            prop_assert!(read == good || read.verify(&[]).is_err());
        }
    }

    #[test]
    fn any_text_is_answered(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Statement::parse(&text).is_err());
    }
}
