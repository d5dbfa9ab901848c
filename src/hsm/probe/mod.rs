//! The start-up check: what the module does, tried out, because the mechanism list and the attributes do not tell.

mod attacks;
mod fingerprint;
mod mechanisms;
mod scratch;
mod trusted;

pub(crate) use attacks::{Target, Tools, attack};
pub(crate) use fingerprint::fingerprints;
pub(crate) use mechanisms::required;
pub(crate) use scratch::learn;
pub(crate) use trusted::{cannot_make_trusted, known_trusted_only};

use super::{Finding, Verdict};

/// Findings as they come.
#[derive(Clone, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn pass(&mut self, check: &str, text: impl Into<String>) {
        self.add(check, Verdict::Pass, text);
    }

    pub(crate) fn gap(&mut self, check: &str, text: impl Into<String>) {
        self.add(check, Verdict::Gap, text);
    }

    pub(crate) fn note(&mut self, check: &str, text: impl Into<String>) {
        self.add(check, Verdict::Note, text);
    }

    /// One finding for what was tried on several keys: a gap that names the keys, or a pass.
    /// `prefix` begins each check's name.
    pub(crate) fn outcomes(&mut self, prefix: &str, outcomes: Vec<Outcome>) {
        let mut checks: Vec<(&'static str, Vec<String>)> = Vec::new();
        for outcome in outcomes {
            let failed = outcome.failed.map(|why| format!("{}: {why}", outcome.key));
            match checks.iter_mut().find(|(check, _)| *check == outcome.check) {
                Some((_, all)) => all.extend(failed),
                None => checks.push((outcome.check, failed.into_iter().collect())),
            }
        }
        for (check, failed) in checks {
            let check = format!("{prefix}{check}");
            if failed.is_empty() {
                self.pass(&check, "as it should be");
            } else {
                self.gap(&check, failed.join("; "));
            }
        }
    }

    /// The gaps, one text each.
    pub(crate) fn gaps(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|f| f.verdict == Verdict::Gap)
            .map(|f| format!("{}: {}", f.check, f.text))
            .collect()
    }

    pub(crate) fn into_inner(self) -> Vec<Finding> {
        self.0
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn add(&mut self, check: &str, verdict: Verdict, text: impl Into<String>) {
        self.0.push(Finding {
            check: check.to_owned(),
            verdict,
            text: text.into(),
        });
    }
}

/// One thing tried on one key.
pub(crate) struct Outcome {
    pub(crate) check: &'static str,
    /// Which key, for people.
    pub(crate) key: String,
    /// Why it is not as it should be.
    pub(crate) failed: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_gathered_by_check() {
        let outcome = |check, key: &str, failed: Option<&str>| Outcome {
            check,
            key: key.to_owned(),
            failed: failed.map(str::to_owned),
        };
        let mut findings = Findings::default();
        findings.outcomes(
            "kek-",
            vec![
                outcome("a", "KEK epoch 1", None),
                outcome("b", "KEK epoch 1", None),
                outcome("a", "KEK epoch 2", Some("was done")),
            ],
        );
        assert_eq!(findings.gaps(), ["kek-a: KEK epoch 2: was done"]);
        let all = findings.into_inner();
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].check.as_str(), all[1].verdict), ("kek-b", Verdict::Pass));
    }
}
