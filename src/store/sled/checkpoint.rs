//! The state at one revision, while others write. sled has no snapshots: what is read is a scan, and every change that was
//! committed since it began; the committer says at which revision that is complete.
//!
//! What is right, and why: entries first and then all changes in their order. A key that was changed since the checkpoint began
//! has its last change as the last word, whatever the scan saw of it; one that was not was read by the scan as it stands.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::sled::IVec;
use tokio::sync::{mpsc, oneshot};

use super::committer::Request;
use super::entry::versioned;
use super::shared::closed;
use super::store::SledStore;
use crate::store::{Change, Error, FIRST_TABLE, Key, Mark, Part, Store, Told};

/// Entries read at once.
const PAGE: u32 = 256;
/// Changes that may wait for a slow reader, in bytes: more, and the checkpoint fails, not the daemon's memory.
const HELD_MAX: usize = 64 << 20;

/// Checkpoints at once: one that was given up by its reader ends only when it next has something to tell.
pub(super) const AT_ONCE: usize = 4;

/// What a batch left under the keys that it changed.
type Batch = Vec<(IVec, Option<IVec>)>;

/// Where the committer tells what it commits.
pub(super) struct Watch {
    to: mpsc::UnboundedSender<Batch>,
    /// Bytes that wait; also what makes it this one and no other.
    held: Arc<AtomicUsize>,
}

impl Watch {
    /// Whether somebody still listens.
    pub(super) fn is_open(&self) -> bool {
        !self.to.is_closed()
    }

    /// Whether it is the one whose waiting bytes are counted there.
    pub(super) fn is(&self, held: &Arc<AtomicUsize>) -> bool {
        Arc::ptr_eq(&self.held, held)
    }

    /// What it has to be told of a batch.
    pub(super) fn of(overlay: &HashMap<IVec, Option<IVec>>) -> Batch {
        let outside = |key: &IVec| key.first().is_some_and(|table| *table >= FIRST_TABLE);
        let changes = overlay.iter().filter(|(key, _)| outside(key));
        changes.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Tells it. `false`: it is of no use any more.
    pub(super) fn tell(&self, told: Batch) -> bool {
        let held = self.held.fetch_add(bytes(&told), Ordering::AcqRel);
        held <= HELD_MAX && self.to.send(told).is_ok()
    }
}

fn bytes(told: &Batch) -> usize {
    let of = |(key, value): &(IVec, Option<IVec>)| key.len() + value.as_ref().map_or(0, |value| value.len()) + 64;
    told.iter().map(of).sum()
}

/// What [`Store::checkpoint`] does.
pub(super) async fn checkpoint(store: &SledStore, to: mpsc::Sender<Told>) -> Result<Mark, Error> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let held = Arc::new(AtomicUsize::new(0));
    let watch = Watch {
        to: tell,
        held: held.clone(),
    };
    ask(store, |done| Request::Watch(watch, done)).await?;
    let mut from = Bound::Unbounded;
    loop {
        let page = store.scan(Part::default(), from, Bound::Unbounded, PAGE).await?;
        send(&to, Told::Entries(page.items)).await?;
        // meanwhile, so that not too many wait
        while let Ok(next) = told.try_recv() {
            pass_on(&to, next, &held).await?;
        }
        match page.next {
            Some(last) => from = Bound::Excluded(last),
            None => break,
        }
        // a scan may never wait: others want the thread too
        tokio::task::yield_now().await;
    }
    let mark = ask(store, |done| Request::Fence(held.clone(), done)).await?;
    // the committer has let go of its end: this is all up to the mark
    while let Some(next) = told.recv().await {
        pass_on(&to, next, &held).await?;
    }
    Ok(mark)
}

async fn ask<T>(
    store: &SledStore,
    request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
) -> Result<T, Error> {
    let (done, answer) = oneshot::channel();
    store.queue().send(request(done)).await.map_err(|_| closed())?;
    answer.await.unwrap_or_else(|_| Err(closed()))
}

async fn pass_on(to: &mpsc::Sender<Told>, told: Batch, held: &AtomicUsize) -> Result<(), Error> {
    held.fetch_sub(bytes(&told), Ordering::AcqRel);
    let change = |(key, framed): (IVec, Option<IVec>)| {
        Ok(Change {
            now: framed.map(|framed| versioned(&key, &framed)).transpose()?,
            key: Key(key.to_vec()),
        })
    };
    let changes = told.into_iter().map(change).collect::<Result<_, Error>>()?;
    send(to, Told::Changes(changes)).await
}

async fn send(to: &mpsc::Sender<Told>, what: Told) -> Result<(), Error> {
    let gone = |_| Error::Unavailable("nobody takes the checkpoint any more".to_owned());
    to.send(what).await.map_err(gone)
}

/// The error of a checkpoint that is one too many.
pub(super) fn taken() -> Error {
    Error::Unavailable(format!("{AT_ONCE} checkpoints are under way already"))
}

/// The error of a checkpoint that could not follow.
pub(super) fn behind() -> Error {
    Error::Unavailable("more was changed than the checkpoint's reader could take: try again".to_owned())
}
