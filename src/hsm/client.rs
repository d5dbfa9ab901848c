//! The server's side: a handle that hands jobs to worker processes.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::keeper::Keeper;
use super::pool::{Dispatch, Event, Launch, Program, Status, Supervisor};
use super::{Config, Epoch, Error, Health, Job, Keyset, Reply, StartFault};
use crate::telemetry::Metrics;

/// A handle on the worker processes; clones share them. When the last one is dropped the workers end, as after
/// [`Client::shutdown`], but nobody waits for it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    dispatch: Arc<Dispatch>,
    status: watch::Receiver<Status>,
    events: mpsc::Sender<Event>,
    metrics: Metrics,
    keeper: Option<Keeper>,
    untold_wraps: u64,
}

impl Client {
    /// Starts the supervisor. Returns at once: workers come up behind it, the first alone, the others after it is up.
    ///
    /// # Errors
    /// Nothing could be started at all (no thread, no tokio runtime around the caller).
    pub fn start(config: Config, keyset: Keyset, metrics: Metrics) -> Result<Self, Error> {
        Self::start_with(Program::new(&config, None), config, keyset, metrics)
    }

    /// As [`Client::start`], with the PIN from the keeper: no worker is started while the vault is sealed.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub fn start_sealed(config: Config, keyset: Keyset, metrics: Metrics, keeper: Keeper) -> Result<Self, Error> {
        Self::start_with(Program::new(&config, Some(keeper)), config, keyset, metrics)
    }

    /// As [`Client::start`], with workers of another make.
    pub(super) fn start_with(
        launch: impl Launch,
        config: Config,
        keyset: Keyset,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let keeper = launch.keeper().cloned();
        let runtime = Handle::try_current().map_err(|error| Error::Down(error.to_string()))?;
        let (events, inbox) = mpsc::channel();
        let untold = match config.pregenerate {
            0 => 0,
            _ => config.workers.saturating_mul(config.sessions).saturating_mul(2),
        };
        let dispatch = Arc::new(Dispatch::new(&config, events.clone(), metrics.clone()));
        let supervisor = Supervisor::new(
            launch,
            config,
            keyset,
            runtime,
            Arc::clone(&dispatch),
            events.clone(),
            metrics.clone(),
        );
        let status = supervisor.status();
        // A thread of its own that lives as long as the workers: the kernel ends a worker with the thread that started it.
        std::thread::Builder::new()
            .name("hsm-supervisor".to_owned())
            .spawn(move || supervisor.run(&inbox))
            .map_err(|error| Error::Down(error.to_string()))?;
        Ok(Self {
            shared: Arc::new(Shared {
                dispatch,
                status,
                events,
                metrics,
                keeper,
                untold_wraps: u64::try_from(untold).unwrap_or(u64::MAX),
            }),
        })
    }

    /// Does one job. A job whose worker dies or is stuck is given to one other worker, so an answer takes at most twice
    /// the configured deadline.
    ///
    /// # Errors
    /// As [`Error`] lists them.
    pub async fn call(&self, job: Job) -> Result<Reply, Error> {
        let begun = Instant::now();
        let name = job.name();
        let answer = match self.shared.dispatch.hand_over(job) {
            Ok(answer) => answer
                .await
                .unwrap_or_else(|_| Err(Error::Down("the workers ended".to_owned()))),
            Err(error) => Err(error),
        };
        self.shared
            .metrics
            .hsm_jobs
            .with_label_values(&[name, outcome(&answer)])
            .observe(begun.elapsed().as_secs_f64());
        answer
    }

    /// Has DEKs counted that workers wrap beside one for each job that seals: for a job that is done twice, those made ahead
    /// and thrown away, and those that a worker that died may have made. Without an epoch: under the one in use. As many as
    /// there were, or more.
    pub fn count_wraps(&self, count: impl Fn(Option<Epoch>, u64) + Send + Sync + 'static) {
        self.shared.dispatch.count_wraps(Box::new(count));
    }

    /// DEKs made ahead that workers may have wrapped and not told of yet, at most: one in each session of each worker, and
    /// of those that take their places.
    pub fn untold_wraps(&self) -> u64 {
        self.shared.untold_wraps
    }

    /// What the supervisor sees; cheap.
    pub fn health(&self) -> Health {
        self.shared.status.borrow().health.clone()
    }

    /// Whether who looks after the workers does its work: it kills those that are stuck. How the HSM is does not count.
    pub async fn beats(&self) -> bool {
        let (answer, answered) = tokio::sync::oneshot::channel();
        if self.shared.events.send(Event::Beat(answer)).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(BEAT, answered).await, Ok(Ok(())))
    }

    /// Replaces all workers by ones with these keys, one after another while jobs go on, and waits until the last one with
    /// others has ended.
    ///
    /// # Errors
    /// [`Error::Deadline`]: not within `patience`. It goes on; those that are started from now on have these keys.
    pub async fn renew(&self, keyset: Keyset, patience: std::time::Duration) -> Result<(), Error> {
        let (done, settled) = tokio::sync::oneshot::channel();
        let ended = |_| Error::Down("the workers ended".to_owned());
        self.shared
            .events
            .send(Event::Renew(Box::new(keyset), done))
            .map_err(|_| ended(()))?;
        match tokio::time::timeout(patience, settled).await {
            Ok(settled) => settled.map_err(|_| ended(())),
            Err(_) => Err(Error::Deadline),
        }
    }

    /// Waits until a worker is up, or until the first one was refused for good (policy gap, keys missing or swapped,
    /// refused PIN), which is the error's text.
    ///
    /// # Errors
    /// [`Error::Down`] with the reason.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut status = self.shared.status.clone();
        let settled = status
            .wait_for(|status| status.health.ready || status.refused.is_some() || status.ended)
            .await;
        match settled {
            Ok(status) if status.health.ready => Ok(()),
            Ok(status) => Err(Error::Down(status.health.reason.clone().unwrap_or_default())),
            Err(_) => Err(Error::Down("the workers ended".to_owned())),
        }
    }

    /// Why no worker is started any more, after a start that was refused for good. Workers that were up before go on.
    pub fn refusal(&self) -> Option<StartFault> {
        self.shared.status.borrow().refused.clone()
    }

    /// Has the PIN forgotten and ends the workers: custodians unseal again. `false`: this vault does not start sealed.
    pub fn seal(&self) -> bool {
        let Some(keeper) = &self.shared.keeper else {
            return false;
        };
        keeper.forget("sealed by an operator");
        // Fails when the supervisor ended, and its workers with it.
        let _ = self.shared.events.send(Event::Seal);
        true
    }

    /// Lets accepted jobs finish, then ends the workers in order (close sessions, C_Finalize). New jobs are refused from
    /// the call on; a worker that does not end in time is killed.
    pub async fn shutdown(&self) {
        self.shared.stop();
        let mut status = self.shared.status.clone();
        // An error means that the supervisor is gone, and its workers with it.
        let _ = status.wait_for(|status| status.ended).await;
    }
}

impl Shared {
    fn stop(&self) {
        // Fails when the supervisor ended already.
        let _ = self.events.send(Event::Stop);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Events take no longer than this to be worked on.
const BEAT: std::time::Duration = std::time::Duration::from_secs(5);

/// How a job ended, for metrics.
fn outcome(answer: &Result<Reply, Error>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(Error::Busy) => "busy",
        Err(Error::Down(_)) => "down",
        Err(Error::Deadline) => "deadline",
        Err(Error::Malformed(_)) => "malformed",
        Err(Error::Tampered) => "tampered",
    }
}
