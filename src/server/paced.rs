//! A stream whose other end must go on reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::places::{Busy, Place};

/// Fails when there is something to write and nothing could be written for so long.
pub(super) struct Paced<S> {
    stream: S,
    patience: Duration,
    place: Arc<Place>,
    stalled: Option<Stalled>,
}

struct Stalled {
    until: Pin<Box<Sleep>>,
    /// An answer on its way to somebody slow is not idleness.
    _busy: Busy,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, patience: Duration, place: Arc<Place>) -> Self {
        Self {
            stream,
            patience,
            place,
            stalled: None,
        }
    }

    /// What becomes of an attempt to write.
    fn paced(&mut self, attempt: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if attempt.is_ready() {
            self.stalled = None;
            return attempt;
        }
        let (patience, place) = (self.patience, &self.place);
        let stalled = self.stalled.get_or_insert_with(|| Stalled {
            until: Box::pin(sleep(patience)),
            _busy: place.busy(),
        });
        ready!(stalled.until.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.paced(attempt, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.paced(attempt, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
