use std::io::Write;

use ring::digest::{SHA256, digest};

use super::*;
use crate::hsm::{SealedPart, jwe_client as client};

const MODULUS: usize = 256;
const CEK: [u8; KEY] = [0x5a; KEY];

fn spare() -> ContentKey {
    Zeroizing::new([0xee; KEY])
}

/// The block of a padding, before it is masked.
fn block() -> Vec<u8> {
    let mut block = digest(&SHA256, b"").as_ref().to_vec();
    block.resize(MODULUS - 1 - HASH - KEY - 1, 0);
    block.push(1);
    block.extend_from_slice(&CEK);
    block
}

#[test]
fn what_a_token_calls_a_bad_ciphertext_gives_the_spare_key_and_other_refusals_stay() {
    let transport = |how| Recipient {
        private: Handle(1),
        how,
        modulus: vec![0xff; MODULUS],
        exponent: vec![1, 0, 1],
    };
    let answered = |how, code| transport(how).content_key(Err(Ckr::new("C_Decrypt", code)), spare());
    for code in [
        cryptoki_sys::CKR_DATA_INVALID,
        cryptoki_sys::CKR_DATA_LEN_RANGE,
        cryptoki_sys::CKR_ENCRYPTED_DATA_INVALID,
        cryptoki_sys::CKR_ENCRYPTED_DATA_LEN_RANGE,
    ] {
        assert_eq!(answered(Rsa::Oaep(Oaep::Sha256), code), Ok(spare()));
        // without a padding of its own the token takes each text of this length
        assert!(answered(Rsa::Raw, code).is_err());
    }
    for code in [
        cryptoki_sys::CKR_DEVICE_ERROR,
        cryptoki_sys::CKR_GENERAL_ERROR,
        cryptoki_sys::CKR_USER_NOT_LOGGED_IN,
    ] {
        let refused = Ckr::new("C_Decrypt", code);
        assert_eq!(answered(Rsa::Oaep(Oaep::Sha256), code), Err(refused));
    }
    let oaep = transport(Rsa::Oaep(Oaep::Sha256));
    let given = |bytes: &[u8]| oaep.content_key(Ok(Zeroizing::new(bytes.to_vec())), spare());
    assert_eq!(*given(&CEK).unwrap(), CEK);
    assert_eq!(given(&CEK[1..]), Ok(spare()));
}

#[test]
fn a_right_padding_gives_its_key() {
    for _ in 0..20 {
        let padded = client::padded(MODULUS, &CEK);
        assert_eq!(*unpadded(&padded, MODULUS, &spare()), CEK);
        // a module that leaves the zero in front out
        assert_eq!(*unpadded(&padded[1..], MODULUS, &spare()), CEK);
    }
    // zeros in front that belong to the masked seed
    let zeros = (0_u64..)
        .map(|n| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&n.to_be_bytes());
            client::masked(&seed, block())
        })
        .find(|padded| padded[1] == 0);
    assert_eq!(*unpadded(&zeros.unwrap()[2..], MODULUS, &spare()), CEK);
}

#[test]
fn whatever_is_wrong_with_a_padding_gives_the_spare_key() {
    let refused = |padded: &[u8], what: &str| {
        assert_eq!(unpadded(padded, MODULUS, &spare()), spare(), "{what}");
    };
    let seed = client::random::<32>();
    let good = block();
    // each bit of the label's hash, of the zeros, of the one
    for at in 0..good.len() - KEY {
        for bit in 0..8 {
            let mut block = good.clone();
            block[at] ^= 1 << bit;
            refused(&client::masked(&seed, block), &format!("bit {bit} of byte {at}"));
        }
    }
    for first in 1..=255 {
        let mut padded = client::masked(&seed, good.clone());
        padded[0] = first;
        refused(&padded, "the first byte");
    }
    // content keys of other lengths
    for length in [0, 16, 24, 31, 33, 64] {
        refused(&client::padded(MODULUS, &vec![7; length]), &format!("{length} bytes"));
    }
    let padded = client::padded(MODULUS, &CEK);
    for at in [1, 33, 200, 255] {
        let mut changed = padded.clone();
        changed[at] ^= 0x10;
        refused(&changed, "a changed byte");
    }
    refused(&[&[0], &padded[..]].concat(), "one byte more");
    refused(&padded[..255], "one byte less");
    refused(&[], "nothing");
    refused(&[0; MODULUS], "zeros");
    refused(&[0xff; MODULUS], "ones");
}

