//! Reading segment files.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::store::chain::seq_of;
use crate::store::sled::files::failed;
use crate::store::{AuditLine, Error};

/// Below this a binary search reads on line by line.
const NEAR: u64 = 32 << 10;

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::sled) struct Segment {
    /// Its first line's number, by its name.
    pub(in crate::store::sled) first: u64,
    pub(super) path: PathBuf,
}

/// The segment files of `dir`, oldest first.
pub(in crate::store::sled) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
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
pub(in crate::store::sled) fn bytes(dir: &Path) -> io::Result<u64> {
    list(dir)?
        .iter()
        .map(|segment| Ok(fs::metadata(&segment.path)?.len()))
        .sum()
}

/// Gives the lines `from` to `through` of the files in `dir` to `take`, in order, until it returns false.
///
/// # Errors
/// [`Error::Corrupt`]: a line is missing or has another number than its place.
pub(in crate::store::sled) fn read(
    dir: &Path,
    from: u64,
    through: u64,
    mut take: impl FnMut(AuditLine) -> bool,
) -> Result<(), Error> {
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

/// The line with number `seq` and the offset after it.
pub(super) fn find(file: &File, seq: u64) -> io::Result<Option<(AuditLine, u64)>> {
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
pub(super) fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line)?;
    Ok(line.strip_suffix(b"\n").map(<[u8]>::to_vec))
}

pub(super) fn gone(dir: &Path, seq: u64) -> Error {
    Error::Corrupt(format!(
        "audit record {seq} is not in the segment files of {}: put the missing file back",
        dir.display()
    ))
}
