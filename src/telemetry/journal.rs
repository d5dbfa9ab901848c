//! journald's own protocol: an entry of fields in one datagram.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A journal that takes entries.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Journal {
    /// The system's. Nothing is sent yet.
    ///
    /// # Errors
    /// No socket could be made.
    pub fn of_system() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    /// One that listens at `path`.
    ///
    /// # Errors
    /// No socket could be made.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            socket: UnixDatagram::unbound()?,
        })
    }

    /// Sends one entry; waits while journald's queue is full.
    ///
    /// # Errors
    /// journald is not there, or does not take it.
    pub async fn send(&self, fields: &[(&str, &[u8])]) -> io::Result<()> {
        self.socket.send_to(&entry(fields), &self.path).await.map(|_| ())
    }
}

/// The form that takes any bytes: name, newline, length in 8 bytes little-endian, value, newline.
fn entry(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut entry = Vec::new();
    for (name, value) in fields {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
        entry.extend_from_slice(value);
        entry.push(b'\n');
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_holds_any_bytes() {
        let form = entry(&[("MESSAGE", b"a\nb"), ("PRIORITY", b"6")]);
        let expected = b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY\n\x01\0\0\0\0\0\0\x006\n";
        assert_eq!(form, expected);
    }

    #[tokio::test]
    async fn entries_arrive_and_a_journal_that_is_gone_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journal = Journal::at(&path).unwrap();
        assert!(journal.send(&[("MESSAGE", b"x")]).await.is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        journal.send(&[("MESSAGE", b"x")]).await.unwrap();
        let mut read = [0; 64];
        let length = listener.recv(&mut read).await.unwrap();
        assert_eq!(&read[..length], entry(&[("MESSAGE", b"x")]));
    }
}
