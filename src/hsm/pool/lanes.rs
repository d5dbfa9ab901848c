//! The jobs in flight: which lane has which, and where a job goes next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::WorkerId;
use crate::hsm::message::JobId;
use crate::hsm::{Error, Job, Reply};

/// Where a worker's writer takes its jobs from. It holds no more than the queue allows in all.
pub(super) type Outgoing = mpsc::UnboundedSender<(JobId, Arc<Job>)>;

pub(super) type Answer = Result<Reply, Error>;

/// All of them. It answers nobody itself: what ends comes back to be answered outside the lock.
pub(super) struct Pool {
    pub(super) lanes: Vec<Lane>,
    /// Left by dead workers, or come before the first one was up: for the next one that comes up.
    pub(super) parked: Vec<Pending>,
    pub(super) in_flight: usize,
    pub(super) next: u64,
    /// Until the first worker is up or fails to start.
    pub(super) starting: bool,
    /// No new job is taken, and none is parked.
    pub(super) stopping: bool,
    /// Why no worker is up.
    pub(super) reason: String,
}

/// A worker that is up or drains.
pub(super) struct Lane {
    pub(super) id: WorkerId,
    pub(super) outgoing: Outgoing,
    pub(super) accepting: bool,
    pub(super) draining: bool,
    /// Oldest first, because numbers count up.
    pub(super) pending: BTreeMap<JobId, Pending>,
    pub(super) heard: Instant,
    pub(super) answered: u64,
}

/// A job that was accepted and not answered by a worker.
pub(super) struct Pending {
    pub(super) job: Arc<Job>,
    /// `None` when the caller was answered already.
    pub(super) answer: Option<oneshot::Sender<Answer>>,
    /// When the worker that has it got it.
    pub(super) sent: Instant,
    /// When the caller is answered at the latest.
    pub(super) expires: Instant,
    /// Its first worker died.
    pub(super) again: bool,
    /// Its first worker died while at work on it: it goes last, so that others are not behind it again.
    pub(super) suspect: bool,
}

impl Lane {
    pub(super) fn new(id: WorkerId, outgoing: Outgoing) -> Self {
        Self {
            id,
            outgoing,
            accepting: true,
            draining: false,
            pending: BTreeMap::new(),
            heard: Instant::now(),
            answered: 0,
        }
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            lanes: Vec::new(),
            parked: Vec::new(),
            in_flight: 0,
            next: 0,
            starting: true,
            stopping: false,
            reason: "the first worker has not started yet".to_owned(),
        }
    }

    pub(super) fn lane(&mut self, id: WorkerId) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.id == id)
    }

    /// To the accepting lane with the fewest jobs; given back when there is none.
    pub(super) fn give(&mut self, mut pending: Pending) -> Result<(), Pending> {
        let Some(lane) = self
            .lanes
            .iter_mut()
            .filter(|lane| lane.accepting)
            .min_by_key(|lane| lane.pending.len())
        else {
            return Err(pending);
        };
        self.next += 1;
        let id = JobId(self.next);
        pending.sent = Instant::now();
        // A lane whose writer just ended keeps the job until it is closed, and then the job is handed on.
        let _ = lane.outgoing.send((id, Arc::clone(&pending.job)));
        lane.pending.insert(id, pending);
        Ok(())
    }

    /// What a dead worker left goes to another one, but once only: a job that kills its worker must not kill them all.
    /// Returns what ends here.
    pub(super) fn hand_on(&mut self, left: impl IntoIterator<Item = Pending>, why: &str) -> Vec<(Pending, Answer)> {
        let now = Instant::now();
        let mut settled = Vec::new();
        for mut pending in left {
            let nobody_waits = pending.answer.as_ref().is_none_or(oneshot::Sender::is_closed);
            if pending.expires <= now || nobody_waits {
                settled.push((pending, Err(Error::Deadline)));
            } else if pending.again {
                settled.push((pending, Err(Error::Down(why.to_owned()))));
            } else {
                pending.again = true;
                match self.give(pending) {
                    Ok(()) => {}
                    Err(pending) if self.stopping => settled.push((pending, Err(Error::Down(why.to_owned())))),
                    Err(pending) => self.parked.push(pending),
                }
            }
        }
        settled
    }
}
