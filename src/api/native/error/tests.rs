use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::id::{RequestId, Revision, Token, UnixMillis};

async fn rendered(error: impl Into<Problem>) -> (Response, Value) {
    let request = RequestId::parse("req_1").unwrap();
    let (parts, body) = error.into().render(Some(&request)).into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (
        Response::from_parts(parts, Body::empty()),
        serde_json::from_slice(&bytes).unwrap(),
    )
}

#[tokio::test]
async fn every_error_of_the_core_has_its_status_and_code() {
    let caller = |error| Error::Caller(error);
    let policy = |error| Error::Policy(error);
    let dependency = |error| Error::Dependency(error);
    let integrity = |error| Error::Integrity(error);
    let now = Revision(4);
    let token = Token::parse("tok_x").unwrap();
    let cases = [
        (caller(CallerError::UnknownToken), 404, "token_unknown"),
        (caller(CallerError::Expired), 410, "token_expired"),
        (caller(CallerError::Inactive), 409, "token_inactive"),
        (caller(CallerError::Replaced), 409, "token_replaced"),
        (caller(CallerError::Spent), 410, "token_spent"),
        (caller(CallerError::Revision { now }), 412, "revision_mismatch"),
        (caller(CallerError::TokenTaken), 409, "token_taken"),
        (caller(CallerError::CardExists { token }), 409, "card_exists"),
        (caller(CallerError::FormatExhausted), 409, "format_exhausted"),
        (caller(CallerError::IdempotencyMismatch), 422, "idempotency_mismatch"),
        (caller(CallerError::BadCursor), 400, "invalid_cursor"),
        (caller(CallerError::Contended), 409, "contended"),
        (policy(PolicyError::NoCredential), 401, "credential_missing"),
        (policy(PolicyError::BadCredential), 401, "credential_invalid"),
        (
            policy(PolicyError::LoginThrottled { retry_after_s: 9 }),
            429,
            "login_throttled",
        ),
        (policy(PolicyError::Denied), 403, "denied"),
        (policy(PolicyError::Suspended), 403, "merchant_suspended"),
        (policy(PolicyError::Capped { retry_after_s: 7 }), 429, "cap_reached"),
        (dependency(DependencyError::HsmBusy), 503, "hsm_busy"),
        (dependency(DependencyError::HsmDown), 503, "hsm_unavailable"),
        (dependency(DependencyError::NoRandom), 503, "random_unavailable"),
        (dependency(DependencyError::StoreReadOnly), 503, "store_read_only"),
        (dependency(DependencyError::StoreUnavailable), 503, "store_unavailable"),
        (
            integrity(IntegrityError::KekDestroyed {
                epoch: 1,
                on: UnixMillis(1),
            }),
            410,
            "key_destroyed",
        ),
        (
            integrity(IntegrityError::KekLeft {
                epoch: 1,
                on: UnixMillis(1),
            }),
            410,
            "key_destroyed",
        ),
        (integrity(IntegrityError::Tampered), 500, "integrity"),
        (integrity(IntegrityError::Damaged), 500, "integrity"),
        (integrity(IntegrityError::NewerFormat), 500, "internal"),
    ];
    for (error, status, code) in cases {
        let (response, body) = rendered(error).await;
        assert_eq!(response.status().as_u16(), status, "{code}");
        assert_eq!(body["status"], status, "{code}");
        assert_eq!(body["code"], code);
        assert_eq!(body["type"], format!("urn:panvault:problem:{code}"));
        assert_eq!(body["request_id"], "req_1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        for member in ["title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| text.len() > 5), "{code}");
        }
        let retry = response.headers().get(header::RETRY_AFTER).is_some();
        assert_eq!(retry, matches!(status, 429 | 503) || code == "contended", "{code}");
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).is_some();
        assert_eq!(challenge, status == 401, "{code}");
    }
}

#[tokio::test]
async fn what_is_wrong_inside_stays_inside() {
    let (_, body) = rendered(Problem::internal("disk /dev/x on fire")).await;
    assert!(!body.to_string().contains("fire"), "{body}");
    let (_, body) = rendered(Error::Integrity(IntegrityError::Tampered)).await;
    assert!(!body.to_string().contains("tampered"), "{body}");
}

#[tokio::test]
async fn a_field_at_fault_is_named() {
    let error = CallerError::Field {
        field: "card.holder",
        reason: "is empty".to_owned(),
    };
    let (_, body) = rendered(Error::Caller(error.clone())).await;
    assert_eq!(
        (&body["field"], &body["detail"]),
        (&"card.holder".into(), &"card.holder is empty.".into())
    );
    let (_, body) = rendered(Problem::from(error).without_card()).await;
    assert_eq!(
        (&body["field"], &body["detail"]),
        (&"holder".into(), &"holder is empty.".into())
    );
    let (_, body) = rendered(Problem::field("", "must be an object")).await;
    assert_eq!(
        (&body["field"], &body["detail"]),
        (&Value::Null, &"The body must be an object.".into())
    );
}

#[tokio::test]
async fn a_wait_is_told_in_header_and_body() {
    let (response, body) = rendered(Error::Policy(PolicyError::Capped { retry_after_s: 42 })).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "42");
    assert_eq!(body["retry_after"], 42);
}
