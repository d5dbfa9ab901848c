use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::*;
use crate::hsm::{Canary, KekMode, KekRef, SealedPart, WrappedKey};
use crate::keys::{EpochState, Refused};

fn keyset(audit_public: PublicKey) -> Keyset {
    let kek = |epoch: u32| KekRef {
        epoch: Epoch(epoch),
        id: format!("{epoch:02x}"),
        canary: Canary {
            dek: WrappedKey(vec![1; 40]),
            part: SealedPart {
                iv: vec![2; 12],
                text: vec![3; 32],
            },
        },
    };
    Keyset {
        mode: KekMode::SessionSource,
        token_label: "panvault \"test\"".to_owned(),
        token_serial: "00".to_owned(),
        keks: vec![kek(1), kek(2)],
        shredded: Vec::new(),
        fingerprint_id: "10".to_owned(),
        fingerprint_check: "00".repeat(32),
        audit_id: "11".to_owned(),
        audit_public,
        transport_id: "12".to_owned(),
        transport_public: PublicKey::Rsa {
            n: "wAAB".to_owned(),
            e: "AQAB".to_owned(),
        },
        locker: None,
        platform: None,
    }
}

fn signer(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    (pair, PublicKey::Ed25519 { x })
}

fn keyring() -> Keyring {
    let vault = VaultId::parse("vault_1").unwrap();
    Keyring::new(vault, UnixMillis(5), Epoch(1), keyset(signer(1).1)).unwrap()
}

fn signed(keyring: &Keyring) -> SignedKeyring {
    let draft = keyring.draft().unwrap();
    let signature = signer(1).0.sign(&draft.message());
    draft.signed(signature.as_ref()).unwrap()
}

/// Signs any body, as an attacker with a key of his own or a later version could.
fn forged(body: &str, seed: u8) -> Vec<u8> {
    let signature = signer(seed).0.sign(&signed_form(DOMAIN, body.as_bytes()));
    contents(body, signature.as_ref())
}

#[test]
fn a_keyring_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Keyring::FILE);
    signed(&keyring()).write(&path).unwrap();
    assert_eq!(Keyring::load(&path), Ok(keyring()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);

    // again, over what is there and over what a run left that was cut off
    fs::write(dir.path().join("keyring.json.new"), "rest").unwrap();
    let next = Keyring {
        active_epoch: Epoch(2),
        ..keyring()
    };
    signed(&next).write(&path).unwrap();
    assert_eq!(Keyring::load(&path), Ok(next));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn ecdsa_signs_too() {
    let rng = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
    let point = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let keyring = Keyring {
        keyset: keyset(PublicKey::P256 { point }),
        ..keyring()
    };
    let draft = keyring.draft().unwrap();
    let signature = pair.sign(&rng, &draft.message()).unwrap();
    let SignedKeyring(bytes) = draft.signed(signature.as_ref()).unwrap();
    assert_eq!(Keyring::parse(&bytes), Ok(keyring));
}

#[test]
fn faults_of_the_file_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Keyring::FILE);
    let fault = || Keyring::load(&path).unwrap_err().fault;
    assert_eq!(fault(), KeyringFault::Missing);
    signed(&keyring()).write(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
    assert_eq!(fault(), KeyringFault::WritableByOthers(0o660));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, vec![b' '; usize::try_from(FILE_MAX).unwrap() + 1]).unwrap();
    assert_eq!(
        fault(),
        KeyringFault::Damaged("it is larger than 1048576 bytes".to_owned())
    );
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(fault(), KeyringFault::Unreadable("it is not a plain file".to_owned()));
    let text = Keyring::load(&path).unwrap_err().to_string();
    assert_eq!(
        text,
        format!("keyring {}: it cannot be read: it is not a plain file", path.display())
    );
}

#[test]
fn a_keyring_that_cannot_be_written_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Keyring::FILE);
    signed(&keyring()).write(&path).unwrap();
    fs::create_dir(dir.path().join("keyring.json.new")).unwrap();
    let error = signed(&keyring()).write(&path).unwrap_err();
    assert!(matches!(error.fault, KeyringFault::NotWritten(_)));
    assert_eq!(Keyring::load(&path), Ok(keyring()));
}

#[test]
fn newer_formats_are_named() {
    let SignedKeyring(bytes) = signed(&keyring());
    let newer = String::from_utf8(bytes)
        .unwrap()
        .replace("\"format\":1", "\"format\":2");
    assert_eq!(Keyring::parse(newer.as_bytes()), Err(KeyringFault::Newer(2)));
    let entirely_other = br#"{"format":3,"rings":[]}"#;
    assert_eq!(Keyring::parse(entirely_other), Err(KeyringFault::Newer(3)));
}

#[test]
fn only_the_audit_key_signs() {
    let body = keyring().body().unwrap();
    let wrong = Err(KeyringFault::Signature(SignatureFault::WrongSignature));
    assert!(Keyring::parse(&forged(&body, 1)).is_ok());
    assert_eq!(Keyring::parse(&forged(&body, 2)), wrong);
    let draft = keyring().draft().unwrap();
    let signature = signer(2).0.sign(&draft.message());
    assert_eq!(draft.signed(signature.as_ref()).err(), wrong.err());
}

