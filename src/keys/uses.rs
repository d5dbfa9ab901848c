//! How often each key was used, by KEK epoch: what a vendor's HSM may not log, told by who uses it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::ops::Counted;
use super::{Error, Keys};
use crate::hsm::{self, Epoch, Generation, Job, Reply};

/// A key, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    key: &'static str,
    epoch: Option<Epoch>,
    generation: Option<Generation>,
    how: &'static str,
}

/// The audit key signs what tells of its use: that alone is no news.
const AUDIT: &str = "audit key";

/// Uses since they were told last.
#[derive(Debug, Default)]
pub struct Uses(Mutex<BTreeMap<Use, u64>>);

/// Uses that are about to be told.
#[derive(Debug)]
pub struct Told(BTreeMap<Use, u64>);

impl Uses {
    /// Counts what `job` uses.
    fn count(&self, uses: [Option<Use>; 2]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for used in uses.into_iter().flatten() {
            let count = counts.entry(used).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Takes the counts, unless there is nothing to tell.
    pub fn take(&self) -> Option<Told> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = counts.keys().any(|used| used.key != AUDIT);
        news.then(|| Told(std::mem::take(&mut *counts)))
    }

    /// Counts again what could not be told.
    pub fn give_back(&self, told: Told) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (used, count) in told.0 {
            let there = counts.entry(used).or_default();
            *there = there.saturating_add(count);
        }
    }
}

impl Told {
    /// Uses in all.
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl std::fmt::Display for Told {
    /// `KEK of epoch 1: open 3, seal 2; fingerprint key: mac 2`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = None;
        for (used, count) in &self.0 {
            let Use {
                key,
                epoch,
                generation,
                how,
            } = used;
            if before == Some((key, epoch, generation)) {
                write!(f, ", {how} {count}")?;
                continue;
            }
            f.write_str(if before.is_some() { "; " } else { "" })?;
            match (epoch, generation) {
                (Some(epoch), _) => write!(f, "{key} of epoch {}: {how} {count}", epoch.0)?,
                (None, Some(generation)) => write!(f, "{key} {}: {how} {count}", generation.0)?,
                (None, None) => write!(f, "{key}: {how} {count}")?,
            }
            before = Some((key, epoch, generation));
        }
        Ok(())
    }
}

/// What a job uses; a seal may make a fingerprint too.
fn uses(job: &Job) -> [Option<Use>; 2] {
    let kek = |epoch: &Epoch, how| {
        Some(Use {
            key: "KEK",
            epoch: Some(*epoch),
            generation: None,
            how,
        })
    };
    let key = |key, how| {
        Some(Use {
            key,
            epoch: None,
            generation: None,
            how,
        })
    };
    // the first of a role goes without a number, as long as there is no other
    let of = |key, generation: Generation, how| {
        Some(Use {
            key,
            epoch: None,
            generation: Some(generation).filter(|there| *there != Generation::FIRST),
            how,
        })
    };
    match job {
        Job::Seal { epoch, mac, .. } => [
            kek(epoch, "seal"),
            mac.as_ref()
                .and_then(|(generation, _)| of("fingerprint key", *generation, "mac")),
        ],
        Job::Open { epoch, .. } => [kek(epoch, "open"), None],
        Job::Rewrap { from, to, .. } => [kek(from, "rewrap from"), kek(to, "rewrap to")],
        Job::Reseal { epoch, .. } => [kek(epoch, "reseal"), None],
        Job::Mac { generation, .. } => [of("fingerprint key", *generation, "mac"), None],
        Job::Refingerprint { epoch, generation, .. } => [
            kek(epoch, "refingerprint"),
            of("fingerprint key", *generation, "refingerprint"),
        ],
        Job::Sign { generation, .. } => [of(AUDIT, *generation, "sign"), None],
        Job::OpenJwe { generation, .. } => [of("transport key", *generation, "open"), None],
        Job::OpenLocker { .. } => [key("locker key", "open"), None],
        Job::SignLocker { .. } => [key("locker key", "sign"), None],
        Job::SignPlatform { .. } => [key("platform key", "sign"), None],
        Job::Kek { .. } | Job::Probe | Job::Random { .. } => [None, None],
    }
}

impl Keys {
    /// Has the HSM do a job, and counts which keys it used.
    pub(super) async fn call(&self, job: Job) -> Result<Reply, Error> {
        let used = uses(&job);
        let reply = self.client.call(job).await?;
        self.uses.count(used);
        Ok(reply)
    }

    /// As [`Keys::call`], of a job that wraps a DEK and is counted as one.
    pub(super) async fn call_counted(&self, job: Job, counted: Counted<'_>) -> Result<Reply, Error> {
        let answer = self.call(job).await;
        match &answer {
            // who waits no longer does not know what it comes to
            Err(Error::Hsm(hsm::Error::Deadline)) => drop(counted),
            _ => counted.settle(),
        }
        answer
    }

    /// How often keys were used.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hsm::{SecretBytes, WrappedKey};

    /// As after two seals, one of them with a fingerprint, and an open under another epoch.
    pub(crate) fn some() -> Uses {
        let counts = Uses::default();
        let seal = |mac| Job::Seal {
            epoch: Epoch(2),
            mac,
            parts: Vec::new(),
        };
        let open = Job::Open {
            epoch: Epoch(1),
            dek: WrappedKey(Vec::new()),
            parts: Vec::new(),
        };
        for job in [
            seal(None),
            seal(Some((Generation::FIRST, SecretBytes::new(vec![1])))),
            open,
        ] {
            counts.count(uses(&job));
        }
        counts
    }

    #[test]
    fn uses_are_told_by_key_and_epoch_and_once() {
        let counts = some();
        let told = counts.take().unwrap();
        let text = "KEK of epoch 1: open 1; KEK of epoch 2: seal 2; fingerprint key: mac 1";
        assert_eq!((told.to_string().as_str(), told.total()), (text, 4));
        assert!(counts.take().is_none());
        counts.give_back(told);
        assert_eq!(counts.take().unwrap().to_string(), text);
    }

    #[test]
    fn signatures_of_the_audit_key_wait_for_other_news() {
        let counts = Uses::default();
        let sign = Job::Sign {
            generation: Generation::FIRST,
            message: Vec::new(),
        };
        counts.count(uses(&sign));
        assert!(counts.take().is_none());
        counts.give_back(some().take().unwrap());
        assert!(counts.take().unwrap().to_string().contains("audit key: sign 1"));
    }
}
