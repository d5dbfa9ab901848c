//! The store's directory: who may use it, what says that a store is there, and how it was left.
//!
//! ```text
//! LOCK              held by the one process that uses the store
//! VAULT-STORE       the marker: which store this is and its format
//! CLEAN             only while closed in order: the engine's files, their sizes, and the last revision
//! LAST-CLEAN        the same of the last orderly stop, while the store is in use
//! sled/             the engine's files
//! sled.new/         a store whose creation did not end; nothing was ever acknowledged from it
//! before-recovery/  the engine's files as an unclean stop left them, before the engine touched them
//! audit/            segment files
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::entry::{FORMAT, StoreId};
use super::files::{RESTORE, failed, list, sync_dir};
use crate::store::Error;

/// A store's directory.
#[derive(Debug, Clone)]
pub(super) struct Dir {
    root: PathBuf,
}

/// The hold on a directory; no other process opens it meanwhile.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

/// What the marker file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    format: u16,
    store: String,
}

/// What an orderly stop leaves.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    /// The last revision: no later opening may find less.
    rev: u64,
    files: Listing,
}

/// Names and sizes of the engine's files.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Listing(BTreeMap<String, u64>);

/// How the store was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Closed, and untouched since.
    Clean,
    /// Still open when its process ended.
    Unclean,
}

impl Dir {
    /// The directory at `root`, which need not be there.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The engine's files.
    pub(super) fn sled(&self) -> PathBuf {
        self.root.join("sled")
    }

