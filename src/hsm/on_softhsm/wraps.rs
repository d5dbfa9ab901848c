//! What a worker says that it wrapped beside one DEK for each job.

use super::jobs::plain;
use super::scenarios;
use crate::hsm::token::Engine;
use crate::hsm::{Boxed, Config, Epoch, Fault, Job, KekMode, Reply, SealedPart, WrappedKey};

fn seal(engine: &mut Engine) -> WrappedKey {
    let job = Job::Seal {
        epoch: Epoch(1),
        mac: None,
        parts: vec![plain(b"", b"4111111111111111")],
    };
    match engine.execute(job).unwrap() {
        Reply::Seal { dek, .. } => dek,
        other => panic!("{other:?}"),
    }
}

scenarios! {
    fn wraps_are_told_as_far_as_no_job_stands_for_them(place) {
        let keyset = place.keyset(KekMode::SessionSource);
        place.with_engine(&place.config(), &keyset, |engine| {
            let dek = seal(engine);
            let job = Job::Rewrap { from: Epoch(1), to: Epoch(2), dek, parts: Vec::new() };
            assert!(matches!(engine.execute(job), Ok(Reply::Rewrap { .. })));
            while engine.idle().unwrap() {}
            assert_eq!(engine.wraps(), []);
        });
        let ahead = Config { pregenerate: 3, ..place.config() };
        place.with_engine(&ahead, &keyset, |engine| {
            let dek = seal(engine);
            assert_eq!(engine.wraps(), []);
            while engine.idle().unwrap() {}
            assert_eq!(engine.wraps(), [(Epoch(1), 3)]);
            for _ in 0..5 {
                seal(engine);
                while engine.idle().unwrap() {}
                assert_eq!(engine.wraps(), [], "each was told of when it was made");
            }
            // an error takes the session, and the keys made ahead with it
            let part = SealedPart { iv: vec![1; 12], text: vec![0; 32] };
            let bad = Job::Open {
                epoch: Epoch(1),
                dek,
                parts: vec![Boxed { aad: Vec::new(), sealed: part }],
            };
            assert_eq!(engine.execute(bad).err(), Some(Fault::Tampered));
            while engine.idle().unwrap() {}
            assert_eq!(engine.wraps(), [(Epoch(1), 3)]);
        });
    }
}
