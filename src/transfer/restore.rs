//! Restoring a backup into an empty place: every byte is held against the manifest, the store is built beside its place,
//! read over there, and put in place when nothing is wrong with it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

pub use super::stage::Target;
use super::stage::{Begun, Stage};
use super::{Backup, Error, Later, LaterKeyring};
use crate::audit::Event;
use crate::hsm::Handover;
use crate::id::VaultId;
use crate::store::sled::{Loader, SledStore};
use crate::store::{self, Commit, Mark, Store};
use crate::telemetry::Metrics;
use crate::vault::epochs::{Under, by_epoch};
use crate::vault::replay::{Replay, Replayed};
use crate::vault::types as vault;
use crate::vault::{check, owner};

/// Audit lines read at once.
const LINES: u32 = 1000;

/// What shall be restored, and what may come back with it.
pub struct Plan<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// The audit trail after it: what it says was deleted or spent is so again, and the trail goes on behind it.
    pub later: Option<&'a Later>,
    /// The keyring that takes the place of the backup's: a later one.
    pub keyring: Option<&'a LaterKeyring>,
    /// What was deleted or taken back after the backup may come back.
    pub accept_returning: bool,
    /// Pages of the restored store that are looked through at a time.
    pub pages: usize,
    /// Asked of the restored store before it gets its place: who agreed, or why not.
    pub agreed: Option<Agreed<'a>>,
}

/// Who agreed, for the audit trail, where somebody must; else why that is not so, for people.
pub type Agreed<'a> = &'a dyn Fn(Arc<dyn Store>) -> Agreeing<'a>;

/// The answer.
pub type Agreeing<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, String>> + 'a>>;

/// What a restoration came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Whose.
    pub vault: VaultId,
    /// Records in the store.
    pub records: u64,
    /// The last record of the audit trail that was given, or of the backup's.
    pub through: u64,
    /// What was done again out of the later audit trail.
    pub replayed: Replayed,
    /// What is sealed under which KEK epoch; empty where a run before did the work.
    pub under: BTreeMap<u32, Under>,
    /// A run before was cut while it was being put in place; this one only finished that.
    pub finished: bool,
}

/// Restores. `step` is told what is being done.
///
/// # Errors
/// As [`Error`] lists them; nothing was changed then, but where it is said to be half put in place.
pub async fn restore(
    plan: &Plan<'_>,
    target: &Target,
    metrics: Metrics,
    mut step: impl FnMut(&str),
) -> Result<Restored, Error> {
    let manifest = plan.backup.manifest();
    let (stage, restored) = match Stage::begin(target, &manifest.digest())? {
        Begun::Proved(stage) => {
            let restored = Restored {
                vault: manifest.vault().clone(),
                records: u64::try_from(manifest.mark().records).unwrap_or(0),
                through: manifest.mark().head.seq,
                replayed: Replayed::default(),
                under: BTreeMap::new(),
                finished: true,
            };
            (stage, restored)
        }
        Begun::Anew(stage) => match build(plan, &stage, metrics, &mut step).await {
            Ok(restored) => {
                stage.prove(&manifest.digest())?;
                (stage, restored)
            }
            Err(error) => {
                stage.drop_it()?;
                return Err(error);
            }
        },
    };
    step("putting it in place");
    stage.place()?;
    Ok(restored)
}

/// Builds the state and reads it over.
async fn build(
    plan: &Plan<'_>,
    stage: &Stage,
    metrics: Metrics,
    step: &mut impl FnMut(&str),
) -> Result<Restored, Error> {
    let own = plan.backup.keyring()?;
    stage.keyring(plan.keyring.map_or(own.as_slice(), LaterKeyring::text))?;
    step("loading entries and audit trail");
    let through = load(plan, &stage.store())?;
    let opened = SledStore::open(stage.store(), metrics).map_err(doubted)?;
    let store: Arc<dyn Store> = Arc::new(opened);
    let proved = prove(plan, &store, through, step).await;
    store.close().await?;
    proved
}

/// Fills a store; gives the number of the last audit record in it.
fn load(plan: &Plan<'_>, config: &store::Config) -> Result<u64, Error> {
    let (backup, mark) = (plan.backup, plan.backup.manifest().mark());
    let mut loader = Loader::new(config)?;
    backup.entries(|changes| loader.apply(changes).map_err(doubted))?;
    backup.lines(|line| loader.audit(line).map_err(doubted))?;
    if loader.head() != mark.head {
        return Err(Error::Damaged(
            "its audit trail does not end where its manifest says".to_owned(),
        ));
    }
    if let Some(later) = plan.later {
        later.lines(mark.head, |line| loader.audit(line).map_err(doubted))?;
    }
    let head = loader.head();
    loader.finish(&Mark { head, ..mark }).map_err(doubted)?;
    Ok(head.seq)
}

