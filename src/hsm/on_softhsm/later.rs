//! Keys that follow the first ones of their role, and the job that makes a fingerprint of a sealed card.

use std::collections::BTreeSet;

use super::scenarios;
use crate::hsm::officer::{OfficerError, Plan};
use crate::hsm::token::Token;
use crate::hsm::{
    Boxed, Epoch, Fault, Generation, Job, KekMode, Keyset, Plain, Reply, Rotated, SecretBytes, StartFault, framed,
};

const PAN: &[u8] = b"4111111111111111";

fn plan(next: &[Rotated], existing: Option<Keyset>) -> Plan {
    Plan {
        mode: KekMode::NoTrusted,
        keks: 1,
        locker: false,
        platform: false,
        next: next.iter().copied().collect(),
        existing,
    }
}

fn all() -> [Rotated; 3] {
    [Rotated::Audit, Rotated::Fingerprint, Rotated::Transport]
}

scenarios! {
    fn later_keys_are_made_with_the_user_pin_and_work_by_their_generation(place) {
        let first = place.provision(&plan(&[], None), None).unwrap().keyset;
        let made = place.provision(&plan(&all(), Some(first.clone())), None).unwrap();
        assert_eq!(made.made, ["panvault-audit", "panvault-fingerprint", "panvault-transport"]);
        let keyset = made.keyset;
        assert_eq!(Keyset { later: first.later.clone(), ..keyset.clone() }, first, "the first ones stay");
        let ids: BTreeSet<&str> = keyset.audits().chain(keyset.transports()).map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 4);

        let (token, _) = Token::start(&place.config(), &keyset).unwrap();
        let mut engine = token.engine().unwrap();
        let mut mac = |generation| {
            let input = SecretBytes::new(framed(&[b"label", PAN]));
            match engine.execute(Job::Mac { generation: Generation(generation), input }) {
                Ok(Reply::Mac(mac)) => Ok(mac),
                Ok(_) => panic!("not a MAC"),
                Err(fault) => Err(fault),
            }
        };
        let (one, two) = (mac(1).unwrap(), mac(2).unwrap());
        assert_ne!(one, two);
        for none in [0, 3] {
            assert!(matches!(mac(none), Err(Fault::Malformed(_))));
        }

        // the fingerprint of a sealed card is that of the card, and the card does not come out for it
        let part = Plain { aad: b"here".to_vec(), text: SecretBytes::new(PAN.to_vec()) };
        let sealed = engine.execute(Job::Seal { epoch: Epoch(1), mac: None, parts: vec![part] }).unwrap();
        let Reply::Seal { dek, mut parts, .. } = sealed else { panic!("not sealed") };
        let refingerprint = |generation, aad: &[u8]| Job::Refingerprint {
            epoch: Epoch(1),
            dek: dek.clone(),
            part: Boxed { aad: aad.to_vec(), sealed: parts[0].clone() },
            generation: Generation(generation),
            prefix: framed(&[b"label"]),
        };
        for (generation, expected) in [(1, one), (2, two)] {
            let reply = engine.execute(refingerprint(generation, b"here"));
            assert!(matches!(reply, Ok(Reply::Mac(mac)) if mac == expected));
        }
        assert!(matches!(engine.execute(refingerprint(3, b"here")), Err(Fault::Malformed(_))));
        assert!(matches!(engine.execute(refingerprint(2, b"there")), Err(Fault::Tampered)));
        parts[0].text[0] ^= 1;
        let changed = Job::Refingerprint {
            epoch: Epoch(1),
            dek,
            part: Boxed { aad: b"here".to_vec(), sealed: parts.remove(0) },
            generation: Generation(2),
            prefix: Vec::new(),
        };
        assert!(matches!(engine.execute(changed), Err(Fault::Tampered)));

        // each audit key signs for itself
        for (generation, (_, public)) in (1..).zip(keyset.audits()) {
            let sign = Job::Sign { generation: Generation(generation), message: b"head".to_vec() };
            let Ok(Reply::Sign(signature)) = engine.execute(sign) else { panic!("not signed") };
            assert!(public.verify(b"head", &signature).is_ok());
        }
        drop(engine);
        token.finish();
    }

    fn a_later_key_that_was_swapped_is_refused_by_name(place) {
        let keyset = place.provision(&plan(&all(), None), None).unwrap().keyset;
        let mut swapped = keyset.clone();
        swapped.later.fingerprints[0].check = keyset.fingerprint_check.clone();
        let Err(StartFault::Keys(named)) = Token::start(&place.config(), &swapped).map(|_| ()) else {
            panic!("it started")
        };
        assert!(named.contains(&keyset.later.fingerprints[0].id) && named.contains("swapped"), "{named}");
        let mut missing = keyset.clone();
        missing.later.audits[0].id = "00".repeat(16);
        let Err(StartFault::Keys(named)) = Token::start(&place.config(), &missing).map(|_| ()) else {
            panic!("it started")
        };
        assert!(named.contains("audit key") && named.contains("missing"), "{named}");
        // a keyring that does not know them is not written over
        let without = Keyset { later: crate::hsm::Later::default(), ..keyset };
        let refused = place.provision(&plan(&[], Some(without)), None);
        assert!(matches!(refused, Err(OfficerError::LostKeyring(_))));
    }
}
