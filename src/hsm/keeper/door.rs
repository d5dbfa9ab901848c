//! Custodians' connections: one request each, answered and closed.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::gather::Taken;
use super::process::Shared;
use super::settings::{Custodian, SealEvent, SealOutcome};
use super::wire::{Answer, Request};

/// Connections served at once; a person needs one.
const MOST: usize = 16;

/// A refusal is told only after so long: who tries shares gets nowhere.
const BRAKE: Duration = Duration::from_millis(500);

/// Accepts until the process ends.
pub(super) fn serve(door: &UnixListener, shared: &Arc<Shared>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match door.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a custodian's connection was not accepted");
                std::thread::sleep(Duration::from_secs(1));
                continue;
            }
        };
        if open.fetch_add(1, Ordering::Relaxed) >= MOST {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let place = Place(Arc::clone(&open));
        let shared = Arc::clone(shared);
        let spawned = std::thread::Builder::new().spawn(move || {
            let _place = place;
            if let Err(error) = answer(&stream, &shared) {
                tracing::debug!(%error, "a custodian's connection broke");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a custodian's connection was not served");
        }
    }
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer(stream: &UnixStream, shared: &Shared) -> std::io::Result<()> {
    // some listeners do not block, and what they accept neither
    stream.set_nonblocking(false)?;
    let peer = getsockopt(&stream.as_fd(), PeerCredentials)?;
    let by = Custodian {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid(),
    };
    let request = Request::receive(stream)?;
    let refused = match request {
        Ok(Request::Look) => None,
        Ok(Request::Share(bytes)) => give(by, &bytes, shared).err(),
        Err(fault) => {
            refuse(by, fault, shared);
            Some(fault.to_owned())
        }
    };
    if refused.is_some() {
        std::thread::sleep(BRAKE);
    }
    let seal = shared.gather().seal(Instant::now());
    Answer { refused, seal }.send(stream)
}

/// Gives a share on; the refusal for the custodian.
fn give(by: Custodian, bytes: &[u8], shared: &Shared) -> Result<(), String> {
    let (taken, seal) = {
        let mut gather = shared.gather();
        let now = Instant::now();
        (gather.give(by, bytes, now), gather.seal(now))
    };
    let of = seal.set.map(|set| format!(" of set {set}")).unwrap_or_default();
    let event = |outcome, detail| SealEvent {
        outcome,
        by: Some(by),
        detail,
    };
    match taken {
        Ok(Taken::NotNeeded) => Ok(()),
        Ok(Taken::Kept) => {
            let index = seal.given.last().copied().unwrap_or_default();
            let detail = format!("share {index}{of}; {} of {} given", seal.given.len(), seal.threshold);
            shared.tell(event(SealOutcome::ShareGiven, detail));
            shared.publish();
            Ok(())
        }
        Ok(Taken::Unsealed) => {
            let detail = format!("the last share{of} that was needed, {} in all", seal.threshold);
            shared.tell(event(SealOutcome::Unsealed, detail));
            shared.publish();
            Ok(())
        }
        Err(refusal) => {
            let text = refusal.to_string();
            refuse(by, &text, shared);
            // shares that do not fit were forgotten
            shared.publish();
            Err(text)
        }
    }
}

fn refuse(by: Custodian, why: &str, shared: &Shared) {
    tracing::warn!(uid = by.uid, pid = by.pid, "a share was refused: {why}");
    shared.tell(SealEvent {
        outcome: SealOutcome::Refused,
        by: Some(by),
        detail: why.to_owned(),
    });
}
