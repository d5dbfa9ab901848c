//! Keys made ahead for roles whose keys are rotated. They take the user PIN only.

use super::provision::Made;
use super::roles::Role;
use super::{Officer, OfficerError, Plan};
use crate::hsm::{Later, MacRef, PairRef, Rotated};

/// Keys of one role in all.
const MOST: usize = 99;

impl Officer<'_> {
    /// The later keys that are there, and those that the plan wants behind them.
    pub(super) fn make_later(&self, plan: &Plan, made: &mut Vec<Made>) -> Result<Later, OfficerError> {
        let existing = plan.existing.as_ref().map(|keyset| &keyset.later);
        let mut later = existing.cloned().unwrap_or_default();
        // as of the first one: only requests on their way were encrypted for it
        let former = plan.existing.as_ref().map_or(0, |keyset| keyset.former.transports);
        // the first transport key is none of these
        let former = usize::try_from(former.saturating_sub(1)).unwrap_or(usize::MAX);
        for pair in later.transports.iter_mut().skip(former) {
            if !self.is_there(&pair.id)? {
                *pair = self.pair(Role::Transport, made)?;
            }
        }
        for role in &plan.next {
            let there = match role {
                Rotated::Audit => later.audits.len(),
                Rotated::Fingerprint => later.fingerprints.len(),
                Rotated::Transport => later.transports.len(),
            };
            if there >= MOST {
                return Err(OfficerError::Plan(format!(
                    "there are {there} later {role} keys already"
                )));
            }
            match role {
                Rotated::Audit => later.audits.push(self.pair(Role::Audit, made)?),
                Rotated::Fingerprint => {
                    let (id, check) = self.make_fingerprint(plan.mode, made)?;
                    later.fingerprints.push(MacRef { id, check });
                }
                Rotated::Transport => later.transports.push(self.pair(Role::Transport, made)?),
            }
        }
        Ok(later)
    }

    pub(super) fn pair(&self, role: Role, made: &mut Vec<Made>) -> Result<PairRef, OfficerError> {
        let (id, public) = self.make_pair(role, made)?;
        Ok(PairRef { id, public })
    }
}
