//! The end of KEK epochs: compromised, destroyed, and the certificate of that.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::Services;
use super::answer::{At, Json, LargeJson, Refusal, answer};
use super::control::{Claimed, under_control};
use super::custody::subject;
use super::keys::refusal_of;
use crate::custody::Guarded;
use crate::transfer::Manifest;
use crate::vault::destroy::{DestroyError, Evidence};
use crate::vault::epochs::Under;
use crate::vault::{RotationError, to_its_end};

/// What an epoch is destroyed on the grounds of: a backup that who asks has verified, each byte of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destroy {
    /// Its manifest, as it stands.
    manifest: Option<String>,
    /// Tokens that it has under the epoch.
    #[serde(default)]
    tokens: u64,
    /// Other records that it has under it.
    #[serde(default)]
    documents: u64,
}

/// Why an epoch is compromised.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compromise {
    reason: Option<String>,
}

/// The longest reason, in characters.
const REASON_MAX: usize = 200;

/// Destroys the KEK of an epoch; answers with the shred certificate. Goes to its end whether anyone waits or not.
pub(super) async fn destroy(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(epoch): At<u32>,
    LargeJson(asked): LargeJson<Destroy>,
) -> Result<Response, Refusal> {
    let evidence = asked
        .manifest
        .as_deref()
        .map(|text| evidence(&services, text, &asked))
        .transpose()?;
    let backup = evidence.as_ref().map(|evidence| evidence.sha256.as_str());
    let subject = subject([("kek_epoch", epoch.into()), ("backup_sha256", backup.into())]);
    let (vault, peer) = (Arc::clone(&services.vault), claimed.peer);
    let act = async move {
        let done = to_its_end(async move { vault.destroy_epoch(epoch, evidence, peer).await }).await;
        certificate_answer(&done?)
    };
    under_control(&services, &claimed, Guarded::KeyDestroy, subject, act).await
}

/// The manifest says what its signature covers, if it is this vault's.
fn evidence(services: &Services, text: &str, asked: &Destroy) -> Result<Evidence, Refusal> {
    let bad = |why: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    let manifest =
        Manifest::parse(text.as_bytes()).map_err(|fault| bad(format!("the backup is of no use: {fault}")))?;
    let source = &services.backups;
    let own = source.keys.audit_history().map_err(|fault| bad(fault.to_string()))?;
    // by the key in use, or one that was
    let by = own.iter().find(|key| **key == manifest.key()).or(own.last());
    manifest
        .authenticate(by)
        .map_err(|fault| bad(format!("the backup is of no use: {fault}")))?;
    if *manifest.vault() != source.vault {
        return Err(bad("the backup is another vault's".to_owned()));
    }
    let mark = manifest.mark();
    Ok(Evidence {
        sha256: manifest.digest(),
        made_at: manifest.made_at(),
        revision: mark.rev,
        records: u64::try_from(mark.records).unwrap_or(0),
        head: mark.head,
        under: Under {
            tokens: asked.tokens,
            documents: asked.documents,
        },
    })
}

/// The shred certificate of an epoch.
pub(super) async fn certificate(
    State(services): State<Arc<Services>>,
    At(epoch): At<u32>,
) -> Result<Response, Refusal> {
    match services.vault.shred_certificate(epoch).await? {
        Some(text) => certificate_answer(&text),
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("KEK epoch {epoch} has no shred certificate: `panvault key status` tells its state"),
        )),
    }
}

/// Marks an epoch as compromised; moves on at once where it is the one in use.
pub(super) async fn compromise(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(epoch): At<u32>,
    Json(asked): Json<Compromise>,
) -> Result<Response, Refusal> {
    let reason = asked.reason.filter(|reason| !reason.is_empty());
    let plain = |text: &String| text.chars().count() <= REASON_MAX && !text.chars().any(char::is_control);
    if !reason.as_ref().is_none_or(plain) {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("a reason has up to {REASON_MAX} characters on one line; nothing was changed"),
        ));
    }
    let subject = subject([("kek_epoch", epoch.into()), ("compromised", true.into())]);
    let (vault, peer) = (Arc::clone(&services.vault), claimed.peer);
    let act = async move {
        let done = tokio::spawn(async move { vault.compromise(epoch, reason, peer).await }).await;
        let done = done.map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping"))?;
        Ok(answer(StatusCode::OK, &done?))
    };
    under_control(&services, &claimed, Guarded::KeyDestroy, subject, act).await
}

fn certificate_answer(text: &str) -> Result<Response, Refusal> {
    let value: Value = serde_json::from_str(text).map_err(|_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the certificate in the store is damaged",
        )
    })?;
    Ok(answer(StatusCode::OK, &value))
}

impl From<RotationError> for Refusal {
    fn from(error: RotationError) -> Self {
        let status = match &error {
            RotationError::Keys(error) => refusal_of(error),
            RotationError::Audit(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<DestroyError> for Refusal {
    fn from(error: DestroyError) -> Self {
        let status = match &error {
            DestroyError::Keys(error) => refusal_of(error),
            DestroyError::Used { .. } | DestroyError::UnderWay | DestroyError::Backup(_) | DestroyError::Kept(_) => {
                StatusCode::CONFLICT
            }
            DestroyError::Vault(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
