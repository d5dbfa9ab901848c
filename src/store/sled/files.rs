//! Files and directories made durable, and their errors.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::store::Error;

/// What to do about a store that is damaged.
pub(super) const RESTORE: &str = "restore the store from a backup";

/// An error of the file system on the store's own files.
pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("{what} {}: {error}", path.display()))
}

/// Removes a directory with all in it; nothing there is no error.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes all files and directories under `path` durable, `path` included.
pub(super) fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(path)
}

/// Adds the files under `path` and their sizes to `found`, by names that begin with `prefix`.
pub(super) fn list(path: &Path, prefix: &str, found: &mut BTreeMap<String, u64>) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.metadata() {
            Ok(data) if data.is_dir() => list(&entry.path(), &format!("{name}/"), found)?,
            Ok(data) => {
                found.insert(name, data.len());
            }
            // sled renames and removes files of its own while it runs
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
