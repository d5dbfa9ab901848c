//! Files and directories, for their owner only and made durable.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Error;

/// An error of the file system.
pub(super) fn failed<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |error| Error::Files(format!("{what} {}: {error}", path.display()))
}

/// Makes a directory, and those above it, for its owner; one that is there stays as it is.
pub(super) fn make_dir(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(failed("cannot make", path))
}

/// Makes a file that is not there yet.
pub(super) fn new_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(failed("cannot make", path))
}

/// Makes a directory's entries durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(failed("cannot sync", path))
}

/// Makes all files and directories under `path` durable.
pub(super) fn sync_tree(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(failed("cannot list", path))? {
        let entry = entry.map_err(failed("cannot list", path))?;
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.map_err(failed("cannot look at", &path))?.is_dir() {
            sync_tree(&path)?;
        } else {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(failed("cannot sync", &path))?;
        }
    }
    sync_dir(path)
}

/// Removes a file, or a directory with all in it; nothing there is no error.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether nothing is there, or an empty directory.
pub(super) fn is_free(path: &Path) -> Result<bool, Error> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(failed("cannot look at", path)(error)),
    };
    if !there.is_dir() {
        return Ok(false);
    }
    let mut entries = fs::read_dir(path).map_err(failed("cannot list", path))?;
    Ok(entries.next().is_none())
}

/// Takes a directory for this process, as long as the lock lives.
pub(super) fn lock(path: &Path) -> Result<Flock<File>, Error> {
    let file = File::open(path).map_err(failed("cannot open", path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Error::InTheWay(format!("another panvault writes in {}: wait for it", path.display())),
        errno => failed("cannot lock", path)(errno.into()),
    })
}
