//! Keys that follow the first ones of their role. All of them are found and proved at the start, so that a step to the next
//! one needs no new worker, and what an old one made is still of use.

use serde::{Deserialize, Serialize};

use super::{Keyset, PairRef, PublicKey};

/// Which key of a role that is rotated: 1 is the one that the vault was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u32);

impl Generation {
    /// The key that the vault was made with.
    pub const FIRST: Self = Self(1);

    /// The one behind it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Where it stands among all keys of its role.
    pub(crate) fn index(self) -> Option<usize> {
        usize::try_from(self.0).ok()?.checked_sub(1)
    }
}

/// A role whose keys are rotated one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotated {
    /// Signs.
    Audit,
    /// MACs card numbers.
    Fingerprint,
    /// Opens inbound JWE.
    Transport,
}

/// A later fingerprint key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacRef {
    /// CKA_ID, hex.
    pub id: String,
    /// As [`Keyset::fingerprint_check`].
    pub check: String,
}

/// The later keys by role, each list in the order of their generations, from 2 on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// Fingerprint keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<MacRef>,
    /// Audit key pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audits: Vec<PairRef>,
    /// Transport key pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transports: Vec<PairRef>,
}

impl Later {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Keyset {
    /// The fingerprint keys in the order of their generations: CKA_ID and check value.
    pub fn fingerprints(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = (self.fingerprint_id.as_str(), self.fingerprint_check.as_str());
        let later = self.later.fingerprints.iter();
        std::iter::once(first).chain(later.map(|key| (key.id.as_str(), key.check.as_str())))
    }

    /// Likewise the audit keys: CKA_ID and public half.
    pub fn audits(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        let first = (self.audit_id.as_str(), &self.audit_public);
        std::iter::once(first).chain(pairs(&self.later.audits))
    }

    /// Likewise the transport keys.
    pub fn transports(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        let first = (self.transport_id.as_str(), &self.transport_public);
        std::iter::once(first).chain(pairs(&self.later.transports))
    }

    /// How many generations of a role there are.
    pub fn generations(&self, role: Rotated) -> Generation {
        let later = match role {
            Rotated::Audit => self.later.audits.len(),
            Rotated::Fingerprint => self.later.fingerprints.len(),
            Rotated::Transport => self.later.transports.len(),
        };
        Generation(u32::try_from(later).unwrap_or(u32::MAX).saturating_add(1))
    }
}

fn pairs(pairs: &[PairRef]) -> impl Iterator<Item = (&str, &PublicKey)> {
    pairs.iter().map(|pair| (pair.id.as_str(), &pair.public))
}

impl std::fmt::Display for Rotated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Audit => "audit",
            Self::Fingerprint => "fingerprint",
            Self::Transport => "transport",
        })
    }
}
