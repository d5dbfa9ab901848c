//! Making a backup of a store, also while it serves.

use std::path::PathBuf;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;

use super::manifest::{Digest, Draft, Listed};
use super::{Error, FileName, Manifest, Piece, entries};
use crate::audit::Head;
use crate::id::VaultId;
use crate::keys::{Keyring, Keys};
use crate::store::{self, Mark, Store};

/// A file that has reached this many bytes is followed by a new one.
const FILE: u64 = 64 << 20;
/// Bytes of a piece, about.
const PIECE: usize = 256 << 10;
/// Audit lines read at once.
const LINES: u32 = 1000;

/// What a backup is made of.
pub struct Source {
    /// Whose.
    pub vault: VaultId,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// What signs.
    pub keys: Keys,
    /// Its keyring's file.
    pub keyring: PathBuf,
}

impl Source {
    /// Hands a backup on, piece by piece. It stands at one revision of the store: the last one before the entries ended.
    ///
    /// # Errors
    /// The store or the HSM does not work, the audit trail is broken, or nobody takes the pieces any more. The backup is
    /// not whole then.
    pub async fn send(&self, to: mpsc::Sender<Piece>) -> Result<Manifest, Error> {
        let mut out = Outgoing {
            to,
            file: None,
            files: Vec::new(),
        };
        out.begin(FileName::Keyring).await?;
        let (text, keyring) = self.keyring_text()?;
        out.data(text).await?;
        let mark = self.entries(&mut out).await?;
        self.audit(&mut out, &mark.head).await?;
        out.end();
        let manifest = |fault| Error::Hsm(format!("{fault}"));
        // the key that the keyring in the backup names, also where another one came since
        let by = keyring.audit_public();
        let draft = Draft::new(&self.vault, &mark, out.files, by).map_err(manifest)?;
        let signature = self.keys.sign(Draft::DOMAIN, &draft.signed_bytes(), by).await;
        let text = draft.signed(&signature.map_err(|error| Error::Hsm(error.to_string()))?);
        let signed = Manifest::parse(&text).map_err(manifest)?;
        out.to.send(Piece::Manifest(text)).await.map_err(gone)?;
        Ok(signed)
    }

    /// The keyring's file as it stands, if it is this vault's.
    fn keyring_text(&self) -> Result<(Vec<u8>, Keyring), Error> {
        let place = self.keyring.display();
        let keyring = Keyring::load(&self.keyring).map_err(|error| Error::Files(error.to_string()))?;
        let text = std::fs::read(&self.keyring).map_err(|e| Error::Files(format!("{place}: {e}")))?;
        if *keyring.vault() != self.vault || Keyring::parse(&text).as_ref() != Ok(&keyring) {
            return Err(Error::InTheWay(format!(
                "{place} was replaced by another vault's: put this vault's keyring back"
            )));
        }
        Ok((text, keyring))
    }

    async fn entries(&self, out: &mut Outgoing) -> Result<Mark, Error> {
        let (to, mut changes) = mpsc::channel(8);
        // it owns its end: where the writing fails the checkpoint must hear of it, and not wait for ever
        let write = async move {
            let (mut number, mut buffer) = (0, Vec::with_capacity(2 * PIECE));
            while let Some(next) = changes.recv().await {
                for change in &next {
                    entries::write(change, &mut buffer);
                }
                if buffer.len() >= PIECE {
                    out.append(&mut number, FileName::Entries, &mut buffer).await?;
                }
            }
            out.append(&mut number, FileName::Entries, &mut buffer).await
        };
        let (mark, written) = tokio::join!(self.store.checkpoint(to), write);
        // where the writing failed the checkpoint did too, and knows less
        written?;
        Ok(mark?)
    }

    async fn audit(&self, out: &mut Outgoing, end: &Head) -> Result<(), Error> {
        let mut head = Head::START;
        while head.seq < end.seq {
            let first = head.seq + 1;
            let mut buffer = Vec::with_capacity(2 * PIECE);
            for line in self.store.audit(first, LINES).await? {
                if head.seq == end.seq {
                    break;
                }
                let broken = |e| store::Error::Corrupt(format!("the audit chain is broken: {e}"));
                head.follow(&line.line).map_err(broken)?;
                buffer.extend_from_slice(&line.line);
                buffer.push(b'\n');
            }
            if head.seq < first {
                return Err(store::Error::Corrupt(format!("audit record {first} is missing")).into());
            }
            out.append(&mut 0, |_| FileName::Audit(first), &mut buffer).await?;
        }
        if head != *end {
            return Err(store::Error::Corrupt("the audit chain does not end as the store says".to_owned()).into());
        }
        Ok(())
    }
}

/// The files on their way, and what they are made of.
struct Outgoing {
    to: mpsc::Sender<Piece>,
    file: Option<(FileName, u64, Context)>,
    files: Vec<Listed>,
}

impl Outgoing {
    async fn begin(&mut self, name: FileName) -> Result<(), Error> {
        self.end();
        self.file = Some((name, 0, Context::new(&SHA256)));
        self.to.send(Piece::File(name)).await.map_err(gone)
    }

    async fn data(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        if let Some((_, length, hash)) = &mut self.file {
            *length = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            hash.update(&bytes);
        }
        self.to.send(Piece::Data(bytes)).await.map_err(gone)
    }

    /// Adds to a file of this kind, or to a new one where there is none or it is large enough.
    async fn append(
        &mut self,
        number: &mut u32,
        name: impl Fn(u32) -> FileName,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if buffer.is_empty() {
            return Ok(());
        }
        let fits = self.file.as_ref().is_some_and(|(now, length, _)| {
            std::mem::discriminant(now) == std::mem::discriminant(&name(0)) && *length < FILE
        });
        if !fits {
            *number += 1;
            self.begin(name(*number)).await?;
        }
        self.data(std::mem::take(buffer)).await
    }

    fn end(&mut self) {
        if let Some((name, bytes, hash)) = self.file.take() {
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(hash.finish().as_ref());
            self.files.push(Listed {
                name,
                bytes,
                sha256: Digest(sha256),
            });
        }
    }
}

fn gone<T>(_: mpsc::error::SendError<T>) -> Error {
    Error::Files("who writes the backup has gone".to_owned())
}
