//! Making a backup of a store, also while it serves.
//!
//! It is the store at one revision: a checkpoint's entries, and behind them every change since the checkpoint began, up to its
//! mark. A backup that was cut goes on as a new checkpoint of the whole store, not as the rest of the old one: what came, changed
//! or went meanwhile is right because all of it was read again. Only what the writer already has, byte for byte, is not sent
//! ([`Kept`]). So one that went on is the very backup that a new one at the same revision would be, its manifest signs digests of
//! what was read here, and nothing rests on what is in the writer's directory.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::kept::{End, KeptFile};
use super::manifest::Draft;
use super::sending::{Laying, Outgoing, PIECE};
use super::{Error, FileName, Kept, Manifest, Piece, entries};
use crate::audit::Head;
use crate::id::VaultId;
use crate::keys::{Keyring, Keys};
use crate::store::{self, Change, Mark, Store, Told};

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
    /// Whether a backup of this vault can go on where one was cut that left these.
    ///
    /// # Errors
    /// It was another vault's.
    pub fn admit(&self, kept: &Kept) -> Result<(), Error> {
        match kept.vault() {
            Some(other) if *other != self.vault => Err(Error::InTheWay(format!(
                "what is there is a backup of vault {other} that was cut, and this is vault {}: name another directory; nothing \
                 was changed",
                self.vault
            ))),
            _ => Ok(()),
        }
    }

    /// Hands a backup on, piece by piece; what the writer has already by its number. It stands at one revision of the store:
    /// the last one before the entries ended.
    ///
    /// # Errors
    /// What is kept is another vault's; the store or the HSM does not work, the audit trail is broken, or nobody takes the
    /// pieces any more. The backup is not whole then.
    pub async fn send(&self, kept: &Kept, to: mpsc::Sender<Piece>) -> Result<Manifest, Error> {
        self.admit(kept)?;
        let mut out = Outgoing::new(to);
        let (text, keyring) = self.keyring_text()?;
        self.begin(&mut out, text).await?;
        let mark = self.files(kept, &mut out).await?;
        let (files, to) = out.end();
        let manifest = |fault| Error::Hsm(format!("{fault}"));
        // the key that the keyring in the backup names, also where another one came since
        let by = keyring.audit_public();
        let draft = Draft::new(&self.vault, &mark, files, by).map_err(manifest)?;
        let signature = self.keys.sign(Draft::DOMAIN, &draft.signed_bytes(), by).await;
        let text = draft.signed(&signature.map_err(|error| Error::Hsm(error.to_string()))?);
        let signed = Manifest::parse(&text).map_err(manifest)?;
        Outgoing::new(to).send(Piece::Manifest(text)).await?;
        Ok(signed)
    }

    async fn begin(&self, out: &mut Outgoing, keyring: Vec<u8>) -> Result<(), Error> {
        out.send(Piece::Of(self.vault.clone())).await?;
        out.begin(FileName::Keyring).await?;
        out.data(keyring).await
    }

    /// All files behind the keyring.
    async fn files(&self, kept: &Kept, out: &mut Outgoing) -> Result<Mark, Error> {
        let mark = self.entries(kept, out).await?;
        self.audit(kept, out, &mark.head).await?;
        Ok(mark)
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

    async fn entries(&self, kept: &Kept, out: &mut Outgoing) -> Result<Mark, Error> {
        let (to, mut told) = mpsc::channel(8);
        // it owns its end: where the writing fails the checkpoint must hear of it, and not wait for ever
        let write = async move {
            let mut laying = Laying::begin(kept.entries(), 0, FileName::Entries(1), out).await?;
            let (mut item, mut changed) = (Vec::new(), Vec::new());
            while let Some(next) = told.recv().await {
                match next {
                    Told::Entries(entries) => {
                        for (key, entry) in entries {
                            let change = Change { key, now: Some(entry) };
                            item.clear();
                            entries::write(&change, &mut item);
                            laying.add(&change.key.0, &item, out).await?;
                        }
                    }
                    Told::Changes(changes) => changes.iter().for_each(|change| entries::write(change, &mut changed)),
                }
                if changed.len() >= PIECE {
                    out.changed(std::mem::take(&mut changed)).await?;
                }
            }
            laying.end(out).await?;
            out.changed(changed).await
        };
        let (mark, written) = tokio::join!(self.store.checkpoint(to), write);
        // where the writing failed the checkpoint did too, and knows less
        written?;
        Ok(mark?)
    }

    async fn audit(&self, kept: &Kept, out: &mut Outgoing, end: &Head) -> Result<(), Error> {
        // another history may have been longer
        let known = |file: &&KeptFile| file.chunks.last().is_some_and(|chunk| chunk.end <= End::of(end.seq));
        let count = kept.audit().iter().take_while(known).count();
        let kept_files = kept.audit().get(..count).unwrap_or_default();
        let mut laying = Laying::begin(kept_files, kept.entry_chunks(), FileName::Audit(1), out).await?;
        let (mut head, mut bytes) = (Head::START, Vec::new());
        while head.seq < end.seq {
            let first = head.seq + 1;
            for line in self.store.audit(first, LINES).await? {
                if head.seq == end.seq {
                    break;
                }
                let broken = |e| store::Error::Corrupt(format!("the audit chain is broken: {e}"));
                head.follow(&line.line).map_err(broken)?;
                bytes.clear();
                bytes.extend_from_slice(&line.line);
                bytes.push(b'\n');
                laying.add(&End::of(head.seq).0, &bytes, out).await?;
            }
            if head.seq < first {
                return Err(store::Error::Corrupt(format!("audit record {first} is missing")).into());
            }
        }
        if head != *end {
            return Err(store::Error::Corrupt("the audit chain does not end as the store says".to_owned()).into());
        }
        laying.end(out).await
    }
}

#[cfg(test)]
mod tests;
