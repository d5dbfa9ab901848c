//! Policy and configuration under dual control: only what two operators approved, by its SHA-256, comes into force.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::table::{Row, all, commit, put, read};
use super::{Custody, Error, Guarded};
use crate::audit::Event;
use crate::id::UnixMillis;
use crate::store::{Cond, Key, Store, Write};
use crate::vault::events::grouped;
use crate::vault::types::Peer;
use crate::vault::{Admitting, Gate};

/// What is in force or is to come into force, by SHA-256 in hex.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// The configuration file.
    pub configuration: Option<String>,
    /// The policy file.
    pub policy: Option<String>,
}

/// A file that nobody approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {what} (sha256 {digest}) was not approved: policies are under dual control; put the approved file back, or have it \
     approved with `panvault policy approve`"
)]
pub struct Unapproved {
    /// `configuration` or `policy`.
    pub what: &'static str,
    /// Of the file, hex.
    pub digest: String,
}

/// As stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    what: String,
    sha256: String,
    at: UnixMillis,
}

/// There while the files are under dual control, whatever a configuration says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Guard {
    since: UnixMillis,
}

impl Files {
    fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let configuration = self.configuration.as_deref().map(|digest| (CONFIGURATION, digest));
        let policy = self.policy.as_deref().map(|digest| (POLICY, digest));
        configuration.into_iter().chain(policy)
    }

    /// What a ceremony on them is about.
    pub fn subject(&self) -> Map<String, Value> {
        let named = |(what, digest): (&str, &str)| (format!("{what}_sha256"), Value::from(grouped(digest)));
        self.each().map(named).collect()
    }

    /// Both are SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// Which is not.
    pub fn checked(self) -> Result<Self, Error> {
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let fault = self.each().find(|(_, digest)| !is_digest(digest)).map(|(what, _)| what);
        fault.map_or(Ok(self), |what| Err(Error::NotADigest(what)))
    }
}

impl Custody {
    /// What the daemon starts with comes into force only if it was approved. The first start with policies under dual
    /// control takes what it finds. A configuration that was approved and no longer lists them ends it.
    ///
    /// # Errors
    /// The first file that nobody approved; the store does not work.
    pub async fn admit_at_start(&self, files: &Files) -> Result<Result<(), Unapproved>, Error> {
        let listed = self.guards(Guarded::Policy);
        let guard = read::<Guard>(self.store.as_ref(), &Guard::the_key()).await?;
        match (guard, listed) {
            (None, false) => Ok(Ok(())),
            (None, true) => {
                let guard = Guard {
                    since: UnixMillis::now(),
                };
                let mut writes = vec![put(&guard)?];
                writes.extend(approvals(files)?);
                let event = approved(files, "the first under dual control", None);
                commit(self.store.as_ref(), vec![Cond::Absent(guard.key())], writes, event).await?;
                Ok(Ok(()))
            }
            (Some(guard), listed) => {
                if let Err(fault) = self.find_unapproved(files).await? {
                    let event = Event {
                        detail: Some(format!("{} sha256 {}", fault.what, grouped(&fault.digest))),
                        ..Event::new("file-load", "denied")
                    };
                    self.vault.note(event).await?;
                    return Ok(Err(fault));
                }
                if listed {
                    self.forget_older(files).await?;
                    return Ok(Ok(()));
                }
                let event = Event {
                    detail: Some("the approved configuration does not list policy".to_owned()),
                    ..Event::new("dual-control-off", "ok")
                };
                let conds = vec![Cond::Rev(guard.row.key(), guard.rev)];
                let mut writes = vec![Write::Del(guard.row.key())];
                let all = all::<Approval>(self.store.as_ref()).await?;
                writes.extend(all.iter().map(|held| Write::Del(held.row.key())));
                commit(self.store.as_ref(), conds, writes, event).await?;
                Ok(Ok(()))
            }
        }
    }

    /// Two operators have approved `files`.
    ///
    /// # Errors
    /// Policies are not under dual control here; the store does not work.
    pub async fn approve_files(&self, by: Peer, files: &Files) -> Result<(), Error> {
        if !self.guards(Guarded::Policy) {
            return Err(Error::NotGuarded(Guarded::Policy));
        }
        let event = approved(files, "by two operators", Some(by));
        commit(self.store.as_ref(), Vec::new(), approvals(files)?, event).await
    }

