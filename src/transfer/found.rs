//! What a backup that was cut left in its directory. Every file is read: what can be used is told by its bytes alone.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use ring::digest::{Context, SHA256, digest};

use super::files::failed;
use super::kept::{CHUNK_MAX, CHUNKS_MAX, Chunk, End, KeptFile};
use super::manifest::{Digest, Listed};
use super::mark::Mark;
use super::verify::next_line;
use super::{Error, FileName, Kept, entries};
use crate::store::chain::seq_of;

/// Bytes of a chunk, about, of a small backup.
const CHUNK: u64 = 16 << 10;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) mark: Mark,
    pub(super) kept: Kept,
    /// Where each chunk is, in their order.
    pub(super) places: Vec<Place>,
    /// Files that were whole once, with other bytes than now.
    pub(super) changed: Vec<FileName>,
}

/// A chunk's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: FileName,
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

impl Found {
    /// Reads a directory with this mark.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn read(dir: &Path, mark: Mark) -> Result<Self, Error> {
        let mut found = Self {
            mark,
            ..Self::default()
        };
        if found.mark.vault.is_none() {
            return Ok(found);
        }
        let (mut names, mut all) = (Vec::new(), 0);
        for number in 1.. {
            match length(dir, FileName::Entries(number))? {
                Some(bytes) => all += bytes,
                None => break,
            }
            names.push(FileName::Entries(number));
        }
        let mut trail = Vec::new();
        for (first, bytes) in audit_files(dir)? {
            trail.push(FileName::Audit(first));
            all += bytes;
        }
        // fewer than an offer may have: chunks end where files do, and an offer is no large text
        let most = u64::try_from(CHUNKS_MAX / 4).unwrap_or(u64::MAX);
        let chunk = CHUNK.max(all / most).min(u64::from(CHUNK_MAX / 2));
        let (mut kept, mut last) = (Vec::new(), None);
        for name in names {
            let before = last.clone();
            let mut file = found.entries(dir, name, chunk, &mut last)?;
            if found.changed.last() == Some(&name) {
                // where it ends is not known any more: what was in it goes where the next one begins
                file.chunks.clear();
                found.places.retain(|place| place.name != name);
                last = before;
            }
            kept.push(file);
        }
        let (mut audit, mut next) = (Vec::new(), 1);
        for name in trail {
            if name != FileName::Audit(next) {
                break;
            }
            let file = found.lines(dir, name, chunk, &mut next)?;
            if file.chunks.is_empty() {
                break;
            }
            audit.push(file);
        }
        // one that is too large to be offered is written anew
        found.kept = Kept::new(found.mark.vault.clone(), kept, audit).unwrap_or_default();
        if found.kept.vault().is_none() {
            found.places.clear();
        }
        Ok(found)
    }

    /// The names of all files that the offer has.
    pub(super) fn names(&self) -> Vec<FileName> {
        let files = self.kept.entries().iter().chain(self.kept.audit());
        files.map(|file| file.name).collect()
    }

    /// A file of entries whose keys come after `last`, as far as it can be read.
    fn entries(&mut self, dir: &Path, name: FileName, chunk: u64, last: &mut Option<End>) -> Result<KeptFile, Error> {
        let (mut reading, mut from) = Reading::open(dir, name)?;
        let mut item = Vec::new();
        loop {
            let change = match entries::read(&mut from) {
                Ok(Some(change)) => change,
                Ok(None) => break,
                Err(error) if is_form(&error) => break,
                Err(error) => return Err(failed("cannot read", &dir.join(name.to_string()))(error)),
            };
            item.clear();
            entries::write(&change, &mut item);
            let key = End(change.key.0);
            // a file of entries has each once, in order
            if change.now.is_none() || last.as_ref().is_some_and(|last| key <= *last) {
                break;
            }
            *last = Some(key.clone());
            reading.add(Some(key), &item, chunk);
        }
        self.end(reading, from)
    }

    /// A file of the audit trail whose first line is record `next`, as far as it can be read.
    fn lines(&mut self, dir: &Path, name: FileName, chunk: u64, next: &mut u64) -> Result<KeptFile, Error> {
        let (mut reading, mut from) = Reading::open(dir, name)?;
        loop {
            let mut line = match next_line(&mut from) {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) if is_form(&error) => break,
                Err(error) => return Err(failed("cannot read", &dir.join(name.to_string()))(error)),
            };
            // a line that was changed, or is one with the next, spoils its chunk and no other
            let seq = seq_of(&line).filter(|seq| *seq == *next || *seq == next.saturating_add(1));
            line.push(b'\n');
            reading.add(seq.map(End::of), &line, chunk);
            *next = seq.unwrap_or(*next).saturating_add(1);
        }
        self.end(reading, from)
    }

    fn end(&mut self, reading: Reading, mut from: BufReader<Hashed>) -> Result<KeptFile, Error> {
        let name = reading.name;
        let (chunks, places) = reading.end();
        self.places.extend(places);
        // the rest, for the file's digest
        let rest = io::copy(&mut from, &mut io::sink());
        rest.map_err(|error| Error::Files(format!("cannot read {name}: {error}")))?;
        let hashed = from.into_inner();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(hashed.hash.finish().as_ref());
        let listed = Listed {
            name,
            bytes: hashed.bytes,
            sha256: Digest(sha256),
        };
        if self.mark.knows(&listed) == Some(false) {
            self.changed.push(name);
        }
        Ok(KeptFile { name, chunks })
    }
}

