//! A small file that is read whole and replaced whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::KeyringFault;

/// Readable by the group: the audit group verifies offline.
const MODE: u32 = 0o640;

/// The whole file, if it is a plain one of at most `max` bytes that only its owner may write.
pub(in crate::keys) fn read(path: &Path, max: u64) -> Result<Vec<u8>, KeyringFault> {
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => KeyringFault::Missing,
        _ => KeyringFault::Unreadable(error.to_string()),
    };
    // asked before it is opened: opening a pipe would wait
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(KeyringFault::Unreadable("it is not a plain file".to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(KeyringFault::WritableByOthers(mode));
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > max) {
        return Err(KeyringFault::Damaged(format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Writes nothing, but finds out whether [`replace`] could.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    create_beside(path).and_then(|(new, _)| fs::remove_file(new))
}

/// Replaces the file durably: after an error or a power cut either the old content is there or the new.
pub(in crate::keys) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (new, mut file) = create_beside(path)?;
    let written = file
        .write_all(bytes)
        // whatever the umask took away
        .and_then(|()| file.set_permissions(Permissions::from_mode(MODE)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        // the first error is the one to tell; a left-over is removed by the next run
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    sync_dir(path)
}

/// Makes what happened to names in the file's directory durable.
pub(in crate::keys) fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    File::open(dir)?.sync_all()
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let new = path.with_extension("json.new");
    // one may be left of a run that was cut off
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new)?;
    Ok((new, file))
}
