//! The audit trail as one: its older lines in segment files, the rest in sled.

use std::sync::atomic::Ordering;

use ::sled::Db;

use super::window::{block_of, blocks_from, lines_from};
use super::{Shared, segments};
use crate::store::{AuditLine, Error};

/// Gives the lines `from` to `through` to `take`, in order, until it returns false.
///
/// # Errors
/// [`Error::Corrupt`]: a line is missing.
pub(super) fn read(
    shared: &Shared,
    db: &Db,
    from: u64,
    through: u64,
    mut take: impl FnMut(AuditLine) -> bool,
) -> Result<(), Error> {
    let (mut next, mut more) = (from, true);
    while more && next <= through {
        let archived = shared.archived.load(Ordering::Acquire);
        let start = next;
        let mut step = |line| {
            next += 1;
            more = take(line);
            more
        };
        if start <= archived {
            segments::read(&shared.audit_dir, start, archived.min(through), &mut step)?;
        } else {
            window(db, start, through, &mut step)?;
        }
        // a block that the archiver moved meanwhile is found in the segments next time
        if next == start && shared.archived.load(Ordering::Acquire) == archived {
            return Err(Error::Corrupt(format!("audit record {next} is missing")));
        }
    }
    Ok(())
}

/// As [`read`], from sled, up to the first line that is not there.
fn window(db: &Db, from: u64, through: u64, mut take: impl FnMut(AuditLine) -> bool) -> Result<(), Error> {
    let start = block_of(db, from)?.map_or(from, |block| block.first);
    let mut next = from;
    for block in blocks_from(db, start) {
        let block = block?;
        for line in lines_from(block.first, &block.lines, from) {
            if line.seq != next || line.seq > through || !take(line) {
                return Ok(());
            }
            next += 1;
        }
    }
    Ok(())
}
