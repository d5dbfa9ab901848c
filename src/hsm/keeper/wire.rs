//! What goes over the keeper's three kinds of socket: the server's, custodians', and workers'.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::settings::{Seal, SealEvent, Settings};

/// The longest message between server and keeper.
const LONGEST_ORDER: usize = 16 << 10;
/// The longest request of a custodian: a share and a byte in front.
pub(super) const LONGEST_REQUEST: usize = 256;
/// The longest answer to one.
const LONGEST_ANSWER: usize = 4096;
/// The longest PIN that is handed on.
const LONGEST_PIN: usize = 1024;
/// How long a custodian's request, or its answer, may take on the way.
const PATIENCE: Duration = Duration::from_secs(10);

/// From the server to the keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Forget the PIN, for this reason.
    Forget(String),
    /// Give the PIN to the worker at the other end of the descriptor that comes along.
    HandOut,
    /// First, and once.
    Hello {
        /// Which program speaks.
        version: String,
        /// How to work.
        settings: Settings,
    },
}

/// From the keeper to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// For the audit trail.
    Event(SealEvent),
    /// How it stands now.
    Seal(Seal),
}

/// What a custodian's command asks.
pub(super) enum Request {
    /// How the vault is sealed.
    Look,
    /// Take a share: its bytes.
    Share(Zeroizing<Vec<u8>>),
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Why the share was refused, and what to do next; nothing was changed then.
    pub refused: Option<String>,
    /// How the vault is sealed now.
    pub seal: Seal,
}

/// A pair of sockets that keep messages apart: the server's end, the keeper's.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends a message.
pub(super) fn tell(to: impl AsFd, message: &impl Serialize) -> io::Result<()> {
    pass_on(to, message, None, SendFlags::NOSIGNAL)
}

