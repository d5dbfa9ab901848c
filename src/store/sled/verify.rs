//! Reading the store over: every value's check, revisions, the record count, and the audit chain from the first segment
//! to the header.
//!
//! sled's own `verify_integrity` is not used: outside its tests it renders the whole tree as text and only logs.

use std::ops::Bound;
use std::sync::atomic::Ordering;

use ::sled::{Db, IVec};

use super::contain::contain;
use super::entry::{HEADER_KEY, Header, unframe};
use super::shared::closed;
use super::{Shared, engine_error, trail};
use crate::store::chain::Head;
use crate::store::{Depth, Error, FIRST_TABLE, Report};

/// How many entries of each end of each table a sample takes.
const SAMPLE: usize = 200;
/// How many audit lines before the end a sample takes.
const SAMPLE_LINES: u64 = 5_000;
/// How many faults are told one by one.
const FAULTS: usize = 100;

/// Reads `db` over. Writing goes on meanwhile; counts are compared only if it did not.
///
/// # Errors
/// The engine failed to read; what it could read and is wrong are faults of the report.
pub(super) fn verify(shared: &Shared, db: &Db, depth: Depth) -> Result<Report, Error> {
    let mut report = Report::default();
    let before = header(db)?;
    let mut records = 0u64;
    match depth {
        Depth::Full => {
            for entry in Entries(db.range([FIRST_TABLE].as_slice()..)) {
                let (key, value) = entry?;
                // a close waits for the reader
                if shared.closing.load(Ordering::Acquire) {
                    return Err(closed());
                }
                check_entry(shared, &mut report, &key, &value);
                records += u64::from(key.first().copied() == shared.config.record_table);
            }
        }
        Depth::Sampled => {
            for table in FIRST_TABLE..=u8::MAX {
                let (from, next) = ([table], [table.saturating_add(1)]);
                let to = if table == u8::MAX {
                    Bound::Unbounded
                } else {
                    Bound::Excluded(next.as_slice())
                };
                let range = || db.range::<&[u8], _>((Bound::Included(from.as_slice()), to));
                for entry in Entries(range()).take(SAMPLE).chain(Entries(range().rev()).take(SAMPLE)) {
                    let (key, value) = entry?;
                    check_entry(shared, &mut report, &key, &value);
                }
            }
        }
    }
    if let Some(text) = chain_fault(shared, db, depth, &mut report.audit_lines)? {
        fault(&mut report, text);
    }
    if shared.closing.load(Ordering::Acquire) {
        return Err(closed());
    }
    let quiet = header(db)? == before;
    let counted = depth == Depth::Full && shared.config.record_table.is_some();
    if quiet && counted && i64::try_from(records) != Ok(before.records) {
        let header = before.records;
        fault(
            &mut report,
            format!("{records} records are stored, the header counts {header}"),
        );
    }
    Ok(report)
}

/// A scan of sled that gives errors for panics.
struct Entries<I>(I);

impl<I: Iterator<Item = ::sled::Result<(IVec, IVec)>>> Iterator for Entries<I> {
    type Item = Result<(IVec, IVec), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        contain(|| self.0.next())
            .and_then(|next| next.transpose().map_err(engine_error))
            .transpose()
    }
}

fn header(db: &Db) -> Result<Header, Error> {
    let framed = contain(|| db.get(HEADER_KEY))?.map_err(engine_error)?;
    Header::decode(&framed.ok_or_else(|| Error::Corrupt("the header is gone".to_owned()))?)
}

fn check_entry(shared: &Shared, report: &mut Report, key: &[u8], value: &[u8]) {
    report.entries += 1;
    match unframe(key, value) {
        Ok((rev, _)) if rev > shared.applied.load(Ordering::Acquire) => {
            let table = key.first().unwrap_or(&0);
            fault(
                report,
                format!("a value of table {table:#04x} has revision {rev}, which was never given"),
            );
        }
        Ok(_) => {}
        Err(error) => fault(report, error.to_string()),
    }
}

/// Follows the chain up to what was durable at the start, counting `lines`; what is wrong with it, if anything.
fn chain_fault(shared: &Shared, db: &Db, depth: Depth, lines: &mut u64) -> Result<Option<String>, Error> {
    let last = shared.audit_seq.load(Ordering::Acquire);
    let mut head = match depth {
        Depth::Full => Some(Head::START),
        Depth::Sampled if last <= SAMPLE_LINES => Some(Head::START),
        Depth::Sampled => None,
    };
    let from = head.map_or(last.saturating_sub(SAMPLE_LINES).max(1), |_| 1);
    let mut broken = None;
    let read = trail::read(shared, db, from, last, |line| {
        broken = match head.as_mut() {
            Some(head) => head.follow(&line.line).err(),
            None => {
                head = Some(Head::after(&line));
                None
            }
        };
        *lines += 1;
        broken.is_none() && !shared.closing.load(Ordering::Acquire)
    });
    match read {
        Err(Error::Corrupt(text)) => return Ok(Some(text)),
        read => read?,
    }
    if let Some(broken) = broken {
        return Ok(Some(format!("the audit chain is broken: {broken}")));
    }
    let end = header(db)?.head;
    let other = end.seq == last && head.is_some_and(|head| head != end);
    Ok(other.then(|| "the audit chain does not end as the header says".to_owned()))
}

fn fault(report: &mut Report, text: String) {
    if report.faults.len() < FAULTS {
        report.faults.push(text);
    }
}
