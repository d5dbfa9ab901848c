//! Erasing a namespace or a repository: receipts as they come, the signed summary last.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::channel::Channel;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::Services;
use super::answer::{Admin, At, Json, Refusal, answer, of_kind};
use crate::id::{MerchantId, Namespace, RepositoryName};
use crate::payment::erasure::Whose;
use crate::vault::Erasure;
use crate::vault::accounts::{AccountError, AdminActor};

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
    Admin(admin): Admin,
    At(repository): At<RepositoryName>,
    Json(asked): Json<Asked>,
) -> Result<Response, Refusal> {
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
    let mut erasure = Erasure {
        repository,
        namespace,
        per_second,
        linked: BTreeMap::new(),
    };
    if dry_run {
        return Ok(answer(StatusCode::OK, &services.vault.erasable(admin, &erasure).await?));
    }
    services.vault.check_erasure(&erasure)?;
    let (mut out, body) = Channel::<Bytes, std::convert::Infallible>::new(2);
    let (to, mut receipts) = mpsc::channel(WAITING);
    let made = tokio::spawn(async move {
        if let (Some(whose), Some(namespace)) = (&whose, &erasure.namespace) {
            let payments = &services.payments;
            let linked = payments.erase_linked(admin.peer, &erasure.repository, whose, namespace);
            erasure.linked = linked.await.map_err(|error| error.to_string())?;
        }
        erase(&services, admin, erasure, to)
            .await
            .map_err(|error| error.to_string())
    });
    tokio::spawn(async move {
        while let Some(line) = receipts.recv().await {
            // The caller left, and the erasure ends.
            let Ok(()) = out.send_data(Bytes::from(line + "\n")).await else {
                return;
            };
        }
        let last = match made.await {
            Ok(Ok(summary)) => summary,
            Ok(Err(error)) => json!({ "error": error }).to_string(),
            Err(_) => json!({ "error": "the erasure died: see the daemon's log" }).to_string(),
        };
        // the caller may have left
        let _ = out.send_data(Bytes::from(last + "\n")).await;
    });
    Ok(of_kind("application/jsonl", Body::new(body)))
}

async fn erase(
    services: &Services,
    admin: AdminActor,
    erasure: Erasure,
    to: mpsc::Sender<String>,
) -> Result<String, AccountError> {
    let erased = services.vault.erase(admin, erasure, to).await;
    if let Err(error) = &erased {
        tracing::warn!(%error, "an erasure stopped");
    }
    Ok(erased?.to_json())
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
