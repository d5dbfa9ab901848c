//! How many connections there may be, and how long what they wait for may last.

use std::time::Duration;

use tracing::warn;

use super::Callers;

/// Open at once on a listener for operators: admin.sock, and the figures over TCP.
pub(super) const OPERATORS: usize = 32;

/// What a listener for applications has at least, whatever the descriptors allow.
const APPLICATIONS_MIN: usize = 16;

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open at once, per listener for applications; one user has at most half of them, or 64 if that is more. When all
    /// are taken the longest idle one makes room; when none is idle, more wait in the kernel's queue.
    pub max_connections: usize,
    /// File descriptors for the connections of all listeners together: what `max_connections` is clamped to.
    pub descriptors: usize,
    /// Between the end of an answer (or the accept) and the end of the next request's head: bounds slow senders and idle
    /// connections alike.
    pub head_timeout: Duration,
    /// A caller who reads nothing of an answer for so long is cut off.
    pub write_timeout: Duration,
    /// Bytes of a request's head; more is 431.
    pub max_head_bytes: usize,
    /// How long requests under way may take after [`ServerHandle::shutdown`].
    pub drain: Duration,
    /// Lines of a head that are no headers are left out, for applications, and not refused (RFC 9112, 5.1). A front that keeps
    /// connections for several clients must drop them itself then: what it took for a body's length would be left out.
    pub ignore_malformed_headers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            descriptors: usize::MAX,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            max_head_bytes: 16 * 1024,
            drain: Duration::from_secs(30),
            ignore_malformed_headers: false,
        }
    }
}

impl Limits {
    /// The cap of each listener for applications; each for operators has [`OPERATORS`].
    pub(super) fn applications(&self, listeners: impl Iterator<Item = Callers> + Clone) -> usize {
        let operators = listeners.clone().filter(|c| *c == Callers::Operators).count();
        let applications = listeners.count().saturating_sub(operators).max(1);
        let left = self.descriptors.saturating_sub(operators.saturating_mul(OPERATORS));
        let most = (left / applications).max(APPLICATIONS_MIN);
        if most < self.max_connections {
            warn!(
                wanted = self.max_connections,
                connections = most,
                "the limit on open files allows fewer connections at once than the configuration"
            );
        }
        self.max_connections.min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caps_leave_room_for_operators_and_for_the_rest_of_the_process() {
        let cap = |max_connections, descriptors| {
            let limits = Limits {
                max_connections,
                descriptors,
                ..Limits::default()
            };
            limits.applications([Callers::Applications, Callers::Operators].into_iter())
        };
        assert_eq!(cap(1024, usize::MAX), 1024);
        assert_eq!(cap(1024, 900), 900 - OPERATORS);
        assert_eq!(cap(100, 900), 100);
        assert_eq!(cap(1024, 0), APPLICATIONS_MIN);
    }
}
