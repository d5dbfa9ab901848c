//! What a worker does to itself before anything else.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::getppid;

/// Makes the process unreadable to others, ties its life to the server's, and takes the socket on stdin.
///
/// # Errors
/// The process was not started by `panvault serve`, or the server is gone already.
pub(super) fn confine() -> io::Result<UnixStream> {
    prctl::set_dumpable(false)?;
    match setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    ignore_interruptions()?;
    let stdin = std::io::stdin();
    let server = getsockopt(&stdin.as_fd(), PeerCredentials)
        .map_err(|_| io::Error::other("stdin is not a server's socket: panvault serve starts this command"))?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A server that died before the line above sends no signal any more.
    if getppid().as_raw() != server.pid() {
        return Err(io::Error::other("the server is gone"));
    }
    close_inherited()?;
    Ok(UnixStream::from(stdin.as_fd().try_clone_to_owned()?))
}

/// The server decides when a worker ends: a ^C reaches the whole process group, and jobs must still be finished.
/// Blocked rather than ignored: that is inherited by every thread, also of the vendor's library, and needs no handler.
fn ignore_interruptions() -> io::Result<()> {
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        blocked.add(signal);
    }
    Ok(blocked.thread_block()?)
}

/// Closes what the server had open without knowing, such as sockets handed to it at its own start.
fn close_inherited() -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        match nix::unistd::close(fd) {
            // The directory that was just read is in the list, and closed.
            Ok(()) | Err(Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
