//! The audit trail, a line of JSON each, streamed as the store gives it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::channel::Channel;

use super::Services;
use super::answer::{Admin, At, Refusal, of_kind};
use crate::audit::Event;
use crate::store::{self, Store};
use crate::vault::accounts::AdminActor;

/// Lines read at once.
const PAGE: u32 = 1000;

/// The reader does not wait longer for the HSM.
const HEAD_WAIT: Duration = Duration::from_secs(3);

/// All lines from a sequence number to the last one at this moment, which is a signed head where the HSM gives one: who
/// verifies or exports the trail has a signature over all of it.
pub(super) async fn from(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(seq): At<u64>,
) -> Result<Response, Refusal> {
    sign_now(&services).await;
    let to = services.store.health().audit_seq;
    read(&services, admin, seq.max(1), to).await
}

/// A signed head of now where the HSM gives one: what is taken out of the trail is to have a signature over it.
pub(super) async fn sign_now(services: &Services) {
    match tokio::time::timeout(HEAD_WAIT, services.vault.sign_head()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "the trail is read without a head of now"),
        Err(_) => tracing::info!("the trail is read without a head of now: the HSM does not answer"),
    }
}

/// The last lines.
pub(super) async fn last(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(count): At<u64>,
) -> Result<Response, Refusal> {
    let to = services.store.health().audit_seq;
    read(&services, admin, to.saturating_sub(count).saturating_add(1), to).await
}

/// Who reads the trail is in the trail first (PCI DSS 10.2.1.3), behind what he reads.
async fn read(services: &Services, admin: AdminActor, from: u64, to: u64) -> Result<Response, Refusal> {
    let event = Event {
        peer: Some(admin.peer),
        detail: Some(format!("records {from} to {to}")),
        ..Event::new("audit-read", "ok")
    };
    services.vault.note(event).await?;
    Ok(stream(Arc::clone(&services.store), from, to))
}

fn stream(store: Arc<dyn Store>, from: u64, to: u64) -> Response {
    let (mut lines, body) = Channel::<Bytes, store::Error>::new(2);
    tokio::spawn(async move {
        let mut next = from;
        while next <= to {
            match store.audit(next, PAGE).await {
                Ok(page) => {
                    let Some(last) = page.last().map(|line| line.seq) else {
                        return;
                    };
                    let mut text = Vec::with_capacity(page.iter().map(|line| line.line.len() + 1).sum());
                    for line in page.iter().filter(|line| line.seq <= to) {
                        text.extend_from_slice(&line.line);
                        text.push(b'\n');
                    }
                    // The caller left.
                    let Ok(()) = lines.send_data(text.into()).await else {
                        return;
                    };
                    next = last.saturating_add(1);
                }
                Err(error) => {
                    tracing::warn!(%error, seq = next, "the audit trail could not be read");
                    // Ends the answer in the middle, so that it cannot be taken for the whole.
                    return lines.abort(error);
                }
            }
        }
    });
    of_kind("application/x-ndjson", Body::new(body))
}
