//! The store, looked through while it serves.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Services;
use super::answer::{Refusal, answer};
use crate::store::Depth;

/// Reads all of the store: structure, counts, audit chain.
pub(super) async fn store(State(services): State<Arc<Services>>) -> Result<Response, Refusal> {
    match services.store.verify(Depth::Full).await {
        Ok(report) => Ok(answer(StatusCode::OK, &report)),
        Err(error) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}
