//! Handing the PIN to a worker.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::gather::Gather;
use super::wire::send_pin;

/// Writes the PIN to the worker's end, or closes it where the vault is sealed.
pub(super) fn pass(gather: &Gather, to: OwnedFd) {
    let Some(pin) = gather.pin() else { return };
    // A worker that ended meanwhile needs none.
    if let Err(error) = send_pin(&UnixStream::from(to), pin) {
        tracing::debug!(%error, "a worker did not take the PIN");
    }
}
