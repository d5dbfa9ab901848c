//! `init`.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use cryptoki_sys as sys;

use super::{Place, SoftHsm, gaps, has, scenarios};
use crate::hsm::officer::{Officer, OfficerError, Plan, create_token};
use crate::hsm::pkcs11::template::{DekRules, Name, audit_p256, kek_copy};
use crate::hsm::pkcs11::{RawSession, Search, Signing};
use crate::hsm::proof::labelled;
use crate::hsm::{Config, Job, KekMode, Keyset, PairRef, PublicKey, Reply, StartFault, Verdict};
use secrecy::SecretString;

fn plan(mode: KekMode, keks: u32, existing: Option<&Keyset>) -> Plan {
    Plan {
        mode,
        keks,
        locker: false,
        platform: false,
        next: std::collections::BTreeSet::new(),
        existing: existing.cloned(),
    }
}

fn ours(place: &Place) -> usize {
    place.intrude(UserType::User, |_, session| labelled(session).unwrap().len())
}

fn makes_everything(place: &Place, mode: KekMode) {
    let made = place.provision(&plan(mode, 2, None), Some(SoftHsm::SO_PIN)).unwrap();
    let labels = [
        "panvault-kek-0001",
        "panvault-kek-0002",
        "panvault-fingerprint",
        "panvault-audit",
        "panvault-transport",
    ];
    assert_eq!(made.made, labels);
    assert_eq!(made.keyset.keks.len(), 2);
    assert_eq!(made.keyset.token_label, SoftHsm::LABEL);
    assert!(matches!(made.keyset.audit_public, PublicKey::Ed25519 { .. }));
    let PublicKey::Rsa { n, e } = &made.keyset.transport_public else {
        panic!("not RSA")
    };
    assert_eq!((n.len(), e.as_str()), (512, "AQAB"));
    let report = place.try_start(&made.keyset).unwrap();
    assert_eq!(gaps(&report), [""; 0]);
    for check in [
        "mechanisms",
        "module-unwrap-readable",
        "unwrap-readable",
        "kek-copy",
        "kek-hidden",
        "canaries",
    ] {
        assert!(has(&report, check, Verdict::Pass), "{check}: {report:#?}");
    }
    let trusted = mode != KekMode::NoTrusted;
    assert_eq!(has(&report, "rotate", Verdict::Pass), trusted);
    assert_eq!(has(&report, "trusted-objects", Verdict::Pass), trusted);
    assert!(has(&report, "oaep-sha256", Verdict::Note));
}

