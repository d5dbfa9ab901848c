//! A keep-alive HTTP/1.1 client of a few lines, so that the load costs little beside what it measures.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Answers are small; more is a defect of the server.
const MAX_ANSWER: usize = 4 << 20;

/// One connection.
pub(super) struct Connection {
    path: PathBuf,
    stream: UnixStream,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

/// An answer, as far as the load looks at it.
pub(super) struct Answer<'a> {
    /// The status code.
    pub(super) status: u16,
    /// The body.
    pub(super) body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub(super) async fn open(path: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path)
            .await
            .with_context(|| format!("cannot connect to {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            stream,
            buffer: Vec::with_capacity(8192),
            out: Vec::with_capacity(2048),
        })
    }

    /// Connects anew, after an error.
    pub(super) async fn reopen(&mut self) -> anyhow::Result<()> {
        *self = Self::open(&self.path).await?;
        Ok(())
    }

    /// Sends a request, with one header of its own, and waits for its answer.
    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        header: &str,
        body: &str,
    ) -> anyhow::Result<Answer<'_>> {
        self.out.clear();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: panvault\r\n{header}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.out).await?;
        self.buffer.clear();
        let (status, start, length) = loop {
            if let Some(found) = head_of(&self.buffer)? {
                break found;
            }
            self.more().await?;
        };
        let end = start + length;
        if end > MAX_ANSWER {
            bail!("an answer of {end} bytes");
        }
        while self.buffer.len() < end {
            self.more().await?;
        }
        let body = self.buffer.get(start..end).unwrap_or_default();
        Ok(Answer { status, body })
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the daemon closed the connection");
        }
        Ok(())
    }
}

/// Status, where the body starts, and its length, once the head is whole.
fn head_of(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let Some(head_end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        if bytes.len() > 64 << 10 {
            bail!("an answer without an end of its head");
        }
        return Ok(None);
    };
    let head = std::str::from_utf8(bytes.get(..head_end).unwrap_or_default())?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .context("an answer without a status")?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Ok(0), |(_, value)| value.trim().parse())
        .context("an answer with a bad Content-Length")?;
    Ok(Some((status, head_end + 4, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_when_whole() {
        assert!(head_of(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
        let whole = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(head_of(whole).unwrap(), Some((201, whole.len() - 5, 5)));
        assert!(head_of(b"nonsense\r\n\r\n").is_err());
    }
}
