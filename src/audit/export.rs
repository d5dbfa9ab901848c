//! The trail as files for elsewhere: segments that are only appended to, a new one for each UTC day and past a size, and
//! the newest signed head beside them. A later export into the same directory continues where the last one ended.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::head::SignedHead;
use super::line::{Envelope, Head, sha256};
use super::segments::{read_segments, segment_files};
use super::verifier::Verifier;
use crate::id::UnixMillis;

/// The file with the newest signed head: with it a tail that was cut off the segments shows.
const HEAD_FILE: &str = "head.json";
/// The longest head file.
const HEAD_FILE_MAX: u64 = 64 << 10;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// An export under way.
#[derive(Debug)]
pub struct Export {
    dir: PathBuf,
    max_bytes: u64,
    /// The last record that is there.
    head: Head,
    before: u64,
    /// The record that is there already was found in the trail as well.
    continued: bool,
    current: Option<Current>,
    signed: Option<SignedHead>,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
    day: u64,
}

/// What an export came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Records written now.
    pub written: u64,
    /// The last record that is there.
    #[serde(serialize_with = "super::verifier::as_text")]
    pub head: Head,
    /// The record that the newest signed head names.
    pub signed_through: Option<u64>,
}

/// Why it is not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// A file or the directory.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// The directory holds something else.
    #[error("{0} is neither empty nor an earlier export")]
    NotAnExport(PathBuf),
    /// The earlier export does not hold.
    #[error("the earlier export is not what it was: {0}")]
    Damaged(String),
    /// The trail does not go on from the earlier export.
    #[error(
        "record {0} of the earlier export is not in the trail: it is another vault's, or one of the two was rewritten or cut"
    )]
    NotContinued(u64),
    /// A line of the trail is out of place.
    #[error("the trail is broken: {0}")]
    Broken(String),
}

impl Export {
    /// Into `dir`, which is made, or empty, or holds an earlier export; files of about `max_bytes` at the most.
    ///
    /// # Errors
    /// [`ExportFault`]; nothing is written then.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, ExportFault> {
        match DirBuilder::new().mode(0o750).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(dir, error)),
            _ => {}
        }
        let files = whole_files(dir)?;
        let signed = exported_head(dir)?;
        let mut export = Self {
            dir: dir.to_owned(),
            max_bytes,
            head: Head::START,
            before: 0,
            continued: false,
            current: None,
            signed,
        };
        let Some(last) = files.last() else {
            let empty = fs::read_dir(dir).map_err(|error| failed(dir, error))?.next().is_none();
            return match empty {
                true => Ok(export),
                false => Err(ExportFault::NotAnExport(dir.to_owned())),
            };
        };
        let mut verifier = Verifier::new();
        if let Some(signed) = &export.signed {
            verifier = verifier.expecting(signed.head);
        }
        read_segments(&files, &mut verifier).map_err(|error| failed(dir, error))?;
        let report = verifier.finish();
        if let Some(finding) = report.findings.first() {
            return Err(ExportFault::Damaged(finding.to_string()));
        }
        let file = OpenOptions::new()
            .append(true)
            .open(last)
            .map_err(|error| failed(last, error))?;
        let bytes = file.metadata().map_err(|error| failed(last, error))?.len();
        let day = report.to.map_or(0, |at| at.0 / DAY_MS);
        (export.head, export.before) = (report.head, report.head.seq);
        export.current = Some(Current { file, bytes, day });
        Ok(export)
    }

    /// The record from which the trail must be handed over: the last one that is there, for comparison, or the first.
    pub fn from(&self) -> u64 {
        self.head.seq.max(1)
    }

    /// Takes the trail's next line.
    ///
    /// # Errors
    /// [`ExportFault`].
    pub fn line(&mut self, line: &[u8]) -> Result<(), ExportFault> {
        if self.before > 0 && !self.continued {
            if sha256(line) != self.head.hash {
                return Err(ExportFault::NotContinued(self.head.seq));
            }
            self.continued = true;
            return Ok(());
        }
        let Envelope { at, .. } = Envelope::read(line).map_err(|why| ExportFault::Broken(why.to_owned()))?;
        self.head
            .follow(line)
            .map_err(|broken| ExportFault::Broken(broken.to_string()))?;
        if let Some(Ok(signed)) = SignedHead::of_line(line) {
            self.signed = Some(signed);
        }
        let mut current = self.current_for(at)?;
        let written = current.file.write_all(&[line, b"\n"].concat());
        written.map_err(|error| failed(&self.dir, error))?;
        current.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
        self.current = Some(current);
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`ExportFault`].
    pub fn finish(mut self) -> Result<Exported, ExportFault> {
        if self.before > 0 && !self.continued {
            return Err(ExportFault::NotContinued(self.head.seq));
        }
        self.close_current()?;
        if let Some(signed) = &self.signed {
            let (new, path) = (self.dir.join("head.json.new"), self.dir.join(HEAD_FILE));
            let text = serde_json::to_vec(signed).map_err(|error| failed(&path, error.into()))?;
            let mut file = create(&new, true)?;
            file.write_all(&text)
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&new, &path))
                .map_err(|error| failed(&path, error))?;
        }
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| failed(&self.dir, error))?;
        Ok(Exported {
            written: self.head.seq - self.before,
            head: self.head,
            signed_through: self.signed.map(|signed| signed.head.seq),
        })
    }

    /// The file for a record of this time, which was just followed. A clock that was set back opens no new one.
    fn current_for(&mut self, at: UnixMillis) -> Result<Current, ExportFault> {
        let day = at.0 / DAY_MS;
        match self.current.take() {
            Some(current) if current.bytes < self.max_bytes && day <= current.day => return Ok(current),
            Some(current) => self.current = Some(current),
            None => {}
        }
        self.close_current()?;
        let file = create(&self.dir.join(format!("{:020}.jsonl", self.head.seq)), false)?;
        Ok(Current { file, bytes: 0, day })
    }

    fn close_current(&mut self) -> Result<(), ExportFault> {
        match self.current.take() {
            Some(current) => current.file.sync_all().map_err(|error| failed(&self.dir, error)),
            None => Ok(()),
        }
    }
}