    /// What was approved before `files`, which come into force, does not come back without two operators.
    async fn forget_older(&self, files: &Files) -> Result<(), Error> {
        let all = all::<Approval>(self.store.as_ref()).await?;
        let mut writes = Vec::new();
        for (what, digest) in files.each() {
            let of: Vec<_> = all.iter().filter(|held| held.row.what == what).collect();
            let Some(now) = of.iter().find(|held| held.row.sha256 == digest) else {
                continue;
            };
            let older = of.iter().filter(|held| held.row.at < now.row.at);
            writes.extend(older.map(|held| Write::Del(held.row.key())));
        }
        if writes.is_empty() {
            return Ok(());
        }
        let event = Event {
            count: u64::try_from(writes.len()).ok(),
            ..Event::new("file-approval-ended", "ok")
        };
        commit(self.store.as_ref(), Vec::new(), writes, event).await
    }

    async fn find_unapproved(&self, files: &Files) -> Result<Result<(), Unapproved>, Error> {
        let all = all::<Approval>(self.store.as_ref()).await?;
        let known = |what: &str, digest: &str| {
            all.iter()
                .any(|held| held.row.what == what && held.row.sha256 == digest)
        };
        let unknown = files.each().find(|(what, digest)| !known(what, digest));
        Ok(match unknown {
            None => Ok(()),
            Some((what, digest)) => Err(Unapproved {
                what,
                digest: digest.to_owned(),
            }),
        })
    }
}

impl Gate for Custody {
    fn admit<'a>(&'a self, configuration: Option<&'a str>, policy: &'a str) -> Admitting<'a> {
        Box::pin(async move {
            if !self.guards(Guarded::Policy) {
                return Ok(());
            }
            let files = Files {
                configuration: configuration.map(str::to_owned),
                policy: Some(policy.to_owned()),
            };
            let found = self.find_unapproved(&files).await.map_err(|error| error.to_string())?;
            found.map_err(|fault| fault.to_string())?;
            self.forget_older(&files).await.map_err(|error| error.to_string())
        })
    }
}

/// Whether files are under dual control in this store, whatever a configuration says.
pub(super) async fn is_guarded(store: &dyn Store) -> Result<bool, Error> {
    Ok(read::<Guard>(store, &Guard::the_key()).await?.is_some())
}

/// Two operators, `by` their names, have approved `files` of a vault that is not being served.
///
/// # Errors
/// Policies are not under dual control there; the store does not work.
pub async fn approve_offline(store: &dyn Store, own: Peer, files: &Files, by: &str) -> Result<(), Error> {
    if !is_guarded(store).await? {
        return Err(Error::NotGuarded(Guarded::Policy));
    }
    let event = approved(files, &format!("by {by}"), Some(own));
    commit(store, Vec::new(), approvals(files)?, event).await
}

fn approvals(files: &Files) -> Result<Vec<Write>, Error> {
    let at = UnixMillis::now();
    let rows = files.each().map(|(what, digest)| Approval {
        what: what.to_owned(),
        sha256: digest.to_owned(),
        at,
    });
    rows.map(|row| put(&row)).collect()
}

fn approved(files: &Files, how: &str, by: Option<Peer>) -> Event {
    let told: Vec<String> = files
        .each()
        .map(|(what, digest)| format!("{what} sha256 {}", grouped(digest)))
        .collect();
    Event {
        peer: by,
        detail: Some(format!("{}, {how}", told.join(", "))),
        ..Event::new("file-approve", "ok")
    }
}

impl Row for Approval {
    const TABLE: u8 = 0x42;

    fn key(&self) -> Key {
        Self::key_of(&format!("{} {}", self.what, self.sha256))
    }
}

impl Guard {
    fn the_key() -> Key {
        Self::key_of("")
    }
}

impl Row for Guard {
    const TABLE: u8 = 0x43;

    fn key(&self) -> Key {
        Self::the_key()
    }
}

const CONFIGURATION: &str = "configuration";
const POLICY: &str = "policy";
