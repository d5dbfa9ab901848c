//! Verification of the chain, line by line, without the daemon: what was changed, removed, inserted or moved, and where.
//!
//! Each record holds the hash of the line before it. Where a line does not continue the chain, the lines after it tell
//! what happened: a line that the next one names is as it was written. So lines wait in a short queue before they are
//! judged. Signed heads among the records tell a chain that was rewritten ([`Verifier::pinned`]). What cannot be seen from
//! the lines alone is a chain that was cut at the end, or rewritten to its end without signed heads; give a head that was
//! noted earlier ([`Verifier::expecting`]) to see that too.

mod fault;
mod heads;
mod judge;
mod state;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;

use super::handover;
use super::head::SignedHead;
use super::line::{Envelope, Head, sha256};
use crate::hsm::{Handover, KeyFingerprint};
use crate::id::UnixMillis;

pub(super) use fault::as_text;
pub use fault::{At, Fault, Finding, Report, SignedPart};
pub use heads::REACH;
use heads::{Heads, Signed};
use state::{Gap, Line, Tip};

/// How many lines are known ahead of the one that is judged.
const AHEAD: usize = 32;
/// After so many oddities the rest is not read.
const ODD_MAX: usize = 1000;

/// Takes the lines in order and keeps only a few of them.
#[derive(Debug)]
pub struct Verifier {
    ahead: VecDeque<Line>,
    tip: Tip,
    expected: Vec<Head>,
    heads: Heads,
    source: Arc<str>,
    line: u64,
    lines: u64,
    from: Option<UnixMillis>,
    findings: Vec<Finding>,
    gaps: Vec<Gap>,
    strays: Vec<Line>,
}

impl Verifier {
    /// From the first record of a vault.
    pub fn new() -> Self {
        Self::after(Head::START)
    }

    /// From the record after `head`, where earlier segments are kept elsewhere.
    pub fn after(head: Head) -> Self {
        let tip = Tip {
            head,
            at: None,
            prev: [0; 32],
            time: None,
            blamed: false,
        };
        Self {
            ahead: VecDeque::with_capacity(AHEAD + 1),
            tip,
            expected: Vec::new(),
            heads: Heads::default(),
            source: Arc::from(""),
            line: 0,
            lines: 0,
            from: None,
            findings: Vec::new(),
            gaps: Vec::new(),
            strays: Vec::new(),
        }
    }

    /// Also checks that record `head.seq` is there with just this hash.
    #[must_use]
    pub fn expecting(mut self, head: Head) -> Self {
        self.expected.push(head);
        self
    }

    /// Also checks that signed heads are there, by the audit key of this fingerprint, or one that it or a key after it named
    /// in the chain. Heads before the first one of that key may be by the keys that led to it: it vouches for them, as for
    /// all records before its own. Given more than once: any of these keys.
    #[must_use]
    pub fn pinned(mut self, pin: KeyFingerprint) -> Self {
        self.heads.pinned(pin);
        self
    }

    /// The next lines come from this file; findings name it.
    pub fn source(&mut self, name: &str) {
        self.source = Arc::from(name);
        self.line = 0;
    }

    /// Takes the next line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        let says = Envelope::read(line);
        let is_head = says.is_ok_and(|says| says.is_head);
        let signed = is_head.then(|| SignedHead::of_head(line).map(Box::new));
        let handover = says.is_ok_and(|says| says.is_handover).then(|| handover::of_line(line));
        self.take(sha256(line), says, signed, handover);
    }

    /// Takes a line that cannot be a record, and why.
    pub fn broken(&mut self, line: &[u8], why: &'static str) {
        self.take(sha256(line), Err(why), None, None);
    }

    /// What came of it.
    pub fn finish(mut self) -> Report {
        while let Some(line) = self.ahead.pop_front() {
            self.judge(line);
        }
        // what was put aside may be the chain's end
        while let Some(at) = self
            .strays
            .iter()
            .position(|stray| stray.continues(self.tip.head.seq, &self.tip.head.hash))
        {
            let line = self.strays.swap_remove(at);
            let record = self.tip.head.seq.saturating_add(1);
            self.found(line.at.clone(), Fault::Moved { record });
            self.accept(line, record, false);
        }
        let furthest = self.expected.iter().map(|expected| expected.seq).max();
        if let Some(to) = furthest.filter(|to| *to > self.tip.head.seq) {
            let from = self.tip.head.seq.saturating_add(1);
            let at = self.tip.at.clone().unwrap_or_else(|| self.here());
            self.found(at, Fault::CutOff { from, to });
        }
        fault::place(
            &mut self.findings,
            std::mem::take(&mut self.gaps),
            std::mem::take(&mut self.strays),
        );
        let pinned = self.heads.is_pinned();
        let at = self.here();
        let Signed {
            heads: signed_heads,
            key,
            part: signed,
            handed,
            strangers,
        } = std::mem::take(&mut self.heads).finish();
        for (at, fault) in strangers {
            self.found(at, fault);
        }
        if pinned && signed_heads == 0 && self.lines > 0 {
            self.found(at, Fault::NothingSigned);
        }
        self.findings.sort_by_key(|finding| finding.at.nth);
        Report {
            lines: self.lines,
            head: self.tip.head,
            from: self.from,
            to: self.tip.time,
            pinned,
            key,
            handed,
            signed_heads,
            unsigned: match &signed {
                Some(signed) => self.tip.head.seq.saturating_sub(signed.through.saturating_add(1)),
                None => self.lines,
            },
            signed,
            findings: self.findings,
        }
    }

    fn here(&self) -> At {
        At {
            source: Arc::clone(&self.source),
            line: self.line,
            nth: self.lines,
        }
    }

    fn take(
        &mut self,
        hash: [u8; 32],
        says: Result<Envelope, &'static str>,
        signed: Option<Result<Box<SignedHead>, &'static str>>,
        handover: Option<Result<Box<Handover>, &'static str>>,
    ) {
        if self.gave_up() {
            return;
        }
        self.line = self.line.saturating_add(1);
        self.lines = self.lines.saturating_add(1);
        let at = self.here();
        self.ahead.push_back(Line {
            at,
            hash,
            says,
            signed,
            handover,
        });
        if self.ahead.len() > AHEAD
            && let Some(line) = self.ahead.pop_front()
        {
            self.judge(line);
            if self.odd() >= ODD_MAX {
                let at = self.here();
                self.found(at, Fault::GaveUp);
                self.ahead.clear();
            }
        }
    }

    fn odd(&self) -> usize {
        self.findings.len() + self.gaps.len() + self.strays.len()
    }

    fn gave_up(&self) -> bool {
        self.findings.last().is_some_and(|last| last.fault == Fault::GaveUp)
    }

    fn found(&mut self, at: At, fault: Fault) {
        self.findings.push(Finding { at, fault });
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
