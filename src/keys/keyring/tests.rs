use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::*;
use crate::hsm::{Canary, Former, Generation, Handover, KekMode, KekRef, PairRef, Rotated, SealedPart, WrappedKey};
use crate::keys::generations::Overlap;
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
        later: crate::hsm::Later::default(),
        former: crate::hsm::Former::default(),
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

/// The keyring of two keys of each role.
fn two_of_each() -> (Keyring, [Ed25519KeyPair; 2]) {
    let ((one, first), (two, second)) = (signer(1), signer(2));
    let mut keyset = keyset(first);
    let rsa = keyset.transport_public.clone();
    let pair = |id: &str, public| crate::hsm::PairRef {
        id: id.to_owned(),
        public,
    };
    keyset.later.fingerprints.push(crate::hsm::MacRef {
        id: "20".to_owned(),
        check: "11".repeat(32),
    });
    keyset.later.audits.push(pair("21", second));
    keyset.later.transports.push(pair("22", rsa));
    let vault = VaultId::parse("v-test").unwrap();
    let keyring = Keyring::new(vault, UnixMillis(1_800_000_000_000), Epoch(1), keyset).unwrap();
    (keyring, [one, two])
}

/// Its file, signed by this key.
fn by(keyring: &Keyring, signer: &Ed25519KeyPair) -> Result<Vec<u8>, KeyringFault> {
    let draft = keyring.draft()?;
    let signature = signer.sign(&draft.message());
    Ok(draft.signed(signature.as_ref())?.text().into_bytes())
}

/// The keyring as it is after the first audit key, or whoever signs, named the second.
fn handed_over(keyring: &Keyring, signer: &Ed25519KeyPair) -> Result<Keyring, KeyringFault> {
    let keys: Vec<PublicKey> = keyring.keyset().audits().map(|(_, public)| public.clone()).collect();
    let at = UnixMillis(1_800_000_000_001);
    let statement = Handover::statement(keyring.vault(), at, &keys[0], &keys[1]).unwrap();
    let signature = signer.sign(&signed_form(Handover::DOMAIN, &statement));
    let (from, to) = (keys[0].clone(), keys[1].clone());
    let handover = Handover::new(keyring.vault().clone(), at, from, to, signature.as_ref());
    keyring.stepped(|steps| steps.audits.push(handover))
}

#[test]
fn a_handover_changes_who_signs_the_keyring() {
    let (before, [one, two]) = two_of_each();
    assert_eq!(before.active(Rotated::Audit), Generation::FIRST);
    let first = before.audit_fingerprint().unwrap();
    assert_eq!(Keyring::parse(&by(&before, &one).unwrap()), Ok(before.clone()));
    let after = handed_over(&before, &one).unwrap();
    assert_eq!(after.active(Rotated::Audit), Generation(2));
    let second = after.audit_fingerprint().unwrap();
    assert_eq!(after.audit_history(), Ok(vec![first, second]));
    assert!(matches!(by(&after, &one), Err(KeyringFault::Signature(_))));
    assert_eq!(Keyring::parse(&by(&after, &two).unwrap()), Ok(after.clone()));
    // more keys and epochs do not take it back
    let mut life = after.lifecycle();
    life.rotate(UnixMillis(1_800_000_000_002)).unwrap();
    let more = after.with_lifecycle(&life).unwrap();
    assert_eq!(more.audit_fingerprint(), Ok(second));
    // the second one names itself
    assert!(matches!(handed_over(&before, &two), Err(KeyringFault::Senseless(_))));
}

#[test]
fn a_keyring_follows_the_one_that_it_was() {
    let (before, [one, _]) = two_of_each();
    let after = handed_over(&before, &one).unwrap();
    assert_eq!((before.follows(&before), after.follows(&before)), (Ok(()), Ok(())));
    assert!(before.follows(&after).is_err(), "no handover leads back");
    let mut life = after.lifecycle();
    life.rotate(UnixMillis(1_800_000_000_002)).unwrap();
    let next = after.with_lifecycle(&life).unwrap();
    assert_eq!(next.follows(&before), Ok(()));
    assert!(after.follows(&next).is_err(), "its KEK epoch went on");
    let other = Keyring {
        vault: VaultId::parse("v-other").unwrap(),
        ..before.clone()
    };
    assert!(other.follows(&before).is_err());
    // another audit key in the place of the one that signed
    let mut keyset = before.keyset().clone();
    keyset.audit_public = signer(7).1;
    assert!(before.with_keyset(keyset).unwrap().follows(&before).is_err());
    // other keys of an epoch
    let mut keyset = before.keyset().clone();
    keyset.keks[1].id = "ff".to_owned();
    assert!(before.with_keyset(keyset).unwrap().follows(&before).is_err());
}

#[test]
fn a_step_needs_a_key_to_go_to() {
    let (keyring, [one, _]) = two_of_each();
    let now = UnixMillis(1_800_000_000_001);
    let step = |keyring: &Keyring| keyring.stepped(|steps| steps.fingerprints.push(now));
    let after = step(&keyring).unwrap();
    assert_eq!(after.active(Rotated::Fingerprint), Generation(2));
    let states: Vec<EpochState> = after.states(Rotated::Fingerprint).iter().map(|key| key.state).collect();
    assert_eq!(states, [EpochState::Deactivated, EpochState::Active]);
    let states: Vec<EpochState> = after.states(Rotated::Transport).iter().map(|key| key.state).collect();
    assert_eq!(states, [EpochState::Active, EpochState::PreActive]);
    assert_eq!(Keyring::parse(&by(&after, &one).unwrap()), Ok(after.clone()));
    assert!(matches!(step(&after), Err(KeyringFault::Senseless(_))));
    // one key in two places
    let mut keyset = keyring.keyset().clone();
    keyset.later.transports[0].id = keyset.transport_id.clone();
    assert!(matches!(keyring.with_keyset(keyset), Err(KeyringFault::Senseless(_))));
}

