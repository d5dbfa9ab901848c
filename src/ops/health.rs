//! Whether the daemon lives, works, and how it is.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::json;

use super::Services;
use super::answer::{Refusal, answer};
use crate::id::UnixMillis;
use crate::{hsm, store};

/// How the daemon is.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    ready: bool,
    /// Why not, one reason each.
    reasons: Vec<String>,
    uptime_s: u64,
    config_digest: String,
    hsm: hsm::Health,
    store: store::Health,
    /// Tokens stored.
    tokens: u64,
    kek: KekStatus,
    audit: AuditHead,
    /// When a credential was last used, to the minute.
    last_use: Option<String>,
}

/// The KEK epoch that seals.
#[derive(Serialize)]
struct KekStatus {
    epoch: u32,
    /// When it seals no more, where that is so; RFC 3339.
    not_after: Option<String>,
    /// Whether that is over.
    over: bool,
    /// Why nothing is sealed until it is rotated, for people.
    stopped: Option<String>,
    /// Data keys that it has wrapped.
    ops: Option<u64>,
    /// How many it may, where that is limited.
    max_ops: Option<u64>,
}

/// The end of the audit chain.
#[derive(Serialize)]
struct AuditHead {
    seq: u64,
    /// base64url of the last line's SHA-256: the next line's `prev`. Absent where the store cannot read it.
    hash: Option<String>,
    /// Records that no signed head covers yet.
    unsigned: u64,
}

/// The process answers.
pub(super) async fn alive() -> Response {
    answer(StatusCode::OK, &json!({"status": "alive"}))
}

/// The HSM works and the store takes writes; 503 with the reasons otherwise.
pub(super) async fn ready(State(services): State<Arc<Services>>) -> Response {
    let reasons = reasons(&services.hsm.health(), &services.store.health());
    let status = match reasons.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer(status, &json!({"ready": reasons.is_empty(), "reasons": reasons}))
}

/// Prometheus text.
pub(super) async fn metrics(State(services): State<Arc<Services>>) -> Result<Response, Refusal> {
    let text = services
        .metrics
        .render()
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    Ok(response)
}

/// Everything at a glance.
pub(super) async fn status(State(services): State<Arc<Services>>) -> Response {
    let (hsm, store) = (services.hsm.health(), services.store.health());
    let reasons = reasons(&hsm, &store);
    let last_line = services.store.audit(store.audit_seq.max(1), 1).await;
    let hash = last_line.ok().and_then(|lines| {
        let last = lines.into_iter().find(|line| line.seq == store.audit_seq)?;
        Some(BASE64URL_NOPAD.encode(digest(&SHA256, &last.line).as_ref()))
    });
    let (epoch, end) = services.vault.sealing_epoch();
    let (stopped, ops) = services.vault.sealing_stopped();
    let credentials = services.vault.access().accounts().credentials(None);
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: reasons.is_empty(),
        reasons,
        uptime_s: services.started.elapsed().as_secs(),
        config_digest: services.config_digest.clone(),
        tokens: store.records,
        kek: KekStatus {
            epoch,
            not_after: end.map(|end| end.to_string()),
            over: end.is_some_and(|end| end < UnixMillis::now()),
            stopped,
            ops: ops.map(|(done, _)| done),
            max_ops: ops.and_then(|(_, max)| max),
        },
        audit: AuditHead {
            seq: store.audit_seq,
            hash,
            unsigned: services.vault.unsigned_records(),
        },
        // RFC 3339 in UTC with a fixed number of digits sorts as time does.
        last_use: credentials
            .into_iter()
            .filter_map(|credential| credential.last_used_at)
            .max(),
        hsm,
        store,
    };
    answer(StatusCode::OK, &status)
}

fn reasons(hsm: &hsm::Health, store: &store::Health) -> Vec<String> {
    let why = |what: &str, reason: &Option<String>| match reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what.to_owned(),
    };
    let mut reasons = Vec::new();
    let sealed = hsm.seal.as_ref().filter(|seal| seal.sealed);
    if let Some(seal) = sealed.filter(|_| !hsm.ready) {
        reasons.push(seal.to_string());
    } else if !hsm.ready {
        reasons.push(why("the HSM is not ready", &hsm.reason));
    }
    if !store.writable {
        reasons.push(why("the store takes no writes", &store.reason));
    }
    reasons
}
