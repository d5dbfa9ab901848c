//! How many files the daemon may have open, and how many of them may be connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For all that is no connection: the store, the audit segments, the runtime.
const KEPT: usize = 128;

/// For a worker, also while another takes its place.
const PER_WORKER: usize = 8;

/// Allows as many as the system lets this process have.
pub(super) fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Refused under a system call filter, where the unit has set the limit.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What connections may take of the limit in force, beside so many workers.
pub(super) fn for_connections(workers: usize) -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let kept = KEPT.saturating_add(workers.saturating_mul(PER_WORKER));
    usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(kept)
}
