use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::hsm::signed_form;

fn pair(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    (pair, PublicKey::Ed25519 { x })
}

fn listed(name: FileName) -> Listed {
    Listed {
        name,
        bytes: 7,
        sha256: Digest([3; 32]),
    }
}

fn mark() -> Mark {
    Mark {
        rev: 12,
        records: 4,
        head: Head { seq: 5, hash: [8; 32] },
    }
}

fn signed(files: Vec<Listed>) -> Vec<u8> {
    let (pair, public) = pair(7);
    let vault = VaultId::parse("vault_1").unwrap();
    let draft = Draft::new(&vault, &mark(), files, &public).unwrap();
    let signature = pair.sign(&signed_form(Draft::DOMAIN, &draft.signed_bytes()));
    draft.signed(signature.as_ref())
}

fn whole() -> Vec<u8> {
    signed(
        [
            FileName::Keyring,
            FileName::Entries(1),
            FileName::Changes(1),
            FileName::Audit(1),
        ]
        .map(listed)
        .to_vec(),
    )
}

fn fault(text: &[u8]) -> ManifestFault {
    Manifest::parse(text).unwrap_err()
}

#[test]
fn a_manifest_says_what_was_signed() {
    let manifest = Manifest::parse(&whole()).unwrap();
    assert_eq!(manifest.mark(), mark());
    assert_eq!(manifest.bytes(), 28);
    let own = pair(7).1.fingerprint().unwrap();
    assert_eq!(manifest.authenticate(None), Ok(Verdict::ConsistentNotAuthenticated));
    assert_eq!(manifest.authenticate(Some(&own)), Ok(Verdict::Authentic));
    let other = pair(8).1.fingerprint().unwrap();
    assert_eq!(manifest.authenticate(Some(&other)), Err(ManifestFault::OtherKey(own)));
}

#[test]
fn a_newer_format_is_named_before_anything_else_of_it() {
    assert_eq!(fault(br#"{"format":3,"anything":[]}"#), ManifestFault::NewerFormat(3));
    for text in [
        "",
        "[]",
        "{}",
        r#"{"format":0}"#,
        r#"{"format":1}"#,
        r#"{"format":2}"#,
        r#"{"format":1,"format":1}"#,
    ] {
        assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn what_no_backup_has_is_refused_though_it_is_signed() {
    use FileName::{Audit, Changes, Entries, Keyring};
    for names in [
        vec![],
        vec![Entries(1)],
        vec![Keyring, Keyring],
        vec![Keyring, Entries(2)],
        vec![Keyring, Entries(1), Entries(3)],
        vec![Keyring, Changes(1), Entries(1)],
        vec![Keyring, Entries(1), Changes(2)],
        vec![Keyring, Audit(1), Entries(1)],
        vec![Keyring, Audit(2), Audit(1)],
    ] {
        let text = signed(names.iter().copied().map(listed).collect());
        assert!(matches!(fault(&text), ManifestFault::Shape(_)), "{names:?}");
    }
    let mut large = listed(Keyring);
    large.bytes = BYTES_MAX + 1;
    assert!(matches!(fault(&signed(vec![large])), ManifestFault::Shape(_)));
    let many = std::iter::once(Keyring).chain((1..=100_000).map(Audit)).map(listed);
    assert!(matches!(fault(&signed(many.collect())), ManifestFault::Shape(_)));
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let text = String::from_utf8(whole()).unwrap();
    let text = text.replace("keyring.json", "../../etc/passwd");
    assert!(matches!(fault(text.as_bytes()), ManifestFault::Shape(_)));
}

proptest! {
    #[test]
    fn one_changed_byte_is_seen(at: prop::sample::Index, to: u8) {
        let mut text = whole();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        // what is no change: whitespace for whitespace; there is none in it
        prop_assert!(Manifest::parse(&text).is_err());
    }

    #[test]
    fn any_text_is_refused(text: Vec<u8>) {
        prop_assert!(Manifest::parse(&text).is_err());
    }
}
