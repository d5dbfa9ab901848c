//! What makes sled's writes durable: its own `flush` only hands them to the kernel.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::committer::Sync;
use super::files::sync_dir;

/// The sync of the engine's files in `sled`, to be called after each `flush`.
///
/// # Errors
/// The log file cannot be opened.
pub(super) fn sync_of(sled: &Path) -> io::Result<Sync> {
    // fdatasync works on the file, whichever descriptor wrote to it
    let log = File::open(sled.join("db"))?;
    let mut blobs = Blobs {
        dir: sled.join("blobs"),
        synced: HashSet::new(),
    };
    Ok(Box::new(move || {
        blobs.sync()?;
        log.sync_data()
    }))
}

/// Pages too large for the log are files of their own, written once. The log refers to them, so they go first.
struct Blobs {
    dir: PathBuf,
    synced: HashSet<OsString>,
}

impl Blobs {
    fn sync(&mut self) -> io::Result<()> {
        let mut present = HashSet::new();
        let mut new = false;
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if !self.synced.contains(&name) {
                match File::open(self.dir.join(&name)) {
                    Ok(file) => file.sync_all()?,
                    // sled removes a blob that nothing refers to any more
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(e),
                }
                new = true;
            }
            present.insert(name);
        }
        self.synced = present;
        if new {
            sync_dir(&self.dir)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_blobs_as_they_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::write(dir.path().join("db"), "x").unwrap();
        let mut sync = sync_of(dir.path()).unwrap();
        sync().unwrap();
        fs::write(dir.path().join("blobs/12"), "x").unwrap();
        sync().unwrap();
        fs::remove_file(dir.path().join("blobs/12")).unwrap();
        sync().unwrap();
        fs::remove_dir(dir.path().join("blobs")).unwrap();
        assert!(sync().is_err());
    }
}
