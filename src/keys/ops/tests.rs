use std::sync::Arc;

use super::*;

fn figures(ops: &Ops) -> (u64, u64) {
    let state = ops.lock();
    (state.done, state.stored)
}

fn store(ops: &Ops, count: u64) {
    ops.lock().stored = count;
    ops.grown.notify_waiters();
}

#[tokio::test]
async fn no_seal_is_done_before_it_is_stored_and_none_over_the_limit() {
    let ops = Arc::new(Ops::of(Epoch(1), Some(1000)));
    ops.lock().done = 985;
    store(&ops, 985);
    let seals: Vec<_> = (0..40)
        .map(|_| {
            let ops = Arc::clone(&ops);
            tokio::spawn(async move {
                let taken = ops.take(Epoch(1)).await?;
                tokio::task::yield_now().await;
                Ok(taken.map(Counted::settle))
            })
        })
        .collect();
    tokio::task::yield_now().await;
    for count in [990, 995, 1010] {
        ops.wanted.notified().await;
        let (done, stored) = figures(&ops);
        assert!(done <= stored);
        store(&ops, count);
    }
    let mut done = 0;
    for seal in seals {
        match seal.await.unwrap() {
            Ok(taken) => done += u64::from(taken.is_some()),
            Err::<_, Error>(error) => assert!(error.to_string().contains("as many as it may"), "{error}"),
        }
    }
    assert_eq!((done, figures(&ops).0), (15, 1000));
    ops.restart(Epoch(2));
    assert!(ops.take(Epoch(1)).await.unwrap().is_none(), "it seals no more");
    ops.take(Epoch(2)).await.unwrap().unwrap().settle();
    assert_eq!(figures(&ops), (CANARY + 1, 10));
}

#[tokio::test]
async fn what_may_have_been_wrapped_is_stored_before_and_counted_if_nobody_knows() {
    let ops = Ops::of(Epoch(1), Some(1000));
    store(&ops, 2 * (1 + REPEATS));
    let (one, two) = (ops.take(Epoch(1)).await.unwrap(), ops.take(Epoch(1)).await.unwrap());
    // there is room for both to be repeated, and for no third
    assert_eq!(ops.lock().at_most(), 8);
    assert!(matches!(ops.take(Epoch(1)).await, Err(Error::Hsm(hsm::Error::Busy))));
    one.unwrap().settle();
    assert_eq!((figures(&ops).0, ops.lock().at_most()), (2, 5));
    // its caller went away: it may have been done again and again
    drop(two);
    assert_eq!((figures(&ops).0, ops.lock().at_most()), (5, 5));
    ops.add(Some(Epoch(1)), 2);
    ops.add(None, 1);
    ops.add(Some(Epoch(7)), 100);
    ops.expect_untold(4);
    assert_eq!((figures(&ops).0, ops.lock().at_most()), (8, 12));
    assert!(matches!(ops.take(Epoch(1)).await, Err(Error::Hsm(hsm::Error::Busy))));
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_sealed() {
    let ops = Ops::of(Epoch(1), None);
    let is_busy = |taken: Result<Option<Counted<'_>>, Error>| matches!(taken, Err(Error::Hsm(hsm::Error::Busy)));
    assert!(is_busy(ops.take(Epoch(1)).await));
    store(&ops, 1 + REPEATS);
    ops.take(Epoch(1)).await.unwrap().unwrap().settle();
    assert!(is_busy(ops.take(Epoch(1)).await));
    Ops::uncounted().take(Epoch(1)).await.unwrap();
}
