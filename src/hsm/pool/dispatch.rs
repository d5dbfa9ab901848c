//! Which worker has which job: hands jobs out, matches replies, and hands on what a dead worker left.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::WorkerId;
use super::supervisor::Event;
use crate::hsm::message::JobId;
use crate::hsm::{Config, Error, Fault, Job, Reply};
use crate::telemetry::Metrics;

/// Where a worker's writer takes its jobs from. It holds no more than the queue allows in all.
pub(super) type Outgoing = mpsc::UnboundedSender<(JobId, Arc<Job>)>;

/// An idle worker that was not heard for so long, or for a deadline if that is longer, is stuck.
const SILENCE: Duration = Duration::from_secs(5);

const TOKEN_LOST: &str = "the token was lost";

type Answer = Result<Reply, Error>;

/// The jobs in flight. One lock, held for well under a microsecond.
pub(in crate::hsm) struct Dispatch {
    pool: Mutex<Pool>,
    events: Sender<Event>,
    metrics: Metrics,
    queue: usize,
    deadline: Duration,
    silence: Duration,
    recycle_after: u64,
    /// Jobs that a worker works on at once.
    sessions: usize,
}

struct Pool {
    lanes: Vec<Lane>,
    /// Left by dead workers, for the next one that comes up.
    parked: Vec<Pending>,
    in_flight: usize,
    next: u64,
    /// No new job is taken, and none is parked.
    stopping: bool,
    /// Why no worker is up.
    reason: String,
}

/// A worker that is up or drains.
struct Lane {
    id: WorkerId,
    outgoing: Outgoing,
    accepting: bool,
    draining: bool,
    /// Oldest first, because numbers count up.
    pending: BTreeMap<JobId, Pending>,
    heard: Instant,
    answered: u64,
    /// For people, when the worker said why it ends.
    last_words: Option<String>,
}

struct Pending {
    job: Arc<Job>,
    /// `None` when the caller was answered already.
    answer: Option<oneshot::Sender<Answer>>,
    /// When the worker that has it got it.
    sent: Instant,
    /// When the caller is answered at the latest.
    expires: Instant,
    /// Its first worker died.
    again: bool,
}

impl Dispatch {
    pub(in crate::hsm) fn new(config: &Config, events: Sender<Event>, metrics: Metrics) -> Self {
        Self {
            pool: Mutex::new(Pool {
                lanes: Vec::new(),
                parked: Vec::new(),
                in_flight: 0,
                next: 0,
                stopping: false,
                reason: "the first worker has not started yet".to_owned(),
            }),
            events,
            metrics,
            queue: config.queue,
            deadline: config.deadline,
            silence: config.deadline.max(SILENCE),
            recycle_after: config.recycle_after,
            sessions: config.sessions.max(1),
        }
    }

    /// Gives a job to the worker with the fewest.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Down`], at once.
    pub(in crate::hsm) fn hand_over(&self, job: Job) -> Result<oneshot::Receiver<Answer>, Error> {
        let mut pool = self.lock();
        if pool.stopping {
            return Err(Error::Down("shutting down".to_owned()));
        }
        if pool.in_flight >= self.queue {
            self.metrics.hsm_queue_full.inc();
            return Err(Error::Busy);
        }
        let (answer, receiver) = oneshot::channel();
        let now = Instant::now();
        let pending = Pending {
            job: Arc::new(job),
            answer: Some(answer),
            sent: now,
            expires: now + self.deadline * 2,
            again: false,
        };
        match pool.give(pending) {
            Ok(()) => {
                pool.in_flight += 1;
                self.metrics.hsm_in_flight.set(gauge(pool.in_flight));
                Ok(receiver)
            }
            Err(_) => Err(Error::Down(pool.reason.clone())),
        }
    }

    /// A worker is up: it gets what was parked, and new jobs.
    pub(super) fn open(&self, id: WorkerId, outgoing: Outgoing) {
        let mut pool = self.lock();
        pool.lanes.push(Lane {
            id,
            outgoing,
            accepting: true,
            draining: false,
            pending: BTreeMap::new(),
            heard: Instant::now(),
            answered: 0,
            last_words: None,
        });
        for pending in std::mem::take(&mut pool.parked) {
            // The lane was just added and accepts.
            if let Err(pending) = pool.give(pending) {
                pool.parked.push(pending);
            }
        }
    }

    /// A worker sent a heartbeat.
    pub(super) fn heard(&self, id: WorkerId) {
        if let Some(lane) = self.lock().lane(id) {
            lane.heard = Instant::now();
        }
    }

