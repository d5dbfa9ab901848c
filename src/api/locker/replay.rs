//! Encrypted requests that came before. Nothing in them says when they were made, so that one comes again is seen only while
//! it is remembered: in this process's memory.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};

/// The most requests of one window. More are refused: who relies on the window must not lose it to a flood.
const MOST: usize = 1_000_000;

/// What came lately.
pub(super) struct Seen {
    window: Duration,
    state: Mutex<State>,
}

/// After a window the young ones become the old ones, and those are forgotten: each is remembered for one window at least.
struct State {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
    since: Instant,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It did not come before.
    New,
    /// It came before.
    Again,
    /// There is no room to remember it.
    NoRoom,
}

impl Seen {
    pub(super) fn within(window: Duration) -> Self {
        Self {
            window,
            state: Mutex::new(State {
                young: HashSet::new(),
                old: HashSet::new(),
                since: Instant::now(),
            }),
        }
    }

    /// Remembers a request by what was signed and the signature, which nobody but its sender can make again.
    pub(super) fn note(&self, message: &[u8], signature: &[u8]) -> Standing {
        self.note_at(message, signature, Instant::now())
    }

    fn note_at(&self, message: &[u8], signature: &[u8], now: Instant) -> Standing {
        let mut hash = Context::new(&SHA256);
        hash.update(message);
        hash.update(b".");
        hash.update(signature);
        let mut key = [0; 32];
        key.iter_mut()
            .zip(hash.finish().as_ref())
            .for_each(|(to, from)| *to = *from);

        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(state.since);
        if age >= self.window {
            state.old = mem::take(&mut state.young);
            state.since = now;
        }
        if age >= self.window.saturating_mul(2) {
            state.old = HashSet::new();
        }
        if state.young.contains(&key) || state.old.contains(&key) {
            return Standing::Again;
        }
        if state.young.len() >= MOST {
            return Standing::NoRoom;
        }
        state.young.insert(key);
        Standing::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_again_for_one_window_at_least_and_two_at_most() {
        let seen = Seen::within(Duration::from_secs(10));
        let begin = Instant::now();
        let at = |seconds, message: &[u8]| seen.note_at(message, b"s", begin + Duration::from_secs(seconds));
        assert_eq!(at(1, b"a"), Standing::New);
        assert_eq!(at(1, b"a"), Standing::Again);
        assert_eq!(at(9, b"b"), Standing::New);
        assert_eq!(at(11, b"a"), Standing::Again);
        assert_eq!(at(18, b"b"), Standing::Again);
        assert_eq!(at(21, b"b"), Standing::New);
        // after a long silence nothing is known
        assert_eq!(at(100, b"b"), Standing::New);
        assert_eq!(
            seen.note_at(b"b", b"t", begin + Duration::from_secs(100)),
            Standing::New
        );
    }
}
