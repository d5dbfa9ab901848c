use std::time::Duration;

use super::*;
use crate::id::UnixMillis;
use crate::payment::sessions::SessionUpdate;
use crate::store;
use crate::vault::tests::test_store::Fault;
use crate::vault::types::{DependencyError, DocumentEvent, DocumentWrite, Expect, Secret, Written};

/// Payment `a` of order 1, left when the acquirer has been asked: its answer cannot be written down.
async fn cut_off(shop: &Shop) {
    cut_off_in(shop, step(Action::Pay, "a", 1_000)).await;
}

async fn cut_off_in(shop: &Shop, instruction: Instruction) {
    let asked = shop.asked.lock().unwrap().len();
    shop.shut_door();
    let (payments, actor) = (Arc::clone(&shop.payments), shop.rig.actor.clone());
    let call = tokio::spawn(async move { payments.transact(&actor, instruction).await });
    shop.asked(asked + 1).await;
    shop.rig
        .store
        .next_commit(Fault::Refused(store::Error::ReadOnly("disk full".to_owned())));
    shop.open_door();
    assert!(matches!(
        call.await.unwrap(),
        Err(Error::Core(core::Error::Dependency(_)))
    ));
}

/// A transaction of order 1 as it would be if it had begun so long ago.
async fn aged(shop: &Shop, transaction: &str, minutes: u64) {
    let actor = &shop.rig.actor;
    let names = Names::new("1", transaction);
    let mut held = shop
        .payments
        .load_transaction(actor, &names)
        .await
        .unwrap()
        .expect("it was written");
    held.stored.view.at = UnixMillis(UnixMillis::now().0 - minutes * 60_000);
    let write = DocumentWrite {
        kind: DocumentKind::Transaction,
        name: names.transaction().to_owned(),
        expect: Expect::Rev(held.document.rev),
        clear: stored::encode(&held.stored).unwrap(),
        secret: Secret::Keep(held.document.sealed),
        expires_at: None,
    };
    let event = DocumentEvent {
        action: "test-aged",
        outcome: "ok",
        token: None,
        detail: None,
    };
    let written = shop.rig.vault.write_documents(actor, vec![write], event).await.unwrap();
    assert!(matches!(written, Written::Done { .. }));
}