    /// A worker answered.
    pub(super) fn answered(&self, id: WorkerId, replies: Vec<(JobId, Result<Reply, Fault>)>) {
        let mut settled = Vec::with_capacity(replies.len());
        let mut pool = self.lock();
        let Some(lane) = pool.lane(id) else {
            return;
        };
        lane.heard = Instant::now();
        let mut left = Vec::new();
        let before = lane.answered;
        for (job, reply) in replies {
            let Some(pending) = lane.pending.remove(&job) else {
                continue;
            };
            lane.answered += 1;
            match reply {
                Ok(reply) => settled.push((pending, Ok(reply))),
                Err(Fault::Malformed(text)) => settled.push((pending, Err(Error::Malformed(text)))),
                Err(Fault::RateCapped) => settled.push((pending, Err(Error::Busy))),
                Err(Fault::Tampered) => settled.push((pending, Err(Error::Tampered))),
                Err(Fault::Token(text)) => {
                    // The worker ends after this; the rest of its jobs is handed on when it has.
                    lane.accepting = false;
                    lane.last_words = Some(text);
                    left.push(pending);
                }
            }
        }
        if self.recycle_after > 0 && before < self.recycle_after && lane.answered >= self.recycle_after {
            self.tell(Event::Recycle(id));
        }
        if lane.draining && lane.pending.is_empty() {
            self.tell(Event::Drained(id));
        }
        settled.extend(pool.hand_on(left, TOKEN_LOST));
        self.settle(pool, settled);
    }

    /// A worker gets no more jobs. [`Event::Drained`] follows when its last one is answered.
    pub(super) fn drain(&self, id: WorkerId) {
        let mut pool = self.lock();
        if let Some(lane) = pool.lane(id) {
            lane.accepting = false;
            lane.draining = true;
            if lane.pending.is_empty() {
                self.tell(Event::Drained(id));
            }
        }
    }

    /// A worker is gone or is being killed: its jobs are handed on, each at most once. Dropping its end of the
    /// queue closes its socket.
    pub(super) fn close(&self, id: WorkerId, why: &str) {
        let mut pool = self.lock();
        let Some(at) = pool.lanes.iter().position(|lane| lane.id == id) else {
            return;
        };
        let lane = pool.lanes.swap_remove(at);
        if let Some(words) = lane.last_words {
            pool.reason = words;
        } else if !lane.draining {
            pool.reason = why.to_owned();
        }
        // What it was working on may be what killed it: that goes last, so that the rest is not behind it again.
        let mut left = lane.pending.into_values();
        let suspects: Vec<_> = left.by_ref().take(self.sessions).collect();
        let settled = pool.hand_on(left.chain(suspects), why);
        self.settle(pool, settled);
    }

    /// No worker could be started: jobs that wait for one fail now rather than later, if none is up.
    pub(super) fn down(&self, reason: &str) {
        let mut pool = self.lock();
        reason.clone_into(&mut pool.reason);
        if pool.lanes.iter().any(|lane| lane.accepting) {
            return;
        }
        let settled = std::mem::take(&mut pool.parked)
            .into_iter()
            .map(|pending| (pending, Err(Error::Down(reason.to_owned()))))
            .collect();
        self.settle(pool, settled);
    }

    /// Answers callers whose time is up, and names the workers that are stuck: those whose oldest job waits longer
    /// than the deadline, and idle ones that were not heard.
    pub(super) fn overdue(&self, now: Instant) -> Vec<WorkerId> {
        let mut pool = self.lock();
        let (late, parked): (Vec<_>, Vec<_>) = std::mem::take(&mut pool.parked)
            .into_iter()
            .partition(|pending| pending.expires <= now);
        pool.parked = parked;
        let settled = late
            .into_iter()
            .map(|pending| (pending, Err(Error::Deadline)))
            .collect();
        for pending in pool.lanes.iter_mut().flat_map(|lane| lane.pending.values_mut()) {
            if pending.expires <= now
                && let Some(answer) = pending.answer.take()
            {
                // Fails when the caller went away, which is as good.
                let _ = answer.send(Err(Error::Deadline));
            }
        }
        let stuck = pool
            .lanes
            .iter()
            .filter(|lane| match lane.pending.values().next() {
                Some(oldest) => now.saturating_duration_since(oldest.sent) > self.deadline,
                None => now.saturating_duration_since(lane.heard) > self.silence,
            })
            .map(|lane| lane.id)
            .collect();
        self.settle(pool, settled);
        stuck
    }

    /// Takes no new job from now on.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.down("shutting down");
    }

    /// Jobs in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Answers outside the lock.
    fn settle(&self, mut pool: MutexGuard<'_, Pool>, settled: Vec<(Pending, Answer)>) {
        if settled.is_empty() {
            return;
        }
        pool.in_flight = pool.in_flight.saturating_sub(settled.len());
        self.metrics.hsm_in_flight.set(gauge(pool.in_flight));
        drop(pool);
        for (pending, answer) in settled {
            if let Some(caller) = pending.answer {
                // Fails when the caller went away, which is as good.
                let _ = caller.send(answer);
            }
        }
    }

    fn tell(&self, event: Event) {
        // Fails when the supervisor ended, and then every worker has too.
        let _ = self.events.send(event);
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn lane(&mut self, id: WorkerId) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.id == id)
    }

    /// To the accepting lane with the fewest jobs; given back when there is none.
    fn give(&mut self, mut pending: Pending) -> Result<(), Pending> {
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
    fn hand_on(&mut self, left: impl IntoIterator<Item = Pending>, why: &str) -> Vec<(Pending, Answer)> {
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

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