async fn prove(
    plan: &Plan<'_>,
    store: &Arc<dyn Store>,
    through: u64,
    step: &mut impl FnMut(&str),
) -> Result<Restored, Error> {
    let manifest = plan.backup.manifest();
    let unclaimed = |_| Error::Damaged("its store is no vault's".to_owned());
    if owner::owner(store.as_ref()).await.map_err(unclaimed)? != *manifest.vault() {
        return Err(Error::Damaged(
            "its store is another vault's than its manifest's".to_owned(),
        ));
    }
    // with the trail as well: what was deleted behind the end of what is given comes back
    let agreed = match plan.agreed {
        Some(agreed) => agreed(Arc::clone(store))
            .await
            .map_err(|why| Error::InTheWay(format!("{why}; nothing was changed")))?,
        None => None,
    };
    let agreed = agreed.map(|who| format!("; agreed to by {who}")).unwrap_or_default();
    step("doing deletions again");
    let keyring = match plan.keyring {
        Some(later) => later.keyring().clone(),
        None => plan.backup.proved_keyring()?,
    };
    let replayed = replay(store, keyring.handovers(), manifest.mark().head.seq, through).await?;
    if plan.later.is_some() && through == manifest.mark().head.seq && !plan.accept_returning {
        return Err(Error::InTheWay(format!(
            "the audit trail that was given has nothing behind the backup's last record, {through}: what was deleted after it \
             comes back, and how many is not known. Give the lines behind it too (`audit tail` prints those that are not in \
             segment files yet), or say --accept-returning if that may be; nothing was changed"
        )));
    }
    if replayed.strange_handovers > 0 {
        return Err(Error::InTheWay(
            "the audit key was rotated after the backup was made, and no keyring that is here knows the later key: the trail cannot \
             go on behind its heads. Give the keyring.json of after the rotation with --keyring (of the state directory that was \
             lost, or of a later backup), or restore without --audit (--accept-returning); nothing was changed"
                .to_owned(),
        ));
    }
    if (replayed.returning > 0 || replayed.accounts > 0) && !plan.accept_returning {
        return Err(Error::InTheWay(format!(
            "{} deletions after the backup cannot be done again, since the audit trail does not name what they removed, and {} \
             accounts that were suspended or removed would work again. Say --accept-returning if that may be, and look \
             through the accounts before anyone is let in; nothing was changed",
            replayed.returning, replayed.accounts
        )));
    }
    step("reading the store over");
    let report = check::everything(store, plan.pages).await?;
    if let Some(first) = report.faults.first() {
        let count = report.faults.len();
        return Err(Error::Damaged(format!("{first} ({count} faults in all)")));
    }
    let unread = |error: vault::Error| Error::Damaged(error.to_string());
    let under = by_epoch(store.as_ref()).await.map_err(unread)?;
    let event = Event {
        detail: Some(format!(
            "to revision {} and audit record {through}; {} tokens deleted and {} spent again, {} deletions not{agreed}",
            manifest.mark().rev,
            replayed.deleted,
            replayed.spent,
            replayed.returning
        )),
        ..Event::new("restore", "ok")
    };
    let noted = Commit {
        event: Some(event.encode()),
        ..Commit::default()
    };
    store.commit(noted).await?;
    Ok(Restored {
        vault: manifest.vault().clone(),
        records: store.health().records,
        through,
        replayed,
        under,
        finished: false,
    })
}

/// Does again what the trail says was done behind record `after`, up to `through`: what it adds itself comes later.
async fn replay(store: &Arc<dyn Store>, handovers: &[Handover], after: u64, through: u64) -> Result<Replayed, Error> {
    #[derive(serde::Deserialize)]
    struct Line {
        event: Event,
    }
    let failed = |error: vault::Error| Error::Damaged(format!("what was deleted cannot be deleted again: {error}"));
    let mut replay = Replay::new(store.clone(), handovers.to_vec()).await.map_err(failed)?;
    let mut next = after + 1;
    while next <= through {
        let lines = store.audit(next, LINES).await?;
        for line in lines.iter().take_while(|line| line.seq <= through) {
            next = line.seq + 1;
            let Ok(Line { event }) = serde_json::from_slice(&line.line) else {
                return Err(Error::InTheWay(format!(
                    "record {} of the later audit trail is of no kind that this version knows: use the version that wrote it; \
                     nothing was changed",
                    line.seq
                )));
            };
            replay.event(&event).await.map_err(failed)?;
        }
        if lines.is_empty() {
            return Err(store::Error::Corrupt(format!("audit record {next} is missing")).into());
        }
    }
    Ok(replay.end())
}
/// What the store does not take was not a store's.
fn doubted(error: store::Error) -> Error {
    match error {
        store::Error::Corrupt(_) | store::Error::Invalid(_) | store::Error::TooLarge => {
            Error::Damaged(error.to_string())
        }
        store::Error::Full
        | store::Error::OutcomeUnknown
        | store::Error::ReadOnly(_)
        | store::Error::Unavailable(_) => error.into(),
    }
}
