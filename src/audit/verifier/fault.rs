//! What can be wrong with a chain.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::state::{Gap, Line};
use crate::audit::Head;
use crate::hsm::KeyFingerprint;
use crate::id::UnixMillis;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct At {
    /// The file, as [`super::Verifier::source`] was told.
    #[serde(serialize_with = "as_text")]
    pub source: Arc<str>,
    /// Its line in the file, from 1.
    pub line: u64,
    /// Its line of all, from 1.
    pub nth: u64,
}

/// One thing that is wrong with the chain. Records go by their sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// It is not what it was when the next record was written.
    Changed {
        /// Which.
        record: u64,
    },
    /// It was changed, or its hash in the last record was; nothing after them tells which.
    ChangedOneOf {
        /// Which.
        record: u64,
    },
    /// The chain ends before a head that was noted earlier.
    CutOff {
        /// First that is missing.
        from: u64,
        /// Last that is missing.
        to: u64,
    },
    /// Too much is wrong; what follows was not read.
    GaveUp,
    /// A handover of the audit key whose signature does not hold.
    HandoverNotSigned {
        /// Which.
        record: u64,
    },
    /// A handover by another key than the audit key.
    HandoverOfOtherKey {
        /// Which.
        record: u64,
        /// By which.
        key: KeyFingerprint,
    },
    /// A signed head whose signature does not hold.
    HeadNotSigned {
        /// Which.
        record: u64,
    },
    /// A signed head by another key than the audit key.
    HeadOfOtherKey {
        /// Which.
        record: u64,
        /// By which.
        key: KeyFingerprint,
    },
    /// A signed head of another vault's chain.
    HeadOfOtherVault {
        /// Which.
        record: u64,
    },
    /// The line is no part of the chain.
    Inserted {
        /// The number it gives itself, if it has the form of a record.
        says: Option<u64>,
    },
    /// It stands elsewhere than where it must.
    Moved {
        /// Which.
        record: u64,
    },
    /// It calls itself a signed head and is none.
    NotAHead {
        /// Which.
        record: u64,
        /// Why.
        why: &'static str,
    },
    /// The line where it must stand does not have the form of a record.
    NotARecord {
        /// Which.
        record: u64,
        /// Why.
        why: &'static str,
    },
    /// It is not the one that was noted earlier.
    NotAsNoted {
        /// Which.
        record: u64,
    },
    /// The chain was rewritten: a genuine head was signed for another record than the one that stands there. The one
    /// before it still held.
    NotAsSigned {
        /// First that may be changed.
        from: u64,
        /// The one that the head names.
        record: u64,
        /// Where the head stands.
        head: u64,
    },
    /// No genuine signed head is among the records: anyone could have written them.
    NothingSigned,
    /// They are nowhere.
    Removed {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// Its number was changed.
    Renumbered {
        /// Which, by its place in the chain.
        record: u64,
        /// The number it gives itself.
        says: u64,
    },
    /// The numbers start again from here: a piece of a chain was put in, here or before.
    StartsAgain {
        /// With this record.
        record: u64,
    },
}

/// A fault and where it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    #[serde(flatten)]
    pub at: At,
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines read.
    pub lines: u64,
    /// The last record: note it, and a later verification tells whether anything up to it changed.
    #[serde(serialize_with = "as_text")]
    pub head: Head,
    /// Time of the first record.
    pub from: Option<UnixMillis>,
    /// Time of the last record.
    pub to: Option<UnixMillis>,
    /// Heads had to be signed by a key that was named beforehand.
    pub pinned: bool,
    /// Whose heads they are; after a handover, who signs now.
    pub key: Option<KeyFingerprint>,
    /// Handovers of the audit key that were followed.
    pub handed: u64,
    /// Genuine signed heads.
    pub signed_heads: u64,
    /// The part that signed heads vouch for.
    pub signed: Option<SignedPart>,
    /// Records after that part.
    pub unsigned: u64,
    /// What is wrong, in the order of the lines; empty is good.
    pub findings: Vec<Finding>,
}

/// The beginning of a chain, up to what the last good head names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedPart {
    /// The last record that is covered.
    pub through: u64,
    /// The head's own record.
    pub record: u64,
    /// When it was signed.
    pub at: UnixMillis,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Nothing is wrong, and the key that was named beforehand vouches for it up to the last signed head.
    pub fn is_authentic(&self) -> bool {
        self.is_sound() && self.pinned && self.signed.is_some()
    }
}

impl Fault {
    /// The one record that it is about.
    pub(super) fn record(&self) -> Option<u64> {
        match *self {
            Self::Changed { record }
            | Self::ChangedOneOf { record }
            | Self::HandoverNotSigned { record }
            | Self::HandoverOfOtherKey { record, .. }
            | Self::HeadNotSigned { record }
            | Self::HeadOfOtherKey { record, .. }
            | Self::HeadOfOtherVault { record }
            | Self::Moved { record }
            | Self::NotAHead { record, .. }
            | Self::NotARecord { record, .. }
            | Self::NotAsNoted { record }
            | Self::Renumbered { record, .. } => Some(record),
            Self::CutOff { .. }
            | Self::GaveUp
            | Self::Inserted { .. }
            | Self::NotAsSigned { .. }
            | Self::NothingSigned
            | Self::Removed { .. }
            | Self::StartsAgain { .. } => None,
        }
    }
}

pub(in crate::audit) fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Settles which records are gone and which only stand elsewhere.
pub(super) fn place(findings: &mut Vec<Finding>, gaps: Vec<Gap>, strays: Vec<Line>) {
    let mut found = |at: &At, fault: Fault| findings.push(Finding { at: at.clone(), fault });
    let mut strays = strays;
    for gap in gaps {
        let in_gap = |line: &Line| line.seq().is_some_and(|seq| (gap.from..=gap.to).contains(&seq));
        let (mut inside, outside): (Vec<Line>, Vec<Line>) = strays.into_iter().partition(in_gap);
        strays = outside;
        inside.sort_by_key(|line| Reverse(line.seq()));
        // from the end of the gap, where the record after it tells the hash that is right
        let mut last = gap.to;
        let mut right = gap.hash;
        for line in inside {
            let Ok(says) = line.says else { continue };
            if says.seq > last {
                found(&line.at, Fault::Inserted { says: Some(says.seq) });
                continue;
            }
            if says.seq < last {
                let from = says.seq.saturating_add(1);
                found(&gap.at, Fault::Removed { from, to: last });
                right = None;
            }
            found(&line.at, Fault::Moved { record: says.seq });
            if right.is_some_and(|right| right != line.hash) {
                found(&line.at, Fault::Changed { record: says.seq });
            }
            right = Some(says.prev);
            last = says.seq.saturating_sub(1);
        }
        if last >= gap.from {
            found(
                &gap.at,
                Fault::Removed {
                    from: gap.from,
                    to: last,
                },
            );
        }
    }
    for line in strays {
        found(&line.at, Fault::Inserted { says: line.seq() });
    }
}
