//! The end of a KEK on a real token: every twin of it goes, and nothing else.

use cryptoki::object::ObjectClass;
use cryptoki::session::UserType;

use super::{Verdict, gaps, has, scenarios};
use crate::hsm::job::{Fault, Job, Reply};
use crate::hsm::pkcs11::{Search, Template};
use crate::hsm::{Epoch, KekAct, KekMode, KekReport, Keyset};

fn kek(engine: &mut crate::hsm::token::Engine, epoch: u32, act: KekAct) -> Result<KekReport, Fault> {
    match engine.execute(Job::Kek {
        epoch: Epoch(epoch),
        act,
    })? {
        Reply::Kek(report) => Ok(report),
        other => panic!("{other:?}"),
    }
}

/// The keyset once the destruction of its first KEK has begun.
fn shredding(mut keyset: Keyset) -> Keyset {
    let first = keyset.keks.remove(0);
    keyset.shredded.push(first);
    keyset
}

fn secret_keys(place: &super::Place) -> usize {
    place.intrude(UserType::User, |_, session| {
        let class = Some(ObjectClass::SECRET_KEY);
        let search = Search {
            class,
            token_objects: true,
            ..Search::default()
        };
        session.find(&search).unwrap().len()
    })
}

scenarios! {
    fn every_twin_of_a_kek_is_destroyed(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let id = data_encoding::HEXLOWER.decode(keyset.keks[0].id.as_bytes()).unwrap();
        place.intrude(UserType::User, |_, session| {
            let class = Some(ObjectClass::SECRET_KEY);
            let found = session.find(&Search { class, id: Some(&id), ..Search::default() }).unwrap();
            session.copy_object(found[0], &Template::new()).unwrap();
            session.copy_object(found[0], &Template::new()).unwrap();
        });
        let all = secret_keys(place);
        let config = place.config();
        place.with_engine(&config, &keyset, |engine| {
            let found = kek(engine, 1, KekAct::Find).unwrap();
            assert_eq!((found.there.len(), found.destroyed.len()), (3, 0));
            assert!(found.there.iter().all(|object| object.proved && object.trusted), "{found:?}");
            assert!(found.there.iter().all(|object| object.label == "panvault-kek-0001"));
            // one that works with it does not destroy it, and none destroys what it does not know
            for epoch in [1, 2, 99] {
                assert!(matches!(kek(engine, epoch, KekAct::Destroy), Err(Fault::Malformed(_))));
            }
        });
        assert_eq!(secret_keys(place), all);

        let keyset = shredding(keyset);
        let report = place.try_start(&keyset).unwrap();
        assert!(has(&report, "kek-shredded", Verdict::Note), "{report:#?}");
        assert_eq!(gaps(&report), [""; 0]);
        place.with_engine(&config, &keyset, |engine| {
            let done = kek(engine, 1, KekAct::Destroy).unwrap();
            assert_eq!((done.there.len(), done.destroyed.len()), (0, 3), "{done:?}");
            // again is as well
            let done = kek(engine, 1, KekAct::Destroy).unwrap();
            assert_eq!((done.there.len(), done.destroyed.len()), (0, 0));
            let gone = Job::Seal {
                epoch: Epoch(1),
                mac: None,
                parts: vec![super::jobs::plain(b"aad", b"text")],
            };
            assert!(matches!(engine.execute(gone), Err(Fault::Malformed(_))));
        });
        assert_eq!(secret_keys(place), all - 3);
        let report = place.try_start(&keyset).unwrap();
        assert!(!has(&report, "kek-shredded", Verdict::Note), "{report:#?}");
    }

    /// The user made it himself, and destroys it himself. A key that somebody planted under its CKA_ID goes too.
    fn a_kek_that_is_not_trusted_goes_with_what_was_planted(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let id = data_encoding::HEXLOWER.decode(keyset.keks[0].id.as_bytes()).unwrap();
        place.intrude(UserType::User, |_, session| {
            let template = Template::secret_key(cryptoki_sys::CKK_AES)
                .without(cryptoki_sys::CKA_CLASS)
                .without(cryptoki_sys::CKA_KEY_TYPE)
                .ulong(cryptoki_sys::CKA_VALUE_LEN, 32)
                .yes(cryptoki_sys::CKA_TOKEN)
                .bytes(cryptoki_sys::CKA_ID, &id);
            session.generate_key(cryptoki_sys::CKM_AES_KEY_GEN, &template).unwrap();
        });
        let all = secret_keys(place);
        let keyset = shredding(keyset);
        let config = place.config();
        place.with_engine(&config, &keyset, |engine| {
            let done = kek(engine, 1, KekAct::Destroy).unwrap();
            let proved = done.destroyed.iter().filter(|object| object.proved).count();
            assert_eq!((done.there.len(), done.destroyed.len(), proved), (0, 2, 1), "{done:?}");
        });
        assert_eq!(secret_keys(place), all - 2);
    }
}
