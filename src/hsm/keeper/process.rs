//! The process: `panvault pin-keeper`. Its stdin is the server's socket, its stdout the socket of custodians.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use rustix::mm::{MlockAllFlags, mlockall};

use super::door;
use super::gather::Gather;
use super::refusals::Refusals;
use super::settings::{SealEvent, SealOutcome};
use super::wire::{self, Order, Report, hear, take_stdout};
use crate::hsm::worker::{confine, sandbox};
use crate::telemetry::logs::{Filter, Logs, Sink};

/// Between two looks at the time of shares.
const LOOK: Duration = Duration::from_secs(1);

/// What the threads share.
pub(super) struct Shared {
    gather: Mutex<Gather>,
    refusals: Mutex<Refusals>,
    server: OwnedFd,
}

impl Shared {
    pub(super) fn gather(&self) -> MutexGuard<'_, Gather> {
        self.gather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refusals of the last minute.
    pub(super) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the server what belongs on record.
    pub(super) fn tell(&self, event: SealEvent) {
        self.report(&Report::Event(event));
    }

    /// Tells the server how the vault is sealed.
    pub(super) fn publish(&self) {
        // under the lock, so that what is told last is what is so
        let gather = self.gather();
        self.report(&Report::Seal(gather.seal(Instant::now())));
    }

    fn report(&self, report: &Report) {
        // A server that is gone takes this process along.
        if let Err(error) = wire::tell(&self.server, report) {
            tracing::debug!(%error, "the server was not told");
        }
    }
}

/// Runs `panvault pin-keeper`, which `panvault serve` starts.
///
/// Exit codes: 0 after the server closed the socket, 1 for a broken connection or a start by hand.
pub fn main() -> ExitCode {
    let confined = confine::confine();
    if let Err(error) = Filter::parse("info").and_then(|filter| Logs::start(filter, Sink::detect())) {
        eprintln!("panvault pin-keeper: {error}");
    }
    let ended = confined.and_then(|(server, parent)| {
        sandbox::enter(&[])?;
        parent.tie()?;
        run(server)
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "pin-keeper cannot run");
            ExitCode::FAILURE
        }
    }
}

fn run(server: UnixStream) -> io::Result<()> {
    let door = UnixListener::from(take_stdout()?);
    door.set_nonblocking(false)?;
    lock_memory();
    let server = OwnedFd::from(server);
    let settings = match hear::<Order>(&server)? {
        None => return Ok(()),
        Some((Order::Hello { version, settings }, _)) if version == env!("CARGO_PKG_VERSION") => settings,
        Some((Order::Hello { .. }, _)) => {
            return Err(io::Error::other(
                "the program was replaced while the server ran: restart the server",
            ));
        }
        Some((Order::Forget(_) | Order::HandOut, _)) => return Err(io::Error::other("a message came out of turn")),
    };
    let shared = Arc::new(Shared {
        gather: Mutex::new(Gather::new(settings)),
        refusals: Mutex::default(),
        server: server.try_clone()?,
    });
    shared.publish();
    let of_door = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("pin-keeper-door".to_owned())
        .spawn(move || door::serve(&door, &of_door))?;
    let of_clock = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("pin-keeper-clock".to_owned())
        .spawn(move || watch(&of_clock))?;
    while let Some((order, along)) = hear::<Order>(&server)? {
        match (order, along) {
            (Order::HandOut, Some(to)) => super::pass::pass(&shared.gather(), to),
            (Order::HandOut, None) => tracing::warn!("no descriptor came along with an order"),
            (Order::Forget(why), _) => {
                let forgotten = shared.gather().forget(why.clone());
                shared.publish();
                if forgotten {
                    shared.tell(SealEvent {
                        outcome: SealOutcome::Sealed,
                        by: None,
                        detail: why,
                    });
                }
            }
            (Order::Hello { .. }, _) => return Err(io::Error::other("a message came out of turn")),
        }
    }
    Ok(())
}

/// Forgets shares whose time is over, and tells when another set was made.
fn watch(shared: &Shared) {
    let mut last = None;
    loop {
        std::thread::sleep(LOOK);
        let (expired, set) = {
            let mut gather = shared.gather();
            let now = Instant::now();
            (gather.expire(now), gather.seal(now).set)
        };
        let uncounted = shared.refusals().over(Instant::now());
        if let Some(count) = uncounted {
            shared.tell(SealEvent {
                outcome: SealOutcome::Refused,
                by: None,
                detail: format!("{count} more within a minute; the log has each"),
            });
        }
        if let Some(count) = expired {
            tracing::warn!(count, "shares were forgotten: the others did not come in time");
            shared.tell(SealEvent {
                outcome: SealOutcome::Forgotten,
                by: None,
                detail: format!("{count} shares: the others did not come in time"),
            });
        }
        if expired.is_some() || last != Some(set) {
            shared.publish();
        }
        if let (Some(before), Some(now)) = (last.replace(set), set)
            && before != set
        {
            shared.tell(SealEvent {
                outcome: SealOutcome::NewSet,
                by: None,
                detail: format!("set {now} unseals from now on; shares given of another one are forgotten"),
            });
        }
    }
}

/// Keeps what this process holds out of swap, where that is allowed: a limit that is not lifted would end it later.
fn lock_memory() {
    // refused to all but root
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match unlimited.then(|| mlockall(flags)) {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::warn!(%error, "memory cannot be locked: see that nothing is swapped out"),
        None => tracing::warn!("memory cannot be locked (LimitMEMLOCK=): see that nothing is swapped out"),
    }
}
