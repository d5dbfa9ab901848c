//! What a line that is next in the queue is: the record that must come, or something else.

use super::fault::{Fault, Finding};
use super::heads::Judged;
use super::state::{Gap, Line, Tip};
use super::{Head, Verifier};

impl Verifier {
    pub(super) fn judge(&mut self, line: Line) {
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
        let vouched = match self.expected_at(says.seq) {
            Some(expected) => Some(expected == line.hash),
            None => self.ahead.front().map(|behind| behind.follows(&line)),
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
        // the last line may be a signed head that names the one before it
        let vouched = vouched.or_else(|| {
            let word = self.heads.word(line.signed.as_ref(), before)?;
            Some(word != self.tip.head.hash)
        });
        match (vouched, self.tip.at.clone()) {
            (Some(true), Some(at)) => self.found(at, Fault::Changed { record: before }),
            (None, Some(at)) => self.found(at, Fault::ChangedOneOf { record: before }),
            (_, _) => self.found(line.at.clone(), Fault::Changed { record: next }),
        }
        let blamed = vouched == Some(false);
        self.accept(line, next, blamed);
    }

    fn expected_at(&self, seq: u64) -> Option<[u8; 32]> {
        let there = self.expected.iter().find(|expected| expected.seq == seq);
        there.map(|expected| expected.hash)
    }

    pub(super) fn accept(&mut self, mut line: Line, seq: u64, mut blamed: bool) {
        let head = Head { seq, hash: line.hash };
        if self.expected_at(seq).is_some_and(|hash| hash != line.hash) && !blamed {
            self.found(line.at.clone(), Fault::NotAsNoted { record: seq });
        }
        if let Some(signed) = line.signed.take().filter(|_| !blamed) {
            match self.heads.judge(seq, &line.at, signed) {
                Judged::Good => {}
                Judged::NotGenuine(fault) => {
                    self.found(line.at.clone(), fault);
                    blamed = true;
                }
                Judged::Parted(fault) => self.parted(&line, fault),
            }
        }
        if let Some(handover) = line.handover.take().filter(|_| !blamed)
            && let Some(fault) = self.heads.hand_over(seq, &line.at, handover)
        {
            self.found(line.at.clone(), fault);
            blamed = true;
        }
        self.heads.record(seq, line.hash);
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

    /// A genuine head names another record than the one that stands there. That may be known already.
    fn parted(&mut self, line: &Line, fault: Fault) {
        let Fault::NotAsSigned { from, record, .. } = fault else {
            return;
        };
        let known = |finding: &Finding| finding.fault.record().is_some_and(|at| (from..=record).contains(&at));
        if !self.findings.iter().any(known) {
            self.found(line.at.clone(), fault);
        }
    }
}
