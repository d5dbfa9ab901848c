//! What the verifier keeps of a line, of the chain so far, and of what is missing.

use super::fault::At;
use crate::audit::SignedHead;
use crate::audit::line::{Envelope, Head};
use crate::hsm::Handover;
use crate::id::UnixMillis;

/// A line before judgement.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: At,
    pub(super) hash: [u8; 32],
    pub(super) says: Result<Envelope, &'static str>,
    /// The signed head in it.
    pub(super) signed: Option<Result<Box<SignedHead>, &'static str>>,
    /// The handover in it.
    pub(super) handover: Option<Result<Box<Handover>, &'static str>>,
}

/// The record that the next one must continue.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    pub(super) head: Head,
    /// Where it stands; `None` before the first line.
    pub(super) at: Option<At>,
    pub(super) prev: [u8; 32],
    pub(super) time: Option<UnixMillis>,
    /// Already found changed: that the next line does not continue it says nothing new.
    pub(super) blamed: bool,
}

/// Records that are not where they must be. They may turn up elsewhere.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Where they should stand before.
    pub(super) at: At,
    /// What record `to` must hash to, by the word of the one after it, if that can be believed.
    pub(super) hash: Option<[u8; 32]>,
}

impl Line {
    pub(super) fn seq(&self) -> Option<u64> {
        self.says.as_ref().ok().map(|says| says.seq)
    }

    pub(super) fn names(&self, hash: &[u8; 32]) -> bool {
        self.says.as_ref().is_ok_and(|says| says.prev == *hash)
    }

    /// It has the number after `seq` and names `hash`.
    pub(super) fn continues(&self, seq: u64, hash: &[u8; 32]) -> bool {
        self.seq() == seq.checked_add(1) && self.names(hash)
    }

    /// It has the number after `other`'s, and names it as it stands.
    pub(super) fn follows(&self, other: &Self) -> bool {
        other.seq().is_some_and(|seq| self.continues(seq, &other.hash))
    }
}
