//! The store, looked through while it serves.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Services;
use super::answer::{Refusal, answer};
use crate::vault::check;

/// Reads all of the store: structure, counts, audit chain, records against indexes.
pub(super) async fn store(State(services): State<Arc<Services>>) -> Result<Response, Refusal> {
    match check::everything(services.store.as_ref()).await {
        Ok(report) => Ok(answer(StatusCode::OK, &report)),
        Err(error) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}
