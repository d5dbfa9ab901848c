//! Every job of a worker.

use std::collections::HashSet;

use super::{Place, gaps, has, scenarios};
use crate::hsm::pkcs11::Search;
use crate::hsm::token::{Engine, Token};
use crate::hsm::{
    Boxed, Config, Epoch, Fault, Generation, Job, KekMode, Keyset, Plain, Reply, SealedPart, SecretBytes, Verdict,
    WrappedKey,
};

const PAN: &[u8] = b"4111111111111111";

pub(super) fn plain(aad: &[u8], text: &[u8]) -> Plain {
    Plain {
        aad: aad.to_vec(),
        text: SecretBytes::new(text.to_vec()),
    }
}

struct Card {
    epoch: Epoch,
    dek: WrappedKey,
    parts: Vec<SealedPart>,
}

fn seal(engine: &mut Engine, epoch: u32, parts: Vec<Plain>) -> Card {
    let job = Job::Seal {
        epoch: Epoch(epoch),
        mac: None,
        parts,
    };
    match engine.execute(job).unwrap() {
        Reply::Seal { dek, mac: None, parts } => Card {
            epoch: Epoch(epoch),
            dek,
            parts,
        },
        other => panic!("{other:?}"),
    }
}

fn boxed(card: &Card, aads: &[&[u8]]) -> Vec<Boxed> {
    let boxed = |(sealed, aad): (&SealedPart, &&[u8])| Boxed {
        aad: aad.to_vec(),
        sealed: sealed.clone(),
    };
    card.parts.iter().zip(aads).map(boxed).collect()
}

fn open(engine: &mut Engine, card: &Card, aads: &[&[u8]]) -> Result<Vec<Vec<u8>>, Fault> {
    match engine.execute(Job::Open {
        epoch: card.epoch,
        dek: card.dek.clone(),
        parts: boxed(card, aads),
    })? {
        Reply::Open(texts) => Ok(texts.iter().map(|text| text.expose().to_vec()).collect()),
        other => panic!("{other:?}"),
    }
}

fn mac(engine: &mut Engine, input: &[u8]) -> [u8; 32] {
    let (generation, input) = (Generation::FIRST, SecretBytes::new(input.to_vec()));
    match engine.execute(Job::Mac { generation, input }).unwrap() {
        Reply::Mac(mac) => mac,
        other => panic!("{other:?}"),
    }
}

fn reseal(engine: &mut Engine, card: &Card, part: Plain) -> Result<SealedPart, Fault> {
    match engine.execute(Job::Reseal {
        epoch: card.epoch,
        dek: card.dek.clone(),
        part,
    })? {
        Reply::Reseal(part) => Ok(part),
        other => panic!("{other:?}"),
    }
}

/// The card under another epoch.
fn rewrap(engine: &mut Engine, card: &Card, to: u32, aads: &[&[u8]]) -> Result<Card, Fault> {
    let job = Job::Rewrap {
        from: card.epoch,
        to: Epoch(to),
        dek: card.dek.clone(),
        parts: boxed(card, aads),
    };
    match engine.execute(job)? {
        Reply::Rewrap { dek, parts } => Ok(Card {
            epoch: Epoch(to),
            dek,
            parts: if parts.is_empty() { card.parts.clone() } else { parts },
        }),
        other => panic!("{other:?}"),
    }
}

/// Session objects that live in the process.
fn live(engine: &Engine) -> usize {
    engine.session().find(&Search::default()).unwrap().len()
        - engine
            .session()
            .find(&Search {
                token_objects: true,
                ..Search::default()
            })
            .unwrap()
            .len()
}

