//! The signed heads of a chain: whether each is genuine and names the record that stands there.

use std::collections::VecDeque;

use super::fault::{Fault, SignedPart};
use crate::audit::SignedHead;
use crate::audit::line::Head;
use crate::hsm::KeyFingerprint;
use crate::id::VaultId;

/// A head stands at most so many records behind the one that it names; the daemon writes none that is further.
pub const REACH: usize = 1 << 16;

/// What is known of heads so far.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) pin: Option<KeyFingerprint>,
    /// Who signs: the pinned key, else the first head's.
    key: Option<KeyFingerprint>,
    vault: Option<VaultId>,
    /// The newest records by number and hash.
    recent: VecDeque<(u64, [u8; 32])>,
    count: u64,
    last: Option<SignedPart>,
    /// The last head named another record than the one that stands there: the next ones will too.
    parted: bool,
}

/// How a head that was met is judged.
pub(super) enum Judged {
    Good,
    /// The record itself is no genuine head.
    NotGenuine(Fault),
    /// It is genuine, and the records before it are not those that it was signed for.
    Parted(Fault),
}

impl Heads {
    pub(super) fn pinned(&mut self, pin: KeyFingerprint) {
        (self.pin, self.key) = (Some(pin), Some(pin));
    }

    /// The record `seq` stands in the chain with this hash.
    pub(super) fn record(&mut self, seq: u64, hash: [u8; 32]) {
        if self.recent.len() >= REACH {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, hash));
    }

    /// What a genuine head says that record `seq` must hash to, if it names that one.
    pub(super) fn word(&self, signed: Option<&Result<Box<SignedHead>, &'static str>>, seq: u64) -> Option<[u8; 32]> {
        let head = signed?.as_ref().ok().filter(|head| head.head.seq == seq)?;
        let key = head.verify().ok()?;
        self.key.is_none_or(|own| own == key).then_some(head.head.hash)
    }

    /// Judges the head in record `record`, which was not yet given to [`Heads::record`].
    pub(super) fn judge(&mut self, record: u64, signed: Result<Box<SignedHead>, &'static str>) -> Judged {
        let head = match signed {
            Ok(head) => head,
            Err(why) => return Judged::NotGenuine(Fault::NotAHead { record, why }),
        };
        let Ok(key) = head.verify() else {
            return Judged::NotGenuine(Fault::HeadNotSigned { record });
        };
        if *self.key.get_or_insert(key) != key {
            return Judged::NotGenuine(Fault::HeadOfOtherKey { record, key });
        }
        if *self.vault.get_or_insert_with(|| head.vault.clone()) != head.vault {
            return Judged::NotGenuine(Fault::HeadOfOtherVault { record });
        }
        let Head { seq, hash } = head.head;
        if seq >= record {
            let why = "it names no record before it";
            return Judged::NotGenuine(Fault::NotAHead { record, why });
        }
        self.count = self.count.saturating_add(1);
        match self.recent.iter().rev().find(|(there, _)| *there == seq) {
            Some((_, there)) if *there == hash => {
                self.parted = false;
                // a copy of an older head takes nothing back
                if self.last.as_ref().is_none_or(|last| last.through < seq) {
                    self.last = Some(SignedPart {
                        through: seq,
                        record,
                        at: head.at,
                    });
                }
                Judged::Good
            }
            Some(_) if !self.parted => {
                self.parted = true;
                let from = self.last.as_ref().map_or(1, |last| last.through.saturating_add(1));
                Judged::Parted(Fault::NotAsSigned {
                    from: from.min(seq),
                    record: seq,
                    head: record,
                })
            }
            // told once; or removed, which is found elsewhere, or before the part that is read
            Some(_) | None => Judged::Good,
        }
    }

    /// How many were genuine, whose they are, and how far they reach.
    pub(super) fn finish(self) -> (u64, Option<KeyFingerprint>, Option<SignedPart>) {
        (self.count, self.key.filter(|_| self.count > 0), self.last)
    }
}
