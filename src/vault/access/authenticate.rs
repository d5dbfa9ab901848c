//! Who is asking: a credential against the accounts.

use std::time::Instant;

use super::Access;
use crate::id::{RequestId, UnixMillis};
use crate::vault::accounts::{AccountStatus, Held, Merchant, Repository, Snapshot};
use crate::vault::credential::Presented;
use crate::vault::events::Repeated;
use crate::vault::login::Source;
use crate::vault::types::{Actor, Dialect, Error, Peer, PolicyError};

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
    /// Who asks, by an API key. `authorization` is the value of the header of that name. Where a connection has no
    /// peer (`panvault dev` on TCP), `peer` is the process that listens.
    ///
    /// A good credential is accepted also during a pause: its secret has 256 random bits, which no number of tries finds.
    /// The pause is against noise, and no caller can shut another out with it.
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
        let accounts = self.accounts.current();
        let shown = shown(authorization);
        // an id that nobody has leads to the pool that all such ids of a caller share
        let known = shown.as_ref().and_then(|shown| accounts.credential(&shown.id));
        let source = Source {
            uid: peer.uid,
            dialect,
            credential: known.map(|held| held.row.id.clone()),
        };
        match self.accepted(&accounts, dialect, shown.as_ref(), known) {
            Ok((held, merchant, repository)) => {
                self.login.succeeded(&source);
                self.accounts.note_use(held, UnixMillis::now());
                Ok(Actor {
                    peer,
                    dialect,
                    merchant: merchant.id.clone(),
                    repository: merchant.repository,
                    repository_name: repository.name.clone(),
                    rules: repository.rules,
                    test: merchant.test,
                    request,
                })
            }
            Err(refused) => {
                let now = Instant::now();
                if let Some(pause) = self.login.pause(&source, now) {
                    self.count_auth_failure(peer, dialect, "throttled");
                    return Err(Error::Policy(PolicyError::LoginThrottled {
                        retry_after_s: pause.as_secs() + u64::from(pause.subsec_nanos() > 0),
                    }));
                }
                self.login.failed(source, now);
                self.count_auth_failure(peer, dialect, refused.as_str());
                Err(Error::Policy(PolicyError::BadCredential))
            }
        }
    }

    /// The credential that was shown, its merchant and the merchant's default repository. Takes as long whether the
    /// credential exists or not.
    fn accepted<'a>(
        &self,
        accounts: &'a Snapshot,
        dialect: Dialect,
        shown: Option<&Presented>,
        known: Option<&'a Held>,
    ) -> Result<(&'a Held, &'a Merchant, &'a Repository), Refused> {
        let shown = shown.ok_or(Refused::Malformed)?;
        let same = self.comparison.holds(known.map(|held| &held.row.hash), &shown.hash);
        let held = known
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

/// The API key in the header's value, split but not believed.
fn shown(authorization: &str) -> Option<Presented> {
    let (scheme, key) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Presented::parse(key.trim_matches(' '))
}
