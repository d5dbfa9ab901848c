//! The records of a vault that moves to another HSM: each is opened in the old one and sealed in the new one, in its place and
//! with its revisions. Indexes stay: the fingerprint keys came along. Nobody serves meanwhile.
//!
//! A record says under which epoch it is, and epochs are numbered on, so that it goes on where it was cut.

use std::ops::Bound;
use std::sync::Arc;

use super::under::{Put, under};
use super::{Progress, TABLES};
use crate::audit::Event;
use crate::hsm::Epoch;
use crate::id::VaultId;
use crate::keys::{KEK_CHECK_WRAPS, Keys, Place, Sealed};
use crate::store::{Commit, Cond, Key, Outcome, Part, Store, Versioned, Write};
use crate::vault::batch::each;
use crate::vault::check::documents::named;
use crate::vault::documents::Address;
use crate::vault::heads::signed_end;
use crate::vault::moving::{PAGE, groups};
use crate::vault::rekey::{handovers_on_record, record_handover};
use crate::vault::sealer::Fut;
use crate::vault::types::{Error, IntegrityError, Peer};
use crate::vault::{kek_ops, tables};

/// Records that do not open, named one by one; the rest is a number.
const NAMED_MAX: usize = 1_000;

/// A store between two HSMs.
pub struct Relocation {
    /// Whose.
    pub vault: VaultId,
    /// Of the vault that moves.
    pub store: Arc<dyn Store>,
    /// The keys that open.
    pub old: Keys,
    /// The keys that seal.
    pub new: Keys,
    /// Who asked for it.
    pub asked_by: Peer,
}

/// What came of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Relocated {
    /// So many were moved, by all runs together.
    pub moved: u64,
    /// So many stay, because their KEK was destroyed before.
    pub dead: u64,
    /// So many stay that did not open when an earlier HSM was left.
    pub left: u64,
    /// So many stay that should open and do not.
    pub faults: u64,
    /// These, as people name them.
    pub unopened: Vec<String>,
    /// The end was on record before.
    pub concluded: bool,
}

/// What becomes of an entry.
enum Fate {
    Stays,
    Moves { key: Key, rev: u64, value: Vec<u8> },
    Dead,
    Left,
    Fault(String),
}

/// One HSM opens, the other seals.
struct TakeOver {
    old: Keys,
    new: Keys,
}

impl Put for TakeOver {
    fn put<'a>(&'a self, place: Place, sealed: &'a Sealed) -> Fut<'a, Sealed> {
        Box::pin(self.new.take_over(&self.old, place, sealed))
    }
}

impl Relocation {
    /// The audit key of the old HSM signs the trail's end once more, and then the trail has its word on the new one.
    ///
    /// # Errors
    /// The old HSM's or the store's.
    pub async fn hand_over(&self) -> Result<(), Error> {
        let store = self.store.as_ref();
        let on_record = handovers_on_record(store).await?;
        let handovers = self.new.handovers();
        let last = self.old.handovers().len();
        // the old key's own handover first, where a rotation before was cut
        for (place, (number, handover)) in (1_u32..).zip(&handovers).enumerate().skip(on_record) {
            if place == last {
                let head = signed_end(store, &self.vault, &self.old).await?;
                self.note(head.event()).await?;
            }
            record_handover(store, number, handover).await?;
        }
        Ok(())
    }

    /// Moves all that opens; `tell` hears how many were moved.
    ///
    /// # Errors
    /// An HSM or the store does not work: it goes on where it was, when this is called again.
    pub async fn records(&self, mut tell: impl FnMut(u64)) -> Result<Relocated, Error> {
        let to = self.new.active_epoch();
        let held = self.store.get(Part::default(), &tables::rotation()).await?;
        let progress = held.map(|held| Progress::read(&held.value)).transpose()?;
        let begun = progress.filter(|progress| progress.to == to.0);
        let mut progress = begun.unwrap_or_else(|| Progress::new(to));
        let concluded = progress.finished;
        let stored = kek_ops::stored(self.store.as_ref(), to.0).await?;
        self.new.ops_begin(Some(stored.unwrap_or(KEK_CHECK_WRAPS)));
        loop {
            let whole = progress.after.is_none();
            let before = progress.moved;
            let mut passed = self.pass(&mut progress, &mut tell).await?;
            progress.after = None;
            if whole && progress.moved == before {
                if let Some(exact) = self.new.ops_end() {
                    kek_ops::put(self.store.as_ref(), exact).await?;
                }
                passed.moved = progress.moved;
                passed.concluded = concluded;
                return Ok(passed);
            }
        }
    }

