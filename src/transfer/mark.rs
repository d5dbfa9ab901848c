//! The file that says that a backup is not whole: whose it is, and which of its files are, with the digests that they had.
//!
//! A line of JSON each: `{"format":2,"vault":"…"}`, then a file as in the manifest, once it is durable. A file may have several,
//! where it was written again: one of them counts. What they say is held against the files before it is used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{failed, new_file, remove, sync_dir};
use super::manifest::{FORMAT, Listed, TEXT_MAX};
use super::{Error, FileName};
use crate::id::VaultId;

/// Its name.
pub(super) const UNFINISHED: &str = "BACKUP-UNFINISHED";
/// It before it has its name.
const NEW: &str = "BACKUP-UNFINISHED.new";

/// What it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// `None`: nothing was written yet, or by a version that had another format; what is there is of no use.
    pub(super) vault: Option<VaultId>,
    pub(super) files: Vec<Listed>,
}

/// The file, to be added to.
pub(super) struct Marking {
    file: File,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct First {
    format: u64,
    #[serde(default)]
    vault: Option<VaultId>,
}

impl Mark {
    /// The mark of a directory; `None` where there is none.
    ///
    /// # Errors
    /// It says nothing that is known; nothing was changed.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(UNFINISHED);
        let mut text = Vec::new();
        let most = u64::try_from(TEXT_MAX).unwrap_or(u64::MAX);
        match File::open(&path) {
            Ok(file) => file
                .take(most)
                .read_to_end(&mut text)
                .map_err(failed("cannot read", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("cannot read", &path)(error)),
        };
        // as the first format had it
        if text.is_empty() {
            return Ok(Some(Self::default()));
        }
        let mut lines = text.split(|byte| *byte == b'\n');
        let first: First = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(|_| {
            Error::InTheWay(format!(
                "{} says nothing that is known: name another directory; nothing was changed",
                path.display()
            ))
        })?;
        match first.format {
            FORMAT => Ok(Some(Self {
                vault: first.vault,
                // the last one may be cut
                files: lines.map_while(|line| serde_json::from_slice(line).ok()).collect(),
            })),
            newer if newer > FORMAT => Err(Error::InTheWay(format!(
                "a newer version of panvault (format {newer}) began the backup in {}: use that version, or name another \
                 directory; nothing was changed",
                dir.display()
            ))),
            _ => Ok(Some(Self::default())),
        }
    }

    /// Whether a file was whole with these bytes; `None`: it never was.
    pub(super) fn knows(&self, file: &Listed) -> Option<bool> {
        let mut of_it = self.files.iter().filter(|listed| listed.name == file.name).peekable();
        of_it.peek()?;
        Some(of_it.any(|listed| listed == file))
    }

    /// Forgets all files but these.
    pub(super) fn retain(&mut self, names: &[FileName]) {
        self.files.retain(|listed| names.contains(&listed.name));
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<Marking, Error> {
        let (new, path) = (dir.join(NEW), dir.join(UNFINISHED));
        remove(&new)?;
        let first = First {
            format: FORMAT,
            vault: self.vault.clone(),
        };
        let mut text = line(&first, &path)?;
        for listed in &self.files {
            text.extend(line(listed, &path)?);
        }
        let mut file = new_file(&new)?;
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        written
            .and_then(|()| fs::rename(&new, &path))
            .map_err(failed("cannot write", &path))?;
        sync_dir(dir)?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(failed("cannot write", &path))?;
        Ok(Marking { file, path })
    }
}

impl Marking {
    /// A file is durable with these bytes, or will be before its next change.
    pub(super) fn add(&mut self, listed: &Listed) -> Result<(), Error> {
        let line = line(listed, &self.path)?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(failed("cannot write", &self.path))
    }
}

fn line(what: &impl Serialize, path: &Path) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(what).map_err(|error| failed("cannot write", path)(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Digest;
    use super::*;

    fn listed(number: u32, byte: u8) -> Listed {
        Listed {
            name: FileName::Entries(number),
            bytes: 7,
            sha256: Digest([byte; 32]),
        }
    }

    #[test]
    fn a_mark_is_read_as_far_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(dir.path()), Ok(None));
        let mut mark = Mark {
            vault: VaultId::parse("vault_1").ok(),
            files: vec![listed(1, 1)],
        };
        mark.write(dir.path()).unwrap().add(&listed(2, 2)).unwrap();
        let mut read = Mark::read(dir.path()).unwrap().unwrap();
        assert_eq!(read.vault, mark.vault);
        assert_eq!(read.knows(&listed(2, 2)), Some(true));
        assert_eq!(read.knows(&listed(2, 3)), Some(false));
        assert_eq!(read.knows(&listed(3, 2)), None);
        read.retain(&[FileName::Entries(1)]);
        assert_eq!(read, mark);
        // the last line is cut
        let path = dir.path().join(UNFINISHED);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert_eq!(Mark::read(dir.path()), Ok(Some(mark)));
        mark = Mark::default();
        mark.write(dir.path()).unwrap();
        assert_eq!(Mark::read(dir.path()), Ok(Some(mark)));
    }

    #[test]
    fn other_formats_are_begun_anew_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (text, known) in [
            ("", true),
            ("{\"format\":1}\n", true),
            ("{\"format\":9}\n", false),
            ("notes", false),
        ] {
            fs::write(dir.path().join(UNFINISHED), text).unwrap();
            match Mark::read(dir.path()) {
                Ok(mark) => assert!(known && mark == Some(Mark::default()), "{text}"),
                Err(error) => assert!(
                    !known && error.to_string().contains("name another directory"),
                    "{error}"
                ),
            }
        }
    }
}
