//! The store, looked through while it serves.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Services;
use super::answer::{Admin, Refusal, answer};
use crate::audit::Event;
use crate::vault::check;

/// Reads all of the store: structure, counts, audit chain, records against indexes.
pub(super) async fn store(State(services): State<Arc<Services>>, Admin(admin): Admin) -> Result<Response, Refusal> {
    let event = Event {
        peer: Some(admin.peer),
        ..Event::new("store-verify", "ok")
    };
    // a damaged store, which may take no records any more, is when this is asked for
    if let Err(error) = services.vault.note(event).await {
        tracing::warn!(%error, "that the store is looked through is not in the audit trail");
    }
    match check::everything(services.store.as_ref()).await {
        Ok(report) => Ok(answer(StatusCode::OK, &report)),
        Err(error) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}
