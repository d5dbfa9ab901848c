//! Who may do what: the one question the verbs ask before they do anything, and who is asking.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::accounts::{AccountStatus, Accounts, Held, Merchant, Repository, Snapshot};
use super::caps::{CapTable, Caps, Exceeded, Moment};
use super::credential::{Comparison, Presented};
use super::events::{Events, Repeated};
use super::login::{Login, LoginLimits};
use super::policy::{BadPolicy, Explanation, Policy};
use super::types::{Actor, Dialect, Error, Operation, Peer, PolicyError};
use crate::id::{NoRandom, RequestId, UnixMillis};
use crate::telemetry::Metrics;

/// How often and how much a caller may ask; the default limits only failed logins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Caps where a grant has none of its own.
    pub caps: CapTable,
    /// Pauses after failed logins.
    pub login: LoginLimits,
}

/// Accounts, policy and caps together: what every request is held against.
pub struct Access {
    accounts: Accounts,
    policy: RwLock<Arc<Policy>>,
    cap_table: CapTable,
    caps: Caps,
    login: Login,
    comparison: Comparison,
    events: Arc<Events>,
    metrics: Metrics,
}

/// Why a credential is not accepted, for the audit trail only: the caller gets one answer for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Expired,
    Malformed,
    Suspended,
    /// No such id, not its secret, or not for this dialect.
    Wrong,
}