    /// Puts on record that all is moved but for what stays, and has the new HSM sign the trail's end.
    ///
    /// # Errors
    /// The new HSM's or the store's.
    pub async fn conclude(&self, done: &Relocated, detail: &str) -> Result<(), Error> {
        if !done.concluded {
            for name in &done.unopened {
                let event = Event {
                    detail: Some(format!("{name} does not open, and stays under its epoch")),
                    ..self.event("left")
                };
                self.note(event).await?;
            }
            let progress = Progress {
                moved: done.moved,
                faults: done.faults,
                finished: true,
                ..Progress::new(self.new.active_epoch())
            };
            let event = Event {
                count: Some(done.moved),
                detail: Some(format!(
                    "{detail}; all is under KEK epoch {}; {} dead under destroyed KEKs, {} left before, {} that do not open",
                    progress.to, done.dead, done.left, done.faults
                )),
                ..self.event("ok")
            };
            let commit = Commit {
                writes: vec![progress.write()?],
                event: Some(event.encode()),
                ..Commit::default()
            };
            self.store.commit(commit).await?;
        }
        let head = signed_end(self.store.as_ref(), &self.vault, &self.new).await?;
        self.note(head.event()).await
    }

    /// Once through all tables, from where it was.
    async fn pass(&self, progress: &mut Progress, tell: &mut impl FnMut(u64)) -> Result<Relocated, Error> {
        let mut all = Relocated::default();
        for table in TABLES {
            let Some((mut from, to)) = progress.rest_of(table) else {
                continue;
            };
            loop {
                while let Some(wanted) = self.new.ops_wanted() {
                    kek_ops::put(self.store.as_ref(), wanted).await?;
                    self.new.ops_stored(wanted);
                }
                let page = self.store.scan(Part::default(), from, to.clone(), PAGE).await?;
                self.page(page.items, progress, &mut all).await?;
                tell(progress.moved);
                match page.next {
                    Some(last) => from = Bound::Excluded(last),
                    None => break,
                }
            }
        }
        Ok(all)
    }

    async fn page(
        &self,
        items: Vec<(Key, Versioned)>,
        progress: &mut Progress,
        all: &mut Relocated,
    ) -> Result<(), Error> {
        let last = items.last().map(|(key, _)| key.0.clone());
        let by = Arc::new(TakeOver {
            old: self.old.clone(),
            new: self.new.clone(),
        });
        let to = Epoch(progress.to);
        let fates = each(items.into_iter().map(Ok).collect(), |_, (key, found)| {
            let by = Arc::clone(&by);
            async move { fate(key, found, to, by.as_ref()).await }
        });
        let mut moves = Vec::new();
        for fate in fates.await {
            match fate? {
                Fate::Stays => {}
                Fate::Moves { key, rev, value } => moves.push((key, rev, value)),
                Fate::Dead => all.dead += 1,
                Fate::Left => all.left += 1,
                Fate::Fault(name) => {
                    all.faults += 1;
                    if all.unopened.len() < NAMED_MAX {
                        all.unopened.push(name);
                    }
                }
            }
        }
        progress.after = last.or_else(|| progress.after.take());
        for group in groups(moves, |(_, _, value)| value.len()) {
            if !group.is_empty() {
                self.commit(group, progress).await?;
            }
        }
        Ok(())
    }

    async fn commit(&self, group: Vec<(Key, u64, Vec<u8>)>, progress: &mut Progress) -> Result<(), Error> {
        let count = u64::try_from(group.len()).unwrap_or(u64::MAX);
        progress.moved += count;
        let event = Event {
            count: Some(count),
            detail: Some(format!("to KEK epoch {}, which is in another HSM", progress.to)),
            ..Event::new("rewrap", "ok")
        };
        let conds = group.iter().map(|(key, rev, _)| Cond::Rev(key.clone(), *rev)).collect();
        let mut writes = vec![progress.write()?];
        writes.extend(group.into_iter().map(|(key, _, value)| Write::Put(key, value)));
        let commit = Commit {
            conds,
            writes,
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { .. } => Ok(()),
            // the store is this process's alone
            Outcome::CondFailed { .. } => Err(IntegrityError::Damaged.into()),
        }
    }

    fn event(&self, outcome: &str) -> Event {
        Event {
            peer: Some(self.asked_by),
            ..Event::new("key-move", outcome)
        }
    }

    async fn note(&self, event: Event) -> Result<(), Error> {
        let commit = Commit {
            event: Some(event.encode()),
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        Ok(())
    }
}

async fn fate(key: Key, found: Versioned, to: Epoch, by: &TakeOver) -> Result<Fate, Error> {
    let rev = found.rev;
    Ok(match under(&key, &found.value, to, by).await {
        Ok(None) => Fate::Stays,
        Ok(Some(value)) => Fate::Moves { key, rev, value },
        Err(Error::Integrity(IntegrityError::KekDestroyed { .. })) => Fate::Dead,
        Err(Error::Integrity(IntegrityError::KekLeft { .. })) => Fate::Left,
        Err(Error::Integrity(_)) => Fate::Fault(name_of(&key, &found.value)),
        Err(error) => return Err(error),
    })
}

/// For people.
fn name_of(key: &Key, value: &[u8]) -> String {
    if let Some((repository, token)) = tables::owner_of(key, value) {
        return format!("record {token} of repository {}", repository.0);
    }
    match Address::parse(key) {
        Some(address) => named(&address),
        None => format!("an entry of the {}", tables::name_of(key)),
    }
}