fn round_trips(place: &Place, mode: KekMode, config: &Config) {
    let keyset = place.keyset(mode);
    place.with_engine(config, &keyset, |engine| {
        let mut ivs = HashSet::new();
        let before = live(engine);
        for epoch in [1, 3] {
            for size in [0, 1, 16, 200, 70_000] {
                let text = vec![7; size];
                let card = seal(engine, epoch, vec![plain(b"pan", PAN), plain(b"profile", &text)]);
                assert_eq!((card.dek.0.len(), card.parts[1].text.len()), (40, size + 16));
                assert!(
                    card.parts
                        .iter()
                        .all(|part| part.iv.len() == 12 && ivs.insert(part.iv.clone()))
                );
                assert_eq!(
                    open(engine, &card, &[b"pan", b"profile"]).unwrap(),
                    [PAN.to_vec(), text]
                );

                let moved = rewrap(engine, &card, 2, &[b"pan", b"profile"]).unwrap();
                assert!(moved.dek != card.dek && moved.dek.0.len() == 40);
                assert_eq!(
                    open(engine, &moved, &[b"pan", b"profile"]).unwrap(),
                    open(engine, &card, &[b"pan", b"profile"]).unwrap()
                );
                let anew = mode == KekMode::NoTrusted;
                for (old, new) in card.parts.iter().zip(&moved.parts) {
                    assert_eq!(old.iv != new.iv, anew, "parts are sealed anew only where they must be");
                }
                let torn = Card {
                    dek: WrappedKey(card.dek.0.iter().map(|byte| !byte).collect()),
                    parts: card.parts.clone(),
                    ..card
                };
                assert_eq!(
                    rewrap(engine, &torn, 2, &[b"pan", b"profile"]).err(),
                    Some(Fault::Tampered)
                );
                assert!(matches!(
                    rewrap(engine, &card, epoch, &[b"pan", b"profile"]).err(),
                    Some(Fault::Malformed(_))
                ));

                let again = reseal(engine, &card, plain(b"profile 2", b"moved")).unwrap();
                assert!(ivs.insert(again.iv.clone()));
                let card = Card {
                    parts: vec![again],
                    ..card
                };
                assert_eq!(open(engine, &card, &[b"profile 2"]).unwrap(), [b"moved".to_vec()]);
                while engine.idle().unwrap() {}
            }
        }
        // Keys made ahead stay; nothing else does.
        assert_eq!(live(engine), before + config.pregenerate);
        other_jobs(engine, &keyset);
    });
}

