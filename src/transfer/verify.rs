//! Reading a backup, which is outside input: every length is bounded, every byte is held against the signed digest.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::manifest::{Listed, TEXT_MAX};
use super::{Error, FileName, LaterKeyring, Manifest, ManifestFault, Verdict, entries};
use crate::audit::LINE_MAX;
use crate::hsm::KeyFingerprint;
use crate::keys::Keyring;
use crate::store::Change;

/// The largest keyring file.
const KEYRING_MAX: u64 = 1 << 20;
/// Entries handed on at once.
const CHUNK: usize = 512;

/// A backup whose manifest was read; its files are still to be.
#[derive(Debug)]
pub struct Backup {
    dir: PathBuf,
    manifest: Manifest,
    verdict: Verdict,
}

impl Backup {
    /// Reads the manifest. With `pin`, the audit key's fingerprint as `init` printed it, just that key must have signed it.
    ///
    /// # Errors
    /// There is no whole backup; or its manifest is not to be believed.
    pub fn open(dir: &Path, pin: Option<&KeyFingerprint>) -> Result<Self, Error> {
        let path = dir.join(Manifest::FILE);
        let mut text = Vec::new();
        let most = u64::try_from(TEXT_MAX).unwrap_or(u64::MAX).saturating_add(1);
        match File::open(&path) {
            Ok(file) => file.take(most).read_to_end(&mut text).map_err(unreadable(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::InTheWay(format!(
                    "{} is no whole backup, it has no {}: name the directory that `panvault backup` wrote, or, if it was \
                     cut, use another backup",
                    dir.display(),
                    Manifest::FILE
                )));
            }
            Err(error) => return Err(unreadable(&path)(error)),
        };
        let manifest = Manifest::parse(&text).map_err(distrusted)?;
        let verdict = manifest.authenticate(pin).map_err(distrusted)?;
        Ok(Self {
            dir: dir.to_owned(),
            manifest,
            verdict,
        })
    }

    /// The same, if the audit key of this fingerprint signed it, or is one that a later keyring joins to that one: each key
    /// in it was named by the one before.
    ///
    /// # Errors
    /// Another key signed it.
    pub fn pinned(mut self, pin: &KeyFingerprint, later: Option<&LaterKeyring>) -> Result<Self, Error> {
        let joined = later.and_then(|later| later.keyring().audit_history().ok());
        let pin = match joined {
            // the one that signed is in it: it follows the backup's
            Some(keys) if keys.contains(pin) => self.manifest.key(),
            _ => *pin,
        };
        self.verdict = self.manifest.authenticate(Some(&pin)).map_err(distrusted)?;
        Ok(self)
    }

    /// What it says it is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How far it can be trusted.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The keyring's text, if the keyring is the vault's and names the key that signed the backup.
    pub(super) fn keyring(&self) -> Result<Vec<u8>, Error> {
        let listed = self.manifest.files().first().filter(|file| file.bytes <= KEYRING_MAX);
        let listed = listed.ok_or_else(|| damaged(FileName::Keyring, "it is too long"))?;
        let mut text = Vec::new();
        let mut file = self.file(listed)?;
        file.read_to_end(&mut text).map_err(|e| cannot(listed.name, &e))?;
        self.end(listed, file)?;
        let keyring = Keyring::parse(&text).map_err(|fault| damaged(listed.name, &fault.to_string()))?;
        if keyring.vault() != self.manifest.vault() || keyring.audit_fingerprint() != Ok(self.manifest.key()) {
            return Err(damaged(
                listed.name,
                "it is another vault's than the one that signed the backup",
            ));
        }
        Ok(text)
    }

    /// Hands all entries on, and behind them the changes, in order.
    pub(super) fn entries(&self, mut take: impl FnMut(&[Change]) -> Result<(), Error>) -> Result<(), Error> {
        let files = self.manifest.files().iter();
        for listed in files.filter(|file| matches!(file.name, FileName::Entries(_) | FileName::Changes(_))) {
            let mut file = self.file(listed)?;
            let mut chunk = Vec::with_capacity(CHUNK);
            while let Some(change) = entries::read(&mut file).map_err(|e| cannot(listed.name, &e))? {
                chunk.push(change);
                if chunk.len() == CHUNK {
                    take(&chunk)?;
                    chunk.clear();
                }
            }
            self.end(listed, file)?;
            take(&chunk)?;
        }
        Ok(())
    }

    /// Hands all lines of the audit trail on, in order.
    pub(super) fn lines(&self, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let files = self.manifest.files().iter();
        for listed in files.filter(|file| matches!(file.name, FileName::Audit(_))) {
            let mut file = self.file(listed)?;
            while let Some(line) = next_line(&mut file).map_err(|e| cannot(listed.name, &e))? {
                take(&line)?;
            }
            self.end(listed, file)?;
        }
        Ok(())
    }

    fn file(&self, listed: &Listed) -> Result<BufReader<Hashed>, Error> {
        let path = self.dir.join(listed.name.to_string());
        let there = match fs::metadata(&path) {
            Ok(there) if there.is_file() => there,
            Ok(_) => return Err(damaged(listed.name, "it is not a plain file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(listed.name, "it is missing"));
            }
            Err(error) => return Err(unreadable(&path)(error)),
        };
        if there.len() != listed.bytes {
            let text = format!("it has {} bytes instead of {}", there.len(), listed.bytes);
            return Err(damaged(listed.name, &text));
        }
        let hashed = Hashed {
            file: File::open(&path).map_err(unreadable(&path))?.take(listed.bytes),
            hash: Context::new(&SHA256),
        };
        Ok(BufReader::with_capacity(1 << 18, hashed))
    }

    /// All of the file was read, and is what was signed.
    fn end(&self, listed: &Listed, file: BufReader<Hashed>) -> Result<(), Error> {
        let is_read = file.buffer().is_empty();
        let hashed = file.into_inner();
        let whole = is_read && hashed.file.limit() == 0;
        if !whole || hashed.hash.finish().as_ref() != listed.sha256.0 {
            return Err(damaged(listed.name, "its bytes are not those that were signed"));
        }
        Ok(())
    }
}

/// A file and the hash of what was read of it.
struct Hashed {
    file: io::Take<File>,
    hash: Context,
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The next line without its newline.
pub(super) fn next_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let most = u64::try_from(LINE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut line = Vec::new();
    if from.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    match line.pop_if(|last| *last == b'\n') {
        Some(_) => Ok(Some(line)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a line has no end")),
    }
}

fn damaged(name: FileName, what: &str) -> Error {
    Error::Damaged(format!("{name}: {what}"))
}

/// Of a file whose bytes are not of the form that it must have, or that the file system does not give.
fn cannot(name: FileName, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            damaged(name, &format!("its bytes are not those that were signed ({error})"))
        }
        _ => Error::Files(format!("cannot read {name} of the backup: {error}")),
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    super::files::failed("cannot read", path)
}

fn distrusted(fault: ManifestFault) -> Error {
    match fault {
        ManifestFault::NewerFormat(format) => Error::Newer(format),
        fault => Error::Damaged(fault.to_string()),
    }
}
