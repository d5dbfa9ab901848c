use zeroize::Zeroizing;

use super::*;

#[tokio::test]
async fn a_payment_is_stored_and_shown_masked() {
    let shop = Shop::open().await;
    let mut instruction = step(Action::Pay, "a", 1_000);
    instruction.echo = Some(r#"{"reference":"R-1"}"#.to_owned());
    instruction.personal = Some(Zeroizing::new(r#"{"email":"ada@example.com"}"#.to_owned()));
    let record = shop.transact(instruction).await.unwrap();
    assert!(record.view.approved());
    assert_eq!(record.personal.unwrap().as_str(), r#"{"email":"ada@example.com"}"#);
    let shown = record.view.card.as_ref().unwrap();
    assert_eq!(shown.masked, "51234500****0008");
    assert_eq!((shown.brand.as_deref(), &shown.token), (Some("mastercard"), &None));
    assert_eq!(record.view.order.status, OrderStatus::Captured);

    let again = shop.payments.transaction(&shop.rig.actor, "1", "a").await.unwrap();
    assert_eq!(again.view, record.view);
    let (order, transactions) = shop.payments.order(&shop.rig.actor, "1").await.unwrap();
    assert_eq!(order, record.view.order);
    assert_eq!(
        (order.amount, order.authorized, order.captured),
        (cents(1_000), cents(1_000), cents(1_000))
    );
    assert_eq!(order.echo.as_deref(), Some(r#"{"reference":"R-1"}"#));
    assert_eq!(transactions.len(), 1);
    assert_eq!(transactions[0].view, record.view);
    assert_eq!(shop.rig.events().await, ["order-pay asked", "order-pay approved"]);
}

#[tokio::test]
async fn an_order_goes_its_way() {
    let shop = Shop::open().await;
    let standing = |view: &TransactionView| {
        let order = &view.order;
        let cents = [order.authorized, order.captured, order.refunded].map(|amount| amount.thousandths / 10);
        (order.status, cents)
    };
    let view = shop.done(step(Action::Verify, "0", 0)).await;
    assert_eq!(standing(&view), (OrderStatus::Verified, [0, 0, 0]));
    let view = shop.done(step(Action::Authorize, "1", 1_000)).await;
    assert_eq!(standing(&view), (OrderStatus::Authorized, [1_000, 0, 0]));
    let view = shop.done(step(Action::Capture, "2", 300)).await;
    assert_eq!(standing(&view), (OrderStatus::PartiallyCaptured, [1_000, 300, 0]));
    assert_eq!(view.target.as_deref(), Some("1"));
    assert_eq!(
        view.card.as_ref().unwrap().masked,
        "51234500****0008",
        "the authorization's card"
    );
    let view = shop.done(step(Action::UpdateAuthorization, "3", 800)).await;
    assert_eq!(standing(&view), (OrderStatus::PartiallyCaptured, [800, 300, 0]));
    let view = shop.done(step(Action::Capture, "4", 500)).await;
    assert_eq!(standing(&view), (OrderStatus::Captured, [800, 800, 0]));
    let view = shop.done(step(Action::Refund, "5", 400)).await;
    assert_eq!(standing(&view), (OrderStatus::PartiallyRefunded, [800, 800, 400]));
    assert_eq!(view.target.as_deref(), Some("4"), "the latest with enough left");
    let view = shop.done(step(Action::Refund, "6", 300)).await;
    assert_eq!(view.target.as_deref(), Some("2"));
    let view = shop.done(void("7", Some("6"))).await;
    assert_eq!(standing(&view), (OrderStatus::PartiallyRefunded, [800, 800, 400]));
    assert_eq!((view.undone, view.amount), (Some(Action::Refund), cents(300)));
    let view = shop.done(void("8", None)).await;
    assert_eq!(view.target.as_deref(), Some("5"), "the last that can be undone");
    assert_eq!(standing(&view), (OrderStatus::Captured, [800, 800, 0]));
    shop.done(void("9", None)).await;
    shop.done(void("10", None)).await;
    let view = shop.done(void("11", None)).await;
    assert_eq!(
        (view.undone, view.target.as_deref()),
        (Some(Action::Authorize), Some("1"))
    );
    assert_eq!(standing(&view), (OrderStatus::Cancelled, [0, 0, 0]));
    let (part, reason) = refusal(shop.transact(void("12", None)).await);
    assert_eq!(
        (part, reason.as_str()),
        (Part::Operation, "There is no transaction to void")
    );

    let (_, transactions) = shop.payments.order(&shop.rig.actor, "1").await.unwrap();
    let ids: Vec<&str> = transactions.iter().map(|record| record.view.id.as_str()).collect();
    assert_eq!(
        ids,
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"],
        "oldest first"
    );
}

#[tokio::test]
async fn a_declined_transaction_is_stored_and_changes_nothing() {
    let shop = Shop::open().await;
    let mut declined = step(Action::Pay, "a", 1_000);
    declined.sources.card = card(5, 2039);
    let view = shop.done(declined).await;
    assert_eq!(view.answer.unwrap().verdict, Verdict::Declined);
    assert_eq!(
        (view.order.status, view.order.captured),
        (OrderStatus::Failed, Amount::ZERO)
    );

    let view = shop.done(step(Action::Authorize, "b", 2_000)).await;
    assert_eq!(
        (view.order.status, view.order.amount),
        (OrderStatus::Authorized, cents(2_000))
    );
    for (action, transaction) in [(Action::Authorize, "c"), (Action::Pay, "d")] {
        let (part, _) = refusal(shop.transact(step(action, transaction, 2_000)).await);
        assert_eq!(part, Part::Operation);
    }
    assert_eq!(shop.payments.order(&shop.rig.actor, "1").await.unwrap().1.len(), 2);
}

#[tokio::test]
async fn the_same_again_is_done_once() {
    let shop = Shop::open().await;
    let first = shop.done(step(Action::Pay, "a", 1_000)).await;
    let mut again = step(Action::Pay, "a", 1_000);
    // what it was paid with may be gone by then
    again.sources = Sources {
        session: Some("SESSION0000000000000000000000AA".to_owned()),
        ..Sources::default()
    };
    assert_eq!(shop.done(again).await, first);
    assert_eq!(shop.asked.lock().unwrap().len(), 1);
    let (part, _) = refusal(shop.transact(step(Action::Pay, "a", 1_001)).await);
    assert_eq!(part, Part::Transaction);
    let (part, _) = refusal(shop.transact(step(Action::Refund, "a", 1_000)).await);
    assert_eq!(part, Part::Transaction);
    assert_eq!(shop.order("1").await.refunded, Amount::ZERO);
}

#[tokio::test]
async fn an_order_is_used_by_one_at_a_time() {
    let shop = Shop::open().await;
    shop.shut_door();
    let (payments, actor) = (Arc::clone(&shop.payments), shop.rig.actor.clone());
    let first = tokio::spawn(async move { payments.transact(&actor, step(Action::Authorize, "a", 1_000)).await });
    shop.asked(1).await;
    for transaction in ["a", "b"] {
        let second = shop.transact(step(Action::Authorize, transaction, 1_000)).await;
        assert!(matches!(second, Err(Error::Locked)));
    }
    shop.door.add_permits(1);
    let other = Instruction {
        order: "2".to_owned(),
        ..step(Action::Authorize, "a", 1_000)
    };
    let first = first.await.unwrap().unwrap();
    shop.open_door();
    assert!(shop.done(other).await.approved());
    assert_eq!(shop.done(step(Action::Authorize, "a", 1_000)).await, first.view);
    let keys = shop.asked.lock().unwrap().clone();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "each order has its keys");
}

#[tokio::test]
async fn a_session_gives_its_code_to_the_first_that_uses_it() {
    let shop = Shop::open().await;
    let actor = &shop.rig.actor;
    let session = shop.payments.open_session(actor, 64).await.unwrap();
    let update = crate::payment::sessions::SessionUpdate {
        card: CardDetails {
            security_code: SecurityCode::parse("100"),
            ..card(1, 2039)
        },
        ..Default::default()
    };
    shop.payments
        .update_session(actor, &session.id, 64, update)
        .await
        .unwrap();
    let by_session = |order: &str| Instruction {
        order: order.to_owned(),
        sources: Sources {
            session: Some(session.id.clone()),
            api_version: Some(64),
            ..Sources::default()
        },
        ..step(Action::Pay, "a", 1_000)
    };
    let first = shop.done(by_session("1")).await;
    assert_eq!(first.answer.unwrap().security_code, CodeCheck::Match);
    let second = shop.done(by_session("2")).await;
    assert_eq!(second.answer.unwrap().security_code, CodeCheck::NotPresented);
    assert!(second.order.captured > Amount::ZERO);

    let mut own = by_session("3");
    own.sources.card = CardDetails {
        month: Some(5),
        ..CardDetails::default()
    };
    let third = shop.done(own).await;
    assert_eq!(
        third.answer.unwrap().verdict,
        Verdict::Declined,
        "05 of the request, 39 of the session"
    );
}

#[tokio::test]
async fn ids_are_any_characters() {
    let shop = Shop::open().await;
    for (order, transaction) in [
        ("a/b", "c"),
        ("a", "b/c"),
        ("a\u{1f}b", "c"),
        ("a", "b\u{1f}c"),
        (" ", "\u{1f600}"),
    ] {
        let instruction = Instruction {
            order: order.to_owned(),
            ..step(Action::Pay, transaction, 100)
        };
        match shop.transact(instruction).await {
            Ok(record) => assert_eq!(
                (record.view.order.id.as_str(), record.view.id.as_str()),
                (order, transaction)
            ),
            // a second payment of one order
            Err(error) => assert_eq!((order, refusal::<()>(Err(error)).0), ("a", Part::Operation)),
        }
        assert!(!shop.payments.order(&shop.rig.actor, order).await.unwrap().1.is_empty());
    }
}

#[tokio::test]
async fn an_order_is_opened_a_few_transactions_at_a_time() {
    let shop = Shop::open().await;
    let personal = |index: usize| format!(r#"{{"email":"{index}@example.com"}}"#);
    for index in 0..40 {
        let mut instruction = step(Action::Verify, &index.to_string(), 0);
        // every third has none
        instruction.personal = (index % 3 != 0).then(|| Zeroizing::new(personal(index)));
        shop.done(instruction).await;
    }
    shop.rig.sealer.most_at_once();
    let (_, records) = shop.payments.order(&shop.rig.actor, "1").await.unwrap();
    let most = shop.rig.sealer.most_at_once();
    assert!((2..=32).contains(&most), "{most}");
    assert_eq!(records.len(), 40);
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.view.id, index.to_string());
        let expected = (index % 3 != 0).then(|| personal(index));
        assert_eq!(record.personal.as_ref().map(|text| text.to_string()), expected);
    }
    shop.rig.sealer.set_down(true);
    let down = shop.payments.order(&shop.rig.actor, "1").await.map(|_| ());
    assert!(matches!(down, Err(Error::Core(core::Error::Dependency(_)))));
}

#[tokio::test]
async fn a_later_verification_leaves_the_order_its_amount() {
    let shop = Shop::open().await;
    let with = |instruction, reference: &str| Instruction {
        echo: Some(format!(r#"{{"reference":"{reference}"}}"#)),
        ..instruction
    };
    let verified = shop.done(with(step(Action::Verify, "0", 0), "R-0")).await.order;
    assert_eq!(verified.amount, Amount::ZERO);
    assert_eq!(verified.echo.as_deref(), Some(r#"{"reference":"R-0"}"#));
    let paid = shop.done(with(step(Action::Pay, "1", 1_000), "R-1")).await.order;
    assert_eq!(paid.amount, cents(1_000));
    let last = shop.done(with(step(Action::Verify, "2", 0), "R-2")).await;
    assert_eq!(last.echo.as_deref(), Some(r#"{"reference":"R-2"}"#));
    let order = shop.order("1").await;
    assert_eq!((order.amount, order.captured), (cents(1_000), cents(1_000)));
    assert_eq!((order.status, &order.echo), (OrderStatus::Captured, &paid.echo));
    assert_eq!(order.echo.as_deref(), Some(r#"{"reference":"R-1"}"#));
}

#[tokio::test]
async fn an_order_in_use_is_told_without_opening_anything() {
    let shop = Shop::open().await;
    let personal = Instruction {
        personal: Some(Zeroizing::new(r#"{"email":"ada@example.com"}"#.to_owned())),
        ..step(Action::Pay, "a", 1_000)
    };
    shop.done(personal).await;
    let (payments, actor) = (&shop.payments, &shop.rig.actor);
    shop.rig.sealer.set_down(true);
    let (order, target) = payments.order_and_target(actor, "1", Some("a")).await.unwrap();
    assert_eq!(order.captured, cents(1_000));
    assert_eq!(target.map(|target| target.action), Some(Action::Pay));
    for none in [None, Some("b"), Some("")] {
        let (_, target) = payments.order_and_target(actor, "1", none).await.unwrap();
        assert_eq!(target, None);
    }
    let unknown = payments.order_and_target(actor, "2", Some("a")).await.map(|_| ());
    assert!(matches!(unknown, Err(Error::Unknown(Part::Order))));
}
