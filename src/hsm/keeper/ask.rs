//! What a custodian's command says to the keeper.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::wire::{Answer, Request};
use crate::hsm::share::Share;

/// What came of asking.
pub type Asked = io::Result<Answer>;

/// Gives a share.
pub fn give(socket: &Path, share: &Share) -> Asked {
    ask(socket, &Request::Share(share.to_bytes()))
}

/// Asks how the vault is sealed.
pub fn look(socket: &Path) -> Asked {
    ask(socket, &Request::Look)
}

fn ask(socket: &Path, request: &Request) -> Asked {
    let stream = UnixStream::connect(socket)?;
    request.send(&stream)?;
    Answer::receive(&stream)
}
