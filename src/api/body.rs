//! Reading a request's body within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The whole body must be there within this time.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A body over its limit is still read up to this many bytes and dropped, so that callers who send before they read get
/// their answer.
const DISCARD: u64 = 4 * 1024 * 1024;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// The caller broke off, or sent broken framing.
    Broken,
    /// It did not come in time.
    Slow,
    /// More than the limit, in bytes.
    TooLarge(usize),
}

/// Reads `body` up to `limit` bytes. The copy is wiped when dropped.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Zeroizing<Vec<u8>>, BodyFault> {
    let hint = body.size_hint();
    if hint.exact() == Some(0) {
        return Ok(Zeroizing::new(Vec::new()));
    }
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    if hint.lower() > limit_bytes {
        // Who waits for "100 Continue" has sent nothing yet.
        if hint.lower() <= DISCARD && !headers.contains_key(header::EXPECT) {
            let _ = timeout(READ_TIMEOUT, discard(&mut body)).await;
        }
        return Err(BodyFault::TooLarge(limit));
    }
    match timeout(READ_TIMEOUT, collect(&mut body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(BodyFault::Slow),
    }
}

async fn collect(body: &mut Body, limit: usize) -> Result<Zeroizing<Vec<u8>>, BodyFault> {
    let mut frames: Vec<Bytes> = Vec::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyFault::Broken)?.into_data() else {
            continue;
        };
        total += data.len();
        if total > limit {
            frames.clear();
            discard(body).await;
            return Err(BodyFault::TooLarge(limit));
        }
        frames.push(data);
    }
    // One allocation of the right size: growing would leave copies behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(total));
    for frame in &frames {
        whole.extend_from_slice(frame);
    }
    Ok(whole)
}

async fn discard(body: &mut Body) {
    let mut seen = 0u64;
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            seen = seen.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        if seen > DISCARD {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_of_just_the_limit_is_read_and_one_byte_more_is_not() {
        let none = HeaderMap::new();
        let read_all = read(&none, Body::from(vec![7; 100]), 100).await.unwrap();
        assert_eq!(*read_all, vec![7; 100]);
        let refused = read(&none, Body::from(vec![7; 101]), 100).await;
        assert_eq!(refused, Err(BodyFault::TooLarge(100)));
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_bounded_while_it_is_read() {
        let none = HeaderMap::new();
        let chunks = |count| Body::new(http_body_util::combinators::UnsyncBoxBody::new(Chunks { left: count }));
        assert_eq!(*read(&none, chunks(10), 100).await.unwrap(), vec![1; 100]);
        assert_eq!(read(&none, chunks(11), 100).await, Err(BodyFault::TooLarge(100)));
    }

    /// So many chunks of ten bytes, length not told.
    struct Chunks {
        left: usize,
    }

    impl hyper::body::Body for Chunks {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            if self.left == 0 {
                return std::task::Poll::Ready(None);
            }
            self.left -= 1;
            std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[1; 10])))))
        }
    }
}
