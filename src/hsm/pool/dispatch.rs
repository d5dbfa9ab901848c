//! Between callers and workers: takes jobs, matches replies, keeps deadlines, hands on what a dead worker left.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::lanes::{Answer, Lane, Outgoing, Pending, Pool};
use super::{Event, WorkerId};
use crate::hsm::message::JobId;
use crate::hsm::{Config, Epoch, Error, Fault, Job, Reply};
use crate::telemetry::Metrics;

/// An idle worker that was not heard for so long, or for a deadline if that is longer, is stuck.
const SILENCE: Duration = Duration::from_secs(5);

/// Takes how many more DEKs may have been wrapped than jobs were given; without an epoch: under the one in use.
pub(in crate::hsm) type CountWraps = Box<dyn Fn(Option<Epoch>, u64) + Send + Sync>;

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
    /// DEKs are made ahead.
    ahead: bool,
    wraps: OnceLock<CountWraps>,
}

impl Dispatch {
    pub(in crate::hsm) fn new(config: &Config, events: Sender<Event>, metrics: Metrics) -> Self {
        Self {
            pool: Mutex::new(Pool::new()),
            events,
            metrics,
            queue: config.queue,
            deadline: config.deadline,
            silence: config.deadline.max(SILENCE),
            recycle_after: config.recycle_after,
            sessions: config.sessions.max(1),
            ahead: config.pregenerate > 0,
            wraps: OnceLock::new(),
        }
    }

    /// Has wraps counted, from now on and by the first who asks.
    pub(in crate::hsm) fn count_wraps(&self, count: CountWraps) {
        // A second one would count the same once more.
        let _ = self.wraps.set(count);
    }

    /// A worker wrapped more than one for each job.
    pub(super) fn wrapped(&self, more: &[(Epoch, u32)]) {
        if let Some(count) = self.wraps.get() {
            more.iter()
                .for_each(|(epoch, more)| count(Some(*epoch), u64::from(*more)));
        }
    }

    /// Jobs whose worker is gone: each may have wrapped two and told of none, and is given to another one, which takes it
    /// for counted.
    fn left_behind<'a>(&self, left: impl IntoIterator<Item = &'a Pending>) {
        let Some(count) = self.wraps.get() else { return };
        let sealing = left.into_iter().filter_map(|pending| pending.job.seals_under());
        sealing.for_each(|epoch| count(Some(epoch), 2));
    }

    /// Gives a job to the worker with the fewest. While the first worker starts the job waits for it: who connected to a
    /// socket that systemd holds is there before it.
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
            suspect: false,
        };
        match pool.give(pending) {
            Ok(()) => {
                pool.in_flight += 1;
                self.metrics.hsm_in_flight.set(gauge(pool.in_flight));
                Ok(receiver)
            }
            Err(pending) if pool.starting => {
                pool.in_flight += 1;
                self.metrics.hsm_in_flight.set(gauge(pool.in_flight));
                pool.parked.push(pending);
                Ok(receiver)
            }
            Err(_) => Err(Error::Down(pool.reason.clone())),
        }
    }

    /// A worker is up: it gets what was parked, and new jobs.
    pub(super) fn open(&self, id: WorkerId, outgoing: Outgoing) {
        let mut pool = self.lock();
        pool.starting = false;
        pool.lanes.push(Lane::new(id, outgoing));
        let mut parked = std::mem::take(&mut pool.parked);
        parked.sort_by_key(|pending| pending.suspect);
        for pending in parked {
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
                    // The worker ends after this; the rest of its jobs is handed on when the supervisor closes it.
                    lane.accepting = false;
                    self.tell(Event::Lost(id, text.clone()));
                    left.push((pending, text));
                }
            }
        }
        if self.recycle_after > 0 && before < self.recycle_after && lane.answered >= self.recycle_after {
            self.tell(Event::Recycle(id));
        }
        if lane.draining && lane.pending.is_empty() {
            self.tell(Event::Drained(id));
        }
        self.left_behind(left.iter().map(|(pending, _)| pending));
        for (pending, text) in left {
            settled.extend(pool.hand_on([pending], &text));
            pool.reason = text;
        }
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
        if !lane.draining {
            pool.reason = why.to_owned();
        }
        let mut left: Vec<_> = lane.pending.into_values().collect();
        for suspect in left.iter_mut().take(self.sessions) {
            suspect.suspect = true;
        }
        left.sort_by_key(|pending| pending.suspect);
        self.left_behind(&left);
        if let Some(count) = self.wraps.get().filter(|_| self.ahead) {
            // The one that each session was making, and could not tell of.
            count(None, u64::try_from(self.sessions).unwrap_or(u64::MAX));
        }
        let settled = pool.hand_on(left, why);
        self.settle(pool, settled);
    }

    /// No worker could be started: jobs that wait for one fail now rather than later, if none is up.
    pub(super) fn down(&self, reason: &str) {
        let mut pool = self.lock();
        pool.starting = false;
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
        let mut stuck = Vec::new();
        for lane in &mut pool.lanes {
            let (since, limit) = match lane.pending.values().next() {
                Some(oldest) => (oldest.sent, self.deadline),
                None => (lane.heard, self.silence),
            };
            if now.saturating_duration_since(since) > limit {
                // Nothing is handed on to it while the others are closed.
                lane.accepting = false;
                stuck.push(lane.id);
            }
        }
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

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
