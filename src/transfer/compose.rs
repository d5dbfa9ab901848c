//! A file of a backup being written, out of what comes and out of what a run before left of the same file. While that is the
//! same from its beginning on nothing is written; else the new one is written beside it and takes its place when it is whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::files::{failed, new_file};
use super::manifest::{Digest, Listed};
use super::mark::Marking;
use super::{Error, FileName};

/// What the name of a file that will replace another ends in.
const NEW: &str = ".new";
/// Bytes copied at once.
const COPY: usize = 1 << 20;

/// It.
pub(super) struct Composing {
    name: FileName,
    path: PathBuf,
    /// What the run before left.
    old: Option<Old>,
    /// What is written.
    new: Option<(File, PathBuf)>,
    bytes: u64,
    hash: Context,
}

struct Old {
    file: File,
    bytes: u64,
    /// So many bytes from its beginning are the new one's, and nothing else.
    same: u64,
}

impl Composing {
    /// Begins. What is there already may be used where `keeps` says so.
    pub(super) fn begin(dir: &Path, name: FileName, keeps: bool) -> Result<Self, Error> {
        let path = dir.join(name.to_string());
        let mut composing = Self {
            name,
            old: None,
            new: None,
            bytes: 0,
            hash: Context::new(&SHA256),
            path,
        };
        let path = &composing.path;
        if keeps {
            let file = File::open(path).map_err(failed("cannot read", path))?;
            let bytes = file.metadata().map_err(failed("cannot read", path))?.len();
            composing.old = Some(Old { file, bytes, same: 0 });
        } else {
            composing.new = Some((new_file(path)?, path.clone()));
        }
        Ok(composing)
    }

    /// Its name.
    pub(super) fn name(&self) -> FileName {
        self.name
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes are those of the old file from `offset` on.
    pub(super) fn keep(&mut self, offset: u64, length: u32) -> Result<(), Error> {
        let Some(old) = &mut self.old else {
            return Err(Error::Damaged(format!("{} was to be kept and is not there", self.name)));
        };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = old.file.read_exact_at(&mut bytes, offset);
        read.map_err(failed("cannot read", &self.path))?;
        if self.new.is_none() && old.same == offset {
            old.same += u64::from(length);
            self.add(&bytes);
            return Ok(());
        }
        self.data(&bytes)
    }

    /// The next bytes are these.
    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_anew()?;
        if let Some((file, path)) = &mut self.new {
            file.write_all(bytes).map_err(failed("cannot write", path))?;
        }
        self.add(bytes);
        Ok(())
    }

    /// It is whole: durable, on record as such, and in its place.
    pub(super) fn end(mut self, mark: &mut Marking) -> Result<Listed, Error> {
        if self.old.as_ref().is_some_and(|old| old.same != old.bytes) {
            self.write_anew()?;
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        let listed = Listed {
            name: self.name,
            bytes: self.bytes,
            sha256: Digest(sha256),
        };
        match (&self.new, &self.old) {
            (Some((file, path)), old) => {
                file.sync_all().map_err(failed("cannot sync", path))?;
                // before it has its place: of two on record the one that is there counts
                mark.add(&listed)?;
                if old.is_some() {
                    fs::rename(path, &self.path).map_err(failed("cannot write", &self.path))?;
                }
            }
            (None, Some(old)) => {
                old.file.sync_all().map_err(failed("cannot sync", &self.path))?;
                mark.add(&listed)?;
            }
            (None, None) => {}
        }
        Ok(listed)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// From here on it is another file than the old one.
    fn write_anew(&mut self) -> Result<(), Error> {
        let (None, Some(old)) = (&self.new, &self.old) else {
            return Ok(());
        };
        let mut path = self.path.clone().into_os_string();
        path.push(NEW);
        let path = PathBuf::from(path);
        let mut file = new_file(&path)?;
        copy(&old.file, old.same, &mut file).map_err(failed("cannot write", &path))?;
        self.new = Some((file, path));
        Ok(())
    }
}

/// Copies the first bytes of a file.
fn copy(from: &File, length: u64, to: &mut File) -> io::Result<()> {
    let (mut at, mut buffer) = (0, vec![0; COPY]);
    while at < length {
        let left = usize::try_from(length - at).unwrap_or(COPY).min(COPY);
        let part = buffer.get_mut(..left).unwrap_or_default();
        from.read_exact_at(part, at)?;
        to.write_all(part)?;
        at += u64::try_from(left).unwrap_or(0);
    }
    Ok(())
}
