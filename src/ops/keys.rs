//! The KEKs: how they stand, and the step to the next epoch.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::Services;
use super::answer::{Refusal, answer};
use super::control::{Claimed, under_control};
use super::custody::subject;
use crate::custody::Guarded;
use crate::keys::{NotMoved, Refused};

/// Epochs, their states, what is sealed under each, and how far the last rotation is.
pub(super) async fn status(State(services): State<Arc<Services>>) -> Result<Response, Refusal> {
    Ok(answer(StatusCode::OK, &services.vault.key_status().await?))
}

/// How far the last rotation is, and how many tokens there are.
pub(super) async fn rotation(State(services): State<Arc<Services>>) -> Response {
    let body = json!({
        "rotation": services.vault.rotation_status(),
        "tokens": services.store.health().records,
    });
    answer(StatusCode::OK, &body)
}

/// Moves on to the next epoch. 202: records are put under it from now on, in the background.
pub(super) async fn rotate(State(services): State<Arc<Services>>, claimed: Claimed) -> Result<Response, Refusal> {
    let (held, peer) = (Arc::clone(&services), claimed.peer);
    let act = async move {
        let epoch = held.vault.rotate(peer).await?;
        Ok(answer(StatusCode::ACCEPTED, &json!({ "epoch": epoch })))
    };
    let subject = subject([("role", "kek".into())]);
    under_control(&services, &claimed, Guarded::KeyRotate, subject, act).await
}

/// Whose fault it is that the keys stay as they are.
pub(super) fn refusal_of(error: &NotMoved) -> StatusCode {
    match error {
        NotMoved::Refused(Refused::Unknown(_)) => StatusCode::NOT_FOUND,
        NotMoved::Refused(_) => StatusCode::CONFLICT,
        NotMoved::Keyring(_) => StatusCode::INTERNAL_SERVER_ERROR,
        NotMoved::Keys(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
