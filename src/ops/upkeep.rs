//! Questions to the policy, and files to be read again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::Services;
use super::answer::{Admin, Json, Refusal, answer};
use crate::card::BinTable;
use crate::vault::ReloadError;
use crate::vault::types::{Operation, Peer};

/// What a caller might ask.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    uid: u32,
    /// Its primary group; no group that a policy would name when not given.
    gid: Option<u32>,
    operation: Operation,
}

/// Which grants allow an operation to a caller, and why the others do not.
pub(super) async fn explain(State(services): State<Arc<Services>>, Json(question): Json<Question>) -> Response {
    let peer = Peer {
        uid: question.uid,
        gid: question.gid.unwrap_or(u32::MAX),
        pid: None,
    };
    let explanation = services.vault.access().explain(&peer, question.operation);
    answer(StatusCode::OK, &explanation)
}

/// Reads the policy file again; one with a fault changes nothing.
pub(super) async fn reload_policy(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
) -> Result<Response, Refusal> {
    let Some(path) = &services.policy else {
        return Err(Refusal::new(StatusCode::CONFLICT, "there is no policy file"));
    };
    match services.vault.access().reload_policy(path, Some(admin.peer)).await {
        Ok(()) => Ok(answer(StatusCode::OK, &json!({ "policy": path }))),
        Err(error) => {
            let status = match &error {
                ReloadError::Audit(_) => StatusCode::SERVICE_UNAVAILABLE,
                ReloadError::NotAdmitted(_) => StatusCode::FORBIDDEN,
                ReloadError::Policy(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Err(Refusal::new(status, error.to_string()))
        }
    }
}

/// Reads the BIN table's file again; one with a fault changes nothing.
pub(super) async fn reload_bin_table(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
) -> Result<Response, Refusal> {
    let Some(path) = services.bin_table.clone() else {
        return Err(Refusal::new(StatusCode::CONFLICT, "no file is configured as BIN table"));
    };
    let read = tokio::task::spawn_blocking(move || BinTable::read(&path)).await;
    let table = match read {
        Ok(Ok(table)) => table,
        Ok(Err(error)) => return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
        Err(error) => return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    };
    let rows = table.rows_from_file();
    services.vault.replace_bins(table, Some(admin.peer)).await?;
    tracing::info!(rows, "BIN table read again");
    Ok(answer(StatusCode::OK, &json!({ "rows": rows })))
}
