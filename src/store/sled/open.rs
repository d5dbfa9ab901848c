//! Opening the engine: everything sled does not check is checked here, before and after it touches its files.

use std::fs;
use std::io;
use std::path::Path;

use ::sled::Db;

use super::contain::contain_opening;
use super::create::{create, start};
use super::dir::{Dir, Left, Lock};
use super::engine_error;
use super::entry::{HEADER_KEY, Header};
use super::files::{RESTORE, failed, remove_tree, sync_dir, sync_tree};
use super::segments::Segments;
use super::window::{blocks_from, line};
use crate::store::chain::Head;
use crate::store::{Config, Error};

/// Written into the copy once the store it was taken of has opened.
const OPENED: &str = "OPENED";

/// An opened store, checked.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) header: Header,
    pub(super) segments: Segments,
    pub(super) dir: Dir,
    pub(super) lock: Lock,
}

/// Opens the store of `config`, or makes it where the configuration says so.
///
/// # Errors
/// [`Error::Unavailable`]: none there, in use, or the file system failed. [`Error::Corrupt`]: it is not what was
/// written; the text says what to do. Nothing was changed, or a copy was taken before.
pub(super) fn open(config: &Config) -> Result<Opened, Error> {
    let dir = Dir::new(config.dir.clone());
    if config.create {
        fs::create_dir_all(dir.root()).map_err(|e| failed("cannot make", dir.root(), &e))?;
    } else if !dir.root().is_dir() {
        return Err(absent(&dir));
    }
    let lock = dir.lock()?;
    let audit = config.audit_dir.clone().unwrap_or_else(|| dir.audit());
    let id = match dir.marked()? {
        Some(id) => id,
        None => create(config, &dir, &audit)?,
    };
    if dir.left()? == Left::Unclean {
        copy_aside(config, &dir)?;
    }
    let least = dir.mark_in_use()?;
    drop_unfinished_snapshots(&dir.sled()).map_err(|e| failed("cannot clear", &dir.sled(), &e))?;
    let db = start(config, &dir.sled())?;
    if !db.was_recovered() {
        return Err(Error::Corrupt(format!(
            "the engine found nothing in {}; {}",
            dir.sled().display(),
            advice(&dir)
        )));
    }
    // sled rewrites snapshot and settings when it opens, without making them durable
    sync_tree(&dir.sled()).map_err(|e| failed("cannot sync", &dir.sled(), &e))?;
    let header = read_header(&db, &dir)?;
    if header.id != id {
        return Err(Error::Corrupt(format!(
            "{} holds another store than VAULT-STORE names: put back the files that belong together",
            dir.sled().display()
        )));
    }
    if header.rev < least {
        return Err(Error::Corrupt(format!(
            "the engine found revision {}, it had {least} when it was last closed; {}",
            header.rev,
            advice(&dir)
        )));
    }
    let (segments, archived) = Segments::recover(&audit, config.audit_segment_bytes, &header, |seq| line(&db, seq))?;
    check_joints(&db, &header, archived)?;
    if dir.before_recovery().is_dir() {
        let path = dir.before_recovery().join(OPENED);
        fs::write(&path, "").map_err(|e| failed("cannot write", &path, &e))?;
    }
    Ok(Opened {
        db,
        header,
        segments,
        dir,
        lock,
    })
}

/// Removes the copy of before a recovery: the store has proved itself. It is out of its place first, so that no part of
/// it is ever taken for the whole.
pub(super) fn drop_copy(dir: &Dir) -> io::Result<()> {
    let copy = dir.before_recovery();
    let going = copy.with_extension("tmp");
    remove_tree(&going)?;
    match fs::rename(&copy, &going) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.and_then(|()| remove_tree(&going)),
    }
}

/// Removes what a process that was killed in the middle of opening left of a new snapshot. sled 0.34.7 writes it under
/// this name before it gets its own, but its reader takes any file that begins with `snap.` for a whole one, and then
/// says that the store is damaged. The snapshot before it is still there, and the log has what came later.
fn drop_unfinished_snapshots(sled: &Path) -> io::Result<()> {
    for entry in fs::read_dir(sled)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!(file = %entry.path().display(), "an opening was cut: its unfinished snapshot is removed");
            fs::remove_file(entry.path())?;
        }
    }
    sync_dir(sled)
}

fn read_header(db: &Db, dir: &Dir) -> Result<Header, Error> {
    let framed = contain_opening(|| db.get(HEADER_KEY))?.map_err(engine_error)?;
    let framed = framed.ok_or_else(|| {
        Error::Corrupt(format!(
            "the engine lost the header of {}; {}",
            dir.sled().display(),
            advice(dir)
        ))
    })?;
    Header::decode(&framed)
}

/// The last line here is the one the header ends with, and the first follows the last in the segments.
fn check_joints(db: &Db, header: &Header, archived: Head) -> Result<(), Error> {
    let last = match line(db, header.head.seq)? {
        Some(line) => Head::after(&line),
        None => archived,
    };
    if last != header.head {
        return Err(Error::Corrupt(format!(
            "the audit trail does not end as the header says; {RESTORE}"
        )));
    }
    let Some(first) = blocks_from(db, 0).next().transpose()? else {
        return Ok(());
    };
    let mut head = archived;
    let lines = first.lines.split(|b| *b == b'\n').next().unwrap_or_default();
    head.follow(lines).map_err(|e| {
        Error::Corrupt(format!(
            "the audit trail is broken where its segment files end: {e}; {RESTORE}"
        ))
    })
}

/// Copies the engine's files (shares their blocks, where the file system can) before a recovery rewrites them. A copy
/// of a recovery that failed stays: it is the better evidence.
fn copy_aside(config: &Config, dir: &Dir) -> Result<(), Error> {
    let copy = dir.before_recovery();
    if copy.is_dir() && !copy.join(OPENED).exists() {
        tracing::warn!(copy = %copy.display(), "the store did not open last time: its first copy is kept, no new one is taken");
        return Ok(());
    }
    drop_copy(dir).map_err(|e| failed("cannot remove", &copy, &e))?;
    let bytes = dir.bytes()?;
    let free = nix::sys::statvfs::statvfs(dir.root())
        .map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()))
        .unwrap_or(0);
    if free < bytes.saturating_add(config.min_free_bytes) {
        tracing::warn!(
            bytes,
            free,
            "the store was not closed in order, and there is no room for a copy: opened without one"
        );
        return Ok(());
    }
    tracing::warn!(bytes, copy = %copy.display(), "the store was not closed in order: its files are copied before it is opened");
    let new = copy.with_extension("tmp");
    remove_tree(&new)
        .and_then(|()| copy_tree(&dir.sled(), &new))
        .and_then(|()| sync_tree(&new))
        .and_then(|()| fs::rename(&new, &copy))
        .and_then(|()| sync_dir(dir.root()))
        .map_err(|e| failed("cannot copy the engine's files to", &copy, &e))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

pub(super) fn absent(dir: &Dir) -> Error {
    Error::Unavailable(format!(
        "there is no store in {}: if there was one, see that its disk is mounted; if not, make one",
        dir.root().display()
    ))
}

fn advice(dir: &Dir) -> String {
    let copy = dir.before_recovery();
    if copy.is_dir() {
        return format!("the files as they were are in {}; {RESTORE}", copy.display());
    }
    RESTORE.to_owned()
}
