use std::sync::Arc;

use super::*;
use crate::card::Pan;
use crate::payment::SecurityCode;
use crate::vault::tests::Rig;

const CARD: &str = "5123450000000008";

async fn shop() -> (Rig, Payments) {
    let rig = Rig::new().await;
    let payments = Payments::new(Arc::clone(&rig.vault));
    (rig, payments)
}

fn other(text: &str) -> SessionUpdate {
    SessionUpdate {
        other: Some(Zeroizing::new(text.to_owned())),
        ..SessionUpdate::default()
    }
}

fn full_card() -> CardDetails {
    CardDetails {
        pan: Some(Pan::parse(CARD).unwrap()),
        month: Some(1),
        year: Some(2039),
        holder: Some(Zeroizing::new("Ada Lovelace".to_owned())),
        security_code: SecurityCode::parse("100"),
    }
}

#[tokio::test]
async fn details_are_kept_until_others_come() {
    let (rig, payments) = shop().await;
    let opened = payments.open_session(&rig.actor, 64).await.unwrap();
    assert!(opened.id.len() == 31 && is_id(&opened.id), "{}", opened.id);
    assert!(opened.version.len() == 10 && opened.masked.is_none() && !opened.has_security_code);

    let update = SessionUpdate {
        card: full_card(),
        ..other(r#"{"order":{"amount":"1.00"},"customer":{"email":"ada@example.com"}}"#)
    };
    let first = payments
        .update_session(&rig.actor, &opened.id, 64, update)
        .await
        .unwrap();
    assert_ne!(first.version, opened.version);
    let stored = format!("{:?}", rig.store.last_commit().writes);
    let raw = |needle: &str| {
        needle
            .bytes()
            .map(|byte| byte.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert!(
        stored.contains(&raw("51234500****0008")),
        "the masked number is in clear"
    );
    for secret in [CARD, "Lovelace", "ada@example.com", "ecurity"] {
        assert!(!stored.contains(&raw(secret)), "{secret}");
    }

    let mut change = other(r#"{"order":{"currency":"EUR"}}"#);
    change.card.month = Some(2);
    change.version = Some(first.version.clone());
    payments
        .update_session(&rig.actor, &opened.id, 64, change)
        .await
        .unwrap();
    let view = payments.session(&rig.actor, &opened.id).await.unwrap();
    assert_eq!(view.masked.as_deref(), Some("51234500****0008"));
    assert_eq!(
        (view.brand.as_deref(), view.month, view.year),
        (Some("mastercard"), Some(2), Some(2039))
    );
    assert_eq!(view.holder.as_deref().map(String::as_str), Some("Ada Lovelace"));
    assert!(view.has_security_code);
    assert_eq!(
        view.other.as_deref().map(String::as_str),
        Some(r#"{"customer":{"email":"ada@example.com"},"order":{"currency":"EUR"}}"#)
    );
}

#[tokio::test]
async fn versions_must_fit() {
    let (rig, payments) = shop().await;
    let opened = payments.open_session(&rig.actor, 64).await.unwrap();
    payments
        .update_session(&rig.actor, &opened.id, 64, other("{}"))
        .await
        .unwrap();
    let stale = SessionUpdate {
        version: Some(opened.version.clone()),
        ..SessionUpdate::default()
    };
    for (api_version, update, expected) in [
        (64, stale, Part::SessionVersion),
        (65, SessionUpdate::default(), Part::Session),
    ] {
        let refused = payments
            .update_session(&rig.actor, &opened.id, api_version, update)
            .await;
        assert!(matches!(refused, Err(Error::Invalid { part, .. }) if part == expected));
    }
    for id in ["SESSION", "", "SESSIONAAAAAAAAAAAAAAAAAAAAAAAA", "../x"] {
        let unknown = payments.session(&rig.actor, id).await.map(|_| ());
        assert!(matches!(unknown, Err(Error::Unknown(Part::Session))), "{id}");
    }
}

#[tokio::test]
async fn a_session_holds_no_sensitive_members_and_not_too_much() {
    let (rig, payments) = shop().await;
    let opened = payments.open_session(&rig.actor, 64).await.unwrap();
    let half = |name: &str| other(&format!(r#"{{"{name}":"{}"}}"#, "x".repeat(MAX_OTHER / 2)));
    payments
        .update_session(&rig.actor, &opened.id, 64, half("a"))
        .await
        .unwrap();
    for update in [half("b"), other(r#"{"a":{"cvv":"100"}}"#), other("[]")] {
        let refused = payments.update_session(&rig.actor, &opened.id, 64, update).await;
        assert!(matches!(
            refused,
            Err(Error::Invalid { .. } | Error::Core(core::Error::Caller(_)))
        ));
    }
    assert_eq!(
        payments
            .session(&rig.actor, &opened.id)
            .await
            .unwrap()
            .other
            .unwrap()
            .len(),
        MAX_OTHER / 2 + 8
    );
}

#[tokio::test]
async fn a_session_has_no_more_members_than_a_request_can_take() {
    let (rig, payments) = shop().await;
    let id = payments.open_session(&rig.actor, 64).await.unwrap().id;
    let update = |range: std::ops::Range<usize>| {
        let members: Vec<_> = range.map(|at| format!(r#""m{at}":"x""#)).collect();
        payments.update_session(&rig.actor, &id, 64, other(&format!("{{{}}}", members.join(","))))
    };
    update(0..MAX_MEMBERS - 10).await.unwrap();
    // what is there already is not counted twice
    update(5..MAX_MEMBERS).await.unwrap();
    let refused = update(MAX_MEMBERS..MAX_MEMBERS + 1).await;
    assert!(matches!(
        refused,
        Err(Error::Invalid {
            part: Part::Session,
            ..
        })
    ));
}

#[tokio::test]
async fn a_security_code_does_not_outlive_its_card() {
    let (rig, payments) = shop().await;
    let id = payments.open_session(&rig.actor, 64).await.unwrap().id;
    let waits = async |update: SessionUpdate| {
        let view = payments.update_session(&rig.actor, &id, 64, update).await.unwrap();
        let shown = payments.session(&rig.actor, &id).await.unwrap();
        assert_eq!(view.has_security_code, shown.has_security_code);
        view.has_security_code
    };
    let token = |text: &str| SessionUpdate {
        token: Some(Token::parse(text).unwrap()),
        ..SessionUpdate::default()
    };
    let card = |number: Option<&str>, code: Option<&str>| SessionUpdate {
        card: CardDetails {
            pan: number.map(|number| Pan::parse(number).unwrap()),
            security_code: code.and_then(SecurityCode::parse),
            ..CardDetails::default()
        },
        ..SessionUpdate::default()
    };
    assert!(waits(card(None, Some("100"))).await, "the code may come first");
    assert!(waits(token("one")).await);
    assert!(waits(token("one")).await);
    assert!(!waits(token("two")).await);
    assert!(waits(card(None, Some("100"))).await);
    assert!(!waits(card(Some(CARD), None)).await, "the token's code");
    assert!(waits(card(None, Some("100"))).await);
    assert!(waits(card(Some(CARD), None)).await, "the same card");
    assert!(waits(token("three")).await, "the number counts, not the token");
    assert!(!waits(card(Some("4111111111111111"), None)).await);
    assert!(waits(card(Some(CARD), Some("101"))).await, "with its own code");
}

#[tokio::test]
async fn updates_at_once_lose_nothing() {
    let (rig, payments) = shop().await;
    let id = payments.open_session(&rig.actor, 64).await.unwrap().id;
    let update = |text| payments.update_session(&rig.actor, &id, 64, other(text));
    let (a, b, c) = tokio::join!(update(r#"{"a":1}"#), update(r#"{"b":2}"#), update(r#"{"c":3}"#));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    let view = payments.session(&rig.actor, &id).await.unwrap();
    assert_eq!(view.other.unwrap().as_str(), r#"{"a":1,"b":2,"c":3}"#);
}

#[test]
fn a_session_lives_15_minutes_from_its_last_change_and_an_hour_in_all() {
    let opened = UnixMillis(1_000);
    assert_eq!(ends_at(opened, opened), UnixMillis(1_000 + 15 * 60_000));
    assert_eq!(ends_at(opened, UnixMillis(61_000)), UnixMillis(61_000 + 15 * 60_000));
    assert_eq!(
        ends_at(opened, UnixMillis(1_000 + 50 * 60_000)),
        UnixMillis(1_000 + 60 * 60_000)
    );
}
