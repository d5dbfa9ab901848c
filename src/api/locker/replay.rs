//! Encrypted requests that came before. Nothing in them says when they were made, so that one comes again is seen only while
//! it is remembered: in this process's memory.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};

use crate::jose::Compact;

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

/// What a request is known again by: its encryption. What is inside says the same each time that a client asks the same,
/// but each request has a content key of its own; and nobody who has only seen one can encrypt it anew.
#[derive(Clone, Copy)]
pub(super) struct Came([u8; 32]);

impl Came {
    pub(super) fn of(jwe: &Compact) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&jwe.encrypted_key);
        hash.update(&jwe.iv);
        hash.update(&jwe.tag);
        let mut key = [0; 32];
        key.iter_mut()
            .zip(hash.finish().as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(key)
    }
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

    /// Remembers a request that its sender signed.
    pub(super) fn note(&self, came: Came) -> Standing {
        self.note_at(came, Instant::now())
    }

    fn note_at(&self, Came(key): Came, now: Instant) -> Standing {
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
        let at = |seconds, which| seen.note_at(Came([which; 32]), begin + Duration::from_secs(seconds));
        assert_eq!(at(1, 1), Standing::New);
        assert_eq!(at(1, 1), Standing::Again);
        assert_eq!(at(9, 2), Standing::New);
        assert_eq!(at(11, 1), Standing::Again);
        assert_eq!(at(18, 2), Standing::Again);
        assert_eq!(at(21, 2), Standing::New);
        // after a long silence nothing is known
        assert_eq!(at(100, 2), Standing::New);
    }
}
