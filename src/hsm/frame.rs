//! Frames on the socketpair: a length (u32, big-endian) and that many bytes of postcard.
//!
//! Neither side trusts a length: a frame over [`MAX_FRAME`] ends the connection, and memory is taken as bytes arrive, not
//! as they are announced. Frames carry plaintext, so every buffer is wiped once its bytes are read or sent.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

/// The longest body of a frame, in bytes.
pub(super) const MAX_FRAME: usize = 8 << 20;

const HEADER: usize = 4;
/// What a read is given room for at least.
const READ: usize = 16 << 10;
/// Buffers that grew beyond this are given back when they are empty.
const KEEP: usize = 256 << 10;

/// Why bytes are not a frame, or a message does not make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// The body is not the message expected.
    #[error("a frame holds no message of this protocol")]
    Malformed,
    /// More than [`MAX_FRAME`].
    #[error("a frame is longer than {MAX_FRAME} bytes")]
    TooLong,
}

/// Collects bytes as they arrive and gives back whole messages.
pub(super) struct Inbox {
    /// Zeroes from `end` on.
    buf: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            buf: Zeroizing::new(vec![0; READ]),
            start: 0,
            end: 0,
        }
    }

    /// Room for the next read; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.buf.len() - self.end < READ {
            // A fresh buffer, because growing in place leaves a copy behind that nobody wipes.
            let held = self.end - self.start;
            let mut next = Zeroizing::new(vec![0; (held * 2).max(READ * 2)]);
            if let (Some(to), Some(from)) = (next.get_mut(..held), self.buf.get(self.start..self.end)) {
                to.copy_from_slice(from);
            }
            self.buf = next;
            self.start = 0;
            self.end = held;
        }
        self.buf.get_mut(self.end..).unwrap_or_default()
    }

    /// The read put `n` bytes into the room.
    pub(super) fn filled(&mut self, n: usize) {
        self.end = self.buf.len().min(self.end + n);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// The peer does not speak this protocol: nothing after it can be read.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let waiting = self.buf.get(self.start..self.end).unwrap_or_default();
        let Some((header, rest)) = waiting.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if len > MAX_FRAME {
            return Err(FrameError::TooLong);
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let message = match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(Some(message)),
            Ok((_, _)) | Err(_) => Err(FrameError::Malformed),
        };
        self.consume(HEADER + len);
        message
    }

    /// Whether a frame has begun and not ended.
    pub(super) fn partial(&self) -> bool {
        self.start < self.end
    }

    fn consume(&mut self, n: usize) {
        let next = self.start + n;
        self.buf.get_mut(self.start..next).unwrap_or_default().zeroize();
        self.start = next;
        if self.start < self.end {
            return;
        }
        self.start = 0;
        self.end = 0;
        if self.buf.len() > KEEP {
            self.buf = Zeroizing::new(vec![0; READ]);
        }
    }
}

/// Builds frames to be sent.
pub(super) struct Outbox {
    buf: Zeroizing<Vec<u8>>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            buf: Zeroizing::new(Vec::with_capacity(READ)),
        }
    }

    /// Adds a message as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]; what was added before stays as it was.
    pub(super) fn push<T: Serialize + ?Sized>(&mut self, message: &T) -> Result<(), FrameError> {
        let before = self.buf.len();
        let added = self.encode(message, before);
        if added.is_err() {
            self.buf.get_mut(before..).unwrap_or_default().zeroize();
            self.buf.truncate(before);
        }
        added
    }

    /// The frames.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Wipes them.
    pub(super) fn clear(&mut self) {
        if self.buf.capacity() > KEEP {
            self.buf = Zeroizing::new(Vec::with_capacity(READ));
        } else {
            self.buf.as_mut_slice().zeroize();
            self.buf.clear();
        }
    }

    fn encode<T: Serialize + ?Sized>(&mut self, message: &T, before: usize) -> Result<(), FrameError> {
        let mut growing = Growing {
            buf: &mut self.buf,
            limit: before + HEADER + MAX_FRAME,
        };
        growing.try_extend(&[0; HEADER]).map_err(|_| FrameError::TooLong)?;
        postcard::serialize_with_flavor(message, growing).map_err(|_| FrameError::TooLong)?;
        let body = u32::try_from(self.buf.len() - before - HEADER).map_err(|_| FrameError::TooLong)?;
        if let Some(header) = self.buf.get_mut(before..before + HEADER) {
            header.copy_from_slice(&body.to_be_bytes());
        }
        Ok(())
    }
}

/// Appends to a buffer; where it must grow, the old memory is wiped.
struct Growing<'a> {
    buf: &'a mut Zeroizing<Vec<u8>>,
    limit: usize,
}

impl Growing<'_> {
    fn reserve(&mut self, more: usize) -> postcard::Result<()> {
        let needed = self.buf.len() + more;
        if needed > self.limit {
            return Err(postcard::Error::SerializeBufferFull);
        }
        if needed > self.buf.capacity() {
            let mut next = Zeroizing::new(Vec::with_capacity(needed * 2));
            next.extend_from_slice(self.buf);
            *self.buf = next;
        }
        Ok(())
    }
}

impl Flavor for Growing<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.reserve(data.len())?;
        self.buf.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.reserve(1)?;
        self.buf.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