/// What an older version wrote has none of it, and what this one writes has none of it until it is needed.
#[test]
fn a_keyring_without_later_keys_is_written_as_before() {
    let (keyring, [one, _]) = two_of_each();
    let mut keyset = keyring.keyset().clone();
    keyset.later = crate::hsm::Later::default();
    let plain = Keyring::new(keyring.vault().clone(), keyring.created(), Epoch(1), keyset).unwrap();
    let text = String::from_utf8(by(&plain, &one).unwrap()).unwrap();
    assert!(!text.contains("later") && !text.contains("generations"), "{text}");
    assert_eq!(Keyring::parse(text.as_bytes()), Ok(plain));
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

/// What a move makes of a keyring: of former keys only their public halves count, and numbers go on.
#[test]
fn a_vault_in_another_hsm_knows_what_it_left() {
    let mut first = keyring();
    first.generations.transports.push(Overlap {
        at: UnixMillis(6),
        until: UnixMillis(99),
    });
    first.keyset.later.transports.push(pair("13"));
    let first = first.checked().unwrap();
    let (old, new) = (signer(1), signer(2));
    let at = UnixMillis(50);
    let statement = Handover::statement(first.vault(), at, &old.1, &new.1).unwrap();
    let signature = old.0.sign(&crate::hsm::signed_form(Handover::DOMAIN, &statement));
    let handover = Handover::new(first.vault().clone(), at, old.1, new.1.clone(), signature.as_ref());
    let mut keyset = first.keyset.clone();
    keyset.former = Former {
        keks: std::mem::take(&mut keyset.keks),
        audits: 1,
        transports: 2,
    };
    keyset.keks = vec![KekRef {
        epoch: Epoch(3),
        id: "03".to_owned(),
        ..keyset.former.keks[0].clone()
    }];
    keyset.later.audits.push(PairRef {
        id: "14".to_owned(),
        public: new.1.clone(),
    });
    keyset.later.transports.push(pair("15"));
    let moved = first.moved(keyset, handover).unwrap();

    let states = |role| moved.states(role).iter().map(|key| key.state).collect::<Vec<_>>();
    assert_eq!(states(Rotated::Audit), [EpochState::Left, EpochState::Active]);
    assert_eq!(
        states(Rotated::Transport),
        [EpochState::Left, EpochState::Left, EpochState::Active]
    );
    assert_eq!(states(Rotated::Fingerprint), [EpochState::Active]);
    assert!(
        moved
            .states(Rotated::Transport)
            .iter()
            .all(|key| key.until.is_none_or(|until| until <= at))
    );
    let life = moved.lifecycle();
    let epochs: Vec<_> = life
        .states()
        .into_iter()
        .map(|(epoch, state)| (epoch.0, state))
        .collect();
    assert_eq!(
        epochs,
        [(1, EpochState::Left), (2, EpochState::Left), (3, EpochState::Active)]
    );
    assert_eq!((moved.active_epoch(), moved.active_since()), (Epoch(3), at));
    assert_eq!(moved.kek(Epoch(1)).unwrap().id, "01");
    let refused = moved.follows(&first).unwrap_err();
    assert!(
        refused.contains("moved to another HSM"),
        "nothing of a backup from before opens there: {refused}"
    );
    assert_eq!(moved.audit_history().unwrap().len(), 2);
    let draft = moved.draft().unwrap();
    let SignedKeyring(bytes) = {
        let signature = new.0.sign(&draft.message());
        draft.signed(signature.as_ref()).unwrap()
    };
    assert_eq!(Keyring::parse(&bytes), Ok(moved.clone()));

    let senseless = |change: fn(&mut Keyring)| {
        let mut other = moved.clone();
        change(&mut other);
        assert!(matches!(other.checked(), Err(KeyringFault::Senseless(_))));
    };
    senseless(|other| other.marks.clear());
    senseless(|other| other.keyset.keks[0].epoch = Epoch(2));
    senseless(|other| other.keyset.former.audits = 2);
    senseless(|other| other.keyset.former.transports = 3);
    senseless(|other| drop(other.keyset.former.keks.pop()));
    senseless(|other| {
        other
            .keyset
            .keks
            .splice(0..0, other.keyset.former.keks.clone())
            .for_each(drop)
    });
    // one that is known to be destroyed is none that was left
    let after = moved.after_destruction(Epoch(1), "01", UnixMillis(60)).unwrap();
    assert_eq!(after.lifecycle().state(Epoch(1)), Some(EpochState::Destroyed));
    assert_eq!(after.keyset().former.keks.len(), 1);
}

fn pair(id: &str) -> PairRef {
    let public = PublicKey::Rsa {
        n: "wAAB".to_owned(),
        e: "AQAB".to_owned(),
    };
    let id = id.to_owned();
    PairRef { id, public }
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
