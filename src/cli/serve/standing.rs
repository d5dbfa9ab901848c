//! What systemd is told while the daemon serves: how it stands, for people, and that it lives.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::hsm::{Client, WorkerState};
use crate::server::systemd::{Standing, tell, watchdog};

/// Between two looks, where the watchdog asks for no less.
const LOOK: Duration = Duration::from_secs(2);

/// Tells until it is dropped.
pub(super) struct Teller {
    task: JoinHandle<()>,
    remark: watch::Sender<Option<String>>,
}

impl Teller {
    /// The sockets serve from now on. Whether the HSM can be reached is for people and for `/readyz`: a restart brings no HSM
    /// back. What is told to the watchdog is that the runtime runs and that who looks after the workers answers.
    pub(super) fn start(client: Client) -> Self {
        tell(&Standing::Ready);
        let (remark, mut remarks) = watch::channel(None::<String>);
        let task = tokio::spawn(async move {
            let watched = watchdog();
            let every = watched.map_or(LOOK, |limit| (limit / 3).min(LOOK));
            let mut last = String::new();
            loop {
                if watched.is_some() && client.beats().await {
                    tell(&Standing::Alive);
                }
                let mut now = told(&client);
                if let Some(remark) = remarks.borrow_and_update().as_deref() {
                    now = format!("{now}; {remark}");
                }
                if now != last {
                    tell(&Standing::Status(now.clone()));
                    last = now;
                }
                // a remark is told at once
                let _ = tokio::time::timeout(every, remarks.changed()).await;
            }
        });
        Self { task, remark }
    }

    /// Adds something to the status, or takes it back.
    pub(super) fn remark(&self, text: Option<String>) {
        self.remark.send_replace(text);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
        tell(&Standing::Stopping);
    }
}

fn told(client: &Client) -> String {
    let health = client.health();
    let up = health
        .workers
        .iter()
        .filter(|worker| **worker == WorkerState::Up)
        .count();
    let workers = health.workers.len();
    if let Some(seal) = health.seal.filter(|seal| seal.sealed) {
        return match health.ready {
            true => format!("serving; {up} of {workers} HSM workers up; for new ones {seal}"),
            false => seal.to_string(),
        };
    }
    match (health.ready, health.reason) {
        (true, _) => format!("serving; {up} of {workers} HSM workers up"),
        (false, Some(reason)) => format!("serving without the HSM: {reason}"),
        (false, None) => "serving; the HSM workers start".to_owned(),
    }
}