scenarios! {
    fn session_source_makes_everything(place) {
        makes_everything(place, KekMode::SessionSource);
    }

    fn no_trusted_makes_everything(place) {
        makes_everything(place, KekMode::NoTrusted);
    }

    fn no_trusted_needs_no_officer(place) {
        place.provision(&plan(KekMode::NoTrusted, 1, None), None).unwrap();
    }

    fn a_second_run_adds_what_is_missing_and_keeps_the_rest(place) {
        let first = place.provision(&plan(KekMode::SessionSource, 1, None), Some(SoftHsm::SO_PIN)).unwrap().keyset;
        let same = place.provision(&plan(KekMode::SessionSource, 1, Some(&first)), None).unwrap();
        assert_eq!((&same.keyset, same.made.len()), (&first, 0));

        let more = place.provision(&plan(KekMode::SessionSource, 3, Some(&first)), Some(SoftHsm::SO_PIN)).unwrap();
        assert_eq!(more.made, ["panvault-kek-0002", "panvault-kek-0003"]);
        assert_eq!(more.keyset.keks[0], first.keks[0]);
        assert_eq!(more.keyset.audit_public, first.audit_public);

        place.intrude(UserType::User, |_, session| destroy(session, &first.transport_id));
        let again = place.provision(&plan(KekMode::SessionSource, 3, Some(&more.keyset)), None).unwrap();
        assert_eq!(again.made, ["panvault-transport"]);
        assert_eq!(again.keyset.keks, more.keyset.keks);
        assert_ne!(again.keyset.transport_public, first.transport_public);
        assert_eq!(gaps(&place.try_start(&again.keyset).unwrap()), [""; 0]);
    }

    fn the_locker_key_is_made_when_it_is_wanted_and_stays(place) {
        let wanted = |existing| Plan { locker: true, ..plan(KekMode::NoTrusted, 1, existing) };
        let first = place.provision(&plan(KekMode::NoTrusted, 1, None), None).unwrap().keyset;
        assert_eq!(first.locker, None);
        let more = place.provision(&wanted(Some(&first)), None).unwrap();
        assert_eq!(more.made, ["panvault-locker"]);
        assert_eq!(Keyset { locker: None, ..more.keyset.clone() }, first);
        let pair = more.keyset.locker.clone().unwrap();
        for plan in [wanted(Some(&more.keyset)), plan(KekMode::NoTrusted, 1, Some(&more.keyset))] {
            let same = place.provision(&plan, None).unwrap();
            assert_eq!((&same.keyset, same.made.len()), (&more.keyset, 0));
        }
        // gone, or swapped
        place.intrude(UserType::User, |_, session| destroy(session, &pair.id));
        assert!(matches!(place.try_start(&more.keyset), Err(StartFault::Keys(text)) if text.contains("locker key")));
        let again = place.provision(&wanted(Some(&more.keyset)), None).unwrap().keyset;
        let swapped = PairRef { id: again.locker.clone().unwrap().id, ..pair };
        let swapped = Keyset { locker: Some(swapped), ..again };
        assert!(matches!(place.try_start(&swapped), Err(StartFault::Keys(text)) if text.contains("swapped")));
    }

    fn a_clients_key_leaves_the_token_and_stays_nowhere(place) {
        place.keyset(KekMode::NoTrusted);
        let all = |place: &Place| {
            place.intrude(UserType::User, |_, session| session.find(&Search::default()).unwrap().len())
        };
        let before = all(place);
        let pin = SecretString::from(SoftHsm::USER_PIN);
        let officer = Officer::open(&place.config(), None, &pin).unwrap();
        let client = officer.client_key().unwrap();
        officer.close();
        assert_eq!(all(place), before);
        let pair = ring::rsa::KeyPair::from_pkcs8(&client.private).unwrap();
        let mut signature = vec![0; pair.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        pair.sign(&ring::signature::RSA_PKCS1_SHA256, &random, b"x", &mut signature).unwrap();
        client.public.verify_rs256(b"x", &signature).unwrap();
    }

    fn a_lost_key_is_never_made_anew(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        for id in [&keyset.keks[1].id, &keyset.fingerprint_id, &keyset.audit_id] {
            place.intrude(UserType::User, |_, session| destroy(session, id));
            let fault = place.provision(&plan(KekMode::NoTrusted, 3, Some(&keyset)), None).unwrap_err();
            assert!(matches!(&fault, OfficerError::Keys(text) if text.contains(id.as_str())), "{fault}");
        }
    }

    fn a_lost_keyring_is_refused_and_nothing_is_made(place) {
        place.keyset(KekMode::NoTrusted);
        let before = ours(place);
        let fault = place.provision(&plan(KekMode::NoTrusted, 3, None), None).unwrap_err();
        let OfficerError::LostKeyring(text) = &fault else { panic!("{fault}") };
        assert!(text.contains("'panvault-kek-0001'") && text.contains("'panvault-audit'"), "{text}");
        assert!(fault.to_string().contains("Restore the keyring"));
        assert_eq!(ours(place), before);
    }

    fn a_missing_or_wrong_officer_pin_leaves_nothing(place) {
        let fault = place.provision(&plan(KekMode::SessionSource, 1, None), None).unwrap_err();
        assert_eq!(fault, OfficerError::NeedsOfficerPin("session-source"));
        let fault = place.provision(&plan(KekMode::SessionSource, 1, None), Some("00000000")).unwrap_err();
        assert!(matches!(fault, OfficerError::PinRefused("security officer's", _)), "{fault}");
        assert!(place.intrude(UserType::User, |module, _| module.token_now().unwrap().so_pin_count_low()));
        assert_eq!(ours(place), 0);
    }

    fn a_wrong_user_pin_or_token_is_refused(place) {
        let wrong = SecretString::from("11111111");
        let fault = Officer::open(&place.config(), None, &wrong).err().unwrap();
        assert!(matches!(fault, OfficerError::PinRefused("user", _)), "{fault}");
        for (label, serial) in [("other", None), (SoftHsm::LABEL, Some("0000".to_owned()))] {
            let config = crate::hsm::Config { token_label: label.to_owned(), token_serial: serial, ..place.config() };
            let fault = Officer::open(&config, None, &place.user_pin()).err().unwrap();
            assert!(matches!(&fault, OfficerError::NoToken(text) if text.contains(SoftHsm::LABEL)), "{fault}");
        }
    }

    fn a_keyset_keeps_its_mode_and_its_token(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let fault = place.provision(&plan(KekMode::SessionSource, 3, Some(&keyset)), Some(SoftHsm::SO_PIN));
        assert!(matches!(fault, Err(OfficerError::Plan(_))));
        let other = Keyset { token_serial: "0000".to_owned(), ..keyset };
        let fault = place.provision(&plan(KekMode::NoTrusted, 3, Some(&other)), None).unwrap_err();
        assert!(matches!(&fault, OfficerError::Keys(text) if text.contains("serial")), "{fault}");
        assert!(matches!(place.provision(&plan(KekMode::NoTrusted, 0, None), None), Err(OfficerError::Plan(_))));
    }

    fn officer_sets_waits_for_the_officer(place) {
        // SoftHSM sets TRUSTED at creation only, so the unmarked KEK is replaced here by one made TRUSTED.
        let fault = place.provision(&plan(KekMode::OfficerSets, 1, None), None).unwrap_err();
        let OfficerError::NotYetTrusted(text) = &fault else { panic!("{fault}") };
        assert!(text.contains("'panvault-kek-0001'"), "{text}");
        assert_eq!(ours(place), 1);
        let again = place.provision(&plan(KekMode::OfficerSets, 1, None), None).unwrap_err();
        assert_eq!(again, fault);

        place.intrude(UserType::User, |_, session| {
            labelled(session).unwrap().into_iter().for_each(|key| session.destroy(key).unwrap());
        });
        make_trusted(place, b"marked by officer", "panvault-kek-0001");
        let made = place.provision(&plan(KekMode::OfficerSets, 1, None), None).unwrap();
        assert_eq!(made.made, ["panvault-fingerprint", "panvault-audit", "panvault-transport"]);
        assert_eq!(gaps(&place.try_start(&made.keyset).unwrap()), [""; 0]);
    }

    fn a_new_token_takes_the_next_free_slot(place) {
        let config = Config { token_label: "second".to_owned(), ..place.config() };
        let (so_pin, user_pin) = (SecretString::from("so-of-second"), SecretString::from("user-of-second"));
        create_token(&config, &so_pin, &user_pin).unwrap();
        // Its own PINs: nothing is left to do. Others: the label is taken.
        create_token(&config, &so_pin, &user_pin).unwrap();
        for (so_pin, user_pin) in [(&user_pin, &user_pin), (&so_pin, &so_pin)] {
            let taken = create_token(&config, so_pin, user_pin).unwrap_err();
            assert!(taken.to_string().contains("already"), "{taken}");
        }
        let mut officer = Officer::open(&config, Some(&so_pin), &user_pin).unwrap();
        let keyset = officer.provision(&plan(KekMode::SessionSource, 1, None)).unwrap().keyset;
        officer.close();
        assert_eq!(keyset.token_label, "second");
        // The first token is as it was.
        assert_eq!(ours(place), 0);
    }

    fn a_token_without_a_user_pin_is_completed(place) {
        let config = Config { token_label: "second".to_owned(), ..place.config() };
        let (so_pin, user_pin) = (SecretString::from("so-of-second"), SecretString::from("user-of-second"));
        let pkcs11 = Pkcs11::new(&config.module).unwrap();
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let mut slots = pkcs11.get_slots_with_token().unwrap().into_iter();
        let free = slots.find(|slot| !pkcs11.get_token_info(*slot).unwrap().token_initialized()).unwrap();
        pkcs11.init_token(free, &so_pin, "second").unwrap();
        pkcs11.finalize().unwrap();

        create_token(&config, &so_pin, &user_pin).unwrap();
        Officer::open(&config, Some(&so_pin), &user_pin).unwrap().close();
    }

    fn an_audit_key_on_p256_serves_as_well(place) {
        let mut keyset = place.keyset(KekMode::NoTrusted);
        place.intrude(UserType::User, |_, session| {
            let (mechanism, public, private) = audit_p256(&Name { id: b"p256", label: "panvault-audit" });
            let (public, _) = session.generate_pair(mechanism, &public, &private).unwrap();
            keyset.audit_id = data_encoding::HEXLOWER.encode(b"p256");
            keyset.audit_public = PublicKey::read_signing(session, public, Signing::Ecdsa).unwrap();
        });
        place.with_engine(&place.config(), &keyset, |engine| {
            let reply = engine.execute(Job::Sign { generation: crate::hsm::Generation::FIRST, message: b"head".to_vec() }).unwrap();
            let Reply::Sign(signature) = reply else { panic!("{reply:?}") };
            keyset.audit_public.verify(b"head", &signature).unwrap();
            keyset.audit_public.verify(b"tail", &signature).unwrap_err();
        });
    }

    fn the_officer_signs_with_the_audit_key(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let user_pin = place.user_pin();
        let officer = Officer::open(&place.config(), None, &user_pin).unwrap();
        let signature = officer.sign(&keyset, crate::hsm::Generation::FIRST, b"keyring").unwrap();
        keyset.audit_public.verify(b"keyring", &signature).unwrap();
        let other = Keyset { audit_public: PublicKey::Ed25519 { x: "A".repeat(43) }, ..keyset };
        assert!(matches!(officer.sign(&other, crate::hsm::Generation::FIRST, b"keyring"), Err(OfficerError::Keys(_))));
        officer.close();
    }
}

pub(super) fn destroy(session: &RawSession, id: &str) {
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap();
    for object in session
        .find(&Search {
            id: Some(&id),
            ..Search::default()
        })
        .unwrap()
    {
        session.destroy(object).unwrap();
    }
}

/// A TRUSTED key by the officer and the user together.
pub(super) fn make_trusted(place: &Place, id: &[u8], label: &str) {
    place.intrude(UserType::So, |module, session| {
        let name = Name { id, label };
        let rules = DekRules {
            trusted: true,
            value_len: false,
        };
        let source = session
            .generate_key(sys::CKM_AES_KEY_GEN, &rules.kek_source(&name))
            .unwrap();
        session.cryptoki().logout().unwrap();
        module.login(session, UserType::User, &place.user_pin()).unwrap();
        session.copy_object(source, &kek_copy(&name)).unwrap();
    });
}
