//! The KEKs: how they stand, and the step to the next epoch.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::Services;
use super::answer::{At, Refusal, answer};
use super::control::{Claimed, under_control};
use super::custody::subject;
use crate::custody::Guarded;
use crate::hsm::Rotated;
use crate::keys::{KeyState, NotMoved, Refused};
use crate::vault::{FingerprintStatus, KeyStatus};

/// KEK epochs, their states, what is sealed under each, and how far the last rotation is; and so the keys of other roles.
pub(super) async fn status(State(services): State<Arc<Services>>) -> Result<Response, Refusal> {
    let body = Status {
        keks: services.vault.key_status().await?,
        fingerprint: services.vault.fingerprint_status().await?,
        audit: services.vault.key_states(Rotated::Audit),
        transport: services.vault.key_states(Rotated::Transport),
    };
    Ok(answer(StatusCode::OK, &body))
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    keks: KeyStatus,
    fingerprint: FingerprintStatus,
    audit: Vec<KeyState>,
    transport: Vec<KeyState>,
}

/// How far the last rotation is, and how many tokens there are.
pub(super) async fn rotation(State(services): State<Arc<Services>>) -> Response {
    let body = json!({
        "rotation": services.vault.rotation_status(),
        "fingerprint": services.vault.refingerprint_status(),
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

/// Moves on to the next key of another role. 202: records are put under it from now on, in the background; 200: it is done.
pub(super) async fn rotate_role(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(role): At<Rotated>,
) -> Result<Response, Refusal> {
    let (held, peer) = (Arc::clone(&services), claimed.peer);
    let act = async move {
        let vault = &held.vault;
        let (rotated, status) = match role {
            Rotated::Audit => (vault.rotate_audit(peer).await, StatusCode::OK),
            Rotated::Fingerprint => (vault.rotate_fingerprint(peer).await, StatusCode::ACCEPTED),
            Rotated::Transport => (vault.rotate_transport(peer).await, StatusCode::OK),
        };
        let generation = rotated?;
        let audit_key = vault.audit_pin().filter(|_| role == Rotated::Audit);
        let body = json!({ "role": role, "generation": generation, "audit_key": audit_key });
        Ok(answer(status, &body))
    };
    let subject = subject([("role", json!(role))]);
    under_control(&services, &claimed, Guarded::KeyRotate, subject, act).await
}

/// Whose fault it is that the keys stay as they are.
pub(super) fn refusal_of(error: &NotMoved) -> StatusCode {
    match error {
        NotMoved::Refused(Refused::Unknown(_)) => StatusCode::NOT_FOUND,
        NotMoved::Refused(_) | NotMoved::NotMade(_) => StatusCode::CONFLICT,
        NotMoved::Keyring(_) => StatusCode::INTERNAL_SERVER_ERROR,
        NotMoved::Keys(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
