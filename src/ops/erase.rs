//! Erasing a namespace or a repository: receipts as they come, the signed summary last.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Services;
use super::answer::{At, Json, Refusal, answer};
use super::control::{Claimed, under_control};
use super::custody::subject;
use super::lines::streamed;
use crate::custody::Guarded;
use crate::id::{MerchantId, Namespace, RepositoryName};
use crate::payment::erasure::Whose;
use crate::vault::Erasure;
use crate::vault::accounts::AdminActor;

/// Receipts that wait for the caller.
const WAITING: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// As the store has it.
    #[serde(default)]
    namespace: Option<Namespace>,
    /// As the merchant's dialect calls it.
    #[serde(default)]
    customer: Option<String>,
    /// Whose customer.
    #[serde(default)]
    merchant: Option<MerchantId>,
    /// The most tokens in a second; 0: no limit.
    #[serde(default = "per_second")]
    per_second: u32,
    /// Only tell what there is.
    #[serde(default)]
    dry_run: bool,
}

fn per_second() -> u32 {
    200
}

/// Streams lines: receipts, then the summary; or last an object with `error`.
pub(super) async fn stream(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(repository): At<RepositoryName>,
    Json(asked): Json<Asked>,
) -> Result<Response, Refusal> {
    let admin = AdminActor { peer: claimed.peer };
    let (per_second, dry_run) = (asked.per_second, asked.dry_run);
    let whose = whose(asked)?;
    let namespace = match &whose {
        Some(whose) => {
            let meant = services
                .payments
                .namespace_meant(admin.peer, &repository, whose)
                .await?;
            Some(meant.ok_or_else(|| {
                Refusal::new(
                    StatusCode::NOT_FOUND,
                    "no merchant of that id may act in such a repository",
                )
            })?)
        }
        None => None,
    };
    let erasure = Erasure {
        repository,
        namespace,
        per_second,
    };
    if dry_run {
        return Ok(answer(StatusCode::OK, &services.vault.erasable(admin, &erasure).await?));
    }
    services.vault.check_erasure(&erasure)?;
    // the namespace as the store has it: no person's name
    let namespace = erasure.namespace.as_ref().map(Namespace::as_str);
    let subject = subject([
        ("repository", erasure.repository.as_str().into()),
        ("namespace", namespace.into()),
    ]);
    let held = Arc::clone(&services);
    let act = async move {
        let (to, receipts) = mpsc::channel(WAITING);
        let work = tokio::spawn(async move {
            let of = whose.zip(erasure.namespace.clone());
            let linked = held.payments.linked(admin.peer, erasure.repository.clone(), of);
            let erased = held.vault.erase(admin, erasure, &linked, to).await;
            erased
                .map(|summary| summary.to_json())
                .map_err(|error| error.to_string())
        });
        Ok(streamed(receipts, work))
    };
    under_control(&services, &claimed, Guarded::Erase, subject, act).await
}

fn whose(asked: Asked) -> Result<Option<Whose>, Refusal> {
    let unclear = |text| Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    match (asked.namespace, asked.customer, asked.merchant) {
        (None, None, None) => Ok(None),
        (Some(namespace), None, None) => Ok(Some(Whose::Namespace(namespace))),
        (None, Some(name), Some(merchant)) if (1..=256).contains(&name.len()) => {
            Ok(Some(Whose::Customer { merchant, name }))
        }
        (None, Some(_), Some(_)) => unclear("a customer's name has 1 to 256 bytes"),
        _ => unclear("either a namespace, or a customer and its merchant, or neither for all of the repository"),
    }
}
