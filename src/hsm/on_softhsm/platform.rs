//! The platform key: it signs, and nothing else.

use cryptoki::session::UserType;

use super::{Place, gaps, scenarios};

use crate::hsm::officer::Plan;
use crate::hsm::{Fault, Job, KekMode, Keyset, PairRef, Reply, SecretBytes, StartFault};

fn plan(place: &Place, platform: bool, existing: Option<Keyset>) -> super::Provisioned {
    let plan = Plan {
        mode: KekMode::NoTrusted,
        keks: 1,
        locker: false,
        platform,
        next: std::collections::BTreeSet::new(),
        existing,
    };
    place.provision(&plan, None).unwrap()
}

scenarios! {
    fn the_platform_key_is_made_when_it_is_wanted_and_stays(place) {
        let first = plan(place, false, None).keyset;
        assert_eq!(first.platform, None);
        let more = plan(place, true, Some(first.clone()));
        assert_eq!(more.made, ["panvault-platform"]);
        assert_eq!(Keyset { platform: None, ..more.keyset.clone() }, first);
        for wanted in [true, false] {
            let same = plan(place, wanted, Some(more.keyset.clone()));
            assert_eq!((&same.keyset, same.made.len()), (&more.keyset, 0));
        }
        assert_eq!(gaps(&place.try_start(&more.keyset).unwrap()), [""; 0]);
        // gone, or swapped
        let pair = more.keyset.platform.clone().unwrap();
        place.intrude(UserType::User, |_, session| super::ceremony::destroy(session, &pair.id));
        assert!(matches!(place.try_start(&more.keyset), Err(StartFault::Keys(text)) if text.contains("platform key")));
        let again = plan(place, true, Some(more.keyset)).keyset;
        let swapped = PairRef { id: again.platform.clone().unwrap().id, ..pair };
        let swapped = Keyset { platform: Some(swapped), ..again };
        assert!(matches!(place.try_start(&swapped), Err(StartFault::Keys(text)) if text.contains("swapped")));
    }

    fn the_platform_key_signs(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        let pair = keyset.platform.clone().unwrap();
        let ask = || Job::SignPlatform { message: SecretBytes::new(b"POST".to_vec()) };
        place.with_engine(&place.config(), &keyset, |engine| {
            let Reply::Sign(signature) = engine.execute(ask()).unwrap() else { panic!("no signature") };
            pair.public.verify_rs256(b"POST", &signature).unwrap();
            assert!(pair.public.verify_rs256(b"GET", &signature).is_err());
            assert!(keyset.locker.as_ref().unwrap().public.verify_rs256(b"POST", &signature).is_err());
        });
        let without = Keyset { platform: None, ..keyset };
        place.with_engine(&place.config(), &without, |engine| {
            assert!(matches!(engine.execute(ask()), Err(Fault::Malformed(_))));
        });
    }
}
