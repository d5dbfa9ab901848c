//! Custodians' connections: one request each, answered and closed.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::gather::Taken;
use super::process::Shared;
use super::settings::{Custodian, SealEvent, SealOutcome};
use super::wire::{Answer, Request};

/// Connections served at once, and those of one user; a person needs one.
const MOST: usize = 64;
const MOST_OF_ONE: usize = 4;

/// A refusal is told only after so long: who tries shares gets nowhere.
const BRAKE: Duration = Duration::from_millis(500);

/// Accepts until the process ends.
pub(super) fn serve(door: &UnixListener, shared: &Arc<Shared>) {
    let open = Arc::new(Mutex::new(BTreeMap::new()));
    loop {
        let stream = match door.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a custodian's connection was not accepted");
                std::thread::sleep(Duration::from_secs(1));
                continue;
            }
        };
        let Ok(by) = caller(&stream) else { continue };
        // one more is closed unanswered
        let Some(place) = Place::take(&open, by.uid) else {
            continue;
        };
        let shared = Arc::clone(shared);
        let spawned = std::thread::Builder::new().spawn(move || {
            let _place = place;
            if let Err(error) = answer(&stream, by, &shared) {
                tracing::debug!(%error, "a custodian's connection broke");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a custodian's connection was not served");
        }
    }
}

/// Open connections by user.
type Open = Arc<Mutex<BTreeMap<u32, usize>>>;

/// A connection's place among them; given back when dropped.
struct Place {
    open: Open,
    uid: u32,
}

impl Place {
    fn take(open: &Open, uid: u32) -> Option<Self> {
        let mut places = open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = places.values().sum();
        let own = places.entry(uid).or_default();
        if all >= MOST || *own >= MOST_OF_ONE {
            return None;
        }
        *own += 1;
        Some(Self {
            open: Arc::clone(open),
            uid,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = places.get_mut(&self.uid) {
            *own = own.saturating_sub(1);
        }
        places.retain(|_, count| *count > 0);
    }
}

fn caller(stream: &UnixStream) -> nix::Result<Custodian> {
    let peer = getsockopt(&stream.as_fd(), PeerCredentials)?;
    Ok(Custodian {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid(),
    })
}

fn answer(stream: &UnixStream, by: Custodian, shared: &Shared) -> std::io::Result<()> {
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
    if !shared.refusals().add(Instant::now()) {
        return;
    }
    shared.tell(SealEvent {
        outcome: SealOutcome::Refused,
        by: Some(by),
        detail: why.to_owned(),
    });
}