impl Access {
    /// Nobody has asked anything yet.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new(
        accounts: Accounts,
        policy: Policy,
        config: AccessConfig,
        events: Arc<Events>,
        metrics: Metrics,
    ) -> Result<Self, NoRandom> {
        Ok(Self {
            accounts,
            policy: RwLock::new(Arc::new(policy)),
            cap_table: config.caps,
            caps: Caps::new(MAX_CAPPED),
            login: Login::new(config.login, MAX_FAILING),
            comparison: Comparison::new()?,
            events,
            metrics,
        })
    }

    /// The accounts, for operators.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Who asks, by an API key. `authorization` is the value of the header of that name. Where a connection has no
    /// peer (`panvault dev` on TCP), `peer` is the process that listens.
    ///
    /// # Errors
    /// [`PolicyError::NoCredential`] without the header, which is not counted; [`PolicyError::LoginThrottled`] during a
    /// pause; [`PolicyError::BadCredential`] for anything else, the same whatever is wrong with it.
    pub fn authenticate_bearer(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        authorization: Option<&str>,
    ) -> Result<Actor, Error> {
        let Some(authorization) = authorization else {
            return Err(Error::Policy(PolicyError::NoCredential));
        };
        let now = Instant::now();
        if let Some(pause) = self.login.pause(peer.uid, dialect, now) {
            self.count_auth_failure(peer, dialect, "throttled");
            return Err(Error::Policy(PolicyError::LoginThrottled {
                retry_after_s: pause.as_secs() + u64::from(pause.subsec_nanos() > 0),
            }));
        }
        let accounts = self.accounts.current();
        match self.accepted(&accounts, dialect, authorization) {
            Ok((held, merchant, repository)) => {
                self.login.succeeded(peer.uid, dialect);
                self.accounts.note_use(held, UnixMillis::now());
                Ok(Actor {
                    peer,
                    dialect,
                    merchant: merchant.id.clone(),
                    repository: merchant.repository,
                    repository_name: repository.name.clone(),
                    request,
                })
            }
            Err(refused) => {
                self.login.failed(peer.uid, dialect, now);
                self.count_auth_failure(peer, dialect, refused.as_str());
                Err(Error::Policy(PolicyError::BadCredential))
            }
        }
    }

    /// Whether `actor` may do `op` on its repository now. `volume` is how many records it asks for; it counts against
    /// the caller's caps. A refusal has been counted when this returns, and is in the audit trail some seconds later,
    /// together with others like it.
    ///
    /// # Errors
    /// [`Error::Policy`]: not granted, suspended, capped.
    pub fn permit(&self, actor: &Actor, op: Operation, volume: u64) -> Result<(), Error> {
        let policy = self.policy();
        self.decide(&policy, actor, op, volume).map_err(|refusal| {
            let outcome = match refusal {
                PolicyError::Capped { .. } => {
                    self.metrics.cap_refusals.with_label_values(&[op.as_str()]).inc();
                    "capped"
                }
                PolicyError::Suspended => "suspended",
                PolicyError::BadCredential
                | PolicyError::Denied
                | PolicyError::LoginThrottled { .. }
                | PolicyError::NoCredential => "denied",
            };
            self.metrics.refusals.with_label_values(&[op.as_str(), outcome]).inc();
            self.events.count(Repeated {
                action: op.as_str(),
                outcome,
                caller: Some((actor.peer.uid, actor.peer.gid)),
                dialect: Some(actor.dialect),
                merchant: Some(actor.merchant.clone()),
                repository: Some(actor.repository_name.clone()),
            });
            Error::Policy(refusal)
        })
    }

    /// Counts `volume` records more against the caller's caps, for an operation that was permitted and whose volume shows
    /// only at its end. Nothing is refused now; a debt makes the next request wait.
    pub fn charge(&self, actor: &Actor, op: Operation, volume: u64) {
        self.caps.charge((actor.peer.uid, &actor.merchant), op, volume);
    }

    /// Reads the policy file again. A file with a fault changes nothing: the policy that was in force stays.
    ///
    /// # Errors
    /// [`BadPolicy`].
    pub fn reload_policy(&self, path: &Path, asked_by: Option<Peer>) -> Result<(), BadPolicy> {
        let read = Policy::load(path);
        self.events.count(Repeated {
            action: "policy-reload",
            outcome: if read.is_ok() { "ok" } else { "refused" },
            caller: asked_by.map(|peer| (peer.uid, peer.gid)),
            dialect: None,
            merchant: None,
            repository: None,
        });
        let policy = Arc::new(read?);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        Ok(())
    }

    /// Which grants of the policy in force allow `op` to `peer`, and why the others do not.
    pub fn explain(&self, peer: &Peer, op: Operation) -> Explanation {
        self.policy().explain(peer, op)
    }

    /// Writes what was counted and noted (refusals, failed logins, last uses) every few seconds until `stop` ends, and
    /// once more then. To be awaited before the store is closed.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let ending = tokio::select! {
                () = tokio::time::sleep(FLUSH_INTERVAL) => false,
                () = &mut stop => true,
            };
            if let Err(error) = self.events.flush().await {
                tracing::warn!(%error, "counted audit events are not written yet");
            }
            if let Err(error) = self.accounts.flush_uses().await {
                tracing::warn!(%error, "last uses of credentials were not written");
            }
            if ending {
                return;
            }
        }
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn decide(&self, policy: &Policy, actor: &Actor, op: Operation, volume: u64) -> Result<(), PolicyError> {
        let accounts = self.accounts.current();
        let merchant = accounts.merchant(&actor.merchant).ok_or(PolicyError::Denied)?;
        let repository = accounts.repository(actor.repository).ok_or(PolicyError::Denied)?;
        if !merchant.repositories.contains(&actor.repository) || !merchant.dialects.contains(&actor.dialect) {
            return Err(PolicyError::Denied);
        }
        if merchant.status == AccountStatus::Suspended || repository.status == AccountStatus::Suspended {
            return Err(PolicyError::Suspended);
        }
        let decision = policy.decide(&actor.peer, actor.dialect, &repository.name, op);
        if decision.allowed_by.is_none() {
            return Err(PolicyError::Denied);
        }
        let Some(cap) = self.cap_table.effective(&decision.caps, op) else {
            return Ok(());
        };
        self.caps
            .take(cap, (actor.peer.uid, &actor.merchant), op, volume, Moment::now())
            .map_err(|Exceeded { retry_after_s }| PolicyError::Capped { retry_after_s })
    }

    /// The credential that `authorization` shows, its merchant and the merchant's default repository. Takes as long
    /// whether the credential exists or not.
    fn accepted<'a>(
        &self,
        accounts: &'a Snapshot,
        dialect: Dialect,
        authorization: &str,
    ) -> Result<(&'a Held, &'a Merchant, &'a Repository), Refused> {
        let (scheme, key) = authorization.split_once(' ').ok_or(Refused::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::Malformed);
        }
        let shown = Presented::parse(key.trim_matches(' ')).ok_or(Refused::Malformed)?;
        let held = accounts.credential(&shown.id);
        let same = self.comparison.holds(held.map(|held| &held.row.hash), &shown.hash);
        let held = held
            .filter(|held| same && held.row.dialect == dialect)
            .ok_or(Refused::Wrong)?;
        if held.row.status == AccountStatus::Suspended {
            return Err(Refused::Suspended);
        }
        if !held.row.is_live(UnixMillis::now()) {
            return Err(Refused::Expired);
        }
        let merchant = accounts.merchant(&held.row.merchant).ok_or(Refused::Wrong)?;
        let repository = accounts.repository(merchant.repository).ok_or(Refused::Wrong)?;
        Ok((held, merchant, repository))
    }

    fn count_auth_failure(&self, peer: Peer, dialect: Dialect, outcome: &'static str) {
        self.metrics.auth_failures.with_label_values(&[dialect.as_str()]).inc();
        self.events.count(Repeated {
            action: "auth-failed",
            outcome,
            caller: Some((peer.uid, peer.gid)),
            dialect: Some(dialect),
            merchant: None,
            repository: None,
        });
    }
}

impl Refused {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::Suspended => "suspended",
            Self::Wrong => "wrong",
        }
    }
}

const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Callers whose failed logins are remembered.
const MAX_FAILING: usize = 4_096;
/// Pairs of caller and capped operation that are counted.
const MAX_CAPPED: usize = 65_536;

#[cfg(test)]
mod tests;