fn other_jobs(engine: &mut Engine, keyset: &Keyset) {
    let one = mac(engine, b"one");
    assert_eq!(mac(engine, b"one"), one);
    assert_ne!(mac(engine, b"two"), one);
    let check = mac(engine, crate::hsm::proof::FINGERPRINT_CHECK);
    assert_eq!(data_encoding::HEXLOWER.encode(&check), keyset.fingerprint_check);
    let job = Job::Seal {
        epoch: Epoch(1),
        mac: Some((Generation::FIRST, SecretBytes::new(b"one".to_vec()))),
        parts: vec![plain(b"", PAN)],
    };
    let Reply::Seal {
        mac: Some(together), ..
    } = engine.execute(job).unwrap()
    else {
        panic!("no MAC")
    };
    assert_eq!(together, one);

    let Reply::Sign(signature) = engine
        .execute(Job::Sign {
            generation: Generation::FIRST,
            message: b"head".to_vec(),
        })
        .unwrap()
    else {
        panic!("no signature")
    };
    keyset.audit_public.verify(b"head", &signature).unwrap();
    assert!(keyset.audit_public.verify(b"tail", &signature).is_err());

    let mut random = || match engine.execute(Job::Random { len: 300 }).unwrap() {
        Reply::Random(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    let (one, two) = (random(), random());
    assert!(one.len() == 300 && one != two);

    let Reply::Probe(report) = engine.execute(Job::Probe).unwrap() else {
        panic!("no report")
    };
    assert_eq!(gaps(&report), [""; 0]);
    assert!(has(&report, "kek-hidden", Verdict::Pass) && has(&report, "sessions", Verdict::Pass));
    assert!(report.findings.iter().filter(|f| f.verdict == Verdict::Pass).count() > 20);
}

fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x40;
    bytes
}

scenarios! {
    fn round_trips_with_session_source(place) {
        round_trips(place, KekMode::SessionSource, &place.config());
    }

    fn round_trips_with_no_trusted(place) {
        round_trips(place, KekMode::NoTrusted, &place.config());
    }

    fn round_trips_with_keys_made_ahead_and_destroyed_later(place) {
        let config = Config { pregenerate: 3, deferred_destroy: true, ..place.config() };
        round_trips(place, KekMode::SessionSource, &config);
    }

    fn keys_to_be_destroyed_do_not_gather_without_end(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let config = Config { deferred_destroy: true, ..place.config() };
        place.with_engine(&config, &keyset, |engine| {
            // Nobody calls `idle` here.
            for _ in 0..200 {
                seal(engine, 1, vec![plain(b"", PAN)]);
            }
            assert!(live(engine) <= 65, "{}", live(engine));
        });
    }

    fn what_was_changed_or_moved_does_not_open(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        place.with_engine(&place.config(), &keyset, |engine| {
            let mine = seal(engine, 1, vec![plain(b"mine", PAN)]);
            let other = seal(engine, 1, vec![plain(b"other", b"5555555555554444")]);
            let before = live(engine);
            let part = &mine.parts[0];
            let changed = |iv: Vec<u8>, text: Vec<u8>, dek: &[u8], epoch| Card {
                epoch: Epoch(epoch),
                dek: WrappedKey(dek.to_vec()),
                parts: vec![SealedPart { iv, text }],
            };
            let wrong = [
                changed(part.iv.clone(), flip(&part.text, 0), &mine.dek.0, 1),
                changed(part.iv.clone(), flip(&part.text, part.text.len() - 1), &mine.dek.0, 1),
                changed(part.iv.clone(), part.text[1..].to_vec(), &mine.dek.0, 1),
                changed(flip(&part.iv, 3), part.text.clone(), &mine.dek.0, 1),
                changed(part.iv.clone(), part.text.clone(), &flip(&mine.dek.0, 0), 1),
                changed(part.iv.clone(), part.text.clone(), &flip(&mine.dek.0, 39), 1),
                changed(part.iv.clone(), part.text.clone(), &other.dek.0, 1),
                changed(part.iv.clone(), part.text.clone(), &mine.dek.0, 2),
            ];
            for card in &wrong {
                assert_eq!(open(engine, card, &[b"mine"]), Err(Fault::Tampered));
                assert_eq!(open(engine, &mine, &[b"mine"]).unwrap(), [PAN]);
            }
            assert_eq!(open(engine, &mine, &[b"elsewhere"]), Err(Fault::Tampered));
            let stranger = changed(Vec::new(), Vec::new(), &flip(&mine.dek.0, 7), 1);
            assert_eq!(reseal(engine, &stranger, plain(b"", b"x")), Err(Fault::Tampered));
            assert_eq!(live(engine), before);
        });
    }

    fn malformed_jobs_are_the_callers_fault(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        place.with_engine(&place.config(), &keyset, |engine| {
            let card = seal(engine, 1, vec![plain(b"", PAN)]);
            let unknown = Card { epoch: Epoch(9), ..card };
            assert!(matches!(open(engine, &unknown, &[b""]), Err(Fault::Malformed(text)) if text.contains('9')));
            let empty = Job::Seal { epoch: Epoch(1), mac: None, parts: Vec::new() };
            assert!(matches!(engine.execute(empty), Err(Fault::Malformed(_))));
        });
    }

    fn opens_are_capped_across_the_sessions_of_a_worker(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let config = Config { open_rate: 5, ..place.config() };
        let (token, _) = Token::start(&config, &keyset).unwrap();
        let (mut one, mut two) = (token.engine().unwrap(), token.engine().unwrap());
        let card = seal(&mut one, 1, vec![plain(b"", PAN)]);
        let start = std::time::Instant::now();
        let mut granted = 0;
        for _ in 0..20 {
            for engine in [&mut one, &mut two] {
                match open(engine, &card, &[b""]) {
                    Ok(_) => granted += 1,
                    Err(fault) => assert_eq!(fault, Fault::RateCapped),
                }
            }
        }
        let most = 5 + 5 * (start.elapsed().as_secs() + 1);
        assert!(granted >= 5 && granted <= most, "{granted}");
        // Sealing is not capped.
        seal(&mut one, 1, vec![plain(b"", PAN)]);
        drop((one, two));
        token.finish();
    }

    fn a_lost_login_is_the_tokens_fault(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        let (token, _) = place.start(&keyset).unwrap();
        let mut engine = token.engine().unwrap();
        let card = seal(&mut engine, 1, vec![plain(b"", PAN)]);
        engine.session().cryptoki().logout().unwrap();
        assert!(matches!(open(&mut engine, &card, &[b""]), Err(Fault::Token(_))));
        let job = Job::Mac { generation: Generation::FIRST, input: SecretBytes::new(b"x".to_vec()) };
        assert!(matches!(engine.execute(job), Err(Fault::Token(_))));
        drop(engine);
        token.finish();
        // The next start finds everything again.
        place.with_engine(&place.config(), &keyset, |engine| {
            assert_eq!(open(engine, &card, &[b""]).unwrap(), [PAN]);
        });
    }

    fn a_session_with_a_stuck_operation_heals(place) {
        let keyset = place.keyset(KekMode::NoTrusted);
        place.with_engine(&place.config(), &keyset, |engine| {
            let one = mac(engine, b"one");
            let key = engine.session().cryptoki().find_objects(&[
                cryptoki::object::Attribute::Id(data_encoding::HEXLOWER.decode(keyset.fingerprint_id.as_bytes()).unwrap()),
            ]).unwrap()[0];
            // An operation that never ends: the next C_SignInit is refused.
            engine.session().cryptoki().sign_init(&cryptoki::mechanism::Mechanism::Sha256Hmac, key).unwrap();
            assert_eq!(mac(engine, b"one"), one);
        });
    }
}
