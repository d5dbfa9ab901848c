//! Verification of the chain, line by line, without the daemon: what was changed, removed, inserted or moved, and where.
//!
//! Each record holds the hash of the line before it. Where a line does not continue the chain, the lines after it tell
//! what happened: a line that the next one names is as it was written. So lines wait in a short queue before they are
//! judged. What cannot be seen from the lines alone is a chain that was cut at the end or rewritten to its end; give a
//! head that was noted earlier ([`Verifier::expecting`]) to see that too.

mod fault;
mod state;

use std::collections::VecDeque;
use std::sync::Arc;

use super::line::{Envelope, Head, sha256};
use crate::id::UnixMillis;

pub use fault::{At, Fault, Finding, Report};
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
    expected: Option<Head>,
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
            expected: None,
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
    pub fn expecting(self, head: Head) -> Self {
        Self {
            expected: Some(head),
            ..self
        }
    }

    /// The next lines come from this file; findings name it.
    pub fn source(&mut self, name: &str) {
        self.source = Arc::from(name);
        self.line = 0;
    }

    /// Takes the next line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        self.take(sha256(line), Envelope::read(line));
    }

    /// Takes a line that cannot be a record, and why.
    pub fn broken(&mut self, line: &[u8], why: &'static str) {
        self.take(sha256(line), Err(why));
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
        if let Some(expected) = self.expected
            && expected.seq > self.tip.head.seq
        {
            let (from, to) = (self.tip.head.seq.saturating_add(1), expected.seq);
            let at = self.tip.at.clone().unwrap_or_else(|| self.here());
            self.found(at, Fault::CutOff { from, to });
        }
        fault::place(
            &mut self.findings,
            std::mem::take(&mut self.gaps),
            std::mem::take(&mut self.strays),
        );
        self.findings.sort_by_key(|finding| finding.at.nth);
        Report {
            lines: self.lines,
            head: self.tip.head,
            from: self.from,
            to: self.tip.time,
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

    fn take(&mut self, hash: [u8; 32], says: Result<Envelope, &'static str>) {
        if self.gave_up() {
            return;
        }
        self.line = self.line.saturating_add(1);
        self.lines = self.lines.saturating_add(1);
        let at = self.here();
        self.ahead.push_back(Line { at, hash, says });
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

    fn judge(&mut self, line: Line) {
        let Head { seq: last, hash } = self.tip.head;
        let next = last.saturating_add(1);
        if line.continues(last, &hash) {
            return self.accept(line, next, false);
        }
        if self.is_put_in(&line) {
            return self.strays.push(line);
        }
        let Ok(says) = line.says else {
            let why = line.says.err().unwrap_or_default();
            self.found(line.at.clone(), Fault::NotARecord { record: next, why });
            return self.accept(line, next, true);
        };
        // whether a noted head, or else the line behind, vouches for this one
        let vouched = match self.expected {
            Some(expected) if expected.seq == says.seq => Some(expected.hash == line.hash),
            _ => self.ahead.front().map(|behind| behind.follows(&line)),
        };

        if says.seq == last && says.prev == self.tip.prev && line.hash != hash && vouched == Some(true) {
            // two records continue the one before; the chain goes on from the second
            let at = self.tip.at.take().unwrap_or_else(|| line.at.clone());
            self.found(at, Fault::Inserted { says: Some(last) });
            return self.accept(line, last, false);
        }
        if says.prev == hash && says.seq != next {
            return self.renumbered(line, says.seq, next);
        }
        if says.seq == next {
            return self.unlinked(line, next, vouched);
        }
        if says.seq > next {
            self.gaps.push(Gap {
                from: next,
                to: says.seq.saturating_sub(1),
                at: line.at.clone(),
                hash: Some(says.prev),
            });
            return self.accept(line, says.seq, false);
        }
        let missing = self.gaps.iter().any(|gap| (gap.from..=gap.to).contains(&says.seq));
        if vouched == Some(true) && !missing {
            self.found(line.at.clone(), Fault::StartsAgain { record: says.seq });
            return self.accept(line, says.seq, false);
        }
        self.strays.push(line);
    }

    /// Without this line, and perhaps some more, the chain goes on.
    fn is_put_in(&self, line: &Line) -> bool {
        let Head { seq, hash } = self.tip.head;
        let Some(resumes) = self.ahead.iter().position(|later| later.continues(seq, &hash)) else {
            return false;
        };
        // one record that was moved down also continues the chain, but nothing follows it there
        let mut rest = self.ahead.iter().skip(resumes);
        match (rest.next(), rest.next()) {
            (Some(resumed), Some(after)) if resumes > 0 => after.follows(resumed),
            _ => resumes == 0 || self.ahead.front().is_some_and(|next| !next.follows(line)),
        }
    }

    /// It names the record before it, but its number is wrong.
    fn renumbered(&mut self, line: Line, says: u64, next: u64) {
        let behind = self.ahead.front();
        if says > next && behind.is_some_and(|behind| behind.seq() == says.checked_add(1)) {
            // the numbers go on from it: what was between is gone, and it was made to hide that
            self.gaps.push(Gap {
                from: next,
                to: says.saturating_sub(1),
                at: line.at.clone(),
                hash: None,
            });
            let vouched = behind.is_some_and(|behind| behind.names(&line.hash));
            if !vouched {
                self.found(line.at.clone(), Fault::Changed { record: says });
            }
            return self.accept(line, says, !vouched);
        }
        self.found(line.at.clone(), Fault::Renumbered { record: next, says });
        self.accept(line, next, true);
    }

    /// It has the right number, but names another line than the one before it: one of the two was changed.
    fn unlinked(&mut self, line: Line, next: u64, vouched: Option<bool>) {
        let before = self.tip.head.seq;
        if self.tip.blamed {
            return self.accept(line, next, false);
        }
        match (vouched, self.tip.at.clone()) {
            (Some(true), Some(at)) => self.found(at, Fault::Changed { record: before }),
            (None, Some(at)) => self.found(at, Fault::ChangedOneOf { record: before }),
            (_, _) => self.found(line.at.clone(), Fault::Changed { record: next }),
        }
        let blamed = vouched == Some(false);
        self.accept(line, next, blamed);
    }

    fn accept(&mut self, line: Line, seq: u64, blamed: bool) {
        let head = Head { seq, hash: line.hash };
        if let Some(expected) = self.expected
            && expected.seq == seq
            && expected != head
            && !blamed
        {
            self.found(line.at.clone(), Fault::NotAsNoted { record: seq });
        }
        let says = line.says.ok();
        let time = says.map(|says| says.at);
        self.from = self.from.or(time);
        self.tip = Tip {
            head,
            at: Some(line.at),
            prev: says.map_or([0; 32], |says| says.prev),
            time: time.or(self.tip.time),
            blamed,
        };
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
