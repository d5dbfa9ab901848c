//! A vault's keys on their way to another token, and what a holder of the user PIN can do to a fingerprint key that may leave.

use std::collections::BTreeSet;

use cryptoki::session::UserType;
use cryptoki_sys as sys;
use secrecy::SecretString;

use super::softhsm::SoftHsm;
use super::{Place, gaps, has, scenarios};
use crate::hsm::officer::{Officer, OfficerError, Plan, Tag, create_token};
use crate::hsm::pkcs11::template::{
    DekRules, DekUse, Name, WRAP, conveyance_public, fingerprint, fingerprint_unwrap, rsa_public,
};
use crate::hsm::pkcs11::{Handle, Module, Oaep, RawSession, Rsa, Search, Template};
use crate::hsm::proof::rsa_parts;
use crate::hsm::token::Token;
use crate::hsm::{
    Config, Epoch, Fault, Generation, Job, KekMode, Keyset, Plain, Reply, Rotated, SecretBytes, StartFault, Verdict,
};

const OTHER: &str = "the-other";

fn other(place: &Place) -> Config {
    let config = Config {
        token_label: OTHER.to_owned(),
        ..place.config()
    };
    create_token(&config, &SecretString::from(SoftHsm::SO_PIN), &place.user_pin()).unwrap();
    config
}

