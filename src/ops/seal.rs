//! Sealing a vault that custodians unseal.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::Services;
use super::answer::{Admin, Refusal, answer};
use crate::audit::Event;

/// Has the PIN forgotten and ends the workers. That the keeper did so is an event of its own.
pub(super) async fn seal(State(services): State<Arc<Services>>, Admin(admin): Admin) -> Result<Response, Refusal> {
    if services.hsm.health().seal.is_none() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "this vault does not start sealed (hsm.unseal = \"ceremony\"): nothing could unseal it; stop it instead",
        ));
    }
    let event = Event {
        peer: Some(admin.peer),
        ..Event::new("seal", "ok")
    };
    services.vault.note(event).await?;
    services.hsm.seal();
    Ok(answer(StatusCode::OK, &json!({"sealed": true})))
}
