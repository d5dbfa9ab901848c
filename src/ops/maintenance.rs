//! Token maintenance, asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Services;
use super::answer::{Admin, Refusal, answer};
use crate::audit::Event;

/// One run over what is due now. It goes on when the operator leaves.
pub(super) async fn run(State(services): State<Arc<Services>>, Admin(admin): Admin) -> Result<Response, Refusal> {
    // before it begins: every card that is asked about or changed is then an event of its own
    let event = Event {
        peer: Some(admin.peer),
        ..Event::new("maintenance-run", "ok")
    };
    services.vault.note(event).await?;
    match services.maintenance.run().await {
        Some(Ok(done)) => Ok(answer(StatusCode::OK, &done)),
        Some(Err(error)) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        None => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "token maintenance has ended: the daemon stops",
        )),
    }
}
