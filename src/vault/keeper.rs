//! Who looks after the audit trail: has its head signed in time, marks steps of the clock, and says how far behind it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Vault;
use super::clock::Clocks;
use crate::audit::Event;

/// How often it looks.
const TICK: Duration = Duration::from_millis(200);
/// How long it waits after a head that could not be signed.
const PAUSE: Duration = Duration::from_secs(2);
/// How often the uses of keys are told.
const USES_EVERY: Duration = Duration::from_secs(60 * 60);
/// The daemon's end waits no longer for a head.
const LAST: Duration = Duration::from_secs(5);

/// When heads are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailConfig {
    /// After so many records.
    pub every_records: u64,
    /// So long after the first record that is not covered.
    pub every: Duration,
}

impl Default for TrailConfig {
    fn default() -> Self {
        Self {
            every_records: 1_000,
            every: Duration::from_secs(60),
        }
    }
}

/// The work on the trail. To be stopped before the store is closed.
pub struct TrailKeeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl TrailKeeper {
    /// Ends it.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the work on the audit trail died");
        }
    }
}

/// When the next head is due.
struct Schedule {
    config: TrailConfig,
    /// Since when there are records that are not covered.
    since: Option<Instant>,
    /// The first head of a run waits for nothing: what a crash left uncovered is covered at once.
    begun: bool,
    /// Not before this, after one that failed.
    not_before: Option<Instant>,
}

impl Schedule {
    fn new(config: TrailConfig) -> Self {
        Self {
            config,
            since: None,
            begun: false,
            not_before: None,
        }
    }

    /// Whether a head is due now, with so many records uncovered.
    fn due(&mut self, unsigned: u64, now: Instant) -> bool {
        if unsigned == 0 {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let late = unsigned >= self.config.every_records || now.duration_since(since) >= self.config.every;
        (late || !self.begun) && self.not_before.is_none_or(|then| now >= then)
    }

    fn signed(&mut self) {
        (self.begun, self.since, self.not_before) = (true, None, None);
    }

    fn failed(&mut self, now: Instant) {
        self.not_before = Some(now + PAUSE);
    }

    /// For how long records have waited.
    fn waited(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }
}

impl Vault {
    /// Starts the work on the trail, on the runtime of the caller.
    pub fn start_trail(self: &Arc<Self>, config: TrailConfig) -> TrailKeeper {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Arc::clone(self).keep_trail(config, stopped));
        TrailKeeper { stop, task }
    }

    /// The daemon stops in order, and its last head covers that. To be called when nothing else writes any more, and
    /// while the HSM works.
    pub async fn conclude_trail(&self) {
        self.note_uses().await;
        self.note_stop().await;
        let error = match tokio::time::timeout(LAST, self.sign_head()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the HSM does not answer".to_owned(),
        };
        let records = self.unsigned_records();
        tracing::warn!(
            error,
            records,
            "the last audit records have no signed head until the next start"
        );
    }

    async fn keep_trail(self: Arc<Self>, config: TrailConfig, mut stopped: watch::Receiver<bool>) {
        if let Err(error) = self.recall_head().await {
            tracing::warn!(%error, "the last signed head of the audit trail was not found");
        }
        let mut schedule = Schedule::new(config);
        let mut clocks = Clocks::now();
        let mut unmarked = Vec::new();
        let mut told = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            let before = std::mem::replace(&mut clocks, Clocks::now());
            unmarked.extend(before.step(clocks));
            unmarked = self.mark(unmarked).await;
            if told.elapsed() >= USES_EVERY {
                told = Instant::now();
                self.note_uses().await;
            }
            let (unsigned, now) = (self.unsigned_records(), Instant::now());
            if schedule.due(unsigned, now) {
                match self.sign_head().await {
                    Ok(()) => schedule.signed(),
                    Err(error) => {
                        if schedule.not_before.is_none() {
                            tracing::warn!(%error, records = unsigned, "audit records wait for a signed head");
                        }
                        schedule.failed(now);
                    }
                }
            }
            let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.audit_unsigned_records.set(gauge(self.unsigned_records()));
            self.metrics
                .audit_unsigned_seconds
                .set(gauge(schedule.waited(Instant::now()).as_secs()));
        }
    }

    /// Puts on record how often keys were used since the last time, by key and KEK epoch.
    async fn note_uses(&self) {
        let Some(told) = self.sealer.uses().take() else {
            return;
        };
        let event = Event {
            count: Some(told.total()),
            detail: Some(told.to_string()),
            ..Event::new("key-use", "ok")
        };
        if let Err(error) = self.note(event).await {
            tracing::warn!(%error, "uses of keys are told the next time");
            self.sealer.uses().give_back(told);
        }
    }

    /// Puts steps of the clock on record; gives back what could not be written.
    async fn mark(&self, steps: Vec<Event>) -> Vec<Event> {
        let mut left = Vec::new();
        for event in steps {
            if let Err(error) = self.note(event.clone()).await {
                tracing::warn!(%error, detail = event.detail, "a step of the clock is not in the audit trail yet");
                left.push(event);
            } else {
                tracing::warn!(outcome = event.outcome, detail = event.detail, "the clock was set");
            }
        }
        left
    }
}

#[cfg(test)]
mod tests;
