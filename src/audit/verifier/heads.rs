//! The signed heads of a chain: whether each is genuine and names the record that stands there.

use std::collections::VecDeque;

use super::fault::{At, Fault, SignedPart};
use crate::audit::SignedHead;
use crate::audit::line::Head;
use crate::hsm::{Handover, KeyFingerprint};
use crate::id::VaultId;

/// A head stands at most so many records behind the one that it names; the daemon writes none that is further.
pub const REACH: usize = 1 << 16;

/// So many forged ones are told.
const STRANGERS: usize = 1000;

/// What is known of heads so far.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pins: Vec<KeyFingerprint>,
    /// Who signs: the first head's or handover's key, and after each handover the one that it names.
    key: Option<KeyFingerprint>,
    /// That is one of the pinned keys, or was named by one.
    trusted: bool,
    vault: Option<VaultId>,
    /// The newest records by number and hash.
    recent: VecDeque<(u64, [u8; 32])>,
    count: u64,
    handed: u64,
    last: Option<SignedPart>,
    /// The last head named another record than the one that stands there: the next ones will too.
    parted: bool,
    /// Heads and handovers by keys that no pinned key named. They are genuine, if such a key is handed on to a pinned one
    /// and that vouches for all that is before it; else forged.
    strangers: Vec<(At, Fault)>,
    /// How many heads they are, also those that are too many to be told.
    strange_heads: u64,
    /// Those that are forged, whatever comes.
    forged: Vec<(At, Fault)>,
}

/// What came of them.
pub(super) struct Signed {
    /// How many were genuine.
    pub(super) heads: u64,
    /// Whose they are.
    pub(super) key: Option<KeyFingerprint>,
    /// How far they reach.
    pub(super) part: Option<SignedPart>,
    /// How many handovers were followed.
    pub(super) handed: u64,
    /// Forged ones.
    pub(super) strangers: Vec<(At, Fault)>,
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
        self.pins.push(pin);
    }

    pub(super) fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
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
        let own = match self.key {
            Some(own) => own == key,
            None => self.pins.is_empty() || self.pins.contains(&key),
        };
        (own || self.is_new_pin(key)).then_some(head.head.hash)
    }

    /// A pinned key whose first word it is.
    fn is_new_pin(&self, key: KeyFingerprint) -> bool {
        !self.trusted && self.pins.contains(&key)
    }

    /// No pinned key has spoken yet, though there is one.
    fn is_strange(&self) -> bool {
        !self.pins.is_empty() && !self.trusted
    }

    /// Whether a key may speak here; a fault, where it may not.
    fn admit(&mut self, key: KeyFingerprint, at: &At, fault: Fault) -> Result<(), Fault> {
        if self.is_new_pin(key) {
            // it was led to by those before, or they are not its own
            let led = self.key == Some(key);
            (self.key, self.trusted) = (Some(key), true);
            if !led {
                self.handed = 0;
                self.forged.append(&mut self.strangers);
                self.count = self.count.saturating_sub(std::mem::take(&mut self.strange_heads));
            }
            return Ok(());
        }
        if *self.key.get_or_insert(key) != key {
            return Err(fault);
        }
        if self.is_strange() && self.strangers.len() < STRANGERS {
            self.strangers.push((at.clone(), fault));
        }
        Ok(())
    }

    /// One audit key names the next one in record `record`.
    pub(super) fn hand_over(
        &mut self,
        record: u64,
        at: &At,
        handover: Result<Box<Handover>, &'static str>,
    ) -> Option<Fault> {
        let handover = match handover {
            Ok(handover) => handover,
            Err(why) => return Some(Fault::NotARecord { record, why }),
        };
        let Ok((from, to)) = handover.verify() else {
            return Some(Fault::HandoverNotSigned { record });
        };
        if let Err(fault) = self.admit(from, at, Fault::HandoverOfOtherKey { record, key: from }) {
            return Some(fault);
        }
        if *self.vault.get_or_insert_with(|| handover.vault.clone()) != handover.vault {
            return Some(Fault::HeadOfOtherVault { record });
        }
        self.handed = self.handed.saturating_add(1);
        self.key = Some(to);
        None
    }

    /// Judges the head in record `record`, which was not yet given to [`Heads::record`].
    pub(super) fn judge(&mut self, record: u64, at: &At, signed: Result<Box<SignedHead>, &'static str>) -> Judged {
        let head = match signed {
            Ok(head) => head,
            Err(why) => return Judged::NotGenuine(Fault::NotAHead { record, why }),
        };
        let Ok(key) = head.verify() else {
            return Judged::NotGenuine(Fault::HeadNotSigned { record });
        };
        if let Err(fault) = self.admit(key, at, Fault::HeadOfOtherKey { record, key }) {
            return Judged::NotGenuine(fault);
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
        self.strange_heads = self.strange_heads.saturating_add(u64::from(self.is_strange()));
        match self.recent.iter().rev().find(|(there, _)| *there == seq) {
            Some((_, there)) if *there == hash => {
                self.parted = false;
                if self.trusted {
                    self.strangers.clear();
                    self.strange_heads = 0;
                }
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

    /// What came of them all.
    pub(super) fn finish(self) -> Signed {
        let heads = self.count.saturating_sub(self.strange_heads);
        let mut strangers = self.forged;
        strangers.extend(self.strangers);
        Signed {
            heads,
            key: self.key.filter(|_| heads > 0),
            part: self.last.filter(|_| heads > 0),
            handed: self.handed,
            strangers,
        }
    }
}
