//! Notifications that were not delivered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::Services;
use super::answer::{Admin, Refusal, answer};
use crate::audit::Event;
use crate::payment::shopper::Error;

/// All that wait or are dead.
pub(super) async fn list(State(services): State<Arc<Services>>, Admin(_): Admin) -> Result<Response, Refusal> {
    let all = services.payments.undelivered(services.own).await.map_err(refused)?;
    Ok(answer(StatusCode::OK, &json!({"notifications": all})))
}

/// The dead ones are delivered again, from the beginning.
pub(super) async fn retry(State(services): State<Arc<Services>>, Admin(admin): Admin) -> Result<Response, Refusal> {
    let event = Event {
        peer: Some(admin.peer),
        ..Event::new("notifications-retry", "ok")
    };
    services.vault.note(event).await?;
    let revived = services
        .payments
        .revive_notifications(services.own)
        .await
        .map_err(refused)?;
    Ok(answer(StatusCode::OK, &json!({"revived": revived})))
}

fn refused(error: Error) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
