//! What stayed behind when the vault moved to another HSM: of KEKs that nothing lies under any more, and of key pairs whose
//! public halves go on verifying what they signed.

use serde::{Deserialize, Serialize};

use super::officer::Arrival;
use super::{Generation, KekRef, Keyset, Later, MacRef, PairRef, Rotated};

/// Keys of HSMs that the vault has left. None is looked for in the token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Former {
    /// KEKs, lowest epoch first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keks: Vec<KekRef>,
    /// So many audit keys, from the first one on.
    #[serde(default, skip_serializing_if = "is_none")]
    pub audits: u32,
    /// Likewise transport keys.
    #[serde(default, skip_serializing_if = "is_none")]
    pub transports: u32,
}

impl Former {
    /// Nothing stayed behind: the vault never moved.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many keys of a role, from the first one on, stayed behind.
    pub fn of(&self, role: Rotated) -> u32 {
        match role {
            Rotated::Audit => self.audits,
            Rotated::Transport => self.transports,
            // they move along: what they made is stored nowhere else
            Rotated::Fingerprint => 0,
        }
    }
}

impl Keyset {
    /// The keyset of the HSM that the vault moves to: its label and serial number, its own keys, and the fingerprint keys that came
    /// along, in the order of their generations. `used`: the audit and transport key in use; those prepared behind them are
    /// forgotten. `None`: no fingerprint key came along.
    pub(super) fn moved(
        &self,
        arrival: Arrival,
        fingerprints: Vec<MacRef>,
        (token_label, token_serial): (String, String),
        used: (Generation, Generation),
    ) -> Option<Self> {
        let mut fingerprints = fingerprints.into_iter();
        let first = fingerprints.next()?;
        let behind = |pairs: &[PairRef], used: Generation, own: PairRef| {
            // the first of a role is none of its later ones
            let kept = pairs.iter().take(used.index().unwrap_or_default());
            kept.cloned().chain([own]).collect()
        };
        let (audit, transport) = used;
        let mut keks: Vec<KekRef> = self.former.keks.iter().chain(&self.keks).cloned().collect();
        keks.sort_by_key(|kek| kek.epoch);
        Some(Self {
            mode: arrival.mode,
            token_label,
            token_serial,
            keks: arrival.keks,
            fingerprint_id: first.id,
            fingerprint_check: first.check,
            locker: arrival.locker,
            platform: arrival.platform,
            later: Later {
                fingerprints: fingerprints.collect(),
                audits: behind(&self.later.audits, audit, arrival.audit),
                transports: behind(&self.later.transports, transport, arrival.transport),
            },
            former: Former {
                keks,
                audits: audit.0,
                transports: transport.0,
            },
            ..self.clone()
        })
    }

    /// Whether the keys of a role are in the token, in the order of their generations.
    pub(super) fn in_token(&self, role: Rotated) -> impl Iterator<Item = bool> + use<> {
        let former = self.former.of(role);
        (0_u32..).map(move |place| place >= former)
    }
}

fn is_none(count: &u32) -> bool {
    *count == 0
}
