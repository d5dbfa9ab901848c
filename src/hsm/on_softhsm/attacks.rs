//! What a holder of the user PIN can try through PKCS#11 to carry a data key away. Each attempt is made against the
//! vault's keys, where all must be refused, and against lax ones, where they work: so the attempts are real.

mod attempts;

use cryptoki::session::UserType;
use cryptoki_sys as sys;

use self::attempts::{Attempts, Scene, all, change_dek, make_trusted};
use super::{Place, scenarios};
use crate::hsm::pkcs11::template::{DekRules, DekUse, Name, WRAP};
use crate::hsm::pkcs11::{Handle, Search, Template};
use crate::hsm::{Epoch, Job, KekMode, Keyset, Plain, Reply, SecretBytes};

/// A card's wrapped DEK, as it lies in the store.
fn stolen(place: &Place, keyset: &Keyset) -> Vec<u8> {
    place.with_engine(&place.config(), keyset, |engine| {
        let text = SecretBytes::new(b"4111111111111111".to_vec());
        let parts = vec![Plain { aad: Vec::new(), text }];
        match engine
            .execute(Job::Seal {
                epoch: Epoch(1),
                mac: None,
                parts,
            })
            .unwrap()
        {
            Reply::Seal { dek, .. } => dek.0,
            other => panic!("{other:?}"),
        }
    })
}

fn vault_resists(place: &Place, mode: KekMode) {
    let keyset = place.keyset(mode);
    let blob = stolen(place, &keyset);
    let rules = DekRules::new(mode, false);
    // The second round is after C_Finalize and C_Initialize: the token object says the same.
    for _ in 0..2 {
        place.intrude(UserType::User, |_, session| {
            let keks: Vec<Handle> = keyset
                .keks
                .iter()
                .map(|kek| {
                    let id = data_encoding::HEXLOWER.decode(kek.id.as_bytes()).unwrap();
                    session
                        .find(&Search {
                            id: Some(&id),
                            ..Search::default()
                        })
                        .unwrap()[0]
                })
                .collect();
            let purpose = if rules.trusted { DekUse::Rotate } else { DekUse::Reveal };
            let dek = session
                .unwrap(WRAP, keks[0], &blob, &rules.dek_unwrap(purpose))
                .unwrap();
            let scene = Scene {
                rules,
                kek: keks[0],
                blob: blob.clone(),
                dek,
            };
            assert_eq!(all(session, &scene), [""; 0]);
            // Rotation, by contrast, is a wrap under the next KEK, where the mode has it.
            assert_eq!(session.wrap(WRAP, keks[1], dek).is_ok(), rules.trusted);
            if rules.trusted {
                assert_eq!(make_trusted(session), [""; 0]);
            }
            // A fresh DEK is no softer than one that comes back.
            let dek = session
                .generate_key(sys::CKM_AES_KEY_GEN, &rules.dek_generate())
                .unwrap();
            let mut attempts = Attempts {
                session,
                granted: Vec::new(),
            };
            change_dek(&mut attempts, &Scene { dek, ..scene });
            assert_eq!(attempts.granted, [""; 0]);
            assert!(session.attribute(dek, sys::CKA_VALUE).is_err());
        });
    }
    // And the vault still works.
    place.try_start(&keyset).unwrap();
}

/// On SoftHSM. The others need what it lacks (mechanisms, key forms) or what it always refuses.
const WORK_ON_LAX_KEYS: [&str; 41] = [
    "A free wrapping",
    "A free wrapping by a duplicate",
    "A readable",
    "A readable by a duplicate",
    "A readable and extractable",
    "A bare template",
    "A pin left out",
    "E derive",
    "F generic secret",
    "F triple DES",
    "F token object",
    "F public",
    "F wrap",
    "F unwrap",
    "F sign",
    "F modifiable",
    "F copyable",
    "F ECB",
    "B AES key wrap",
    "B AES key wrap with padding",
    "B RSA",
    "C' copy of the KEK: decrypt",
    "C' copy of the KEK: modifiable",
    "C' encrypt with the KEK",
    "C' set on the KEK: decrypt",
    "read the DEK",
    "D copy of the DEK: readable",
    "D set on the DEK: readable",
    "D copy of the DEK: extractable",
    "D set on the DEK: extractable",
    "D copy of the DEK: derive",
    "D set on the DEK: derive",
    "D copy of the DEK: decrypt",
    "D set on the DEK: decrypt",
    "D copy of the DEK: wrap",
    "D set on the DEK: wrap",
    "D copy of the DEK: token",
    "D copy of the DEK: nothing",
    "D ECB with the DEK",
    "E CBC of data from the DEK",
    "E CBC of data from the KEK",
];

scenarios! {
    fn session_source_resists(place) {
        vault_resists(place, KekMode::SessionSource);
    }

    fn no_trusted_resists(place) {
        vault_resists(place, KekMode::NoTrusted);
    }

    fn lax_keys_do_not(place) {
        place.intrude(UserType::User, |_, session| {
            let rules = DekRules { trusted: true, value_len: false };
            let kek = rules
                .kek_direct(&Name { id: b"lax", label: "lax" })
                .without(sys::CKA_UNWRAP_TEMPLATE)
                .without(sys::CKA_ALLOWED_MECHANISMS)
                .yes(sys::CKA_COPYABLE)
                .yes(sys::CKA_MODIFIABLE)
                .yes(sys::CKA_DERIVE)
                .yes(sys::CKA_ENCRYPT);
            let kek = session.generate_key(sys::CKM_AES_KEY_GEN, &kek).unwrap();
            let dek = Template::new()
                .ulong(sys::CKA_VALUE_LEN, 32)
                .no(sys::CKA_TOKEN)
                .yes(sys::CKA_EXTRACTABLE)
                .yes(sys::CKA_ENCRYPT)
                .yes(sys::CKA_DERIVE);
            let dek = session.generate_key(sys::CKM_AES_KEY_GEN, &dek).unwrap();
            let blob = session.wrap(WRAP, kek, dek).unwrap();
            let granted = all(session, &Scene { rules, kek, blob, dek });
            for name in WORK_ON_LAX_KEYS {
                assert!(granted.iter().any(|is| is == name), "{name}: {granted:#?}");
            }
        });
    }
}
