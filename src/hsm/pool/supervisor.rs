//! Starts workers, watches them, and replaces those that end: one thread, one start at a time.
//!
//! A start is a login. Because the next one begins only after the last one succeeded, a PIN that the token refuses is
//! tried once, whatever the number of workers.

mod renewal;
mod standing;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use self::renewal::Renewals;
use super::backoff::Backoff;
use super::dispatch::Dispatch;
use super::ending::{Endings, Reason};
use super::launch::{Launch, Process};
use super::link;
use super::roster::{Roster, Starting, Worker};
use super::status::{Board, Status};
use super::{Event, WorkerId};
use crate::hsm::message::{Hello, PROTOCOL};
use crate::hsm::{Config, Keyset, ProbeReport, StartFault, Verdict};
use crate::telemetry::Metrics;

/// A worker that is not ready after so long is killed. Longer than it waits for another process's start.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A worker that lived so long before it crashed is replaced after the shortest pause.
const STEADY: Duration = Duration::from_secs(10);
/// How often processes that are ending are looked at.
const REAP: Duration = Duration::from_millis(5);

/// The thread's state.
pub(in crate::hsm) struct Supervisor<L: Launch> {
    launch: L,
    hello: Arc<Hello>,
    runtime: Handle,
    dispatch: Arc<Dispatch>,
    events: Sender<Event>,
    metrics: Metrics,
    status: Board,

    roster: Roster<L::Process>,
    endings: Endings<L::Process>,
    renewals: Renewals,

    started: u64,
    backoff: Backoff,
    next_start: Instant,
    /// Why nothing is started any more.
    refused: Option<StartFault>,
    /// Why not all are up.
    reason: Option<String>,
    /// What the start-up check found last.
    report: Option<ProbeReport>,
    /// Why nothing is started for the time being.
    held: Option<String>,
    stopping: bool,
    last_look: Instant,
}

impl<L: Launch> Supervisor<L> {
    pub(in crate::hsm) fn new(
        launch: L,
        config: Config,
        keyset: Keyset,
        runtime: Handle,
        dispatch: Arc<Dispatch>,
        events: Sender<Event>,
        metrics: Metrics,
    ) -> Self {
        let wanted = config.workers.max(1);
        let now = Instant::now();
        Self {
            launch,
            hello: Arc::new(Hello {
                protocol: PROTOCOL.to_owned(),
                config,
                keyset,
            }),
            runtime,
            dispatch,
            events,
            status: Board::new(wanted, metrics.clone()),
            roster: Roster::new(wanted),
            endings: Endings::new(metrics.clone()),
            renewals: Renewals::default(),
            metrics,
            started: 0,
            backoff: Backoff::default(),
            next_start: now,
            refused: None,
            reason: None,
            report: None,
            held: None,
            stopping: false,
            last_look: now,
        }
    }

