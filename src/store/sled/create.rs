//! Making a store: it gets its place, and then its marker, when it is durable.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ::sled::Db;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::contain::contain_opening;
use super::dir::Dir;
use super::engine_error;
use super::entry::{HEADER_KEY, Header, StoreId, frame};
use super::files::{RESTORE, failed, remove_tree, sync_dir, sync_tree};
use super::open::absent;
use crate::id::fill_random;
use crate::store::{Config, Error};

/// How long sled may take to let go of its files.
const RELEASE: Duration = Duration::from_secs(60);

/// Makes an empty store that is closed in order, where the configuration says so.
pub(super) fn create(config: &Config, dir: &Dir, audit: &Path) -> Result<StoreId, Error> {
    if !config.create && !dir.sled().exists() {
        return Err(absent(dir));
    }
    let db = begin(config, dir, audit)?;
    let header = Header::new(random_id()?);
    finish(db, dir, audit, &header)?;
    Ok(header.id)
}

/// A new, empty engine that has no place yet.
///
/// # Errors
/// [`Error::Corrupt`]: there are parts of a store.
pub(super) fn begin(config: &Config, dir: &Dir, audit: &Path) -> Result<Db, Error> {
    if dir.sled().exists() {
        return Err(Error::Corrupt(format!(
            "{} is there but VAULT-STORE is not: restore the marker, or remove the directory if the store was never used",
            dir.sled().display()
        )));
    }
    if fs::read_dir(audit).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::Corrupt(format!(
            "{} has audit records but there is no store: {RESTORE}, or move them away",
            audit.display()
        )));
    }
    let new = dir.unfinished();
    remove_tree(&new).map_err(|e| failed("cannot remove", &new, &e))?;
    start(config, &new)
}

/// Writes the header, closes the engine, and puts it in its place.
pub(super) fn finish(db: Db, dir: &Dir, audit: &Path, header: &Header) -> Result<(), Error> {
    let new = dir.unfinished();
    let framed = frame(HEADER_KEY, header.rev, &header.encode(), &mut Vec::new());
    contain_opening(|| db.insert(HEADER_KEY, framed).and_then(|_| db.flush()))?.map_err(engine_error)?;
    release(db, &new)?;
    let placed = sync_tree(&new)
        .and_then(|()| fs::rename(&new, dir.sled()))
        .and_then(|()| fs::create_dir_all(audit))
        .and_then(|()| audit.parent().map_or(Ok(()), sync_dir))
        .and_then(|()| sync_dir(dir.root()))
        .and_then(|()| dir.root().parent().filter(|p| p.is_dir()).map_or(Ok(()), sync_dir));
    placed.map_err(|e| failed("cannot make", &dir.sled(), &e))?;
    dir.mark_clean(header.rev)?;
    dir.mark(header.id)?;
    tracing::info!(dir = %dir.root().display(), "made a new store");
    Ok(())
}

/// Which store this shall be.
pub(super) fn random_id() -> Result<StoreId, Error> {
    let mut id = [0; 16];
    fill_random(&mut id).map_err(|e| Error::Unavailable(e.to_string()))?;
    Ok(StoreId(id))
}

/// Drops the last handle on sled, and waits until it has let go of its files: its own threads may still hold them.
pub(super) fn release(db: Db, path: &Path) -> Result<(), Error> {
    contain_opening(|| drop(db))?;
    let log = path.join("db");
    let since = Instant::now();
    let mut file = File::open(&log).map_err(|e| failed("cannot open", &log, &e))?;
    loop {
        // sled holds a flock on its log while it is open
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_) => return Ok(()),
            Err((back, Errno::EWOULDBLOCK)) if since.elapsed() < RELEASE => file = back,
            Err((_, errno)) => return Err(failed("the engine does not let go of", &log, &errno.into())),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Opens sled. Nothing writes but our committer: the timer is off.
pub(super) fn start(config: &Config, path: &Path) -> Result<Db, Error> {
    let settings = ::sled::Config::new()
        .path(path)
        .cache_capacity(config.cache_bytes)
        .flush_every_ms(None);
    contain_opening(|| settings.open())?.map_err(engine_error)
}
