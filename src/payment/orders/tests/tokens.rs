use super::*;
use crate::card::Expiry;
use crate::id::Token;
use crate::vault::tests::card as new_token;
use crate::vault::types::{Patch, Status};

/// A payment of order `order` with the token, and what the request gives of the card itself.
fn by_token(order: &str, token: &Token, card: CardDetails) -> Instruction {
    Instruction {
        order: order.to_owned(),
        sources: Sources {
            card,
            token: Some(token.clone()),
            ..Sources::default()
        },
        ..step(Action::Pay, "a", 1_000)
    }
}

#[tokio::test]
async fn a_token_pays_with_what_the_request_does_not_give() {
    let shop = Shop::open().await;
    // 4111111111111111, 12/30
    let token = shop.rig.create(new_token("4111111111111111")).await.token;
    let view = shop.done(by_token("1", &token, CardDetails::default())).await;
    let shown = view.card.as_ref().unwrap();
    assert!(view.approved());
    assert_eq!(shown.masked, "41111111****1111");
    assert_eq!(
        (shown.expiry, shown.token.as_ref()),
        (Expiry::new(12, 2030).ok(), Some(&token))
    );
    assert!(shop.rig.events().await.contains(&"pay ok".to_owned()));

    let newer = CardDetails {
        month: Some(5),
        year: Some(2039),
        security_code: SecurityCode::parse("100"),
        ..CardDetails::default()
    };
    let answer = shop.done(by_token("2", &token, newer)).await.answer.unwrap();
    assert_eq!(
        (answer.verdict, answer.security_code),
        (Verdict::Declined, CodeCheck::Match)
    );

    // the number of the request, the expiry of the token: the token is not opened
    let opened = shop
        .rig
        .events()
        .await
        .iter()
        .filter(|event| *event == "pay ok")
        .count();
    let other = CardDetails {
        pan: Some(Pan::parse(CARD).unwrap()),
        ..CardDetails::default()
    };
    let shown = shop.done(by_token("3", &token, other)).await.card.unwrap();
    assert_eq!((shown.masked.as_str(), shown.token), ("51234500****0008", None));
    assert_eq!(shown.expiry, Expiry::new(12, 2030).ok());
    let now = shop
        .rig
        .events()
        .await
        .iter()
        .filter(|event| *event == "pay ok")
        .count();
    assert_eq!(opened, now);
}

#[tokio::test]
async fn an_invalid_or_unknown_token_pays_nothing() {
    let shop = Shop::open().await;
    let token = shop.rig.create(new_token("4111111111111111")).await.token;
    let inactive = Patch {
        status: Some(Status::Inactive),
        ..Patch::default()
    };
    shop.rig.vault.update(&shop.rig.actor, &token, inactive).await.unwrap();
    for details in [CardDetails::default(), card(1, 2039)] {
        let (part, reason) = refusal(shop.transact(by_token("1", &token, details)).await);
        assert_eq!(part, Part::Token);
        assert!(reason.contains("invalid"), "{reason}");
    }
    let unknown = Token::parse("9000000000000001").unwrap();
    let (part, reason) = refusal(shop.transact(by_token("1", &unknown, CardDetails::default())).await);
    assert_eq!((part, reason.as_str()), (Part::Token, "There is no such token"));
    assert!(shop.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_updater_looks_ahead_for_recurring_use_that_succeeded() {
    let shop = Shop::open().await;
    let token = shop.rig.create(new_token("4111111111111111")).await.token;
    let planned = || {
        shop.rig
            .vault
            .document(&shop.rig.actor, DocumentKind::Maintenance, token.as_str())
    };
    let recurring = |order, month| Instruction {
        recurring: true,
        ..by_token(
            order,
            &token,
            CardDetails {
                month,
                year: Some(2039),
                ..CardDetails::default()
            },
        )
    };
    shop.done(by_token("1", &token, CardDetails::default())).await;
    shop.done(recurring("2", Some(5))).await;
    assert!(planned().await.unwrap().is_none(), "once, and declined");
    assert!(shop.done(recurring("3", None)).await.approved());
    assert!(planned().await.unwrap().is_some());
}
