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

/// A panic ends the process. Says where, not what: a panic's text may hold data.
pub(super) fn end_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("?").to_owned();
        tracing::error!(place, thread, "a defect: the process ends");
        super::terminal::remark(format!("panvault: defect at {place}: the process ends"));
        std::process::abort();
    }));
}
