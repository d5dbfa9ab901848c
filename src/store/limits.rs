//! What every engine takes, checked before a commit is queued.

use std::ops::Bound;

use serde::de::IgnoredAny;

use super::{Commit, Cond, Error, Key, Part, Write};

/// The longest key, table byte included, in bytes.
pub const KEY_MAX: usize = 512;
/// The longest value in bytes.
pub const VALUE_MAX: usize = 1 << 20;
/// The most writes, and the most conditions, of one commit.
pub const WRITES_MAX: usize = 4096;
/// The most bytes of keys and values in one commit.
pub const COMMIT_MAX: usize = 16 << 20;
/// The longest audit event in bytes.
pub const EVENT_MAX: usize = 16 << 10;
/// The most entries of one scan and the most lines of one audit read.
pub const SCAN_MAX: u32 = 10_000;
/// The first table (first key byte) that is not the engine's own.
pub const FIRST_TABLE: u8 = 0x10;

impl Commit {
    /// Whether any engine may take it, apart from its conditions.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.part.check()?;
        if self.writes.len() > WRITES_MAX || self.conds.len() > WRITES_MAX {
            return Err(Error::TooLarge);
        }
        for cond in &self.conds {
            let (Cond::Absent(key) | Cond::Exists(key) | Cond::Rev(key, _)) = cond;
            key.check()?;
        }
        let mut bytes = 0;
        for write in &self.writes {
            bytes += match write {
                Write::Put(key, value) => {
                    key.check()?;
                    if value.len() > VALUE_MAX {
                        return Err(Error::TooLarge);
                    }
                    key.0.len() + value.len()
                }
                Write::Del(key) => {
                    key.check()?;
                    key.0.len()
                }
            };
        }
        if bytes > COMMIT_MAX {
            return Err(Error::TooLarge);
        }
        self.event.as_deref().map_or(Ok(()), check_event)
    }
}

impl Key {
    /// Whether it may be read and written from outside the engine.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.0.first() {
            None => Err(Error::Invalid("an empty key")),
            Some(&table) if table < FIRST_TABLE => Err(Error::Invalid("a key in the engine's own tables")),
            Some(_) if self.0.len() > KEY_MAX => Err(Error::TooLarge),
            Some(_) => Ok(()),
        }
    }
}

impl Part {
    /// Whether an engine with one partition has it.
    pub(super) fn check(self) -> Result<(), Error> {
        match self {
            Self(0) => Ok(()),
            Self(_) => Err(Error::Invalid("an unknown partition")),
        }
    }
}

/// The two ends of a scan.
pub(super) type Ends = (Bound<Key>, Bound<Key>);

/// A scan's range as raw bounds, or `None` where nothing can lie between them. An open start is the first table that
/// is not the engine's own.
pub(super) fn scan_range(from: Bound<Key>, to: Bound<Key>, limit: u32) -> Result<Option<Ends>, Error> {
    if limit == 0 {
        return Err(Error::Invalid("a scan of none"));
    }
    if limit > SCAN_MAX {
        return Err(Error::TooLarge);
    }
    for bound in [&from, &to] {
        if let Bound::Included(key) | Bound::Excluded(key) = bound {
            key.check()?;
        }
    }
    let from = match from {
        Bound::Unbounded => Bound::Included(Key(vec![FIRST_TABLE])),
        bound => bound,
    };
    let empty = match (&from, &to) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        (_, Bound::Unbounded) | (Bound::Unbounded, _) => false,
    };
    Ok((!empty).then_some((from, to)))
}

fn check_event(event: &[u8]) -> Result<(), Error> {
    const NOT_ONE: Error = Error::Invalid("an audit event that is not one JSON object on one line");
    if event.len() > EVENT_MAX {
        return Err(Error::TooLarge);
    }
    if event.first() != Some(&b'{') || event.last() != Some(&b'}') || event.contains(&b'\n') {
        return Err(NOT_ONE);
    }
    serde_json::from_slice::<IgnoredAny>(event)
        .map(|_| ())
        .map_err(|_| NOT_ONE)
}
