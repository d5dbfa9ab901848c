//! The work in the background: every record under the active epoch. It goes on where it was after a restart, and passes
//! through all tables until one pass finds nothing: what was sealed under the old epoch while it was being deactivated is
//! found then.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::under::{Put, under};
use super::{Progress, TABLES};
use crate::audit::Event;
use crate::hsm::Epoch;
use crate::id::UnixMillis;
use crate::keys::{Place, Sealed};
use crate::store::Write;
use crate::store::{Commit, Cond, Key, Outcome, Part, Versioned};
use crate::vault::batch::each;
use crate::vault::destroy::not_ended;
use crate::vault::moving::{PAGE, PAUSE, Page, groups};
use crate::vault::sealer::{Fut, Sealer};
use crate::vault::types::{Error, IntegrityError};
use crate::vault::{Vault, tables};

/// How often it is looked whether the active epoch's cryptoperiod ends.
const LOOK: Duration = Duration::from_secs(3_600);
/// So long before its end people are told. Milliseconds.
const WARNING: u64 = 30 * 24 * 3_600 * 1_000;

/// An entry that changes.
struct Moved {
    key: Key,
    rev: u64,
    value: Vec<u8>,
}

/// The vault's own keys, under their active epoch.
struct Rewrap<'a>(&'a dyn Sealer);

impl Put for Rewrap<'_> {
    fn put<'a>(&'a self, place: Place, sealed: &'a Sealed) -> Fut<'a, Sealed> {
        self.0.rewrap(place, sealed)
    }
}

