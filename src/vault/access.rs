//! Who may do what: the one question the verbs ask before they do anything, and who is asking.

mod authenticate;
mod internal;
mod named;
mod reload;
mod signature;

use std::future::Future;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

pub use reload::{Admitting, Gate, Reconfigured, ReloadError};

use super::accounts::{AccountStatus, Accounts};
use super::caps::{CapTable, Caps, Exceeded, Moment};
use super::credential::Comparison;
use super::events::{Events, Repeated};
use super::login::{Login, LoginLimits};
use super::policy::{Explanation, Policy};
use super::types::{Actor, Dialect, Error, Operation, Peer, PolicyError};
use crate::id::{MerchantId, NoRandom, UnixMillis};
use crate::telemetry::Metrics;

/// How often and how much a caller may ask; the default limits only failed logins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Caps where a grant has none of its own.
    pub caps: CapTable,
    /// Pauses after failed logins.
    pub login: LoginLimits,
    /// The user of the TLS front: the only one whose word on a client's certificate is taken.
    pub front_uid: Option<u32>,
}

/// What a reload replaces, all at once.
struct Rules {
    policy: Policy,
    /// Where a grant has none of its own.
    caps: CapTable,
}

/// Accounts, policy and caps together: what every request is held against.
pub struct Access {
    accounts: Accounts,
    rules: RwLock<Arc<Rules>>,
    reloading: tokio::sync::Mutex<()>,
    gate: OnceLock<Weak<dyn Gate>>,
    caps: Caps,
    login: Login,
    comparison: Comparison,
    front_uid: Option<u32>,
    events: Arc<Events>,
    metrics: Metrics,
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
        // What alarms watch is there from the start, at zero: a counter that comes with its first event has not risen.
        for op in Operation::ALL {
            metrics.cap_refusals.with_label_values(&[op.as_str()]);
        }
        for dialect in Dialect::ALL {
            metrics.auth_failures.with_label_values(&[dialect.as_str()]);
        }
        Ok(Self {
            accounts,
            rules: RwLock::new(Arc::new(Rules {
                policy,
                caps: config.caps,
            })),
            reloading: tokio::sync::Mutex::default(),
            gate: OnceLock::new(),
            caps: Caps::new(MAX_CAPPED),
            login: Login::new(config.login, MAX_FAILING),
            comparison: Comparison::new()?,
            front_uid: config.front_uid,
            events,
            metrics,
        })
    }

    /// The accounts, for operators.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Whether `actor` may do `op` on its repository now. `volume` is how many records it asks for; it counts against
    /// the caller's caps. A refusal has been counted when this returns, and is in the audit trail some seconds later,
    /// together with others like it.
    ///
    /// # Errors
    /// [`Error::Policy`]: not granted, suspended, capped.
    pub fn permit(&self, actor: &Actor, op: Operation, volume: u64) -> Result<(), Error> {
        let rules = self.rules();
        self.decide(&rules, actor, op, volume).map_err(|refusal| {
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
            self.count(actor, op, outcome);
            Error::Policy(refusal)
        })
    }

    /// Since when there is a merchant of that id.
    pub(super) fn merchant_added_at(&self, id: &MerchantId) -> Option<UnixMillis> {
        self.accounts.current().merchant(id).map(|merchant| merchant.created_at)
    }

    /// Whether the rules that `actor` came with are still those of its repository.
    pub(super) fn rules_hold(&self, actor: &Actor) -> bool {
        let accounts = self.accounts.current();
        accounts
            .repository(actor.repository)
            .is_some_and(|row| row.rules == actor.rules)
    }

    /// Counts `volume` records more against the caller's caps, for an operation that was permitted and whose volume shows
    /// only at its end. Nothing is refused now; a debt makes the next request wait.
    pub fn charge(&self, actor: &Actor, op: Operation, volume: u64) {
        self.caps.charge((actor.peer.uid, &actor.merchant), op, volume);
    }

    /// Counts one that was refused; it is in the audit trail some seconds later, together with others like it.
    pub(super) fn count(&self, actor: &Actor, op: Operation, outcome: &'static str) {
        self.events.count(Repeated {
            action: op.as_str(),
            outcome,
            caller: Some((actor.peer.uid, actor.peer.gid)),
            dialect: Some(actor.dialect),
            merchant: Some(actor.merchant.clone()),
            repository: Some(actor.repository_name.clone()),
        });
    }

    /// The counted events.
    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// SHA-256 of the policy file in force, hex.
    pub fn policy_digest(&self) -> String {
        self.rules().policy.digest().to_owned()
    }

    /// Which grants of the policy in force allow `op` to `peer`, and why the others do not.
    pub fn explain(&self, peer: &Peer, op: Operation) -> Explanation {
        self.rules().policy.explain(peer, op)
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

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn decide(&self, rules: &Rules, actor: &Actor, op: Operation, volume: u64) -> Result<(), PolicyError> {
        let accounts = self.accounts.current();
        let merchant = accounts.merchant(&actor.merchant).ok_or(PolicyError::Denied)?;
        let repository = accounts.repository(actor.repository).ok_or(PolicyError::Denied)?;
        if !merchant.repositories.contains(&actor.repository) || !merchant.dialects.contains(&actor.dialect) {
            return Err(PolicyError::Denied);
        }
        if merchant.status == AccountStatus::Suspended || repository.status == AccountStatus::Suspended {
            return Err(PolicyError::Suspended);
        }
        if actor.daemon {
            return Ok(());
        }
        if !actor.reach.allows(op) {
            return Err(PolicyError::Denied);
        }
        let decision = rules.policy.decide(&actor.peer, actor.dialect, &repository.name, op);
        if decision.allowed_by.is_none() {
            return Err(PolicyError::Denied);
        }
        let Some(cap) = rules.caps.effective(&decision.caps, op) else {
            return Ok(());
        };
        self.caps
            .take(cap, (actor.peer.uid, &actor.merchant), op, volume, Moment::now())
            .map_err(|Exceeded { retry_after_s }| PolicyError::Capped { retry_after_s })
    }
}

const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Callers and credentials whose failed logins are remembered.
const MAX_FAILING: usize = 4_096;
/// Pairs of caller and capped operation that are counted.
const MAX_CAPPED: usize = 65_536;

#[cfg(test)]
mod tests;