/// A file being cut into chunks.
struct Reading {
    name: FileName,
    offset: u64,
    buffer: Vec<u8>,
    end: Option<End>,
    chunks: Vec<Chunk>,
    places: Vec<Place>,
}

impl Reading {
    fn open(dir: &Path, name: FileName) -> Result<(Self, BufReader<Hashed>), Error> {
        let path = dir.join(name.to_string());
        let hashed = Hashed {
            file: File::open(&path).map_err(failed("cannot read", &path))?,
            bytes: 0,
            hash: Context::new(&SHA256),
        };
        let reading = Self {
            name,
            offset: 0,
            buffer: Vec::new(),
            end: None,
            chunks: Vec::new(),
            places: Vec::new(),
        };
        Ok((reading, BufReader::with_capacity(1 << 18, hashed)))
    }

    /// Adds an item, which ends there.
    fn add(&mut self, end: Option<End>, bytes: &[u8], chunk: u64) {
        self.buffer.extend_from_slice(bytes);
        self.end = end.or(self.end.take());
        if u64::try_from(self.buffer.len()).unwrap_or(u64::MAX) >= chunk {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some((end, bytes)) = self.end.take().zip(u32::try_from(self.buffer.len()).ok()) else {
            return;
        };
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &self.buffer).as_ref());
        self.chunks.push(Chunk {
            end,
            bytes,
            sha256: Digest(sha256),
        });
        self.places.push(Place {
            name: self.name,
            offset: self.offset,
            bytes,
        });
        self.offset += u64::from(bytes);
        self.buffer.clear();
    }

    fn end(mut self) -> (Vec<Chunk>, Vec<Place>) {
        self.close();
        (self.chunks, self.places)
    }
}

/// A file, and the length and the hash of what was read of it.
struct Hashed {
    file: File,
    bytes: u64,
    hash: Context,
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        self.bytes += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// An error of what is in a file, and not of the file system.
fn is_form(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The length of a plain file.
fn length(dir: &Path, name: FileName) -> Result<Option<u64>, Error> {
    let path = dir.join(name.to_string());
    match fs::symlink_metadata(&path) {
        Ok(there) => Ok(there.is_file().then_some(there.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("cannot look at", &path)(error)),
    }
}

/// The first records of the audit trail's files, in order, and the files' lengths.
fn audit_files(dir: &Path) -> Result<Vec<(u64, u64)>, Error> {
    let path = dir.join("audit");
    let mut found = Vec::new();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed("cannot list", &path)(error)),
    };
    for entry in entries {
        let name = entry.map_err(failed("cannot list", &path))?.file_name();
        let name = format!("audit/{}", name.to_string_lossy()).parse();
        if let Ok(name @ FileName::Audit(first)) = name
            && let Some(bytes) = length(dir, name)?
        {
            found.push((first, bytes));
        }
    }
    found.sort_unstable();
    Ok(found)
}