fn with_officer<T>(place: &Place, config: &Config, work: impl FnOnce(&mut Officer<'_>) -> T) -> T {
    let (so, user) = (SecretString::from(SoftHsm::SO_PIN), place.user_pin());
    let mut officer = Officer::open(config, Some(&so), &user).unwrap();
    let done = work(&mut officer);
    officer.close();
    done
}

/// With a second key of each rotated role.
fn keyset(place: &Place) -> Keyset {
    let plan = Plan {
        mode: KekMode::SessionSource,
        keks: 3,
        locker: true,
        platform: false,
        next: BTreeSet::from([Rotated::Audit, Rotated::Fingerprint, Rotated::Transport]),
        existing: None,
    };
    place.provision(&plan, Some(SoftHsm::SO_PIN)).unwrap().keyset
}

fn moved(place: &Place, old: &Keyset, to: &Config, tag: Tag) -> Keyset {
    with_officer(place, &place.config(), |officer| officer.may_move(old).unwrap());
    let arrival = with_officer(place, to, |officer| {
        officer.awaits_move(KekMode::SessionSource, None).unwrap();
        officer.arrive(old, KekMode::SessionSource, 2, tag).unwrap()
    });
    let conveyed = with_officer(place, &place.config(), |officer| {
        officer.convey(old, arrival.conveyance(), tag).unwrap()
    });
    with_officer(place, to, |officer| {
        let (keyset, findings) = officer
            .take_in(old, arrival, &conveyed, tag, (Generation(1), Generation(1)))
            .unwrap();
        assert!(
            findings.iter().all(|finding| finding.verdict != Verdict::Gap),
            "{findings:#?}"
        );
        keyset
    })
}

fn macs(config: &Config, place: &Place, keyset: &Keyset) -> Vec<[u8; 32]> {
    place.with_engine(config, keyset, |engine| {
        (1..=2)
            .map(|generation| {
                let input = SecretBytes::new(b"4111111111111111".to_vec());
                match engine
                    .execute(Job::Mac {
                        generation: Generation(generation),
                        input,
                    })
                    .unwrap()
                {
                    Reply::Mac(mac) => mac,
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    })
}

fn by_id(session: &RawSession, id: &str) -> Handle {
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap();
    session
        .find(&Search {
            id: Some(&id),
            ..Search::default()
        })
        .unwrap()[0]
}

scenarios! {
    fn fingerprint_keys_move_and_the_others_are_new(place) {
        let (old, to) = (keyset(place), other(place));
        let new = moved(place, &old, &to, Tag::random().unwrap());
        assert_eq!(macs(&place.config(), place, &old), macs(&to, place, &new));
        assert_eq!(new.keks.iter().map(|kek| kek.epoch.0).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(new.former.keks, old.keks);
        assert_eq!(new.generations(Rotated::Audit), Generation(2), "a prepared one is forgotten");
        place.with_engine(&to, &new, |engine| {
            let sign = |generation| Job::Sign { generation: Generation(generation), message: b"head".to_vec() };
            assert!(matches!(engine.execute(sign(1)), Err(Fault::Malformed(_))));
            let Ok(Reply::Sign(signature)) = engine.execute(sign(2)) else { panic!("not signed") };
            assert!(new.audits().nth(1).unwrap().1.verify(b"head", &signature).is_ok());
            let open = Job::Open { epoch: Epoch(1), dek: old.keks[0].canary.dek.clone(), parts: Vec::new() };
            assert!(matches!(engine.execute(open), Err(Fault::Malformed(_))));
        });
        // the pair that carried them is gone, and they can move on
        place.with_engine(&to, &new, |_| ());
        with_officer(place, &to, |officer| officer.may_move(&new).unwrap());
        // and the number of an epoch is never given again
        let plan = Plan {
            mode: KekMode::SessionSource, keks: 6, locker: true, platform: true, next: BTreeSet::new(), existing: Some(new.clone()),
        };
        let more = with_officer(place, &to, |officer| officer.provision(&plan).unwrap());
        assert_eq!(more.made, ["panvault-kek-0006", "panvault-platform"]);
        assert_eq!(more.keyset.former, new.former);
        assert_eq!((&more.keyset.audit_id, &more.keyset.transport_id), (&old.audit_id, &old.transport_id));
    }

    fn what_is_on_its_way_comes_out_as_a_fingerprint_key_only(place) {
        let (old, to) = (keyset(place), other(place));
        let tag = Tag::random().unwrap();
        let arrival = with_officer(place, &to, |officer| officer.arrive(&old, KekMode::SessionSource, 1, tag).unwrap());
        let conveyed = with_officer(place, &place.config(), |officer| {
            officer.convey(&old, arrival.conveyance(), tag).unwrap()
        });
        let (hash, blob) = &conveyed[0].wrapped[0];
        let module = Module::open(&to.module, &to.environment, OTHER, None).unwrap();
        let session = module.session().unwrap();
        module.login(&session, UserType::User, &place.user_pin()).unwrap();
        let id = data_encoding::HEXLOWER.decode(arrival.conveyance.id.as_bytes()).unwrap();
        let class = Some(cryptoki::object::ObjectClass::PRIVATE_KEY);
        let private = session.find(&Search { class, id: Some(&id), ..Search::default() }).unwrap()[0];
        let name = Name { id: &[9; 16], label: "stolen" };
        for template in [
            Template::secret_key(sys::CKK_GENERIC_SECRET).no(sys::CKA_TOKEN).no(sys::CKA_SENSITIVE),
            fingerprint_unwrap(&name).no(sys::CKA_SENSITIVE),
            fingerprint_unwrap(&name).no(sys::CKA_WRAP_WITH_TRUSTED),
            fingerprint_unwrap(&name).no(sys::CKA_TOKEN),
            fingerprint_unwrap(&name).yes(sys::CKA_MODIFIABLE),
        ] {
            assert!(session.unwrap_oaep(*hash, private, blob, &template).is_err());
        }
        assert!(session.attribute(private, sys::CKA_PRIVATE_EXPONENT).is_err());
        assert!(session.decrypt_rsa(private, Rsa::Oaep(*hash), blob).is_err());
        assert!(session.decrypt_rsa(private, Rsa::Raw, blob).is_err());
        assert!(session.unwrap_oaep(*hash, private, blob, &fingerprint_unwrap(&name)).is_ok());
        drop(session);
        module.finalize().unwrap();
    }

    fn what_a_cut_move_left_is_told_by_its_tag(place) {
        let (old, to) = (keyset(place), other(place));
        let tag = Tag::random().unwrap();
        let made = with_officer(place, &to, |officer| officer.arrive(&old, KekMode::SessionSource, 2, tag).unwrap());
        assert_eq!(made.keks.len(), 2);
        let left = with_officer(place, &to, |officer| officer.awaits_move(KekMode::SessionSource, None));
        assert!(matches!(left, Err(OfficerError::LostKeyring(_))), "{left:?}");
        let count = |tag| with_officer(place, &to, |officer| officer.discard(tag, false).unwrap());
        assert_eq!(count(Tag::random().unwrap()), 0);
        // two KEKs; audit, transport, locker and conveyance pair
        assert_eq!(count(tag), 10);
        with_officer(place, &to, |officer| officer.awaits_move(KekMode::SessionSource, None).unwrap());
        moved(place, &old, &to, tag);
    }

    fn a_fingerprint_key_that_may_leave_does_so_for_the_officer_only(place) {
        let keyset = keyset(place);
        let (_, report) = place.start(&keyset).map(|(token, report)| { token.finish(); ((), report) }).unwrap();
        assert_eq!(gaps(&report), [""; 0]);
        assert!(has(&report, "fingerprint-moves", Verdict::Pass) && has(&report, "fingerprint-wrap-own-rsa", Verdict::Pass));
        let (n, e) = rsa_parts(&keyset.transport_public).unwrap();
        let rules = DekRules::new(KekMode::SessionSource, false);
        place.intrude(UserType::User, |_, session| {
            let key = by_id(session, &keyset.fingerprint_id);
            let own = rules.kek_scratch().without(sys::CKA_UNWRAP_TEMPLATE).without(sys::CKA_ALLOWED_MECHANISMS);
            let own = session.generate_key(sys::CKM_AES_KEY_GEN, &own).unwrap();
            let rsa = session.create_object(&rsa_public(&n, &e).yes(sys::CKA_WRAP)).unwrap();
            // the tools work, on a key that may go anywhere
            let free = Template::new().ulong(sys::CKA_VALUE_LEN, 32).no(sys::CKA_TOKEN).yes(sys::CKA_EXTRACTABLE);
            let free = session.generate_key(sys::CKM_GENERIC_SECRET_KEY_GEN, &free).unwrap();
            assert!(session.wrap(WRAP, own, free).is_ok() && session.wrap_oaep(Oaep::Sha1, rsa, free).is_ok());
            assert!(session.wrap(WRAP, own, key).is_err());
            assert!(session.wrap(sys::CKM_AES_KEY_WRAP_PAD, own, key).is_err());
            assert!(session.wrap_oaep(Oaep::Sha1, rsa, key).is_err());
            assert!(session.wrap(sys::CKM_RSA_PKCS, rsa, key).is_err());
            assert!(session.create_object(&conveyance_public(&n, &e)).is_err(), "TRUSTED is the officer's to give");
            assert!(session.set_attributes(rsa, &Template::new().yes(sys::CKA_TRUSTED)).is_err());
            assert!(session.attribute(key, sys::CKA_VALUE).is_err());
            for changed in [
                Template::new().no(sys::CKA_WRAP_WITH_TRUSTED),
                Template::new().no(sys::CKA_SENSITIVE),
                Template::new().yes(sys::CKA_DERIVE),
            ] {
                assert!(session.set_attributes(key, &changed).is_err());
                assert!(session.copy_object(key, &changed.no(sys::CKA_TOKEN)).is_err());
            }
            // a KEK is TRUSTED: what it wraps comes back as the KEK says, as a DEK, and goes nowhere from there
            let kek = by_id(session, &keyset.keks[0].id);
            let blob = session.wrap(WRAP, kek, key).unwrap();
            for template in [
                Template::secret_key(sys::CKK_GENERIC_SECRET).no(sys::CKA_TOKEN).no(sys::CKA_SENSITIVE),
                rules.dek_unwrap(DekUse::Reveal).no(sys::CKA_SENSITIVE),
                rules.dek_unwrap(DekUse::Reveal).yes(sys::CKA_SIGN),
                rules.dek_unwrap(DekUse::Rotate).no(sys::CKA_WRAP_WITH_TRUSTED),
            ] {
                assert!(session.unwrap(WRAP, kek, &blob, &template).is_err());
            }
            let back = session.unwrap(WRAP, kek, &blob, &rules.dek_unwrap(DekUse::Rotate)).unwrap();
            assert!(session.attribute(back, sys::CKA_VALUE).is_err());
            assert!(session.wrap(WRAP, own, back).is_err() && session.wrap_oaep(Oaep::Sha1, rsa, back).is_err());
        });
        place.try_start(&keyset).unwrap();
    }

    fn a_fingerprint_key_that_stays_is_no_weakness_but_keeps_the_vault_where_it_is(place) {
        let mut keyset = keyset(place);
        place.intrude(UserType::User, |_, session| {
            let id = [7; 16];
            let name = Name { id: &id, label: "panvault-fingerprint" };
            let key = session.generate_key(sys::CKM_GENERIC_SECRET_KEY_GEN, &fingerprint(&name, false)).unwrap();
            let check = session.sign(key, crate::hsm::pkcs11::Signing::HmacSha256, crate::hsm::proof::FINGERPRINT_CHECK).unwrap();
            session.destroy(by_id(session, &keyset.fingerprint_id)).unwrap();
            keyset.fingerprint_id = data_encoding::HEXLOWER.encode(&id);
            keyset.fingerprint_check = data_encoding::HEXLOWER.encode(&check);
        });
        let report = place.try_start(&keyset).unwrap();
        assert!(has(&report, "fingerprint-moves", Verdict::Note));
        let stays = with_officer(place, &place.config(), |officer| officer.may_move(&keyset));
        let Err(OfficerError::Policy(text)) = stays else { panic!("{stays:?}") };
        assert!(text.contains(&keyset.fingerprint_id) && text.contains("key adopt"), "{text}");
    }

    fn a_fingerprint_key_that_leaves_freely_is_refused(place) {
        let mut keyset = keyset(place);
        place.intrude(UserType::User, |_, session| {
            let id = [7; 16];
            let template = fingerprint(&Name { id: &id, label: "panvault-fingerprint" }, true).no(sys::CKA_WRAP_WITH_TRUSTED);
            let key = session.generate_key(sys::CKM_GENERIC_SECRET_KEY_GEN, &template).unwrap();
            let check = session.sign(key, crate::hsm::pkcs11::Signing::HmacSha256, crate::hsm::proof::FINGERPRINT_CHECK).unwrap();
            session.destroy(by_id(session, &keyset.fingerprint_id)).unwrap();
            keyset.fingerprint_id = data_encoding::HEXLOWER.encode(&id);
            keyset.fingerprint_check = data_encoding::HEXLOWER.encode(&check);
        });
        let Err(StartFault::Keys(text)) = place.try_start(&keyset) else { panic!("it started") };
        assert!(text.contains("CKA_WRAP_WITH_TRUSTED is not set"), "{text}");
    }

    fn a_vault_in_mode_no_trusted_stays(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let stays = with_officer(place, &place.config(), |officer| officer.may_move(&keyset));
        assert!(matches!(stays, Err(OfficerError::Policy(_))), "{stays:?}");
        let sealed = place.with_engine(&place.config(), &keyset, |engine| {
            let text = SecretBytes::new(b"x".to_vec());
            engine.execute(Job::Seal { epoch: Epoch(1), mac: None, parts: vec![Plain { aad: Vec::new(), text }] }).is_ok()
        });
        assert!(sealed);
        let (token, _) = Token::start(&place.config(), &keyset).unwrap();
        token.finish();
    }
}
