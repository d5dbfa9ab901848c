//! Audit records that left sled: JSON-Lines files named by the number of their first line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::entry::Header;
use super::files::{RESTORE, failed, sync_dir};
use crate::store::chain::{Head, seq_of};
use crate::store::{AuditLine, Error};

/// Below this a binary search reads on line by line.
const NEAR: u64 = 32 << 10;

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
}

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its first line's number, by its name.
    pub(super) first: u64,
    path: PathBuf,
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
        let current = last
            .map(|(path, bytes)| {
                OpenOptions::new()
                    .append(true)
                    .open(path)
                    .map(|file| Current { file, bytes })
            })
            .transpose()
            .map_err(io)?;
        let segments = Self {
            dir: dir.to_owned(),
            max_bytes,
            current,
        };
        Ok((segments, head))
    }

    /// Appends whole lines, the first of them number `first`, durably.
    ///
    /// # Errors
    /// Nothing counts as appended, and the next lines go to a new file: after a failed sync the old one's cached
    /// pages are not to be trusted.
    pub(super) fn append(&mut self, first: u64, lines: &[u8]) -> io::Result<()> {
        let mut current = match self.current.take() {
            Some(current) if current.bytes < self.max_bytes => current,
            _ => self.create(first)?,
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

    fn create(&self, first: u64) -> io::Result<Current> {
        let path = self.dir.join(format!("{first:020}.jsonl"));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        sync_dir(&self.dir)?;
        Ok(Current { file, bytes: 0 })
    }
}

/// The segment files of `dir`, oldest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let first = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".jsonl"))
            .filter(|stem| stem.len() == 20)
            .and_then(|stem| stem.parse().ok());
        if let Some(first) = first {
            found.push(Segment { first, path });
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Bytes of all segment files of `dir`.
pub(super) fn bytes(dir: &Path) -> io::Result<u64> {
    list(dir)?
        .iter()
        .map(|segment| Ok(fs::metadata(&segment.path)?.len()))
        .sum()
}

/// Gives the lines `from` to `through` of the files in `dir` to `take`, in order, until it returns false.
///
/// # Errors
/// [`Error::Corrupt`]: a line is missing or has another number than its place.
pub(super) fn read(dir: &Path, from: u64, through: u64, mut take: impl FnMut(AuditLine) -> bool) -> Result<(), Error> {
    let io = |e: io::Error| failed("cannot read the audit segments in", dir, &e);
    let segments = list(dir).map_err(io)?;
    let mut next = from;
    let start = segments
        .partition_point(|segment| segment.first <= from)
        .saturating_sub(1);
    for (at, segment) in segments.iter().enumerate().skip(start) {
        let end = segments
            .get(at + 1)
            .map_or(through, |after| through.min(after.first.saturating_sub(1)));
        let mut file = File::open(&segment.path).map_err(io)?;
        let offset = seek(&file, next).map_err(io)?;
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        let mut lines = BufReader::new(file);
        while next <= end {
            match next_line(&mut lines).map_err(io)? {
                Some(line) if seq_of(&line) == Some(next) => {
                    if !take(AuditLine { seq: next, line }) {
                        return Ok(());
                    }
                }
                _ => return Err(gone(dir, next)),
            }
            next += 1;
        }
    }
    if next <= through {
        return Err(gone(dir, next));
    }
    Ok(())
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

/// The line with number `seq` and the offset after it.
fn find(file: &File, seq: u64) -> io::Result<Option<(AuditLine, u64)>> {
    let offset = seek(file, seq)?;
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    let Some(line) = next_line(&mut BufReader::new(file))?.filter(|line| seq_of(line) == Some(seq)) else {
        return Ok(None);
    };
    let end = offset + u64::try_from(line.len()).unwrap_or(0) + 1;
    Ok(Some((AuditLine { seq, line }, end)))
}

/// The offset of the first line whose number is at least `seq`, or of the end: a binary search by bytes.
fn seek(mut file: &File, seq: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, file.metadata()?.len());
    while high.saturating_sub(low) > NEAR {
        let middle = low + (high - low) / 2;
        file.seek(SeekFrom::Start(middle))?;
        let mut lines = BufReader::with_capacity(2048, file);
        let mut skipped = Vec::new();
        lines.read_until(b'\n', &mut skipped)?;
        let at = middle + u64::try_from(skipped.len()).unwrap_or(0);
        match next_line(&mut lines)?.as_deref().and_then(seq_of) {
            Some(found) if found < seq && at < high => low = at,
            _ => high = middle,
        }
    }
    file.seek(SeekFrom::Start(low))?;
    let mut lines = BufReader::new(file);
    while let Some(line) = next_line(&mut lines)? {
        if seq_of(&line).is_none_or(|found| found >= seq) {
            break;
        }
        low += u64::try_from(line.len()).unwrap_or(0) + 1;
    }
    Ok(low)
}

/// The next line without its newline; a last line without one is not whole and does not count.
fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line)?;
    Ok(line.strip_suffix(b"\n").map(<[u8]>::to_vec))
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

fn gone(dir: &Path, seq: u64) -> Error {
    Error::Corrupt(format!(
        "audit record {seq} is not in the segment files of {}: put the missing file back",
        dir.display()
    ))
}