    /// Where a new store is made before it gets its place.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.root.join("sled.new")
    }

    /// The copy taken before a recovery.
    pub(super) fn before_recovery(&self) -> PathBuf {
        self.root.join("before-recovery")
    }

    /// Where segment files go unless the configuration says otherwise.
    pub(super) fn audit(&self) -> PathBuf {
        self.root.join("audit")
    }

    fn clean(&self) -> PathBuf {
        self.root.join("CLEAN")
    }

    fn last_clean(&self) -> PathBuf {
        self.root.join("LAST-CLEAN")
    }

    fn marker(&self) -> PathBuf {
        self.root.join("VAULT-STORE")
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: another process has it.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let path = self.root.join("LOCK");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| failed("cannot open", &path, &e))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Lock { _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(Error::Unavailable(format!(
                "another process has the store in {} open; only one may",
                self.root.display()
            ))),
            Err((_, errno)) => Err(failed("cannot lock", &path, &errno.into())),
        }
    }

    /// Which store the marker names, `None` without a marker.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: a marker that says nothing, or a newer format.
    pub(super) fn marked(&self) -> Result<Option<StoreId>, Error> {
        let path = self.marker();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("cannot read", &path, &e)),
        };
        let unreadable = || {
            Error::Corrupt(format!(
                "{} says nothing readable: restore it from a backup",
                path.display()
            ))
        };
        let marker: Marker = serde_json::from_slice(&text).map_err(|_| unreadable())?;
        if marker.format != FORMAT {
            return Err(Error::Corrupt(format!(
                "the store's format is {}, this panvault reads {FORMAT}",
                marker.format
            )));
        }
        let id = HEXLOWER.decode(marker.store.as_bytes()).map_err(|_| unreadable())?;
        id.try_into().map(StoreId).map(Some).map_err(|_| unreadable())
    }

    /// Writes the marker: from here on the store must be there.
    pub(super) fn mark(&self, id: StoreId) -> Result<(), Error> {
        let marker = Marker {
            format: FORMAT,
            store: HEXLOWER.encode(&id.0),
        };
        self.write(&self.marker(), &marker)
    }

    /// How the store was left. The engine is not asked: opening it would change its files.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: files are missing, empty, or not as an orderly stop left them.
    pub(super) fn left(&self) -> Result<Left, Error> {
        let now = self.listing()?;
        for (name, least) in [("conf", 9), ("db", 1)] {
            if now.0.get(name).is_none_or(|size| *size < least) {
                return Err(Error::Corrupt(format!(
                    "{} is missing or empty; nothing was changed; {RESTORE}",
                    self.sled().join(name).display()
                )));
            }
        }
        let path = self.clean();
        match self.stop(&path)? {
            None => Ok(Left::Unclean),
            Some(then) if then.files == now => Ok(Left::Clean),
            Some(_) => Err(Error::Corrupt(format!(
                "the files in {} are not the ones that were there when the store was closed; nothing was changed; \
                 {RESTORE}, or, if the change was meant, remove {}",
                self.sled().display(),
                path.display()
            ))),
        }
    }

    /// Says that the store was closed in order after revision `rev`. All its files must be durable.
    pub(super) fn mark_clean(&self, rev: u64) -> Result<(), Error> {
        let files = self.listing()?;
        self.write(&self.clean(), &Stop { rev, files })
    }

    /// Takes [`Self::mark_clean`] back, durably, before the engine touches its files. Gives the least revision that the
    /// engine must know.
    pub(super) fn mark_in_use(&self) -> Result<u64, Error> {
        let (clean, last) = (self.clean(), self.last_clean());
        match fs::rename(&clean, &last) {
            Ok(()) => sync_dir(&self.root).map_err(|e| failed("cannot sync", &self.root, &e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("cannot rename", &clean, &e)),
        }
        Ok(self.stop(&last)?.map_or(0, |stop| stop.rev))
    }

    fn stop(&self, path: &Path) -> Result<Option<Stop>, Error> {
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|_| Error::Corrupt(format!("{} says nothing readable; {RESTORE}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("cannot read", path, &e)),
        }
    }

    /// Bytes of the engine's files.
    pub(super) fn bytes(&self) -> Result<u64, Error> {
        Ok(self.listing()?.0.values().sum())
    }

    fn listing(&self) -> Result<Listing, Error> {
        let path = self.sled();
        let mut found = BTreeMap::new();
        list(&path, "", &mut found).map_err(|e| failed("cannot list", &path, &e))?;
        Ok(Listing(found))
    }

    /// Writes a small file so that it is there whole or not at all.
    fn write(&self, path: &Path, what: &impl Serialize) -> Result<(), Error> {
        let new = path.with_extension("tmp");
        let text = serde_json::to_vec(what).map_err(|e| Error::Unavailable(e.to_string()))?;
        let written = File::create(&new)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, path))
            .and_then(|()| sync_dir(&self.root));
        written.map_err(|e| failed("cannot write", path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::new(temp.path().to_owned());
        fs::create_dir(dir.sled()).unwrap();
        fs::write(dir.sled().join("conf"), [1; 20]).unwrap();
        fs::write(dir.sled().join("db"), [1; 20]).unwrap();
        (temp, dir)
    }

    #[test]
    fn one_holder_at_a_time() {
        let (_temp, dir) = dir();
        let first = dir.lock().unwrap();
        assert!(matches!(dir.lock(), Err(Error::Unavailable(text)) if text.contains("another process")));
        drop(first);
        dir.lock().unwrap();
    }

    #[test]
    fn the_marker_names_the_store() {
        let (temp, dir) = dir();
        assert_eq!(dir.marked(), Ok(None));
        dir.mark(StoreId([5; 16])).unwrap();
        assert_eq!(dir.marked(), Ok(Some(StoreId([5; 16]))));
        fs::write(temp.path().join("VAULT-STORE"), "").unwrap();
        assert!(matches!(dir.marked(), Err(Error::Corrupt(_))));
        fs::write(temp.path().join("VAULT-STORE"), r#"{"format":2,"store":"00"}"#).unwrap();
        assert!(matches!(dir.marked(), Err(Error::Corrupt(text)) if text.contains("format is 2")));
    }

    #[test]
    fn a_change_behind_a_clean_stop_is_seen() {
        let (_temp, dir) = dir();
        assert_eq!(dir.left(), Ok(Left::Unclean));
        dir.mark_clean(3).unwrap();
        assert_eq!(dir.left(), Ok(Left::Clean));
        fs::write(dir.sled().join("db"), [1; 19]).unwrap();
        assert!(matches!(dir.left(), Err(Error::Corrupt(_))));
        assert_eq!(dir.mark_in_use(), Ok(3));
        assert_eq!(dir.mark_in_use(), Ok(3), "remembered while in use");
        assert_eq!(dir.left(), Ok(Left::Unclean));
        fs::write(dir.sled().join("conf"), []).unwrap();
        assert!(matches!(dir.left(), Err(Error::Corrupt(text)) if text.contains("conf is missing or empty")));
    }
}
