use zeroize::Zeroizing;

use super::*;
use crate::id::RepositoryId;
use crate::vault::types::{CallerError, PolicyError};

/// Nothing was stored under order 1, and nobody was asked.
async fn nothing_happened(shop: &Shop) {
    let order = shop.payments.order(&shop.rig.actor, "1").await.map(|_| ());
    assert!(matches!(order, Err(Error::Unknown(Part::Order))));
    assert!(shop.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let shop = Shop::open().await;
    let with = |change: fn(&mut Instruction)| {
        let mut instruction = step(Action::Pay, "a", 1_000);
        change(&mut instruction);
        instruction
    };
    for (instruction, missing) in [
        (with(|it| it.amount = None), Part::Amount),
        (with(|it| it.currency = None), Part::Currency),
        (with(|it| it.sources.card.pan = None), Part::Number),
        (with(|it| it.sources.card.month = None), Part::ExpiryMonth),
        (with(|it| it.sources.card.year = None), Part::ExpiryYear),
    ] {
        match shop.transact(instruction).await {
            Err(Error::Missing(part)) => assert_eq!(part, missing),
            other => panic!("{missing:?}: {:?}", other.map(|record| record.view)),
        }
    }
    for (instruction, wrong) in [
        (with(|it| it.amount = Some(Amount::ZERO)), Part::Amount),
        (with(|it| it.amount = Some(Amount { thousandths: 1_001 })), Part::Amount),
        (with(|it| it.sources.card.month = Some(13)), Part::ExpiryMonth),
        (with(|it| it.order = String::new()), Part::Order),
        (with(|it| it.order = "x".repeat(41)), Part::Order),
        (with(|it| it.transaction = "\u{e9}".repeat(41)), Part::Transaction),
        (with(|it| it.transaction = CARD.to_owned()), Part::Transaction),
        (
            with(|it| it.sources.session = Some("SESSION".to_owned())),
            Part::Session,
        ),
    ] {
        match shop.transact(instruction).await {
            Err(Error::Invalid { part, reason }) => {
                assert_eq!(part, wrong);
                assert!(!reason.contains(CARD));
            }
            Err(Error::Unknown(part)) => assert_eq!(part, wrong),
            other => panic!("{wrong:?}: {:?}", other.map(|record| record.view)),
        }
    }
    nothing_happened(&shop).await;
}

#[tokio::test]
async fn free_text_keeps_no_card_data() {
    let shop = Shop::open().await;
    let with_card = Instruction {
        echo: Some(format!(r#"{{"reference":"{CARD}"}}"#)),
        ..step(Action::Pay, "a", 1_000)
    };
    let with_code = Instruction {
        personal: Some(Zeroizing::new(r#"{"card":{"securityCode":"100"}}"#.to_owned())),
        ..step(Action::Pay, "a", 1_000)
    };
    for instruction in [with_card, with_code] {
        let refused = shop.transact(instruction).await.map(|_| ());
        let Err(Error::Core(core::Error::Caller(CallerError::Field { reason, .. }))) = refused else {
            panic!("{refused:?}")
        };
        assert!(!reason.contains(CARD));
    }
    nothing_happened(&shop).await;
}

#[tokio::test]
async fn a_live_merchant_has_no_acquirer() {
    let shop = Shop::open().await;
    let mut live = shop.rig.actor.clone();
    live.test = false;
    let refused = shop.payments.transact(&live, step(Action::Pay, "a", 1_000)).await;
    assert!(matches!(refused, Err(Error::NoAcquirer)));
    nothing_happened(&shop).await;
}

#[tokio::test]
async fn who_is_not_granted_does_and_sees_nothing() {
    let shop = Shop::open().await;
    shop.done(step(Action::Pay, "a", 1_000)).await;
    let mut stranger = shop.rig.actor.clone();
    stranger.repository = RepositoryId(999);
    let refused = [
        shop.payments
            .transact(&stranger, step(Action::Refund, "b", 1))
            .await
            .map(|_| ()),
        shop.payments.transaction(&stranger, "1", "a").await.map(|_| ()),
        shop.payments.order(&stranger, "1").await.map(|_| ()),
        shop.payments.order_and_target(&stranger, "1", None).await.map(|_| ()),
        shop.payments.open_session(&stranger, 64).await.map(|_| ()),
    ];
    for refused in refused {
        assert!(matches!(
            refused,
            Err(Error::Core(core::Error::Policy(PolicyError::Denied)))
        ));
    }
}

#[tokio::test]
async fn amounts_and_targets_stay_within_the_order() {
    let shop = Shop::open().await;
    shop.done(step(Action::Authorize, "1", 1_000)).await;
    let refund = refusal(shop.transact(step(Action::Refund, "x", 1)).await);
    assert_eq!(
        refund,
        (Part::Operation, "There is no transaction to refund".to_owned())
    );
    assert_eq!(
        refusal(shop.transact(step(Action::Capture, "x", 1_001)).await).0,
        Part::Amount
    );
    shop.done(step(Action::Capture, "2", 600)).await;
    assert_eq!(
        refusal(shop.transact(step(Action::Capture, "x", 401)).await).0,
        Part::Amount
    );
    assert_eq!(
        refusal(shop.transact(step(Action::UpdateAuthorization, "x", 599)).await).0,
        Part::Amount
    );
    assert_eq!(
        refusal(shop.transact(void("x", Some("1"))).await).0,
        Part::Operation,
        "it is captured"
    );
    assert_eq!(refusal(shop.transact(void("x", Some("nothing"))).await).0, Part::Target);
    shop.done(step(Action::Refund, "3", 100)).await;
    assert_eq!(
        refusal(shop.transact(step(Action::Refund, "x", 501)).await).0,
        Part::Amount
    );
    assert_eq!(
        refusal(shop.transact(void("x", Some("2"))).await).0,
        Part::Operation,
        "it is refunded"
    );
    shop.done(void("4", Some("3"))).await;
    for target in ["3", "4"] {
        assert_eq!(
            refusal(shop.transact(void("x", Some(target))).await).0,
            Part::Operation,
            "{target}"
        );
    }
    let mut dollars = step(Action::Capture, "x", 100);
    dollars.currency = Currency::parse("USD");
    assert_eq!(refusal(shop.transact(dollars).await).0, Part::Currency);
    for (action, target) in [
        (Action::Refund, "1"),
        (Action::Capture, "2"),
        (Action::Refund, "nothing"),
    ] {
        let mut wrong = step(action, "x", 100);
        wrong.target = Some(target.to_owned());
        assert_eq!(
            refusal(shop.transact(wrong).await).0,
            Part::Target,
            "{action:?} {target}"
        );
    }
    let none = Instruction {
        order: "2".to_owned(),
        ..void("x", None)
    };
    let none = refusal(shop.transact(none).await);
    assert_eq!(none, (Part::Operation, "There is no transaction to void".to_owned()));
}

#[tokio::test]
async fn what_is_accepted_can_be_completed() {
    let shop = Shop::open().await;
    let pay = |escapes: usize, order: &str| Instruction {
        order: order.to_owned(),
        echo: Some(format!(r#"{{"reference":"{}"}}"#, r#"\"\\"#.repeat(escapes))),
        ..step(Action::Pay, "a", 1_000)
    };
    let (mut fits, mut too_large) = (0, 16 * 1024 / 4);
    while too_large - fits > 1 {
        let escapes = (fits + too_large) / 2;
        let order = format!("{escapes}{}", "\u{1f600}".repeat(30));
        let before = shop.asked.lock().unwrap().len();
        match shop.transact(pay(escapes, &order)).await {
            Ok(record) => {
                assert!(record.view.approved());
                fits = escapes;
            }
            Err(Error::Core(core::Error::Caller(CallerError::Field { field: "order", .. }))) => {
                assert_eq!(shop.asked.lock().unwrap().len(), before);
                let order = shop.payments.order(&shop.rig.actor, &order).await.map(|_| ());
                assert!(matches!(order, Err(Error::Unknown(Part::Order))));
                too_large = escapes;
            }
            Err(other) => panic!("{escapes}: {other}"),
        }
    }
    assert!(fits > 2_000, "{fits}");
    assert!(too_large < 16 * 1024 / 4, "the document is the limit, not the text");
}

#[tokio::test]
async fn a_refund_that_no_single_capture_bears_says_so() {
    let shop = Shop::open().await;
    shop.done(step(Action::Authorize, "1", 1_000)).await;
    for capture in ["2", "3"] {
        shop.done(step(Action::Capture, capture, 500)).await;
    }
    let (part, reason) = refusal(shop.transact(step(Action::Refund, "x", 800)).await);
    assert_eq!(part, Part::Amount);
    assert!(reason.starts_with("No single capture"), "{reason}");
    let (_, reason) = refusal(shop.transact(step(Action::Refund, "x", 1_001)).await);
    assert!(reason.starts_with("The amount is more"), "{reason}");
    for (refund, target, amount) in [("4", "2", 500), ("5", "3", 300)] {
        let refund = Instruction {
            target: Some(target.to_owned()),
            ..step(Action::Refund, refund, amount)
        };
        assert!(shop.done(refund).await.approved());
    }
    assert_eq!(shop.order("1").await.refunded, cents(800));
}
