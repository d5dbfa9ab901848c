//! What a worker does to itself before anything else.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Pid, alarm, getppid};

/// A worker that has not started by then ends by itself. Seconds; the server's own limit for it comes first.
const START_LIMIT: u32 = 180;

/// The server that started this worker, whose end is to be the worker's.
pub(in crate::hsm) struct Server(Pid);

/// Makes the process unreadable to others, and takes the socket on stdin. [`Server::tie`] comes after the start.
///
/// # Errors
/// The process was not started by `panvault serve`, or the server is gone already.
pub(in crate::hsm) fn confine() -> io::Result<(UnixStream, Server)> {
    prctl::set_dumpable(false)?;
    match setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    ignore_interruptions()?;
    let stdin = std::io::stdin();
    let server = getsockopt(&stdin.as_fd(), PeerCredentials)
        .map_err(|_| io::Error::other("stdin is not a server's socket: panvault serve starts this command"))?;
    let server = Server(Pid::from_raw(server.pid()));
    server.lives()?;
    alarm::set(START_LIMIT);
    close_inherited()?;
    Ok((UnixStream::from(stdin.as_fd().try_clone_to_owned()?), server))
}

impl Server {
    /// From now on the worker dies with the server.
    ///
    /// Not before: SoftHSM writes its token file anew in place at every login, so a worker that is killed in the middle of
    /// one leaves a token that nothing opens any more.
    ///
    /// # Errors
    /// The server is gone already.
    pub(in crate::hsm) fn tie(&self) -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        alarm::cancel();
        // A server that died before sends no signal any more.
        self.lives()
    }

    /// Whether this process is still the server's child.
    fn lives(&self) -> io::Result<()> {
        match getppid() == self.0 {
            true => Ok(()),
            false => Err(io::Error::other("the server is gone")),
        }
    }
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
