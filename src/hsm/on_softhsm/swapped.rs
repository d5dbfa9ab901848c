//! Keys that are missing, weak, swapped or planted are refused by name.

use cryptoki::object::ObjectClass;
use cryptoki::session::UserType;
use cryptoki_sys as sys;

use super::ceremony::make_trusted;
use super::{Place, gaps, has, scenarios};
use crate::hsm::dek::{DekTemplates, Habits, IvAsk, Ivs};
use crate::hsm::pkcs11::template::{DekRules, Name, audit_ed25519, fingerprint, transport};
use crate::hsm::pkcs11::{Handle, RawSession, Search, Template};
use crate::hsm::{Epoch, KekMode, KekRef, Keyset, StartFault, Verdict};

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn remove(session: &RawSession, id: &[u8]) {
    for object in session
        .find(&Search {
            id: Some(id),
            ..Search::default()
        })
        .unwrap()
    {
        session.destroy(object).unwrap();
    }
}

fn rules(mode: KekMode) -> DekRules {
    DekRules::new(mode, false)
}

/// Refused, and the text names the key and what is wrong with it.
fn refused(place: &Place, keyset: &Keyset, words: &[&str]) {
    let fault = place.try_start(keyset).unwrap_err();
    let StartFault::Keys(text) = &fault else {
        panic!("{fault}")
    };
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

/// A keyset whose second KEK was made by this template, with a canary that it opens.
fn with_kek(place: &Place, mode: KekMode, template: impl FnOnce(&Name<'_>) -> Template) -> Keyset {
    let mut keyset = place.keyset(mode);
    let id = bytes(&keyset.keks[1].id);
    place.intrude(UserType::User, |_, session| {
        remove(session, &id);
        let name = Name {
            id: &id,
            label: "panvault-kek-0002",
        };
        let kek = session.generate_key(sys::CKM_AES_KEY_GEN, &template(&name)).unwrap();
        let templates = DekTemplates::new(
            mode,
            Habits {
                iv: IvAsk::Random,
                value_len: false,
            },
        );
        let canary = templates.make_canary(session, &mut Ivs::new(), kek, Epoch(2)).unwrap();
        keyset.keks[1] = KekRef {
            canary,
            ..keyset.keks[1].clone()
        };
    });
    keyset
}

/// The second KEK has no UNWRAP_TEMPLATE and may be changed and copied.
pub(super) fn with_lax_kek(place: &Place, mode: KekMode) -> Keyset {
    with_kek(place, mode, |name| {
        rules(mode)
            .kek_direct(name)
            .without(sys::CKA_UNWRAP_TEMPLATE)
            .yes(sys::CKA_MODIFIABLE)
            .yes(sys::CKA_COPYABLE)
    })
}

fn find(session: &RawSession, class: ObjectClass, id: &[u8]) -> Vec<Handle> {
    session
        .find(&Search {
            class: Some(class),
            id: Some(id),
            ..Search::default()
        })
        .unwrap()
}

scenarios! {
    fn missing_keys_are_all_named(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let ids = [&keyset.keks[2].id, &keyset.fingerprint_id, &keyset.audit_id, &keyset.transport_id];
        place.intrude(UserType::User, |_, session| ids.iter().for_each(|id| remove(session, &bytes(id))));
        let mut words = vec!["KEK epoch 3", "fingerprint key", "audit key", "transport key", "is missing"];
        words.extend(ids.iter().map(|id| id.as_str()));
        refused(place, &keyset, &words);
    }

    fn a_swapped_kek_is_named(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let id = bytes(&keyset.keks[1].id);
        place.intrude(UserType::User, |_, session| {
            remove(session, &id);
            let strict = rules(KekMode::NoTrusted).kek_direct(&Name { id: &id, label: "panvault-kek-0002" });
            session.generate_key(sys::CKM_AES_KEY_GEN, &strict).unwrap();
        });
        refused(place, &keyset, &["KEK epoch 2", "swapped"]);
    }

    fn a_swapped_kek_that_the_user_made_is_not_trusted(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let id = bytes(&keyset.keks[0].id);
        place.intrude(UserType::User, |_, session| {
            remove(session, &id);
            let strict = rules(KekMode::SessionSource).kek_direct(&Name { id: &id, label: "panvault-kek-0001" });
            session.generate_key(sys::CKM_AES_KEY_GEN, &strict).unwrap();
        });
        refused(place, &keyset, &["KEK epoch 1", "not TRUSTED"]);
    }

    fn a_kek_swapped_by_the_officer_is_named(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let id = bytes(&keyset.keks[0].id);
        place.intrude(UserType::User, |_, session| remove(session, &id));
        make_trusted(place, &id, "panvault-kek-0001");
        refused(place, &keyset, &["KEK epoch 1", "swapped"]);
    }

    fn exchanged_epochs_and_a_swapped_canary_are_named(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let mut exchanged = keyset.clone();
        exchanged.keks[0].id = keyset.keks[1].id.clone();
        exchanged.keks[1].id = keyset.keks[0].id.clone();
        refused(place, &exchanged, &["KEK epoch 1", "KEK epoch 2", "swapped"]);
        let mut canary = keyset.clone();
        canary.keks[2].canary = keyset.keks[0].canary.clone();
        refused(place, &canary, &["KEK epoch 3", "canary"]);
        let mut changed = keyset.clone();
        changed.keks[2].canary.part.text[0] ^= 1;
        refused(place, &changed, &["KEK epoch 3", "canary"]);
        let mut broken = keyset;
        broken.keks[0].id = "no hex".to_owned();
        refused(place, &broken, &["KEK epoch 1", "not hex"]);
    }

    fn a_swapped_fingerprint_key_is_named(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let id = bytes(&keyset.fingerprint_id);
        place.intrude(UserType::User, |_, session| {
            remove(session, &id);
            let template = fingerprint(&Name { id: &id, label: "panvault-fingerprint" }, true);
            session.generate_key(sys::CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
        });
        refused(place, &keyset, &["fingerprint key", "swapped"]);
    }

    fn swapped_audit_and_transport_keys_are_named(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let (audit, inbound) = (bytes(&keyset.audit_id), bytes(&keyset.transport_id));
        place.intrude(UserType::User, |_, session| {
            remove(session, &audit);
            remove(session, &inbound);
            let (mechanism, public, private) = audit_ed25519(&Name { id: &audit, label: "panvault-audit" });
            session.generate_pair(mechanism, &public, &private).unwrap();
            let (mechanism, public, private) = transport(&Name { id: &inbound, label: "panvault-transport" });
            session.generate_pair(mechanism, &public, &private).unwrap();
        });
        refused(place, &keyset, &["audit key", "transport key", "swapped"]);
    }

    fn a_kek_without_unwrap_template_is_weak(place) {
        let keyset = with_kek(place, KekMode::NoTrusted, |name| {
            rules(KekMode::NoTrusted).kek_direct(name).without(sys::CKA_UNWRAP_TEMPLATE)
        });
        refused(place, &keyset, &["weak", "KEK epoch 2", "unwrap-readable"]);
    }

    fn a_kek_with_half_an_unwrap_template_is_weak(place) {
        let keyset = with_kek(place, KekMode::NoTrusted, |name| {
            let half = Template::new().yes(sys::CKA_SENSITIVE).no(sys::CKA_EXTRACTABLE);
            rules(KekMode::NoTrusted).kek_direct(name).unwraps_only(half)
        });
        refused(place, &keyset, &["weak", "KEK epoch 2", "unwrap-derive"]);
    }

    fn a_modifiable_kek_is_weak(place) {
        let keyset = with_kek(place, KekMode::NoTrusted, |name| {
            rules(KekMode::NoTrusted).kek_direct(name).yes(sys::CKA_MODIFIABLE)
        });
        refused(place, &keyset, &["weak", "KEK epoch 2", "CKA_MODIFIABLE"]);
        // The check that found out did not leave it able to decrypt.
        let id = bytes(&keyset.keks[1].id);
        place.intrude(UserType::User, |_, session| {
            let kek = find(session, ObjectClass::SECRET_KEY, &id)[0];
            assert_eq!(session.attribute(kek, sys::CKA_DECRYPT).unwrap()[0], sys::CK_FALSE);
        });
    }

    fn a_kek_that_decrypts_or_leaves_is_never_taken(place) {
        for (kind, word) in [(sys::CKA_DECRYPT, "CKA_DECRYPT"), (sys::CKA_EXTRACTABLE, "CKA_EXTRACTABLE")] {
            let keyset = with_kek(place, KekMode::NoTrusted, |name| {
                rules(KekMode::NoTrusted).kek_direct(name).yes(kind)
            });
            let config = crate::hsm::Config { strict: false, ..place.config() };
            let fault = crate::hsm::token::Token::start(&config, &keyset).err().unwrap();
            assert!(matches!(&fault, StartFault::Keys(text) if text.contains(word)), "{fault}");
            place.intrude(UserType::User, |_, session| {
                crate::hsm::proof::labelled(session).unwrap().into_iter().for_each(|k| session.destroy(k).unwrap());
            });
        }
    }

    fn a_public_kek_is_refused(place) {
        let keyset = with_kek(place, KekMode::NoTrusted, |name| {
            rules(KekMode::NoTrusted).kek_direct(name).no(sys::CKA_PRIVATE)
        });
        refused(place, &keyset, &["KEK epoch 2", "CKA_PRIVATE"]);
    }

    fn a_key_planted_under_a_keks_id_is_not_used(place) {
        for mode in [KekMode::SessionSource, KekMode::NoTrusted] {
            let keyset = place.keyset(mode);
            let id = bytes(&keyset.keks[0].id);
            place.intrude(UserType::User, |_, session| {
                let planted = rules(mode)
                    .kek_direct(&Name { id: &id, label: "panvault-kek-0001" })
                    .without(sys::CKA_UNWRAP_TEMPLATE);
                session.generate_key(sys::CKM_AES_KEY_GEN, &planted).unwrap();
                assert_eq!(find(session, ObjectClass::SECRET_KEY, &id).len(), 2);
                let trusted = session.find(&Search { id: Some(&id), trusted: true, ..Search::default() }).unwrap();
                assert_eq!(trusted.len(), usize::from(mode == KekMode::SessionSource));
            });
            let report = place.try_start(&keyset).unwrap();
            assert!(has(&report, "kek-planted", Verdict::Note), "{report:#?}");
            assert_eq!(gaps(&report), [""; 0]);
            place.intrude(UserType::User, |_, session| {
                crate::hsm::proof::labelled(session).unwrap().into_iter().for_each(|k| session.destroy(k).unwrap());
            });
        }
    }

    fn an_identical_twin_is_noted(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let id = bytes(&keyset.keks[0].id);
        place.intrude(UserType::User, |_, session| {
            let kek = find(session, ObjectClass::SECRET_KEY, &id)[0];
            session.copy_object(kek, &Template::new()).unwrap();
        });
        let report = place.try_start(&keyset).unwrap();
        assert!(has(&report, "kek-twin", Verdict::Note), "{report:#?}");
        assert_eq!(gaps(&report), [""; 0]);
    }

    fn an_unknown_trusted_key_is_a_gap(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        make_trusted(place, b"somebody's", "not-ours");
        let fault = place.try_start(&keyset).unwrap_err();
        let StartFault::Policy(text) = &fault else { panic!("{fault}") };
        assert!(text.contains("trusted-objects") && text.contains("'not-ours'"), "{text}");
    }
}
