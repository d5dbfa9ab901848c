//! The work in the background: every record found under the active key. The card number is opened inside the worker, and its
//! fingerprint is all that comes back. A pass goes through all records; it goes on where it was after a restart.

use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Generations, Progress, read};
use crate::audit::Event;
use crate::hsm::Generation;
use crate::store::{Commit, Cond, Key, Outcome, Part, Versioned, Write};
use crate::vault::Vault;
use crate::vault::batch::each;
use crate::vault::moving::{PAGE, PAUSE, Page, groups};
use crate::vault::record::Record;
use crate::vault::tables::{self, PanIndex};
use crate::vault::tokenize::reuse_hash;
use crate::vault::types::{Error, IntegrityError, Status};

/// A record that changes.
struct Moved {
    key: Key,
    rev: u64,
    /// The reuse key that it gets, where it has one: nobody may have it.
    unique: Option<Key>,
    writes: Vec<Write>,
    /// Of the record, about.
    bytes: usize,
}

impl Vault {
    /// Works whenever a rotation is not finished. `per_second`: the most records; 0 is as fast as the HSM is.
    pub(in crate::vault) async fn refingerprint_until(
        self: Arc<Self>,
        per_second: u32,
        mut stopped: watch::Receiver<bool>,
    ) {
        loop {
            let failed = match self.refingerprint(per_second, &stopped).await {
                Ok(()) => false,
                Err(error) => {
                    tracing::warn!(%error, "the rotation of the fingerprint key waits");
                    true
                }
            };
            tokio::select! {
                () = self.refingerprint.wake.notified() => {}
                () = tokio::time::sleep(PAUSE), if failed => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn refingerprint(self: &Arc<Self>, per_second: u32, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        let generations = self.generations().await?;
        self.metrics.fingerprint_key.set(i64::from(generations.active().0));
        let held = self.store.get(Part::default(), &tables::refingerprint()).await?;
        let Some(mut progress) = held.map(|held| read::<Progress>(&held.value)).transpose()? else {
            return Ok(());
        };
        self.show_refingerprint(&progress);
        while !progress.finished {
            // a pass that began before a restart has not counted all that does not open
            let whole = progress.after.is_none();
            let Some(passed) = self.pass_records(&mut progress, per_second, stopped).await? else {
                return Ok(());
            };
            progress.after = None;
            if whole && passed.moved == 0 && !passed.contested {
                progress.finished = true;
                progress.faults = passed.faults;
                return self.finish_refingerprint(&progress).await;
            }
        }
        Ok(())
    }

    /// Once through all records from where `progress` is. `None`: it was stopped, or there is a newer key.
    async fn pass_records(
        self: &Arc<Self>,
        progress: &mut Progress,
        per_second: u32,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Option<Page>, Error> {
        let mut all = Page::default();
        let prefix = tables::key(tables::RECORD, &[]);
        let to = tables::end_of(&prefix);
        let mut from = match &progress.after {
            Some(after) => Bound::Excluded(Key(after.clone())),
            None => Bound::Included(prefix),
        };
        loop {
            if *stopped.borrow() {
                return Ok(None);
            }
            let generations = self.generations().await?;
            if generations.active().0 != progress.to {
                self.refingerprint.wake.notify_one();
                return Ok(None);
            }
            let page = self.store.scan(Part::default(), from, to.clone(), PAGE).await?;
            let last = page.items.last().map(|(key, _)| key.0.clone());
            let done = self.move_records(page.items, last, generations, progress).await?;
            done.pace(per_second).await;
            all.add(&done);
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(Some(all)),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn move_records(
        self: &Arc<Self>,
        items: Vec<(Key, Versioned)>,
        last: Option<Vec<u8>>,
        generations: Generations,
        progress: &mut Progress,
    ) -> Result<Page, Error> {
        let to = generations.active();
        let entries = items.into_iter().map(Ok).collect();
        let done = each(entries, |_, (key, found)| {
            let vault = Arc::clone(self);
            async move { vault.refingerprinted(key, found, to).await }
        });
        let mut page = Page::default();
        let group = page.sorted(done.await)?;
        progress.after = last.or_else(|| progress.after.take());
        for group in groups(group, |moved: &Moved| moved.bytes) {
            self.commit_refingerprinted(group, generations, progress, &mut page)
                .await?;
        }
        Ok(page)
    }

    /// The record found under the active key; `None` where it is already.
    async fn refingerprinted(&self, key: Key, found: Versioned, to: Generation) -> Result<Option<Moved>, Error> {
        let moved = self.under_key(&key, &found, to).await;
        // of a backup from before the destruction, or it did not open before the vault moved: it stays as dead as it is
        if let Err(Error::Integrity(IntegrityError::KekDestroyed { .. } | IntegrityError::KekLeft { .. })) = &moved {
            return Ok(None);
        }
        if let Err(Error::Integrity(fault)) = &moved {
            tracing::error!(%fault, "a record cannot be put under another fingerprint key");
            let mut event = Event::new("refingerprint", "tampered");
            event.detail = Some(fault.to_string());
            event.token = tables::owner_of(&key, &found.value).map(|(_, token)| token);
            self.alarm(event).await;
        }
        moved
    }

    async fn under_key(&self, key: &Key, found: &Versioned, to: Generation) -> Result<Option<Moved>, Error> {
        let (repository, token) = tables::owner_of(key, &found.value).ok_or(IntegrityError::Damaged)?;
        let old = Record::decode(&found.value, repository, &token)?;
        if old.generation == to {
            return Ok(None);
        }
        let mut record = old.clone();
        record.generation = to;
        if old.status == Status::Spent || old.sealed.is_none() {
            // the card is gone, and nothing leads to the token by it: nor shall what is left of its fingerprint
            record.pan = PanIndex([0; 16]);
        } else {
            let fingerprint = self.sealer.refingerprint(to, old.place(), &old.sealed()?).await?;
            record.pan = PanIndex::of(&fingerprint);
            if old.reuse.is_some() {
                let scope = self.scope_of(&old).await?.ok_or(IntegrityError::Damaged)?;
                record.reuse = Some(reuse_hash(&fingerprint, scope.expose(), old.uses));
            }
        }
        Ok(Some(Moved {
            key: key.clone(),
            rev: found.rev,
            unique: record.reuse_key(),
            writes: record.replacement(&old)?,
            bytes: found.value.len(),
        }))
    }

    /// Commits what is still as it was read, with the progress; the next pass finds what is not.
    async fn commit_refingerprinted(
        &self,
        mut group: Vec<Moved>,
        generations: Generations,
        progress: &mut Progress,
        page: &mut Page,
    ) -> Result<(), Error> {
        while !group.is_empty() {
            let _turn = self.refingerprint.turn.lock().await;
            let count = u64::try_from(group.len()).unwrap_or(u64::MAX);
            let mut next = progress.clone();
            next.moved += count;
            let mut conds = vec![generations.cond()];
            let mut writes = vec![next.write()?];
            for moved in &group {
                conds.push(Cond::Rev(moved.key.clone(), moved.rev));
                conds.extend(moved.unique.clone().map(Cond::Absent));
                writes.extend(moved.writes.iter().cloned());
            }
            let event = Event {
                count: Some(count),
                detail: Some(format!("to fingerprint key {}", next.to)),
                ..Event::new("refingerprint", "ok")
            };
            let commit = Commit {
                conds,
                writes,
                event: Some(event.encode()),
                ..Commit::default()
            };
            match self.store.commit(commit).await? {
                Outcome::Done { .. } => {
                    self.metrics.refingerprinted.inc_by(count);
                    self.show_refingerprint(&next);
                    *progress = next;
                    page.moved += count;
                    return Ok(());
                }
                Outcome::CondFailed { key, .. } if self.outdated(&key) => {
                    page.contested = true;
                    return Ok(());
                }
                Outcome::CondFailed { key, .. } => {
                    let taken = group.iter().position(|moved| moved.unique.as_ref() == Some(&key));
                    if let Some(moved) = taken.map(|at| group.swap_remove(at)) {
                        self.twin(&moved).await;
                        page.faults += 1;
                        continue;
                    }
                    page.contested = true;
                    group.retain(|moved| moved.key != key);
                }
            }
        }
        Ok(())
    }

    /// Another token has the place of a card's one token: every commit that makes one looks under all keys in use, so this
    /// was done by another hand.
    async fn twin(&self, moved: &Moved) {
        tracing::error!("a card has two tokens in one scope; one stays under its old fingerprint key");
        let mut event = Event::new("refingerprint", "tampered");
        event.detail = Some("a card has two tokens in one scope".to_owned());
        event.token = tables::owner_of(&moved.key, &[]).map(|(_, token)| token);
        self.alarm(event).await;
    }

    /// Nothing is looked for under the older keys any more, unless something is still there.
    async fn finish_refingerprint(&self, progress: &Progress) -> Result<(), Error> {
        let _turn = self.refingerprint.turn.lock().await;
        let before = self.settled().await?;
        if before.active().0 != progress.to {
            self.refingerprint.wake.notify_one();
            return Ok(());
        }
        let mut after = before;
        if progress.faults == 0 {
            after.oldest = after.active;
        }
        let event = Event {
            count: Some(progress.moved),
            detail: Some(match progress.faults {
                0 => format!("all is found under fingerprint key {}", progress.to),
                faults => format!(
                    "all but {faults} that do not open is found under fingerprint key {}; older keys stay in use",
                    progress.to
                ),
            }),
            ..Event::new("fingerprint-rotate", "finished")
        };
        let commit = Commit {
            conds: vec![before.cond()],
            writes: vec![after.write()?, progress.write()?],
            event: Some(event.encode()),
            ..Commit::default()
        };
        match self.store.commit(commit).await? {
            Outcome::Done { rev } => after.rev = Some(rev),
            Outcome::CondFailed { .. } => return Err(IntegrityError::Damaged.into()),
        }
        self.know(Some(after));
        self.show_refingerprint(progress);
        let (moved, faults) = (progress.moved, progress.faults);
        tracing::info!(
            key = progress.to,
            moved,
            faults,
            "the rotation of the fingerprint key is finished"
        );
        Ok(())
    }
}
