use std::io::Write as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::Value;

use super::*;
use crate::hsm::jwe_client::modpow;

/// A Wycheproof file, where they are at hand.
pub(in crate::jose) fn vectors(name: &str) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/wycheproof");
    let text = std::fs::read_to_string(root.join(name)).ok();
    let Some(text) = text else {
        writeln!(std::io::stderr(), "SKIPPED: Wycheproof's {name} is not here").unwrap();
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

pub(in crate::jose) fn number(key: &Value, name: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes()).unwrap()
}

pub(in crate::jose) fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// The seed in a padded block.
fn seed_of(block: &[u8], hash: OaepHash) -> Vec<u8> {
    let algorithm = match hash {
        OaepHash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        OaepHash::Sha256 => &SHA256,
    };
    let length = algorithm.output_len();
    let (seed, rest) = block[1..].split_at(length);
    let mut mask = Vec::new();
    for counter in 0_u32.. {
        if mask.len() >= length {
            break;
        }
        mask.extend_from_slice(digest(algorithm, &[rest, &counter.to_be_bytes()].concat()).as_ref());
    }
    seed.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// With the seed that the vectors' maker took, the same text comes to the same ciphertext.
#[test]
fn vectors_of_wycheproof_come_out_again() {
    for (file, hash) in [
        ("rsa_oaep_2048_sha1_mgf1sha1_test.json", OaepHash::Sha1),
        ("rsa_oaep_2048_sha256_mgf1sha256_test.json", OaepHash::Sha256),
    ] {
        let Some(file) = vectors(file) else { return };
        let mut done = 0;
        for group in file["testGroups"].as_array().unwrap() {
            let jwk = &group["privateKeyJwk"];
            let (n, e, d) = (number(jwk, "n"), number(jwk, "e"), number(jwk, "d"));
            let key = RsaPublicKey::new(&n, &e).unwrap();
            for test in group["tests"].as_array().unwrap() {
                if test["result"] != "valid" || test["label"] != "" {
                    continue;
                }
                let (ciphertext, text) = (hex(&test["ct"]), hex(&test["msg"]));
                let seed = seed_of(&modpow(&ciphertext, &d, &n), hash);
                assert_eq!(key.encrypt_with(hash, &seed, &text), Some(ciphertext), "{test}");
                done += 1;
            }
        }
        assert!(done >= 10, "{done}");
    }
}

/// The key of RFC 7638 section 3.1.
fn key() -> RsaPublicKey {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
             FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9\
             c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1j\
             F44-csFCur-kEgU8awapJzKnqDKgw";
    RsaPublicKey::new(&BASE64URL_NOPAD.decode(n.as_bytes()).unwrap(), &[1, 0, 1]).unwrap()
}

#[test]
fn the_public_operation_is_the_one_of_the_standard() {
    let key = key();
    for (hash, text) in [
        (OaepHash::Sha1, &[7; 32][..]),
        (OaepHash::Sha256, &[]),
        (OaepHash::Sha256, &[1; 190]),
    ] {
        let block = oaep::padded(hash, key.0.n.len(), &[9; 32], text).unwrap();
        let expected = modpow(&block, &key.0.e, &key.0.n);
        assert_eq!(key.encrypt_with(hash, &[9; 32], text), Some(expected));
    }
    assert_eq!(key.encrypt_with(OaepHash::Sha256, &[9; 32], &[1; 191]), None);
    // the same text never looks the same
    let one = key.encrypt(OaepHash::Sha1, b"x").unwrap();
    assert_ne!(one, key.encrypt(OaepHash::Sha1, b"x").unwrap());
}

#[test]
fn keys_are_read_as_pem_and_written_so() {
    let key = key();
    let pem = key.to_pem();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
    assert!(pem.lines().all(|line| line.len() <= 64));
    assert_eq!(RsaPublicKey::of_pem(&format!("a key:\n{pem}bye")).unwrap(), key);
    let json = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<RsaPublicKey>(&json).unwrap(), key);
    assert!(key.fingerprint().is_some());
    assert_eq!(format!("{key:?}"), "RsaPublicKey(2048 bits)");
    // PKCS #1
    let spki = key.public().spki().unwrap();
    let pkcs1 = BASE64.encode(&spki[24..]);
    let text = format!("-----BEGIN RSA PUBLIC KEY-----\n{pkcs1}\n-----END RSA PUBLIC KEY-----\n");
    assert_eq!(RsaPublicKey::of_pem(&text).unwrap(), key);

    let spki = |bytes: &[u8]| {
        RsaPublicKey::of_pem(&format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
            BASE64.encode(bytes)
        ))
    };
    let good = key.public().spki().unwrap();
    assert!(spki(&good).is_ok());
    assert_eq!(spki(&[&good[..], &[0]].concat()), Err(BadKey::None));
    assert_eq!(spki(&good[..good.len() - 1]), Err(BadKey::None));
    for text in [
        "",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\n*\n-----END PUBLIC KEY-----",
    ] {
        assert_eq!(RsaPublicKey::of_pem(text), Err(BadKey::None));
    }
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    assert_eq!(RsaPublicKey::of_pem(private), Err(BadKey::PrivateKey));
    assert_eq!(RsaPublicKey::of_pem(&"x".repeat(9_000)), Err(BadKey::None));
}

#[test]
fn keys_of_other_sizes_are_refused() {
    let n = &key().0.n.clone();
    let bad: [(&[u8], &[u8]); 8] = [
        (&n[1..], &[1, 0, 1]),
        (&[&[0], &n[..]].concat(), &[1, 0, 1]),
        (n, &[1]),
        (n, &[]),
        (n, &[2]),
        (n, &[1, 0, 0, 0, 1]),
        (&[&n[..255], &[2]].concat(), &[1, 0, 1]),
        (&[1; 1_025], &[1, 0, 1]),
    ];
    for (n, e) in bad {
        assert_eq!(RsaPublicKey::new(n, e), Err(BadKey::Size), "{} {e:?}", n.len());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = RsaPublicKey::of_pem(&text);
        let _ = der::rsa_of_spki(&bytes);
        let _ = der::rsa_of_pkcs1(&bytes);
    }

    #[test]
    fn there_is_one_form_of_a_key(at in 0_usize..294, by in 1_u8..) {
        let mut other = key().public().spki().unwrap();
        other[at] ^= by;
        if let Some((n, e)) = der::rsa_of_spki(&other) {
            let PublicKey::Rsa { n: mine, e: exponent } = key().public() else { panic!() };
            let same = (BASE64URL_NOPAD.encode(n), BASE64URL_NOPAD.encode(e)) == (mine, exponent);
            prop_assert!(!same);
        }
    }
}
