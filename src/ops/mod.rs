//! For operators: health, figures, and the changes that need no restart.

mod accounts;
mod answer;
mod audit;
mod backup;
mod control;
mod custody;
mod destroy;
mod erase;
mod export;
mod health;
mod keys;
mod lines;
mod maintenance;
mod notifications;
mod seal;
mod upkeep;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};

use self::answer::Refusal;
use crate::custody::Custody;
use crate::hsm::Client;
use crate::payment::Payments;
use crate::payment::maintenance::MaintenanceRuns;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::transfer::Source;
use crate::vault::Vault;
use crate::vault::types::Peer;

/// What operators look at and change.
pub struct Services {
    /// The core.
    pub vault: Arc<Vault>,
    /// Operators and their ceremonies.
    pub custody: Arc<Custody>,
    /// Token maintenance.
    pub maintenance: MaintenanceRuns,
    /// What tells merchants.
    pub payments: Arc<Payments>,
    /// The daemon's process.
    pub own: Peer,
    /// What backups are made of.
    pub backups: Arc<Source>,
    /// The workers.
    pub hsm: Client,
    /// The store.
    pub store: Arc<dyn Store>,
    /// All figures.
    pub metrics: Metrics,
    /// The file of the BIN table, when the configuration names one.
    pub bin_table: Option<PathBuf>,
    /// The policy file; none in tests.
    pub policy: Option<PathBuf>,
    /// Whether cards may be taken out in bulk.
    pub exports: bool,
    /// Who is let in on admin.sock.
    pub admins: Admins,
    /// SHA-256 of the configuration in force, hex.
    pub config_digest: String,
    /// When the daemon started.
    pub started: Instant,
}

/// Who is let in on admin.sock, beside root and the daemon's own user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admins {
    /// Users.
    pub uids: Vec<u32>,
    /// Primary groups: the kernel tells no others.
    pub gids: Vec<u32>,
}

impl Admins {
    fn admit(&self, peer: Peer) -> bool {
        peer.uid == 0
            || peer.uid == nix::unistd::geteuid().as_raw()
            || self.uids.contains(&peer.uid)
            || self.gids.contains(&peer.gid)
    }
}

/// `/healthz`, `/readyz` and `/metrics`, for anyone who can connect.
pub fn health_router(services: &Arc<Services>) -> Router {
    finished(health_routes()).with_state(Arc::clone(services))
}

/// Everything operators may do. Requests must carry their caller among their extensions; who is not an admin is refused.
pub fn admin_router(services: &Arc<Services>) -> Router {
    let routes = health_routes()
        .route("/status", get(health::status))
        .route(
            "/admin/merchants",
            get(accounts::merchants).post(accounts::add_merchant),
        )
        .route("/admin/merchants/{id}", delete(accounts::remove_merchant))
        .route("/admin/merchants/{id}/suspend", post(accounts::suspend_merchant))
        .route("/admin/merchants/{id}/resume", post(accounts::resume_merchant))
        .route("/admin/merchants/{id}/credentials", get(accounts::merchant_credentials))
        .route(
            "/admin/repositories",
            get(accounts::repositories).post(accounts::add_repository),
        )
        .route("/admin/repositories/{name}", delete(accounts::remove_repository))
        .route("/admin/repositories/{name}/erase", post(erase::stream))
        .route("/admin/repositories/{name}/export", post(export::stream))
        .route("/admin/repositories/{name}/rules", post(accounts::set_rules))
        .route("/admin/repositories/{name}/retention", put(accounts::set_retention))
        .route("/admin/repositories/{name}/suspend", post(accounts::suspend_repository))
        .route("/admin/repositories/{name}/resume", post(accounts::resume_repository))
        .route(
            "/admin/repositories/{name}/merchants/{id}",
            put(accounts::grant_repository).delete(accounts::revoke_repository),
        )
        .route(
            "/admin/credentials",
            get(accounts::credentials).post(accounts::add_credential),
        )
        .route("/admin/credentials/{id}", delete(accounts::remove_credential))
        .route("/admin/credentials/{id}/suspend", post(accounts::suspend_credential))
        .route("/admin/credentials/{id}/resume", post(accounts::resume_credential))
        .route("/admin/operators", get(custody::operators).post(custody::add_operator))
        .route("/admin/operators/enroll", post(custody::enroll))
        .route("/admin/operators/{name}", delete(custody::remove_operator))
        .route("/admin/operators/{name}/reset", post(custody::reset_operator))
        .route("/admin/ceremonies", get(custody::ceremonies))
        .route("/admin/ceremonies/{id}/approve", post(custody::approve))
        .route("/admin/ceremonies/{id}/cancel", post(custody::cancel))
        .route("/admin/ceremonies/{id}/transcript", get(custody::transcript))
        .route("/admin/policy/approve", post(custody::approve_files))
        .route("/admin/policy/explain", post(upkeep::explain))
        .route("/admin/policy/reload", post(upkeep::reload_policy))
        .route("/admin/bin-table/reload", post(upkeep::reload_bin_table))
        .route("/admin/maintenance/run", post(maintenance::run))
        .route("/admin/seal", post(seal::seal))
        .route("/admin/keys", get(keys::status))
        .route("/admin/keys/rotate", post(keys::rotate))
        .route("/admin/keys/{role}/rotate", post(keys::rotate_role))
        .route("/admin/keys/rotation", get(keys::rotation))
        .route("/admin/keys/{epoch}/certificate", get(destroy::certificate))
        .route("/admin/keys/{epoch}/compromise", post(destroy::compromise))
        .route("/admin/keys/{epoch}/destroy", post(destroy::destroy))
        .route("/admin/notifications", get(notifications::list))
        .route("/admin/notifications/retry", post(notifications::retry))
        .route("/admin/backup", post(backup::stream))
        .route("/admin/store/verify", post(verify::store))
        .route("/admin/verify/{sample}/{rate}", get(verify::sealed))
        .route("/admin/audit/from/{seq}", get(audit::from))
        .route("/admin/audit/last/{count}", get(audit::last));
    finished(routes)
        .layer(from_fn_with_state(Arc::clone(services), admins_only))
        .with_state(Arc::clone(services))
}

fn health_routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

/// With answers to what is not among the routes.
fn finished(routes: Router<Arc<Services>>) -> Router<Arc<Services>> {
    routes
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the method is not known here; Allow says which are",
            )
        })
}

async fn admins_only(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let admitted = match peer {
        Some(peer) => services.admins.admit(peer) || services.custody.is_operator(peer.uid).await,
        None => false,
    };
    match peer {
        Some(peer) if admitted => {
            let path = request.uri().path();
            // whose reading of the trail is on record one by one
            let reads = request.method() == Method::GET && path.starts_with("/admin/");
            if reads && !path.starts_with("/admin/audit/") {
                services.vault.count_admin("admin-read", "ok", peer);
            }
            next.run(request).await
        }
        Some(peer) => {
            services.vault.count_admin("admin", "denied", peer);
            tracing::warn!(uid = peer.uid, gid = peer.gid, "not an admin");
            Refusal::new(StatusCode::FORBIDDEN, "this socket is for the vault's admins").into_response()
        }
        None => Refusal::new(StatusCode::FORBIDDEN, "the caller is not known").into_response(),
    }
}

#[cfg(test)]
mod tests;
