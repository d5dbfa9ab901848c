//! What holds for every process of this program, whatever its command.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

/// No core dumps, no tracing by others, no files for others: some commands read PINs, some reveal cards.
pub(super) fn keep_private() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        super::terminal::remark(format!("panvault: cannot forbid core dumps: {error}"));
    }
    // Refused under a system call filter, where the unit has set the limit.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    umask(Mode::from_bits_truncate(0o077));
}
