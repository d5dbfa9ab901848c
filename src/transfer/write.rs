//! Writing a backup into a directory. It has a mark while it is not whole, and its manifest comes last, by rename: so a
//! backup that was cut is known as one, and the next run goes on in its place with what of it is still right.
//!
//! What a run before left is offered to who makes the backup ([`Kept`]), chunk by chunk with digests of what is there now; the
//! maker says which chunks stand in the store just so. A chunk that was changed on the disk is not among them, and so is copied
//! again. In the end all files, kept ones too, are held against the signed manifest. Changes are never kept: they belong to
//! the scan that they were told beside.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;

use super::compose::Composing;
use super::files::{failed, is_free, lock, make_dir, new_file, remove, sync_dir};
use super::found::Found;
use super::manifest::Listed;
use super::mark::{Mark, Marking, UNFINISHED};
use super::{Error, FileName, Kept, Manifest, Piece};
use crate::id::VaultId;

/// The manifest before it has its name.
const DRAFT: &str = "manifest.json.new";

/// A backup being written.
pub struct Writing {
    dir: PathBuf,
    _lock: Flock<File>,
    found: Found,
    mark: Option<Marking>,
    file: Option<Composing>,
    changes: Option<Composing>,
    files: Vec<Listed>,
    kept: u64,
}

impl Writing {
    /// Begins in a directory that is not there, is empty, or has a backup that was cut, and reads what is left of that.
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
        if !dir.join(UNFINISHED).exists() && !is_free(dir)? {
            return Err(Error::InTheWay(format!(
                "{place} is not empty and not a backup that was cut: name another directory"
            )));
        }
        make_dir(dir)?;
        let lock = lock(dir)?;
        let mark = match Mark::read(dir)? {
            Some(mark) => mark,
            None => {
                let mark = Mark::default();
                mark.write(dir)?;
                dir.parent().filter(|parent| parent.is_dir()).map_or(Ok(()), sync_dir)?;
                mark
            }
        };
        Ok(Self {
            found: Found::read(dir, mark)?,
            dir: dir.to_owned(),
            _lock: lock,
            mark: None,
            file: None,
            changes: None,
            files: Vec::new(),
            kept: 0,
        })
    }

    /// What of a run before may be used.
    pub fn offer(&self) -> &Kept {
        &self.found.kept
    }

    /// Files of it that were whole and are not any more as they were written.
    pub fn changed(&self) -> &[FileName] {
        &self.found.changed
    }

    /// Takes the next piece. With the manifest the backup is whole and durable, if it is what the manifest says.
    ///
    /// # Errors
    /// The file system's; or what came is not what was sent.
    pub fn take(&mut self, piece: Piece) -> Result<Option<Manifest>, Error> {
        match piece {
            Piece::Of(vault) => self.prepare(vault).map(|()| None),
            Piece::File(name) => self.begin_file(name).map(|()| None),
            Piece::Data(bytes) => open(&mut self.file)?.data(&bytes).map(|()| None),
            Piece::Changed(bytes) => open(&mut self.changes)?.data(&bytes).map(|()| None),
            Piece::Keep(chunk) => self.keep(chunk).map(|()| None),
            Piece::Manifest(text) => self.finish(&text).map(Some),
            Piece::Failed(why) => Err(Error::InTheWay(format!("the daemon did not finish the backup: {why}"))),
        }
    }

    /// Bytes that are there so far.
    pub fn bytes(&self) -> u64 {
        let done: u64 = self.files.iter().map(|file| file.bytes).sum();
        let open = [&self.file, &self.changes].into_iter().flatten();
        done + open.map(Composing::bytes).sum::<u64>()
    }

    /// Bytes among them that a run before had written.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Before anything is written: is it this vault's? What cannot be used goes.
    fn prepare(&mut self, vault: VaultId) -> Result<(), Error> {
        let mark = &mut self.found.mark;
        if mark.vault.as_ref().is_some_and(|other| *other != vault) {
            return Err(Error::InTheWay(format!(
                "{} has a backup of another vault that was cut: name another directory; nothing was changed",
                self.dir.display()
            )));
        }
        for name in ["keyring.json", "changes", DRAFT] {
            remove(&self.dir.join(name))?;
        }
        let names = self.found.names();
        for name in ["store", "audit", "changes"] {
            make_dir(&self.dir.join(name))?;
            self.keep_only(name, &names)?;
        }
        let mark = &mut self.found.mark;
        mark.vault = Some(vault);
        mark.retain(&names);
        self.mark = Some(mark.write(&self.dir)?);
        Ok(())
    }

    /// Removes all files of a directory but these.
    fn keep_only(&self, below: &str, names: &[FileName]) -> Result<(), Error> {
        let path = self.dir.join(below);
        for entry in fs::read_dir(&path).map_err(failed("cannot list", &path))? {
            let entry = entry.map_err(failed("cannot list", &path))?;
            let name = format!("{below}/{}", entry.file_name().to_string_lossy());
            if !name.parse().is_ok_and(|name| names.contains(&name)) {
                remove(&entry.path())?;
            }
        }
        sync_dir(&path)
    }

    fn begin_file(&mut self, name: FileName) -> Result<(), Error> {
        let is_changes = matches!(name, FileName::Changes(_));
        let before = if is_changes {
            self.changes.take()
        } else {
            self.file.take()
        };
        self.end_file(before)?;
        let began = Composing::begin(&self.dir, name, self.found.names().contains(&name))?;
        if is_changes {
            self.changes = Some(began);
        } else {
            self.file = Some(began);
        }
        Ok(())
    }

    fn keep(&mut self, chunk: u32) -> Result<(), Error> {
        let file = open(&mut self.file)?;
        let place = usize::try_from(chunk).ok().and_then(|at| self.found.places.get(at));
        let Some(place) = place.filter(|place| place.name == file.name()) else {
            return Err(Error::Damaged(format!("{} was to have what is not there", file.name())));
        };
        file.keep(place.offset, place.bytes)?;
        self.kept += u64::from(place.bytes);
        Ok(())
    }

    fn end_file(&mut self, file: Option<Composing>) -> Result<(), Error> {
        let Some(file) = file else {
            return Ok(());
        };
        let mark = self.mark.as_mut().ok_or_else(too_early)?;
        self.files.push(file.end(mark)?);
        Ok(())
    }

    fn finish(&mut self, text: &[u8]) -> Result<Manifest, Error> {
        for file in [self.file.take(), self.changes.take()] {
            self.end_file(file)?;
        }
        self.files.sort_by_key(|file| file.name);
        let manifest = Manifest::parse(text).map_err(|fault| Error::Damaged(fault.to_string()))?;
        let differs = manifest.files().iter().find(|file| !self.files.contains(file));
        if let Some(file) = differs {
            return Err(Error::Damaged(format!(
                "{} was written with other bytes than those that were signed",
                file.name
            )));
        }
        if manifest.files() != self.files {
            return Err(Error::Damaged("more was written than was signed".to_owned()));
        }
        let names: Vec<FileName> = self.files.iter().map(|file| file.name).collect();
        for name in ["store", "changes", "audit"] {
            self.keep_only(name, &names)?;
        }
        sync_dir(&self.dir)?;
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

fn open(file: &mut Option<Composing>) -> Result<&mut Composing, Error> {
    file.as_mut().ok_or_else(too_early)
}

fn too_early() -> Error {
    Error::Damaged("data came before a file".to_owned())
}
