//! A new store out of a checkpoint: the same state at the same revision, and the same audit trail.

use std::fs;
use std::path::PathBuf;

use ::sled::{Batch, Db};

use super::contain::contain;
use super::create::{begin, finish, random_id};
use super::dir::{Dir, Lock};
use super::engine_error;
use super::entry::{Header, frame};
use super::files::failed;
use super::segments::Segments;
use crate::store::chain::Head;
use crate::store::{Change, Config, Error, Mark, VALUE_MAX};

/// Audit lines are written when there are so many bytes of them.
const LINES: usize = 1 << 20;

/// Fills a new store. Until [`Loader::finish`] there is none: what was loaded is removed by who comes next.
pub struct Loader {
    dir: Dir,
    audit: PathBuf,
    _lock: Lock,
    db: Db,
    segments: Segments,
    head: Head,
    /// The highest revision of an entry.
    rev: u64,
    lines: Vec<u8>,
    /// The number of the first of `lines`.
    first: u64,
}

impl Loader {
    /// A store in the directory of `config`, which must not have one.
    ///
    /// # Errors
    /// There is one, or parts of one; or the file system failed.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let dir = Dir::new(config.dir.clone());
        fs::create_dir_all(dir.root()).map_err(|e| failed("cannot make", dir.root(), &e))?;
        let lock = dir.lock()?;
        if dir.marked()?.is_some() {
            return Err(Error::Unavailable(format!("{} has a store", dir.root().display())));
        }
        let audit = config.audit_dir.clone().unwrap_or_else(|| dir.audit());
        let db = begin(config, &dir, &audit)?;
        let header = Header::new(random_id()?);
        let (segments, head) = Segments::recover(&audit, config.audit_segment_bytes, &header, |_| Ok(None))?;
        Ok(Self {
            dir,
            audit,
            _lock: lock,
            db,
            segments,
            head,
            rev: 0,
            lines: Vec::new(),
            first: 1,
        })
    }

    /// Applies changes in the order in which the checkpoint told them.
    ///
    /// # Errors
    /// A key or a value that no store has; or the engine failed.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        let (mut batch, mut scratch) = (Batch::default(), Vec::new());
        for Change { key, now } in changes {
            key.check()?;
            let Some(now) = now else {
                batch.remove(key.0.as_slice());
                continue;
            };
            if now.value.len() > VALUE_MAX {
                return Err(Error::TooLarge);
            }
            self.rev = self.rev.max(now.rev);
            batch.insert(key.0.as_slice(), frame(&key.0, now.rev, &now.value, &mut scratch));
        }
        contain(|| self.db.apply_batch(batch))?.map_err(engine_error)
    }

    /// Adds the next line of the audit trail.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: it does not follow the one before; or the file system failed.
    pub fn audit(&mut self, line: &[u8]) -> Result<(), Error> {
        self.head
            .follow(line)
            .map_err(|e| Error::Corrupt(format!("the audit trail is broken: {e}")))?;
        if self.lines.is_empty() {
            self.first = self.head.seq;
        }
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        if self.lines.len() >= LINES {
            self.write_lines()?;
        }
        Ok(())
    }

    /// The end of the audit trail so far.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Makes it a store, durable and closed in order.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: what was loaded does not end where `mark` says; or the file system failed.
    pub fn finish(mut self, mark: &Mark) -> Result<(), Error> {
        if self.head != mark.head {
            return Err(Error::Corrupt(format!(
                "the audit trail ends with record {}, and not as it should with record {}",
                self.head.seq, mark.head.seq
            )));
        }
        if self.rev > mark.rev {
            return Err(Error::Corrupt(format!(
                "an entry has revision {}, the store only {}",
                self.rev, mark.rev
            )));
        }
        self.write_lines()?;
        let header = Header {
            rev: mark.rev,
            records: mark.records,
            head: mark.head,
            archived: mark.head.seq,
            ..Header::new(random_id()?)
        };
        finish(self.db, &self.dir, &self.audit, &header)
    }

    fn write_lines(&mut self) -> Result<(), Error> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.segments
            .append(self.first, &self.lines)
            .map_err(|e| failed("cannot write the audit trail in", &self.audit, &e))?;
        self.lines.clear();
        Ok(())
    }
}