#[test]
fn content_opens_under_its_key_and_place_only() {
    let (iv, text) = (client::random::<12>(), b"4111111111111111");
    let sealed = client::sealed(&CEK, &iv, b"header", text);
    let open = |key: [u8; KEY], aad: &[u8], iv: &[u8], sealed: &[u8]| {
        let sealed = SealedPart {
            iv: iv.to_vec(),
            text: sealed.to_vec(),
        };
        let content = Boxed {
            aad: aad.to_vec(),
            sealed,
        };
        content_under(&Zeroizing::new(key), &content).map(|text| text.expose().to_vec())
    };
    assert_eq!(open(CEK, b"header", &iv, &sealed).unwrap(), text);
    assert_eq!(open([1; KEY], b"header", &iv, &sealed), None);
    assert_eq!(open(CEK, b"Header", &iv, &sealed), None);
    assert_eq!(open(CEK, b"header", &client::random::<12>(), &sealed), None);
    assert_eq!(open(CEK, b"header", &iv[1..], &sealed), None);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(CEK, b"header", &iv, &changed), None);
    }
    assert_eq!(open(CEK, b"header", &iv, &sealed[..15]), None);
}

/// The arithmetic that tests use, against a number that is easy to check: Fermat's little theorem.
#[test]
fn the_tests_own_arithmetic_is_right() {
    let mut prime = vec![0xff; 66];
    prime[0] = 0x01; // 2^521 - 1
    let mut exponent = prime.clone();
    exponent[65] = 0xfe;
    for base in [2_u8, 3, 250] {
        let power = client::modpow(&[base], &exponent, &prime);
        assert!(power[..65].iter().all(|b| *b == 0) && power[65] == 1);
    }
    assert_eq!(client::modpow(&[7], &[3], &[0x01, 0x01]), [0, 86]); // 343 - 257
}

/// Vectors of others, where they are at hand.
#[test]
fn vectors_of_wycheproof_hold() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/wycheproof");
    let read = |name: &str| {
        let text = std::fs::read_to_string(root.join(name)).ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    };
    let (Some(oaep), Some(jwe)) = (
        read("rsa_oaep_2048_sha256_mgf1sha256_test.json"),
        read("json_web_encryption_test.json"),
    ) else {
        writeln!(
            std::io::stderr(),
            "SKIPPED: the Wycheproof vectors of OAEP are not here"
        )
        .unwrap();
        return;
    };
    let number = |key: &serde_json::Value, name: &str| {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes());
        bytes.unwrap()
    };
    let hex = |value: &serde_json::Value| {
        let bytes = data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes());
        bytes.unwrap()
    };
    let (mut opened, mut refused) = (0, 0);
    for group in oaep["testGroups"].as_array().unwrap() {
        let key = &group["privateKeyJwk"];
        let (n, d) = (number(key, "n"), number(key, "d"));
        for test in group["tests"].as_array().unwrap() {
            let (ciphertext, text) = (hex(&test["ct"]), hex(&test["msg"]));
            if ciphertext.len() != n.len() || ciphertext >= n {
                assert_eq!(test["result"], "invalid");
                continue;
            }
            let found = unpadded(&client::modpow(&ciphertext, &d, &n), n.len(), &spare());
            if test["result"] == "valid" && test["label"] == "" && text.len() == KEY {
                assert_eq!(found.as_slice(), text, "{test}");
                opened += 1;
            } else {
                assert_eq!(found, spare(), "{test}");
                refused += 1;
            }
        }
    }
    assert!(opened > 0 && refused > 20, "{opened}, {refused}");

    let mut opened = 0;
    for group in jwe["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let parts: Vec<Vec<u8>> = test["jwe"]
                .as_str()
                .unwrap_or_default()
                .split('.')
                .filter_map(|part| data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).ok())
                .collect();
            let [header, encrypted, iv, ciphertext, tag] = parts.as_slice() else {
                continue;
            };
            if header != client::HEADER.as_bytes() {
                continue;
            }
            let (n, d) = (number(&group["private"], "n"), number(&group["private"], "d"));
            let sealed = SealedPart {
                iv: iv.clone(),
                text: [ciphertext.as_slice(), tag].concat(),
            };
            let aad = test["jwe"].as_str().unwrap().split('.').next().unwrap();
            let content = Boxed {
                aad: aad.as_bytes().to_vec(),
                sealed,
            };
            let text = open_padded(&client::modpow(encrypted, &d, &n), n.len(), &content);
            assert_eq!(text.unwrap().expose(), hex(&test["pt"]), "{test}");
            opened += 1;
        }
    }
    assert!(opened > 0);
}
