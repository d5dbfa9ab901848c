//! Cards of a repository, encrypted to a recipient: chunks as they come, the signed manifest last.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Services;
use super::answer::{At, Json, Refusal};
use super::control::{Claimed, under_control};
use super::custody::subject;
use super::lines::streamed;
use crate::custody::Guarded;
use crate::id::RepositoryName;
use crate::jose::RsaPublicKey;
use crate::transfer::Export;
use crate::vault::accounts::{AccountError, AdminActor, Kind};

/// Chunks that wait for the caller.
const WAITING: usize = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// PEM.
    recipient: RsaPublicKey,
}

/// Streams lines: chunks, then the manifest; or last an object with `error`.
pub(super) async fn stream(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(repository): At<RepositoryName>,
    Json(asked): Json<Asked>,
) -> Result<Response, Refusal> {
    if !services.exports {
        services.vault.count_admin("export", "denied", claimed.peer);
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "exports are off: `[export] enabled = true` in the configuration and a restart allow them",
        ));
    }
    if asked.recipient.bits() < Export::BITS_MIN {
        let min = Export::BITS_MIN;
        let text = format!(
            "the recipient's key has {} bits; cards go to no RSA key of less than {min}",
            asked.recipient.bits()
        );
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let all = services.vault.access().accounts().repositories();
    if all.iter().all(|there| there.name != repository) {
        return Err(AccountError::Unknown(Kind::Repository).into());
    }
    let subject = subject([
        ("repository", repository.as_str().into()),
        ("recipient", asked.recipient.jwk().kid().into()),
    ]);
    let export = Export {
        vault: Arc::clone(&services.vault),
        admin: AdminActor { peer: claimed.peer },
        repository,
        recipient: asked.recipient,
    };
    let act = async move {
        let (to, lines) = mpsc::channel(WAITING);
        let work = tokio::spawn(async move {
            let sent = export.send(to).await;
            sent.map(|manifest| manifest.to_json())
                .map_err(|error| error.to_string())
        });
        Ok(streamed(lines, work))
    };
    under_control(&services, &claimed, Guarded::Export, subject, act).await
}
