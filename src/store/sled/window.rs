//! The newest audit lines, in sled: blocks of lines under the number of their first line.

use std::ops::Bound;

use ::sled::{Db, IVec};

use super::contain::contain;
use super::engine_error;
use super::entry::{audit_key, audit_seq, unframe};
use crate::store::chain::Head;
use crate::store::{AuditLine, Error};

/// The most lines of a block.
const BLOCK_LINES: u32 = 64;
/// A block that has reached this many bytes takes no more lines: sled rewrites a page of up to 16 blocks with every
/// tenth change, and a page over 128 KiB leaves the log for a file of its own.
const BLOCK_BYTES: usize = 6 << 10;

/// A block: its first line's number and its lines, each with its newline.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The first line's number.
    pub(super) first: u64,
    /// The lines.
    pub(super) lines: Vec<u8>,
    count: u32,
}

/// The blocks of one batch under construction.
#[derive(Debug)]
pub(super) struct Blocks {
    head: Head,
    full: Vec<Block>,
    open: Block,
}

impl Blocks {
    /// Goes on after `head`.
    pub(super) fn new(head: Head) -> Self {
        Self {
            head,
            full: Vec::new(),
            open: Block::default(),
        }
    }

    /// Adds the line of `event`.
    pub(super) fn push(&mut self, event: &[u8]) {
        if self.open.count >= BLOCK_LINES || self.open.lines.len() >= BLOCK_BYTES {
            self.full.push(std::mem::take(&mut self.open));
        }
        self.head.append(event, &mut self.open.lines);
        self.open.lines.push(b'\n');
        self.open.count += 1;
        if self.open.count == 1 {
            self.open.first = self.head.seq;
        }
    }

    /// The chain's end and the blocks to write.
    pub(super) fn finish(mut self) -> (Head, Vec<Block>) {
        if self.open.count > 0 {
            self.full.push(self.open);
        }
        (self.head, self.full)
    }
}

/// The lines of a block's value from number `from` on.
pub(super) fn lines_from(first: u64, lines: &[u8], from: u64) -> impl Iterator<Item = AuditLine> {
    let whole = lines.strip_suffix(b"\n").unwrap_or(lines);
    (first..)
        .zip(whole.split(|b| *b == b'\n'))
        .filter(move |(seq, _)| *seq >= from)
        .map(|(seq, line)| AuditLine {
            seq,
            line: line.to_vec(),
        })
}

/// The block that holds line `seq`, if it is here.
pub(super) fn block_of(db: &Db, seq: u64) -> Result<Option<Block>, Error> {
    contain(|| db.range(..=audit_key(seq)).next_back())?
        .transpose()
        .map_err(engine_error)?
        .map_or(Ok(None), |(key, value)| parse(&key, &value))
}

/// The blocks whose first line is at or after `seq`, in order.
pub(super) fn blocks_from(db: &Db, seq: u64) -> impl Iterator<Item = Result<Block, Error>> {
    let end = (Bound::Included(audit_key(seq)), Bound::Included(audit_key(u64::MAX)));
    let mut entries = db.range(end);
    std::iter::from_fn(move || {
        contain(|| entries.next())
            .and_then(|next| next.transpose().map_err(engine_error))
            .and_then(|next| next.map_or(Ok(None), |(key, value)| parse(&key, &value)))
            .transpose()
    })
}

/// The line with number `seq`, if it is here.
pub(super) fn line(db: &Db, seq: u64) -> Result<Option<AuditLine>, Error> {
    Ok(block_of(db, seq)?
        .and_then(|block| lines_from(block.first, &block.lines, seq).next())
        .filter(|line| line.seq == seq))
}

fn parse(key: &IVec, value: &IVec) -> Result<Option<Block>, Error> {
    let Some(first) = audit_seq(key) else {
        return Ok(None);
    };
    let (_, lines) = unframe(key, value)?;
    Ok(Some(Block {
        first,
        lines: lines.to_vec(),
        count: 0,
    }))
}
