//! Audit records that left sled: JSON-Lines files named by the number of their first line. A file has records of one UTC day, by
//! the records' own times; where the clock was set back none is begun for that.

mod reading;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::entry::Header;
use super::files::{RESTORE, failed, sync_dir};
use crate::store::chain::{Head, at_of, seq_of};
use crate::store::{AuditLine, Error};

pub(super) use reading::{bytes, list, read};
use reading::{find, gone, next_line};

/// Milliseconds of a UTC day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// The writer of segment files.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    /// A segment this large is followed by a new one.
    max_bytes: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
    /// Its UTC day, from 1970; 0 where no record in it says.
    day: u64,
}

impl Segments {
    /// Takes up the files in `dir` where `header` says that they end: what stands after that was not acknowledged and
    /// is still in the store, so it is cut off. `in_store` gives a line that is in the store. Also gives the chain's
    /// head at the end of the files.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: records are missing, or the files know more than the store. Nothing is cut then.
    pub(super) fn recover(
        dir: &Path,
        max_bytes: u64,
        header: &Header,
        in_store: impl Fn(u64) -> Result<Option<AuditLine>, Error>,
    ) -> Result<(Self, Head), Error> {
        let io = |e: io::Error| failed("cannot read the audit segments in", dir, &e);
        fs::create_dir_all(dir).map_err(io)?;
        let mut cuts = Vec::new();
        let (mut head, mut last) = (Head::START, None);
        for segment in list(dir).map_err(io)?.into_iter().rev() {
            let file = File::open(&segment.path).map_err(io)?;
            let end = if segment.first <= header.archived {
                let (line, end) = find(&file, header.archived)
                    .map_err(io)?
                    .ok_or_else(|| missing(dir, header))?;
                head = Head::after(&line);
                end
            } else {
                0
            };
            check_tail(file, end, header, &in_store)?;
            let found = head.seq > 0;
            if found {
                last = Some((segment.path.clone(), end));
            }
            cuts.push((segment.path, end));
            if found {
                break;
            }
        }
        if head.seq != header.archived {
            return Err(missing(dir, header));
        }
        for (path, end) in cuts {
            cut(&path, end).map_err(io)?;
        }
        sync_dir(dir).map_err(io)?;
        let current = last.map(|(path, bytes)| Current::go_on(&path, bytes));
        let current = current.transpose().map_err(io)?;
        let segments = Self {
            dir: dir.to_owned(),
            max_bytes,
            current,
        };
        Ok((segments, head))
    }

    /// Appends whole lines, the first of them number `first`, durably; those of another day to another file.
    ///
    /// # Errors
    /// Nothing counts as appended, and the next lines go to a new file: after a failed sync the old one's cached
    /// pages are not to be trusted.
    pub(super) fn append(&mut self, first: u64, lines: &[u8]) -> io::Result<()> {
        let (mut next, mut run, mut day) = (first, first, self.current.as_ref().map_or(0, |current| current.day));
        let (mut begin, mut end) = (0, 0);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let of = at_of(line).map_or(0, |at| at / DAY);
            if of > day {
                self.append_run(run, lines.get(begin..end).unwrap_or_default(), day)?;
                (run, begin, day) = (next, end, of);
            }
            end += line.len();
            next += 1;
        }
        self.append_run(run, lines.get(begin..end).unwrap_or_default(), day)
    }

    /// Appends lines of one day.
    fn append_run(&mut self, first: u64, lines: &[u8], day: u64) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut current = match self.current.take() {
            Some(current) if current.bytes < self.max_bytes && day <= current.day => current,
            _ => self.create(first, day)?,
        };
        if let Err(e) = current.file.write_all(lines).and_then(|()| current.file.sync_data()) {
            // best effort: what is left over is ignored by readers and cut at the next start
            let _ = current.file.set_len(current.bytes);
            return Err(e);
        }
        current.bytes = current
            .bytes
            .saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        self.current = Some(current);
        Ok(())
    }

    fn create(&self, first: u64, day: u64) -> io::Result<Current> {
        let path = self.dir.join(format!("{first:020}.jsonl"));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        sync_dir(&self.dir)?;
        Ok(Current { file, bytes: 0, day })
    }
}

impl Current {
    /// The file at `path`, behind its first bytes.
    fn go_on(path: &Path, bytes: u64) -> io::Result<Self> {
        let first = next_line(&mut BufReader::new(File::open(path)?))?;
        let at = first.as_deref().and_then(at_of);
        Ok(Self {
            file: OpenOptions::new().append(true).open(path)?,
            bytes,
            day: at.map_or(0, |at| at / DAY),
        })
    }
}

/// Whole lines after `offset` must be the store's own: then cutting them loses nothing.
fn check_tail(
    mut file: File,
    offset: u64,
    header: &Header,
    in_store: &impl Fn(u64) -> Result<Option<AuditLine>, Error>,
) -> Result<(), Error> {
    let io = |e: io::Error| Error::Unavailable(format!("cannot read an audit segment: {e}"));
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut lines = BufReader::new(file);
    while let Some(line) = next_line(&mut lines).map_err(io)? {
        // not a line at all: the remains of a write that did not end
        let Some(seq) = seq_of(&line).filter(|_| line.last() == Some(&b'}')) else {
            break;
        };
        if seq > header.head.seq {
            return Err(Error::Corrupt(format!(
                "the audit segments know record {seq}, the store only {}: the store is older than its audit trail; \
                 {RESTORE} that is not",
                header.head.seq
            )));
        }
        if in_store(seq)?.is_none_or(|mine| mine.line != line) {
            return Err(Error::Corrupt(format!(
                "audit record {seq} is another in its segment than in the store; {RESTORE}"
            )));
        }
    }
    Ok(())
}

fn cut(path: &Path, end: u64) -> io::Result<()> {
    if end == 0 {
        return fs::remove_file(path);
    }
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > end {
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(())
}

fn missing(dir: &Path, header: &Header) -> Error {
    gone(dir, header.archived)
}
