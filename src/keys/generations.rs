//! Fingerprint, audit and transport key: which one of each role is in use, and the step to the next one, which `init` made
//! ahead. The keyring says so, durably and signed by the audit key, before the next one is used; no way leads back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::{EpochState, Error, Keyring, KeyringError, KeyringFault, Keys, NotMoved, TransportPublic, malformed};
use crate::hsm::{
    Generation, Handover, Job, KeyFingerprint, Keyset, PublicKey, Reply, Rotated, SignatureFault, signed_form,
};
use crate::id::UnixMillis;

/// So long a transport key opens after the next one came, where nothing else is said.
pub const OVERLAP: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What a keyring says of the steps that were taken, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Generations {
    /// When each fingerprint key made way for the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fingerprints: Vec<UnixMillis>,
    /// Likewise of the audit keys: each named the next one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audits: Vec<Handover>,
    /// Likewise of the transport keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    transports: Vec<Overlap>,
}

/// The life of a transport key after the next one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overlap {
    at: UnixMillis,
    /// Until then it opens what clients encrypted to it.
    until: UnixMillis,
}

impl Generations {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn active(&self, role: Rotated) -> Generation {
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
        states(&self.generations, role, self.keyset().generations(role))
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
    fn stepped(&self, take: impl FnOnce(&mut Generations)) -> Result<Self, KeyringFault> {
        let mut next = self.clone();
        take(&mut next.generations);
        next.checked()
    }
}

/// The generations of a serving vault.
pub(super) struct State {
    steps: RwLock<Generations>,
    fingerprints: Generation,
    audits: Vec<PublicKey>,
    transports: Vec<TransportPublic>,
    /// Milliseconds.
    overlap: AtomicU64,
}

impl State {
    pub(super) fn new(keyset: &Keyset) -> Result<Self, Error> {
        let transports = keyset.transports().map(|(_, public)| TransportPublic::of(public));
        Ok(Self {
            steps: RwLock::default(),
            fingerprints: keyset.generations(Rotated::Fingerprint),
            audits: keyset.audits().map(|(_, public)| public.clone()).collect(),
            transports: transports.collect::<Result<_, _>>()?,
            overlap: AtomicU64::new(u64::try_from(OVERLAP.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    pub(super) fn set(&self, keyring: &Keyring) {
        *self.steps.write().unwrap_or_else(PoisonError::into_inner) = keyring.generations.clone();
    }

    fn look<T>(&self, at: impl FnOnce(&Generations) -> T) -> T {
        at(&self.steps.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn there(&self, role: Rotated) -> Generation {
        let keys = match role {
            Rotated::Audit => self.audits.len(),
            Rotated::Fingerprint => return self.fingerprints,
            Rotated::Transport => self.transports.len(),
        };
        Generation(u32::try_from(keys).unwrap_or(u32::MAX))
    }
}

impl Keys {
    /// The generation in use, by the keyring.
    pub fn generation(&self, role: Rotated) -> Generation {
        self.generations.look(|steps| steps.active(role))
    }

    /// The state of each generation of a role.
    pub fn states(&self, role: Rotated) -> Vec<KeyState> {
        let there = self.generations.there(role);
        self.generations.look(|steps| states(steps, role, there))
    }

    /// The public half of the audit key that signs.
    pub fn audit_public(&self) -> &PublicKey {
        let keys = &self.generations.audits;
        let index = self.generation(Rotated::Audit).index();
        // the keyring was checked: there is one
        index.and_then(|index| keys.get(index)).unwrap_or(&self.first_audit)
    }

    /// The statements by which each audit key named the next.
    pub fn handovers(&self) -> Vec<Handover> {
        self.generations.look(|steps| steps.audits.clone())
    }

    /// Signs `domain` and `message` over [`signed_form`] with `by`, which is one of the audit keys:
    /// [`PublicKey::verify_in`] checks it.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn sign(&self, domain: &str, message: &[u8], by: &PublicKey) -> Result<Vec<u8>, Error> {
        let place = self.generations.audits.iter().position(|key| key == by);
        let place = place.and_then(|place| u32::try_from(place).ok());
        let place = place.ok_or_else(|| malformed("it is no audit key of this vault's"))?;
        self.sign_by(Generation(place).next(), signed_form(domain, message))
            .await
    }

    pub(super) async fn sign_by(&self, generation: Generation, message: Vec<u8>) -> Result<Vec<u8>, Error> {
        match self.call(Job::Sign { generation, message }).await? {
            Reply::Sign(signature) => Ok(signature),
            _ => Err(malformed("not the answer to a sign")),
        }
    }

    /// Goes on to the next fingerprint key.
    ///
    /// # Errors
    /// [`NotMoved`]: the key is as before.
    pub async fn next_fingerprint(&self) -> Result<Generation, NotMoved> {
        self.step(Rotated::Fingerprint, |keyring, now| {
            keyring.stepped(|steps| steps.fingerprints.push(now))
        })
        .await
    }

    /// These keys; a transport key opens for so long after the next one came, by default [`OVERLAP`].
    pub fn overlapping(self, overlap: Duration) -> Self {
        let overlap = u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX);
        self.generations.overlap.store(overlap, Ordering::Release);
        self
    }

    /// Goes on to the next transport key; the one that was in use opens for some time more.
    ///
    /// # Errors
    /// [`NotMoved`]: the key is as before.
    pub async fn next_transport(&self) -> Result<Generation, NotMoved> {
        let overlap = self.generations.overlap.load(Ordering::Acquire);
        self.step(Rotated::Transport, |keyring, at| {
            let until = at.plus(overlap);
            keyring.stepped(|steps| steps.transports.push(Overlap { at, until }))
        })
        .await
    }

    /// Goes on to the next audit key: the one that was in use names it, and the keyring with that is signed by the next.
    ///
    /// # Errors
    /// [`NotMoved`]: the key is as before.
    pub async fn next_audit(&self) -> Result<Generation, NotMoved> {
        let before = self.generation(Rotated::Audit);
        let at = UnixMillis::now();
        let mut file = self.epochs.file.lock().await;
        let Some((path, keyring)) = file.as_mut() else {
            return Err(NotMoved::NotMade(Rotated::Audit));
        };
        let next = before.next();
        if next > keyring.keyset().generations(Rotated::Audit) {
            return Err(NotMoved::NotMade(Rotated::Audit));
        }
        let unwritable = |fault| {
            let path = path.clone();
            NotMoved::Keyring(KeyringError { path, fault })
        };
        let (from, to) = (audit_of(keyring.keyset(), before), audit_of(keyring.keyset(), next));
        let statement = Handover::statement(keyring.vault(), at, from, to);
        let statement = statement.map_err(|fault| unwritable(KeyringFault::Signature(fault)))?;
        let signature = self
            .sign(Handover::DOMAIN, &statement, from)
            .await
            .map_err(NotMoved::Keys)?;
        let handover = Handover::new(keyring.vault().clone(), at, from.clone(), to.clone(), &signature);
        let moved = keyring
            .stepped(|steps| steps.audits.push(handover))
            .map_err(unwritable)?;
        self.write_keyring(path, &moved).await?;
        self.generations.set(&moved);
        *keyring = moved;
        Ok(next)
    }

    async fn step(
        &self,
        role: Rotated,
        take: impl FnOnce(&Keyring, UnixMillis) -> Result<Keyring, KeyringFault> + Send,
    ) -> Result<Generation, NotMoved> {
        let mut file = self.epochs.file.lock().await;
        let Some((path, keyring)) = file.as_mut() else {
            return Err(NotMoved::NotMade(role));
        };
        if keyring.active(role) >= keyring.keyset().generations(role) {
            return Err(NotMoved::NotMade(role));
        }
        let moved = take(keyring, UnixMillis::now()).map_err(|fault| {
            let path = path.clone();
            NotMoved::Keyring(KeyringError { path, fault })
        })?;
        self.write_keyring(path, &moved).await?;
        self.generations.set(&moved);
        *keyring = moved;
        Ok(self.generation(role))
    }

    /// What clients may have encrypted to: the transport key in use first, then those whose time is not over, newest first.
    pub fn transport_publics(&self) -> Vec<(Generation, TransportPublic)> {
        let now = UnixMillis::now();
        let states = self.states(Rotated::Transport);
        let is_open = |key: &&KeyState| match key.state {
            EpochState::Active => true,
            EpochState::Deactivated => key.until.is_some_and(|until| now < until),
            EpochState::PreActive => false,
        };
        let open = states
            .iter()
            .rev()
            .filter(is_open)
            .map(|key| Generation(key.generation));
        open.filter_map(|generation| {
            let public = self.generations.transports.get(generation.index()?)?;
            Some((generation, public.clone()))
        })
        .collect()
    }
}

fn states(steps: &Generations, role: Rotated, there: Generation) -> Vec<KeyState> {
    let active = steps.active(role);
    (1..=there.0)
        .map(|generation| KeyState {
            generation,
            state: EpochState::among(generation, active.0),
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
fn audit_of(keyset: &Keyset, generation: Generation) -> &PublicKey {
    let named = generation.index().and_then(|index| keyset.audits().nth(index));
    named.map_or(&keyset.audit_public, |(_, public)| public)
}
