//! Fingerprint, audit and transport key: which one of each role is in use, and the step to the next one, which `init` made
//! ahead. The keyring says so, durably and signed by the audit key, before the next one is used; no way leads back.

use serde::{Deserialize, Serialize, Serializer};

use super::{EpochState, Keyring, KeyringFault};
use crate::hsm::{Generation, Handover, KeyFingerprint, Keyset, PublicKey, Rotated, SignatureFault};
use crate::id::UnixMillis;

/// What a keyring says of the steps that were taken, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Generations {
    /// When each fingerprint key made way for the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fingerprints: Vec<UnixMillis>,
    /// Likewise of the audit keys: each named the next one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) audits: Vec<Handover>,
    /// Likewise of the transport keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) transports: Vec<Overlap>,
}

/// The life of a transport key after the next one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Overlap {
    pub(super) at: UnixMillis,
    /// Until then it opens what clients encrypted to it.
    pub(super) until: UnixMillis,
}

impl Generations {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn active(&self, role: Rotated) -> Generation {
        let steps = match role {
            Rotated::Audit => self.audits.len(),
            Rotated::Fingerprint => self.fingerprints.len(),
            Rotated::Transport => self.transports.len(),
        };
        Generation(u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(1))
    }
}

/// RFC 3339.
fn as_text<S: Serializer>(at: &Option<UnixMillis>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(to)
}

/// One key of a role, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyState {
    /// Which, from 1.
    pub generation: u32,
    /// Its state.
    pub state: EpochState,
    /// Until then a deactivated key is still of use for what comes in.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub until: Option<UnixMillis>,
}

impl Keyring {
    /// The generation in use.
    pub fn active(&self, role: Rotated) -> Generation {
        self.generations.active(role)
    }

    /// The state of each generation of a role.
    pub fn states(&self, role: Rotated) -> Vec<KeyState> {
        let former = self.keyset().former.of(role);
        states(&self.generations, role, self.keyset().generations(role), former)
    }

    /// The audit key that signs.
    pub fn audit_public(&self) -> &PublicKey {
        audit_of(self.keyset(), self.active(Rotated::Audit))
    }

    /// The transport key that clients are to encrypt to.
    pub fn transport_public(&self) -> &PublicKey {
        let index = self.active(Rotated::Transport).index();
        let named = index.and_then(|index| self.keyset().transports().nth(index));
        named.map_or(&self.keyset().transport_public, |(_, public)| public)
    }

    /// The audit keys that signed for this vault, oldest first; the last one signs now. Each named the next.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedKey`]; a keyring that was loaded has none.
    pub fn audit_history(&self) -> Result<Vec<KeyFingerprint>, SignatureFault> {
        let active = usize::try_from(self.active(Rotated::Audit).0).unwrap_or(usize::MAX);
        let keys = self.keyset().audits().take(active);
        keys.map(|(_, public)| public.fingerprint()).collect()
    }

    /// The statements by which each audit key named the next.
    pub fn handovers(&self) -> &[Handover] {
        &self.generations.audits
    }

    /// Where it says what cannot be.
    pub(super) fn senseless_generations(&self) -> Option<&'static str> {
        for role in [Rotated::Audit, Rotated::Fingerprint, Rotated::Transport] {
            if self.active(role) > self.keyset().generations(role) {
                return Some("a key in use is not among its keys");
            }
            if self.active(role).0 <= self.keyset().former.of(role) {
                return Some("a key in use is in a HSM that was left");
            }
        }
        let mut ids: Vec<&str> = self.keyset().fingerprints().map(|(id, _)| id).collect();
        ids.extend(
            self.keyset()
                .audits()
                .chain(self.keyset().transports())
                .map(|(id, _)| id),
        );
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != all {
            return Some("two keys are one");
        }
        let keys: Vec<&PublicKey> = self.keyset().audits().map(|(_, public)| public).collect();
        let named = self.handovers().iter().zip(keys.iter().zip(keys.iter().skip(1)));
        for (handover, (from, to)) in named {
            let whole = handover.verify().is_ok() && handover.vault == *self.vault();
            if !whole || handover.from != **from || handover.to != **to {
                return Some("an audit key was not named by the one before it");
            }
        }
        let unusable = |public: &PublicKey| matches!(public, PublicKey::Rsa { .. }) || public.fingerprint().is_err();
        if keys.iter().any(|public| unusable(public)) {
            return Some("its audit key cannot sign");
        }
        let malformed = |(_, public): (&str, &PublicKey)| public.fingerprint().is_err();
        self.keyset()
            .transports()
            .any(malformed)
            .then_some("its transport key is malformed")
    }

    /// The same vault after a step.
    pub(super) fn stepped(&self, take: impl FnOnce(&mut Generations)) -> Result<Self, KeyringFault> {
        let mut next = self.clone();
        take(&mut next.generations);
        next.checked()
    }
}

/// `former`: so many of them, from the first one on, are in a HSM that was left.
pub(super) fn states(steps: &Generations, role: Rotated, there: Generation, former: u32) -> Vec<KeyState> {
    let active = steps.active(role);
    (1..=there.0)
        .map(|generation| KeyState {
            generation,
            state: match generation <= former {
                true => EpochState::Left,
                false => EpochState::among(generation, active.0),
            },
            until: match role {
                Rotated::Transport => Generation(generation)
                    .index()
                    .and_then(|index| steps.transports.get(index))
                    .map(|overlap| overlap.until),
                Rotated::Audit | Rotated::Fingerprint => None,
            },
        })
        .collect()
}

/// The first one, where there is no such; a keyring that was checked has it.
pub(super) fn audit_of(keyset: &Keyset, generation: Generation) -> &PublicKey {
    let named = generation.index().and_then(|index| keyset.audits().nth(index));
    named.map_or(&keyset.audit_public, |(_, public)| public)
}