    /// Where the state is published.
    pub(in crate::hsm) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Works until it was told to stop and every worker has ended.
    pub(in crate::hsm) fn run(mut self, events: &Receiver<Event>) {
        loop {
            self.start_next();
            self.publish(false);
            match events.recv_timeout(self.pause()) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot be, for this thread holds a sender.
                Err(RecvTimeoutError::Disconnected) => self.stop(),
            }
            self.look();
            self.endings.reap();
            self.settle_renewals();
            if self.stopping && self.end_all() {
                break;
            }
        }
        self.publish(true);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Drained(id) => self.drained(id),
            Event::Failed(id, fault) => self.failed(id, fault),
            Event::Gone(id) => self.gone(id),
            Event::Lost(id, text) => self.lost(id, &text),
            Event::Ready(id, report) => self.ready(id, report),
            Event::Recycle(id) => self.roster.recycle(id),
            Event::Renew(keyset, done) => self.renew(*keyset, done),
            // who asked may have left
            Event::Beat(answer) => drop(answer.send(())),
            Event::Seal => self.seal(),
            Event::Stop => self.stop(),
        }
    }

    /// Starts a worker if one is wanted and none is starting.
    fn start_next(&mut self) {
        let now = Instant::now();
        if self.stopping || self.refused.is_some() || now < self.next_start {
            return;
        }
        let Some(slot) = self.roster.vacancy() else {
            return;
        };
        if self.held() {
            return;
        }
        match self.start(slot, now) {
            Ok(starting) => self.roster.starting = Some(starting),
            Err(error) => self.start_failed(format!("a worker could not be started: {error}")),
        }
    }

    fn start(&mut self, slot: usize, now: Instant) -> std::io::Result<Starting<L::Process>> {
        let (stream, process) = self.launch.launch()?;
        self.started += 1;
        let id = WorkerId(self.started);
        let mut worker = Worker {
            id,
            process,
            since: now,
        };
        match link::connect(&self.runtime, stream, id, &self.hello, &self.dispatch, &self.events) {
            Ok(outgoing) => Ok(Starting { worker, slot, outgoing }),
            Err(error) => {
                worker.process.kill();
                self.endings.push(worker, Reason::Unavailable);
                Err(error)
            }
        }
    }

    fn ready(&mut self, id: WorkerId, report: ProbeReport) {
        let Some(Starting {
            mut worker,
            slot,
            outgoing,
        }) = self.roster.take_starting(id)
        else {
            return;
        };
        let pid = worker.process.id();
        tracing::info!(worker = id.0, pid, took = ?worker.since.elapsed(), token = report.token, "an HSM worker is up");
        if self.report.as_ref() != Some(&report) {
            let remarks = report
                .findings
                .iter()
                .filter(|finding| finding.verdict != Verdict::Pass);
            for finding in remarks {
                tracing::warn!(check = finding.check, verdict = ?finding.verdict, "{}", finding.text);
            }
            self.report = Some(report);
        }
        worker.since = Instant::now();
        self.next_start = worker.since;
        self.reason = None;
        let old = self.roster.put(slot, worker);
        // before it is told that there is a worker: who hears that must not be turned away
        self.dispatch.open(id, outgoing);
        if let Some(old) = old {
            self.dispatch.drain(old);
        }
        self.renew_started(id);
    }

    fn failed(&mut self, id: WorkerId, fault: StartFault) {
        let Some(Starting { worker, .. }) = self.roster.take_starting(id) else {
            return;
        };
        let text = fault.to_string();
        match fault {
            StartFault::Unavailable(_) => {
                self.endings.push(worker, Reason::Unavailable);
                self.start_failed(text);
            }
            StartFault::PinRefused(_) if self.launch.keeper().is_some() => {
                self.endings.push(worker, Reason::Refused);
                self.pin_refused(text);
            }
            StartFault::Keys(_) | StartFault::NotInitialised(_) | StartFault::PinRefused(_) | StartFault::Policy(_) => {
                tracing::error!("no HSM worker is started any more: {text}");
                self.endings.push(worker, Reason::Refused);
                self.dispatch.down(&text);
                self.refused = Some(fault);
                self.reason = Some(text);
            }
        }
    }

    fn start_failed(&mut self, text: String) {
        let pause = self.backoff.failed();
        self.next_start = Instant::now() + pause;
        tracing::warn!(?pause, "an HSM worker did not start: {text}");
        self.dispatch.down(&text);
        self.reason = Some(text);
    }

    /// A worker closed its socket: by itself, or because it was told to.
    fn gone(&mut self, id: WorkerId) {
        if let Some(starting) = self.roster.take_starting(id) {
            self.endings.push(starting.worker, Reason::Itself);
            self.start_failed("a worker ended while it started".to_owned());
        } else if let Some(worker) = self.roster.take(id) {
            self.replace(worker, Reason::Itself, "a worker ended unexpectedly");
        }
    }

    fn lost(&mut self, id: WorkerId, text: &str) {
        if let Some(worker) = self.roster.take(id) {
            self.replace(worker, Reason::Itself, &format!("the HSM does not work: {text}"));
        }
    }

    /// A worker that worked ends without being asked to: hands on its jobs and makes room for the next one.
    fn replace(&mut self, worker: Worker<L::Process>, reason: Reason, why: &str) {
        if worker.since.elapsed() >= STEADY {
            self.backoff.reset();
        }
        let pause = self.backoff.failed();
        self.next_start = self.next_start.max(Instant::now() + pause);
        tracing::warn!(worker = worker.id.0, pid = worker.process.id(), ?pause, "{why}");
        self.reason.get_or_insert_with(|| why.to_owned());
        self.dispatch.close(worker.id, why);
        if let Some(fault) = &self.refused {
            self.dispatch.down(&fault.to_string());
        }
        self.endings.push(worker, reason);
    }

    /// A replaced worker has no job left.
    fn drained(&mut self, id: WorkerId) {
        if let Some(worker) = self.roster.take(id) {
            self.retire(worker, Reason::Recycled);
        }
    }

    /// Orderly end of a worker without jobs: notes its peak memory, then closes its socket.
    fn retire(&mut self, worker: Worker<L::Process>, reason: Reason) {
        if let Some(peak) = worker.process.peak_bytes() {
            tracing::info!(
                worker = worker.id.0,
                pid = worker.process.id(),
                peak,
                "an HSM worker retires"
            );
            self.metrics
                .hsm_worker_peak_bytes
                .set(i64::try_from(peak).unwrap_or(i64::MAX));
        }
        self.dispatch.close(worker.id, "the worker was retired");
        self.endings.push(worker, reason);
    }

    /// Kills workers that are stuck, and a start that takes too long.
    fn look(&mut self) {
        let now = Instant::now();
        let late = now.saturating_duration_since(self.last_look) > Duration::from_secs(1);
        self.last_look = now;
        if late {
            // This process itself was stopped or starved; replies may wait to be read, so nobody is judged now.
            return;
        }
        for id in self.dispatch.overdue(now) {
            if let Some(mut worker) = self.roster.take(id) {
                worker.process.kill();
                self.replace(worker, Reason::Stuck, "a worker did not answer in time and was killed");
            }
        }
        let hangs = |starting: &mut Starting<L::Process>| starting.worker.since.elapsed() > START_LIMIT;
        if let Some(mut starting) = self.roster.starting.take_if(hangs) {
            starting.worker.process.kill();
            self.endings.push(starting.worker, Reason::Stuck);
            self.start_failed(format!("a worker was not ready after {START_LIMIT:?}"));
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.dispatch.stop();
    }

    /// Ends what still runs once no job is in flight; whether all is over.
    fn end_all(&mut self) -> bool {
        if self.dispatch.in_flight() > 0 {
            return false;
        }
        if let Some(starting) = self.roster.starting.take() {
            // Its socket closes with the queue: it ends in order as soon as it has started.
            self.endings.push(starting.worker, Reason::Stopped);
        }
        for worker in self.roster.take_all() {
            self.retire(worker, Reason::Stopped);
        }
        self.endings.is_empty()
    }
}
