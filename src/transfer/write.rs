//! Writing a backup into a directory. It has a mark while it is not whole, and its manifest comes last, by rename: so a
//! backup that was cut is known as one, and the next run begins anew in its place.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use ring::digest::{Context, SHA256};

use super::files::{failed, is_free, lock, make_dir, new_file, remove, sync_dir};
use super::manifest::{Digest, Listed};
use super::{Error, FileName, Manifest, Piece};

/// Says that the backup is not whole.
const UNFINISHED: &str = "BACKUP-UNFINISHED";
/// The manifest before it has its name.
const DRAFT: &str = "manifest.json.new";

/// A backup being written.
pub struct Writing {
    dir: PathBuf,
    _lock: Flock<File>,
    file: Option<Current>,
    files: Vec<Listed>,
}

struct Current {
    name: FileName,
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Context,
}

impl Writing {
    /// Begins in a directory that is not there, is empty, or has a backup that was cut, which is removed.
    ///
    /// # Errors
    /// Something else is there; nothing of it was changed.
    pub fn begin(dir: &Path) -> Result<Self, Error> {
        let place = dir.display();
        if dir.join(Manifest::FILE).exists() {
            return Err(Error::InTheWay(format!(
                "{place} has a backup already, which is not touched: name another directory"
            )));
        }
        let mark = dir.join(UNFINISHED);
        if !mark.exists() && !is_free(dir)? {
            return Err(Error::InTheWay(format!(
                "{place} is not empty and not a backup that was cut: name another directory"
            )));
        }
        make_dir(dir)?;
        let lock = lock(dir)?;
        if !mark.exists() {
            let file = new_file(&mark)?;
            file.sync_all().map_err(failed("cannot write", &mark))?;
            sync_dir(dir)?;
            dir.parent().filter(|parent| parent.is_dir()).map_or(Ok(()), sync_dir)?;
        }
        for name in ["store", "audit", "keyring.json", DRAFT] {
            remove(&dir.join(name))?;
        }
        make_dir(&dir.join("store"))?;
        make_dir(&dir.join("audit"))?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
            file: None,
            files: Vec::new(),
        })
    }

    /// Takes the next piece. With the manifest the backup is whole and durable, if it is what the manifest says.
    ///
    /// # Errors
    /// The file system's; or what came is not what was sent.
    pub fn take(&mut self, piece: Piece) -> Result<Option<Manifest>, Error> {
        match piece {
            Piece::File(name) => self.begin_file(name).map(|()| None),
            Piece::Data(bytes) => self.data(&bytes).map(|()| None),
            Piece::Manifest(text) => self.finish(&text).map(Some),
            Piece::Failed(why) => Err(Error::InTheWay(format!("the daemon did not finish the backup: {why}"))),
        }
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        let done: u64 = self.files.iter().map(|file| file.bytes).sum();
        done + self.file.as_ref().map_or(0, |file| file.bytes)
    }

    fn begin_file(&mut self, name: FileName) -> Result<(), Error> {
        self.end_file()?;
        let path = self.dir.join(name.to_string());
        self.file = Some(Current {
            name,
            file: new_file(&path)?,
            path,
            bytes: 0,
            hash: Context::new(&SHA256),
        });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(current) = &mut self.file else {
            return Err(Error::Damaged("data came before a file".to_owned()));
        };
        current
            .file
            .write_all(bytes)
            .map_err(failed("cannot write", &current.path))?;
        current.hash.update(bytes);
        current.bytes = current
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let Some(current) = self.file.take() else {
            return Ok(());
        };
        current.file.sync_all().map_err(failed("cannot sync", &current.path))?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(current.hash.finish().as_ref());
        self.files.push(Listed {
            name: current.name,
            bytes: current.bytes,
            sha256: Digest(sha256),
        });
        Ok(())
    }

    fn finish(&mut self, text: &[u8]) -> Result<Manifest, Error> {
        self.end_file()?;
        let manifest = Manifest::parse(text).map_err(|fault| Error::Damaged(fault.to_string()))?;
        if manifest.files() != self.files {
            return Err(Error::Damaged("what was written is not what was signed".to_owned()));
        }
        for dir in [self.dir.join("store"), self.dir.join("audit"), self.dir.clone()] {
            sync_dir(&dir)?;
        }
        let (draft, place) = (self.dir.join(DRAFT), self.dir.join(Manifest::FILE));
        let mut file = new_file(&draft)?;
        let written = file.write_all(manifest.text()).and_then(|()| file.sync_all());
        written
            .and_then(|()| fs::rename(&draft, &place))
            .map_err(failed("cannot write", &place))?;
        sync_dir(&self.dir)?;
        remove(&self.dir.join(UNFINISHED))?;
        sync_dir(&self.dir)?;
        Ok(manifest)
    }
}