/// Payment `a` of order 1 with what a session holds; asked again it is the same request.
fn from_session(session: &str) -> Instruction {
    Instruction {
        sources: Sources {
            session: Some(session.to_owned()),
            ..Sources::default()
        },
        personal: Some(Zeroizing::new(r#"{"email":"ada@example.com"}"#.to_owned())),
        ..step(Action::Pay, "a", 1_000)
    }
}

/// A session with a card and its security code.
async fn session(shop: &Shop) -> String {
    let actor = &shop.rig.actor;
    let session = shop.payments.open_session(actor, 70).await.unwrap().id;
    let update = SessionUpdate {
        card: CardDetails {
            security_code: SecurityCode::parse("100"),
            ..card(1, 2039)
        },
        ..SessionUpdate::default()
    };
    shop.payments.update_session(actor, &session, 70, update).await.unwrap();
    session
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
async fn who_goes_away_leaves_nothing_half_done() {
    let shop = Shop::open().await;
    shop.shut_door();
    let (payments, actor) = (Arc::clone(&shop.payments), shop.rig.actor.clone());
    let call = tokio::spawn(async move { payments.transact(&actor, step(Action::Pay, "a", 1_000)).await });
    shop.asked(1).await;
    call.abort();
    assert!(call.await.err().is_some_and(|end| end.is_cancelled()));
    let meanwhile = shop.transact(step(Action::Pay, "a", 1_000)).await.map(|_| ());
    assert!(matches!(meanwhile, Err(Error::Locked)));
    shop.open_door();

    let written = async {
        loop {
            let view = shop.payments.transaction(&shop.rig.actor, "1", "a").await.unwrap().view;
            if view.answer.is_some() {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    let view = tokio::time::timeout(Duration::from_secs(10), written).await.unwrap();
    assert!(view.approved());
    assert_eq!(shop.order("1").await.status, OrderStatus::Captured);
    assert_eq!(shop.asked.lock().unwrap().len(), 1);
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

#[tokio::test]
async fn what_nobody_completes_is_given_up_by_the_next() {
    let shop = Shop::open().await;
    cut_off(&shop).await;
    aged(&shop, "a", 9).await;
    let early = refusal(shop.transact(step(Action::Pay, "b", 500)).await);
    assert_eq!(early.0, Part::Order, "{}", early.1);
    aged(&shop, "a", 10).await;
    let next = shop.done(step(Action::Pay, "b", 500)).await;
    assert!(next.approved());
    assert_eq!(
        (next.order.status, next.order.captured),
        (OrderStatus::Captured, cents(500))
    );

    let (order, transactions) = shop.payments.order(&shop.rig.actor, "1").await.unwrap();
    assert_eq!((order.authorized, order.captured), (cents(500), cents(500)));
    let given_up = &transactions[0].view;
    assert_eq!(
        (given_up.id.as_str(), given_up.verdict()),
        ("a", Some(Verdict::Unknown))
    );
    assert!(given_up.given_up && given_up.answer.is_none());
    assert_eq!(given_up.order.captured, Amount::ZERO);

    let again = shop.done(step(Action::Pay, "a", 1_000)).await;
    assert_eq!(&again, given_up, "it stays so");
    let (part, _) = refusal(shop.transact(void("c", Some("a"))).await);
    assert_eq!(part, Part::Operation, "there is nothing to void it by");
    assert_eq!(shop.asked.lock().unwrap().len(), 2, "a once, b once");
    let expected = [
        "order-pay asked",
        "test-aged ok",
        "test-aged ok",
        "order-pay unknown",
        "order-pay asked",
        "order-pay approved",
    ];
    assert_eq!(shop.rig.events().await, expected);
}

#[tokio::test]
async fn a_step_that_is_given_up_leaves_the_totals() {
    let shop = Shop::open().await;
    shop.done(step(Action::Authorize, "0", 1_000)).await;
    cut_off_in(&shop, step(Action::Capture, "a", 1_000)).await;
    aged(&shop, "a", 11).await;
    let captured = shop.done(step(Action::Capture, "b", 700)).await;
    assert!(captured.approved());
    assert_eq!(captured.order.captured, cents(700));
    assert_eq!(captured.order.status, OrderStatus::PartiallyCaptured);
}

#[tokio::test]
async fn the_same_request_completes_it_at_any_age() {
    let shop = Shop::open().await;
    cut_off(&shop).await;
    aged(&shop, "a", 100_000).await;
    let done = shop.done(step(Action::Pay, "a", 1_000)).await;
    assert!(done.approved());
    let asked = shop.asked.lock().unwrap().clone();
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test]
async fn a_security_code_that_is_gone_is_not_asked_about() {
    let shop = Shop::open().await;
    let session = session(&shop).await;
    cut_off_in(&shop, from_session(&session)).await;
    let done = shop.done(from_session(&session)).await;
    assert!(done.approved());
    assert_eq!(done.answer.unwrap().security_code, CodeCheck::NotPresented);
}

#[tokio::test]
async fn its_own_request_gives_it_up_when_its_session_is_gone() {
    let shop = Shop::open().await;
    let session = session(&shop).await;
    cut_off_in(&shop, from_session(&session)).await;
    // the session that the same request names is not there any more
    let gone = || from_session("SESSION000000000000000000000000");
    let early = shop.transact(gone()).await.map(|_| ());
    assert!(matches!(early, Err(Error::Unknown(Part::Session))));
    aged(&shop, "a", 10).await;

    shop.rig.sealer.set_down(true);
    let down = shop.transact(gone()).await.map(|_| ());
    assert!(matches!(down, Err(Error::Core(_))), "that is not the request's fault");
    shop.rig.sealer.set_down(false);
    let record = shop.transact(gone()).await.unwrap();
    assert_eq!(record.view.verdict(), Some(Verdict::Unknown));
    assert_eq!(record.personal.unwrap().as_str(), r#"{"email":"ada@example.com"}"#);
    assert_eq!(record.view.order.status, OrderStatus::Failed);
    assert_eq!(shop.rig.events().await.last().unwrap(), "order-pay unknown");
    assert_eq!(shop.asked.lock().unwrap().len(), 1);
    assert!(shop.done(step(Action::Pay, "b", 1_000)).await.approved());
}

#[tokio::test]
async fn a_session_that_changed_does_not_change_what_is_pending() {
    let shop = Shop::open().await;
    let session = session(&shop).await;
    cut_off_in(&shop, from_session(&session)).await;
    let again = Instruction {
        currency: Currency::parse("USD"),
        amount: Some(cents(9_900)),
        personal: None,
        ..from_session(&session)
    };
    let record = shop.transact(again).await.unwrap();
    assert!(record.view.approved());
    assert_eq!((record.view.amount, record.view.currency), (cents(1_000), eur()));
    assert_eq!(record.personal.unwrap().as_str(), r#"{"email":"ada@example.com"}"#);
    assert_eq!(record.view.order.captured, cents(1_000));
    let paid = (cents(1_000), eur());
    assert_eq!(*shop.paid.lock().unwrap(), [paid, paid]);
}

#[tokio::test]
async fn the_acquirer_is_not_asked_for_another_card_under_the_same_key() {
    let shop = Shop::open().await;
    let session = session(&shop).await;
    cut_off_in(&shop, from_session(&session)).await;
    let actor = &shop.rig.actor;
    for card in [
        CardDetails {
            pan: Some(Pan::parse("4111111111111111").unwrap()),
            ..card(1, 2039)
        },
        card(5, 2038),
    ] {
        let update = SessionUpdate {
            card,
            ..SessionUpdate::default()
        };
        shop.payments.update_session(actor, &session, 70, update).await.unwrap();
        let (part, reason) = refusal(shop.transact(from_session(&session)).await);
        assert_eq!(part, Part::Transaction);
        assert!(reason.contains("another one now"), "{reason}");
    }
    aged(&shop, "a", 10).await;
    let given_up = shop.done(from_session(&session)).await;
    assert_eq!(given_up.verdict(), Some(Verdict::Unknown));
    assert_eq!(shop.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_written_down_is_no_lock() {
    let shop = Shop::open().await;
    shop.shut_door();
    let (payments, actor) = (Arc::clone(&shop.payments), shop.rig.actor.clone());
    let call = tokio::spawn(async move { payments.transact(&actor, step(Action::Pay, "a", 1_000)).await });
    shop.asked(1).await;
    // another writes to it
    aged(&shop, "a", 1).await;
    shop.open_door();
    assert!(matches!(call.await.unwrap(), Err(Error::Unwritten)));
    assert!(shop.done(step(Action::Pay, "a", 1_000)).await.approved());
}
