//! The server's side: starts the keeper, starts it again when it ends, and hands descriptors on to it.

use std::io::{self, stderr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::settings::{Seal, SealEvent, SealOutcome, Settings};
use super::wire::{Order, Report, hear, pair, tell_now};
use crate::telemetry::Metrics;

/// What a keeper may know of the server's environment: nothing secret, and nothing that changes what it loads.
const INHERITED: [&str; 4] = ["JOURNAL_STREAM", "LANG", "PATH", "TZ"];

/// What people are told then.
const ENDED: &str = "the pin keeper ended: custodians must unseal again";

/// Between an end and the next start; doubled up to [`LONGEST_PAUSE`] while it ends again at once.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// One that lived so long is started again after [`PAUSE`].
const STEADY: Duration = Duration::from_secs(10);

/// The pin keeper; clones share it. It ends with the last one, or at [`Keeper::end`].
#[derive(Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    metrics: Metrics,
}

struct State {
    /// The server's end of the socket to the keeper that runs.
    control: Option<OwnedFd>,
    seal: Seal,
    /// The keeper ended since the vault was unsealed last.
    ended: bool,
    /// Counts how often the vault was unsealed.
    unsealed: u64,
    /// The PIN of that time was refused by the token.
    refused: u64,
    ending: bool,
}

