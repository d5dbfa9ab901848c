//! A backup, streamed as it is made; who asked for it writes it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::channel::Channel;
use tokio::sync::mpsc;

use super::Services;
use super::answer::{Admin, LargeJson, Refusal, of_kind};
use crate::audit::Event;
use crate::transfer::{Error, Kept, Piece};
use crate::vault::accounts::AdminActor;

/// Streams pieces, the manifest last. The body is what the caller has of a backup that was cut, `{}` for nothing.
///
/// That it begins is on record before anything is handed out, and so is in the backup, under a signed head where the HSM gives
/// one; that the backup was signed is behind that.
pub(super) async fn stream(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    LargeJson(kept): LargeJson<Kept>,
) -> Result<Response, Refusal> {
    let refused = |error: Error| Refusal::new(StatusCode::CONFLICT, error.to_string());
    services.backups.admit(&kept).map_err(refused)?;
    let event = Event {
        peer: Some(admin.peer),
        ..Event::new("backup", "begun")
    };
    services.vault.note(event).await?;
    super::audit::sign_now(&services).await;
    let (mut out, body) = Channel::<Bytes, Error>::new(2);
    let (to, mut pieces) = mpsc::channel(2);
    let made = tokio::spawn(make(services, admin, kept, to));
    tokio::spawn(async move {
        while let Some(piece) = pieces.recv().await {
            // The caller left.
            let Ok(()) = out.send_data(piece.encode().into()).await else {
                return;
            };
        }
        if let Ok(Some(failed)) = made.await {
            // the caller may have left
            let _ = out.send_data(failed.encode().into()).await;
        }
    });
    Ok(of_kind("application/octet-stream", Body::new(body)))
}

/// What is to be told where it came to nothing.
async fn make(services: Arc<Services>, admin: AdminActor, kept: Kept, to: mpsc::Sender<Piece>) -> Option<Piece> {
    let event = match services.backups.send(&kept, to).await {
        Ok(manifest) => {
            tracing::info!(manifest = manifest.digest(), "a backup was signed");
            let mark = manifest.mark();
            Event {
                count: u64::try_from(mark.records).ok(),
                detail: Some(format!("up to record {}", mark.head.seq)),
                ..Event::new("backup", "signed")
            }
        }
        Err(error) => {
            tracing::warn!(%error, "a backup came to nothing");
            return Some(Piece::Failed(error.to_string()));
        }
    };
    let event = Event {
        peer: Some(admin.peer),
        ..event
    };
    if let Err(error) = services.vault.note(event).await {
        tracing::warn!(%error, "that a backup was signed is not in the audit trail");
    }
    None
}