/// The signed head beside exported segments, where there is one.
///
/// # Errors
/// It cannot be read, or is none.
pub fn exported_head(dir: &Path) -> Result<Option<SignedHead>, ExportFault> {
    let path = dir.join(HEAD_FILE);
    let text = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > HEAD_FILE_MAX => {
            return Err(ExportFault::Damaged(format!(
                "{HEAD_FILE} is too long for a signed head"
            )));
        }
        _ => fs::read(&path).map_err(|error| failed(&path, error))?,
    };
    let head: SignedHead = serde_json::from_slice(&text)
        .map_err(|_| ExportFault::Damaged(format!("{HEAD_FILE} does not hold a signed head")))?;
    head.verify()
        .map_err(|fault| ExportFault::Damaged(format!("{HEAD_FILE}: {fault}")))?;
    Ok(Some(head))
}

/// The segment files of an export, without what a write that did not end left behind: a line without a newline is no
/// record.
fn whole_files(dir: &Path) -> Result<Vec<PathBuf>, ExportFault> {
    let mut files = segment_files(dir).map_err(|error| failed(dir, error))?;
    while let Some(last) = files.last() {
        let text = fs::read(last).map_err(|error| failed(last, error))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole > 0 {
            if whole < text.len() {
                cut(last, whole).map_err(|error| failed(last, error))?;
            }
            break;
        }
        fs::remove_file(last).map_err(|error| failed(last, error))?;
        files.pop();
    }
    Ok(files)
}

fn cut(path: &Path, end: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(u64::try_from(end).unwrap_or(0))?;
    file.sync_all()
}

fn create(path: &Path, over: bool) -> Result<File, ExportFault> {
    let mut options = OpenOptions::new();
    options.mode(0o640);
    match over {
        true => options.write(true).create(true).truncate(true),
        false => options.append(true).create_new(true),
    };
    options.open(path).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> ExportFault {
    ExportFault::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;