impl Keeper {
    /// Starts it. `door` is the socket of custodians; this process never accepts on it. Events go to `record`.
    ///
    /// # Errors
    /// It could not be started at all.
    pub fn start(
        settings: Settings,
        door: UnixListener,
        metrics: Metrics,
        record: UnboundedSender<SealEvent>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                control: None,
                seal: Seal::unknown("the pin keeper starts"),
                ended: false,
                unsealed: 0,
                refused: 0,
                ending: false,
            }),
            metrics,
        });
        shared.gauge(&shared.state().seal);
        let watched = Arc::clone(&shared);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        // A thread of its own that lives as long as the keeper: the kernel ends it with the thread that started it.
        std::thread::Builder::new()
            .name("pin-keeper-watch".to_owned())
            .spawn(move || match watched.launch(&settings, &door) {
                Ok(first) => {
                    let _ = tell.send(Ok(()));
                    watched.watch(&settings, &door, first, &record);
                }
                Err(error) => drop(tell.send(Err(error))),
            })?;
        told.recv().map_err(io::Error::other)??;
        Ok(Self { shared })
    }

    /// How the vault is sealed.
    pub fn seal(&self) -> Seal {
        self.shared.state().seal.clone()
    }

    /// Has the PIN forgotten; workers that are up go on.
    pub fn forget(&self, why: &str) {
        self.shared.order(&Order::Forget(why.to_owned()), None);
    }

    /// Ends it.
    pub fn end(&self) {
        let mut state = self.shared.state();
        state.ending = true;
        if let Some(control) = state.control.take() {
            // A keeper that is gone already hears nothing.
            let _ = rustix::net::shutdown(&control, rustix::net::Shutdown::Both);
        }
    }

    /// Why no worker can be started now.
    pub(in crate::hsm) fn hold(&self) -> Option<String> {
        let state = self.shared.state();
        if state.seal.sealed {
            return Some(state.seal.to_string());
        }
        // the order to forget it is on its way
        (state.refused == state.unsealed).then(|| "sealed: the token refused the PIN".to_owned())
    }

    /// Has the PIN given to who holds the other end of this one.
    pub(in crate::hsm) fn hand_out(&self, to: UnixStream) {
        self.shared.order(&Order::HandOut, Some(to.into()));
    }

    /// The token refused the PIN: it is not handed out again.
    pub(in crate::hsm) fn refused(&self, why: &str) {
        {
            let mut state = self.shared.state();
            state.refused = state.unsealed;
        }
        self.forget(&format!(
            "the token refused the PIN that the shares gave ({why}): make shares of the right one with `panvault shares split`"
        ));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: &Order, along: Option<OwnedFd>) {
        let mut state = self.state();
        let sent = match &state.control {
            Some(control) => tell_now(control, order, along.as_ref()),
            // Whoever waits at the other end sees it closed.
            None => return,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "the pin keeper was not told");
            // it would keep what it must forget: without us it ends, and another one starts sealed
            if matches!(order, Order::Forget(_)) {
                state.control = None;
            }
        }
    }

    fn launch(&self, settings: &Settings, door: &UnixListener) -> io::Result<(Child, OwnedFd)> {
        let (ours, theirs) = pair()?;
        let hello = Order::Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: settings.clone(),
        };
        tell_now(&ours, &hello, None)?;
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new(&settings.program)
            .arg("pin-keeper")
            .env_clear()
            .envs(inherited)
            // a ^C at the terminal is for the server
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(OwnedFd::from(door.try_clone()?)))
            .stderr(Stdio::from(stderr().as_fd().try_clone_to_owned()?))
            .spawn()?;
        self.state().control = Some(ours.try_clone()?);
        Ok((child, ours))
    }

    /// Hears the keeper and starts the next one, until the end is ordered.
    fn watch(
        &self,
        settings: &Settings,
        door: &UnixListener,
        first: (Child, OwnedFd),
        record: &UnboundedSender<SealEvent>,
    ) {
        let mut next = Some(first);
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            if let Some((mut child, control)) = next.take() {
                tracing::info!(pid = child.id(), "the pin keeper is up");
                self.hear(&control, record);
                drop(control);
                self.state().control = None;
                let ended = child.wait();
                if self.state().ending {
                    return;
                }
                tracing::error!(?ended, "the pin keeper ended: the vault is sealed for new workers");
                self.sealed(record);
            }
            pause = match begun.elapsed() >= STEADY {
                true => PAUSE,
                false => pause,
            };
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if self.state().ending {
                return;
            }
            match self.launch(settings, door) {
                Ok(started) => next = Some(started),
                Err(error) => tracing::error!(%error, "the pin keeper could not be started"),
            }
        }
    }

    fn hear(&self, control: &OwnedFd, record: &UnboundedSender<SealEvent>) {
        loop {
            match hear::<Report>(control) {
                Ok(Some((Report::Event(event), _))) => {
                    if event.outcome == SealOutcome::Unsealed {
                        tracing::info!("unsealed: {}", event.detail);
                    }
                    // Fails when nobody records any more, at the end.
                    let _ = record.send(event);
                }
                Ok(Some((Report::Seal(seal), _))) => self.stands(seal),
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the pin keeper is not understood");
                    return;
                }
            }
        }
    }

    fn stands(&self, mut seal: Seal) {
        self.gauge(&seal);
        let mut state = self.state();
        if state.seal.sealed && !seal.sealed {
            state.unsealed += 1;
        }
        state.ended &= seal.sealed;
        if state.ended && seal.remark.is_none() {
            seal.remark = Some(ENDED.to_owned());
        }
        state.seal = seal;
    }

    /// The keeper ended, and the PIN with it.
    fn sealed(&self, record: &UnboundedSender<SealEvent>) {
        let was = {
            let mut state = self.state();
            let was = state.seal.clone();
            state.ended = true;
            state.seal = Seal {
                sealed: true,
                given: Vec::new(),
                until: None,
                remark: Some(ENDED.to_owned()),
                ..was
            };
            self.gauge(&state.seal);
            was
        };
        if !was.sealed || !was.given.is_empty() {
            let _ = record.send(SealEvent {
                outcome: SealOutcome::Sealed,
                by: None,
                detail: ENDED.to_owned(),
            });
        }
    }

    fn gauge(&self, seal: &Seal) {
        self.metrics.sealed.set(i64::from(seal.sealed));
        self.metrics
            .shares_given
            .set(i64::try_from(seal.given.len()).unwrap_or(i64::MAX));
        self.metrics.shares_needed.set(i64::from(seal.threshold));
    }
}