impl Vault {
    /// Works whenever a rotation is not finished. `per_second`: the most records; 0 is as fast as the HSM is.
    pub(in crate::vault) async fn rewrap_until(self: Arc<Self>, per_second: u32, mut stopped: watch::Receiver<bool>) {
        loop {
            self.warn_of_the_end();
            let failed = match self.rewrap(per_second, &stopped).await {
                Ok(()) => false,
                Err(error) => {
                    tracing::warn!(%error, "the rotation waits");
                    true
                }
            };
            tokio::select! {
                () = self.rotation.wake.notified() => {}
                () = tokio::time::sleep(PAUSE), if failed => {}
                () = tokio::time::sleep(LOOK) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn warn_of_the_end(&self) {
        let (epoch, now) = (self.sealer.active_epoch().0, UnixMillis::now());
        match self.sealer.not_after() {
            Some(end) if end < now => {
                tracing::error!(epoch, %end, "the cryptoperiod of the KEK is over, and nothing is sealed: panvault key rotate");
            }
            Some(end) if end < now.plus(WARNING) => {
                tracing::warn!(epoch, %end, "the cryptoperiod of the KEK ends soon: panvault key rotate");
            }
            _ => {}
        }
    }

    async fn rewrap(self: &Arc<Self>, per_second: u32, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        let Some(mut progress) = self.unfinished().await? else {
            return Ok(());
        };
        loop {
            // a pass that began before a restart has not seen all
            let whole = progress.after.is_none();
            let Some(passed) = self.pass(&mut progress, per_second, stopped).await? else {
                return Ok(());
            };
            progress.after = None;
            if whole && passed.moved == 0 && !passed.contested {
                progress.finished = true;
                progress.faults = passed.faults;
                return self.finish(&progress).await;
            }
        }
    }

    /// What is to be done: also where the active epoch is another one than that of the last rotation, which a crash between
    /// the two leaves behind.
    async fn unfinished(&self) -> Result<Option<Progress>, Error> {
        let active = self.sealer.active_epoch();
        self.show_epoch();
        let held = self.store.get(Part::default(), &tables::rotation()).await?;
        let progress = held.map(|held| Progress::read(&held.value)).transpose()?;
        let first = self.sealer.epochs().first().is_none_or(|(first, _)| *first == active);
        let progress = match progress {
            None if first => return Ok(None),
            Some(progress) if progress.to == active.0 => progress,
            _ => Progress::new(active),
        };
        self.show(&progress);
        Ok(Some(progress).filter(|progress| !progress.finished))
    }

    /// Once through all tables from where `progress` is. `None`: it was stopped, or there is a newer epoch.
    async fn pass(
        self: &Arc<Self>,
        progress: &mut Progress,
        per_second: u32,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Option<Page>, Error> {
        let mut all = Page::default();
        for table in TABLES {
            let Some((mut from, to)) = progress.rest_of(table) else {
                continue;
            };
            loop {
                if *stopped.borrow() || self.sealer.active_epoch().0 != progress.to {
                    self.rotation.wake.notify_one();
                    return Ok(None);
                }
                let page = self.store.scan(Part::default(), from, to.clone(), PAGE).await?;
                let last = page.items.last().map(|(key, _)| key.0.clone());
                let done = self.move_page(page.items, last.as_ref(), progress).await?;
                done.pace(per_second).await;
                all.add(&done);
                match page.next {
                    Some(last) => from = Bound::Excluded(last),
                    None => break,
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(Some(all))
    }

    async fn move_page(
        self: &Arc<Self>,
        items: Vec<(Key, Versioned)>,
        last: Option<&Vec<u8>>,
        progress: &mut Progress,
    ) -> Result<Page, Error> {
        let to = Epoch(progress.to);
        let entries = items.into_iter().map(Ok).collect();
        let done = each(entries, |_, (key, found)| {
            let vault = Arc::clone(self);
            async move { vault.moved(key, found, to).await }
        });
        let mut page = Page::default();
        let moved = page.sorted(done.await)?;
        progress.after = last.cloned().or_else(|| progress.after.take());
        for group in groups(moved, |entry| entry.value.len()) {
            self.commit_moved(group, progress, &mut page).await?;
        }
        Ok(page)
    }

    /// The entry under the active epoch; `None` where it is there already.
    async fn moved(&self, key: Key, found: Versioned, to: Epoch) -> Result<Option<Moved>, Error> {
        let value = under(&key, &found.value, to, &Rewrap(self.sealer.as_ref())).await;
        // of a backup from before the destruction, or it did not open before the vault moved: it stays as dead as it is
        if let Err(Error::Integrity(IntegrityError::KekDestroyed { .. } | IntegrityError::KekLeft { .. })) = &value {
            return Ok(None);
        }
        if let Err(Error::Integrity(fault)) = &value {
            let table = tables::name_of(&key);
            tracing::error!(table, %fault, "a record cannot be put under another KEK epoch");
            let mut event = Event::new("rewrap", "tampered");
            event.detail = Some(format!("{table}: {fault}"));
            event.token = tables::owner_of(&key, &found.value).map(|(_, token)| token);
            self.alarm(event).await;
        }
        let rev = found.rev;
        Ok(value?.map(|value| Moved { key, rev, value }))
    }

    /// Commits what is still as it was read, with the progress; the next pass finds what is not.
    async fn commit_moved(&self, mut group: Vec<Moved>, progress: &mut Progress, page: &mut Page) -> Result<(), Error> {
        while !group.is_empty() {
            let _turn = self.rotation.turn.lock().await;
            if self.sealer.active_epoch().0 != progress.to {
                page.contested = true;
                return Ok(());
            }
            let count = u64::try_from(group.len()).unwrap_or(u64::MAX);
            let mut next = progress.clone();
            next.moved += count;
            let mut writes = vec![next.write()?];
            writes.extend(
                group
                    .iter()
                    .map(|moved| Write::Put(moved.key.clone(), moved.value.clone())),
            );
            let event = Event {
                count: Some(count),
                detail: Some(format!("to KEK epoch {}", next.to)),
                ..Event::new("rewrap", "ok")
            };
            let unended = not_ended(Epoch(progress.to));
            let unchanged = group.iter().map(|moved| Cond::Rev(moved.key.clone(), moved.rev));
            let commit = Commit {
                conds: unchanged.chain([unended.clone()]).collect(),
                writes,
                event: Some(event.encode()),
                ..Commit::default()
            };
            match self.store.commit(commit).await? {
                Outcome::Done { .. } => {
                    self.metrics.rewrapped.inc_by(count);
                    self.show(&next);
                    *progress = next;
                    page.moved += count;
                    return Ok(());
                }
                Outcome::CondFailed { key, .. } => {
                    page.contested = true;
                    if unended == Cond::Absent(key.clone()) {
                        return Ok(());
                    }
                    group.retain(|moved| moved.key != key);
                }
            }
        }
        Ok(())
    }

    async fn finish(&self, progress: &Progress) -> Result<(), Error> {
        let _turn = self.rotation.turn.lock().await;
        if self.sealer.active_epoch().0 != progress.to {
            self.rotation.wake.notify_one();
            return Ok(());
        }
        let event = Event {
            count: Some(progress.moved),
            detail: Some(match progress.faults {
                0 => format!("all is under KEK epoch {}", progress.to),
                faults => format!("all but {faults} that do not open is under KEK epoch {}", progress.to),
            }),
            ..Event::new("kek-rotate", "finished")
        };
        let commit = Commit {
            writes: vec![progress.write()?],
            event: Some(event.encode()),
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        self.show(progress);
        tracing::info!(
            epoch = progress.to,
            moved = progress.moved,
            faults = progress.faults,
            "the rotation is finished"
        );
        Ok(())
    }
}