#[test]
fn members_that_are_not_known_are_refused_also_when_signed() {
    let body = keyring().body().unwrap();
    let outer = body.replacen("{\n", "{\n  \"more\": 1,\n", 1);
    let inner = body.replacen("\"token_label\"", "\"more\": 1, \"token_label\"", 1);
    let spaced = body.replacen("\n", "\n ", 1);
    for bad in [outer, inner, spaced] {
        assert_ne!(bad, body);
        let result = Keyring::parse(&forged(&bad, 1));
        assert!(matches!(result, Err(KeyringFault::Damaged(_))), "{result:?}");
    }
}

#[test]
fn senseless_keyrings_are_refused_also_when_signed() {
    let senseless = |change: fn(&mut Keyring)| {
        let mut keyring = keyring();
        change(&mut keyring);
        match Keyring::parse(&forged(&keyring.body().unwrap(), 1)) {
            Err(KeyringFault::Senseless(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(senseless(|k| k.keyset.keks.clear()), "it has no KEK");
    assert_eq!(senseless(|k| k.keyset.keks.reverse()), "its KEK epochs do not ascend");
    assert_eq!(
        senseless(|k| k.keyset.keks[0].epoch = Epoch(0)),
        "KEK epochs count from 1"
    );
    assert_eq!(
        senseless(|k| k.keyset.keks[0].id = "02".to_owned()),
        "two KEK epochs are one key"
    );
    assert_eq!(
        senseless(|k| k.active_epoch = Epoch(3)),
        "it has no KEK of the active epoch"
    );
    let rsa = keyring().keyset.transport_public;
    let new = Keyring::new(VaultId::parse("v").unwrap(), UnixMillis(1), Epoch(1), keyset(rsa));
    assert_eq!(new, Err(KeyringFault::Senseless("its audit key cannot sign")));
}

/// Steps of epochs are in the file, and what is signed of them must make sense.
#[test]
fn the_life_of_epochs_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Keyring::FILE);
    let (before, now) = (keyring(), UnixMillis(9));
    let mut life = before.lifecycle();
    life.compromise(Epoch(1), Some("lost".to_owned()), now).unwrap();
    let left = before.with_lifecycle(&life).unwrap();
    assert_eq!((left.active_epoch(), left.active_since()), (Epoch(2), now));
    assert_eq!((left.keyset.keks.len(), left.keyset.shredded.len()), (2, 0));
    life.destroy(Epoch(1), now).unwrap();
    let going = left.with_lifecycle(&life).unwrap();
    assert_eq!((going.keyset.keks.len(), going.keyset.shredded.len()), (1, 1));
    life.destroyed(Epoch(1), now).unwrap();
    let gone = going.with_lifecycle(&life).unwrap();
    for keyring in [left, going, gone.clone()] {
        signed(&keyring).write(&path).unwrap();
        let read = Keyring::load(&path).unwrap();
        assert_eq!(
            (&read, read.lifecycle().states()),
            (&keyring, keyring.lifecycle().states())
        );
        assert_eq!(read.kek(Epoch(1)).unwrap().id, "01");
    }
    assert_eq!(gone.lifecycle(), life);

    let senseless = |change: fn(&mut Keyring)| {
        let mut keyring = signed_after(&dir);
        change(&mut keyring);
        Keyring::parse(&forged(&keyring.body().unwrap(), 1)).unwrap_err()
    };
    let what = KeyringFault::Senseless("its marks of KEK epochs do not fit its KEKs");
    assert_eq!(senseless(|k| k.marks.clear()), what);
    assert_eq!(senseless(|k| k.keyset.shredded.clear()), what);
    assert_eq!(
        senseless(|k| k.keyset.keks.splice(0..0, k.keyset.shredded.clone()).for_each(drop)),
        what
    );
    assert_eq!(
        senseless(|k| k.marks.get_mut(&Epoch(1)).unwrap().destroying = None),
        what
    );
    assert_eq!(
        senseless(|k| drop(k.marks.insert(Epoch(7), EpochMark::default()))),
        what
    );
}

fn signed_after(dir: &tempfile::TempDir) -> Keyring {
    Keyring::load(&dir.path().join(Keyring::FILE)).unwrap()
}

/// A certificate of a later history counts where it names the key that is here.
#[test]
fn a_certificate_ends_an_epoch_of_an_older_keyring() {
    let before = keyring();
    let after = before.after_destruction(Epoch(1), "01", UnixMillis(9)).unwrap();
    assert_eq!(
        after.active_epoch(),
        Epoch(2),
        "it was in use, and the next one takes over"
    );
    assert_eq!(after.lifecycle().state(Epoch(1)), Some(EpochState::Destroyed));
    assert_eq!(
        after.after_destruction(Epoch(1), "01", UnixMillis(10)),
        Ok(after.clone())
    );
    for (epoch, id) in [(1, "99"), (7, "01")] {
        assert_eq!(
            before.after_destruction(Epoch(epoch), id, UnixMillis(9)),
            Ok(before.clone())
        );
    }
    let none = after.after_destruction(Epoch(2), "02", UnixMillis(9));
    assert_eq!(none, Err(Refused::NoneLeft));
}

proptest! {
    #[test]
    fn any_other_byte_is_refused(at in any::<prop::sample::Index>(), flip in 1..=u8::MAX) {
        let SignedKeyring(mut bytes) = signed(&keyring());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Keyring::parse(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(Keyring::parse(&bytes).is_err());
    }
}
