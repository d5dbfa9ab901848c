use super::*;
use crate::store;
use crate::vault::tests::test_store::Fault;
use crate::vault::types::DependencyError;

/// Payment `a` of order 1, left when the acquirer has been asked and its answer is on the way.
async fn cut_off(shop: &Shop) {
    shop.shut_door();
    let (payments, actor) = (Arc::clone(&shop.payments), shop.rig.actor.clone());
    let call = tokio::spawn(async move { payments.transact(&actor, step(Action::Pay, "a", 1_000)).await });
    shop.asked(1).await;
    call.abort();
    assert!(call.await.err().is_some_and(|end| end.is_cancelled()));
    shop.open_door();
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_completed_by_the_same_again() {
    let shop = Shop::open().await;
    cut_off(&shop).await;
    let pending = shop.payments.transaction(&shop.rig.actor, "1", "a").await.unwrap().view;
    assert!(pending.answer.is_none());
    assert_eq!(
        (pending.order.status, pending.order.captured),
        (OrderStatus::Failed, Amount::ZERO)
    );

    for other in [step(Action::Pay, "b", 1_000), void("c", Some("a"))] {
        let (part, reason) = refusal(shop.transact(other).await);
        assert_eq!(part, Part::Order, "{reason}");
        assert!(reason.contains("pending"));
    }
    let (part, _) = refusal(shop.transact(step(Action::Pay, "a", 2_000)).await);
    assert_eq!(part, Part::Transaction);

    let done = shop.done(step(Action::Pay, "a", 1_000)).await;
    assert!(done.approved());
    assert_eq!((done.at, done.order.status), (pending.at, OrderStatus::Captured));
    let asked = shop.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1], "the acquirer knows the repetition by its key");
    assert_eq!(shop.payments.order(&shop.rig.actor, "1").await.unwrap().1.len(), 1);
    assert!(shop.done(step(Action::Refund, "b", 1_000)).await.approved());
}

#[tokio::test]
async fn a_restart_forgets_no_pending_transaction() {
    let shop = Shop::open().await;
    cut_off(&shop).await;
    let restarted = shop.rig.restarted().await;
    let payments = Payments::new(Arc::clone(&restarted.vault));
    let other = payments.transact(&restarted.actor, step(Action::Pay, "b", 1_000)).await;
    assert_eq!(refusal(other).0, Part::Order);
    let done = payments
        .transact(&restarted.actor, step(Action::Pay, "a", 1_000))
        .await
        .unwrap();
    assert!(done.view.approved());
}

#[tokio::test]
async fn what_the_store_did_not_say_is_found_again() {
    for lost in [true, false] {
        let shop = Shop::open().await;
        shop.shut_door();
        let (payments, actor) = (Arc::clone(&shop.payments), shop.rig.actor.clone());
        let call = tokio::spawn(async move { payments.transact(&actor, step(Action::Pay, "a", 1_000)).await });
        shop.asked(1).await;
        shop.rig.store.next_commit(match lost {
            true => Fault::AnswerLost,
            false => Fault::Refused(store::Error::ReadOnly("disk full".to_owned())),
        });
        shop.open_door();
        let failed = call.await.unwrap();
        assert!(
            matches!(failed, Err(Error::Core(core::Error::Dependency(_)))),
            "lost: {lost}"
        );
        let done = shop.done(step(Action::Pay, "a", 1_000)).await;
        assert!(done.approved());
        assert_eq!(shop.asked.lock().unwrap().len(), if lost { 1 } else { 2 });
    }
}

#[tokio::test]
async fn nothing_is_asked_that_was_not_written_down() {
    let shop = Shop::open().await;
    shop.rig
        .store
        .next_commit(Fault::Refused(store::Error::ReadOnly("disk full".to_owned())));
    let refused = shop.transact(step(Action::Pay, "a", 1_000)).await;
    let expected = core::Error::Dependency(DependencyError::StoreReadOnly);
    assert!(matches!(refused, Err(Error::Core(error)) if error == expected));
    assert!(shop.asked.lock().unwrap().is_empty());
    assert!(matches!(
        shop.payments.order(&shop.rig.actor, "1").await.map(|_| ()),
        Err(Error::Unknown(Part::Order))
    ));
}