/// Sends a message, and a descriptor along with it, without waiting: whoever does not read is not waited for.
pub(super) fn tell_now(to: impl AsFd, message: &impl Serialize, along: Option<&OwnedFd>) -> io::Result<()> {
    pass_on(to, message, along, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn pass_on(to: impl AsFd, message: &impl Serialize, along: Option<&OwnedFd>, flags: SendFlags) -> io::Result<()> {
    let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = along.map(|fd| [fd.as_fd()]);
    if let Some(fds) = &fds
        && !control.push(SendAncillaryMessage::ScmRights(fds))
    {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let sent = sendmsg(to, &[IoSlice::new(&bytes)], &mut control, flags)?;
    match sent == bytes.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Waits for a message, and takes the descriptor that came along. `None`: the other end is gone.
pub(super) fn hear<T: DeserializeOwned>(from: impl AsFd) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut buffer = vec![0; LONGEST_ORDER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let heard = loop {
        let mut iov = [IoSliceMut::new(&mut buffer)];
        match recvmsg(&from, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if heard.bytes == 0 {
        return Ok(None);
    }
    let mut along = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            along = descriptors.last().or(along);
        }
    }
    let bytes = buffer.get(..heard.bytes).unwrap_or_default();
    let message = serde_json::from_slice(bytes).map_err(io::Error::other)?;
    Ok(Some((message, along)))
}

impl Request {
    /// Sends it.
    pub(super) fn send(&self, to: &UnixStream) -> io::Result<()> {
        match self {
            Self::Look => send(to, &[0], &[]),
            Self::Share(share) => send(to, &[1], share),
        }
    }

    /// Waits for one, not longer than [`PATIENCE`] in all. Of one that is too long nothing more is read.
    pub(super) fn receive(from: &UnixStream) -> io::Result<Result<Self, &'static str>> {
        let Some(bytes) = receive(from, LONGEST_REQUEST)? else {
            return Ok(Err(
                "the request is longer than a share: send what `panvault unseal` sends",
            ));
        };
        Ok(match bytes.split_first() {
            Some((0, [])) => Ok(Self::Look),
            Some((1, share)) => Ok(Self::Share(Zeroizing::new(share.to_vec()))),
            _ => Err("the request is none: send what `panvault unseal` sends"),
        })
    }
}

impl Answer {
    /// Sends it.
    pub(super) fn send(&self, to: &UnixStream) -> io::Result<()> {
        send(to, &serde_json::to_vec(self).map_err(io::Error::other)?, &[])
    }

    /// Waits for it.
    pub(super) fn receive(from: &UnixStream) -> io::Result<Self> {
        let bytes = receive(from, LONGEST_ANSWER)?.ok_or_else(|| io::Error::other("the answer is too long"))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }
}

/// Hands the PIN to a worker. It fits into the socket's buffer, so nobody waits.
pub(super) fn send_pin(to: &UnixStream, pin: &SecretString) -> io::Result<()> {
    to.set_nonblocking(true)?;
    send(to, pin.expose_secret().as_bytes(), &[])
}

/// The worker's side. `None`: the vault is sealed.
pub(in crate::hsm) fn receive_pin(from: &UnixStream) -> io::Result<Option<SecretString>> {
    let received = match receive(from, LONGEST_PIN) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let bytes = received.ok_or_else(|| io::Error::other("longer than a PIN"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("not UTF-8"))?;
    Ok(Some(SecretString::from(text)))
}

/// Takes the descriptor that a process was started with in the place of standard output, and puts standard error there:
/// what a vendor's library prints belongs to the log.
pub(in crate::hsm) fn take_stdout() -> io::Result<OwnedFd> {
    let taken = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr().as_fd())?;
    Ok(taken)
}

/// One frame: two bytes of length, and that many.
fn send(mut to: &UnixStream, front: &[u8], rest: &[u8]) -> io::Result<()> {
    let length = u16::try_from(front.len() + rest.len()).map_err(io::Error::other)?;
    let mut frame = Zeroizing::new(Vec::with_capacity(2 + front.len() + rest.len()));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(front);
    frame.extend_from_slice(rest);
    to.set_write_timeout(Some(PATIENCE))?;
    to.write_all(&frame)
}

/// `None`: it is longer than `most`.
fn receive(from: &UnixStream, most: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let until = Instant::now() + PATIENCE;
    let mut length = [0; 2];
    fill(from, &mut length, until)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > most {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    fill(from, &mut bytes, until)?;
    Ok(Some(bytes))
}

fn fill(mut from: &UnixStream, mut room: &mut [u8], until: Instant) -> io::Result<()> {
    while !room.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        from.set_read_timeout(Some(left))?;
        match from.read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => room = room.get_mut(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_comes_along() {
        let (server, keeper) = pair().unwrap();
        let (worker, mine) = UnixStream::pair().unwrap();
        tell_now(&server, &Order::HandOut, Some(&mine.into())).unwrap();
        tell(&server, &Order::Forget("why".to_owned())).unwrap();
        let (order, along) = hear::<Order>(&keeper).unwrap().unwrap();
        assert!(matches!(order, Order::HandOut));
        let sent = send_pin(&UnixStream::from(along.unwrap()), &SecretString::from("4711"));
        assert!(sent.is_ok());
        assert_eq!(receive_pin(&worker).unwrap().unwrap().expose_secret(), "4711");
        // the keeper's end is gone: sealed
        assert!(receive_pin(&worker).unwrap().is_none());
        assert!(matches!(hear::<Order>(&keeper), Ok(Some((Order::Forget(_), None)))));
        drop(server);
        assert!(hear::<Order>(&keeper).unwrap().is_none());
    }

    #[test]
    fn requests_are_bounded_and_nonsense_is_told() {
        let ask = |bytes: &[u8]| {
            let (mut client, keeper) = UnixStream::pair().unwrap();
            client.write_all(bytes).unwrap();
            drop(client);
            Request::receive(&keeper)
        };
        assert!(matches!(ask(&[0, 1, 0]), Ok(Ok(Request::Look))));
        assert!(matches!(ask(&[0, 3, 1, 8, 9]), Ok(Ok(Request::Share(share))) if *share == [8, 9]));
        for nonsense in [
            &[0, 0][..],
            &[0, 1, 2],
            &[0, 2, 0, 0],
            &[0xFF, 0xFF, 1],
            &[1, 1, 1],
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(matches!(ask(nonsense), Ok(Err(_))), "{nonsense:?}");
        }
        for cut in [&[][..], &[0], &[0, 3, 1, 8]] {
            assert!(ask(cut).is_err(), "{cut:?}");
        }
    }
}
