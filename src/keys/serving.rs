//! Fingerprint, audit and transport key of a serving vault: which of each is in use, and the step to the next one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::generations::{Generations, KeyState, Overlap, audit_of, states};
use super::{EpochState, Error, Keyring, KeyringError, KeyringFault, Keys, NotMoved, TransportPublic, malformed};
use crate::hsm::{
    Former, Generation, Handover, Job, KeyFingerprint, Keyset, PublicKey, Reply, Rotated, SignatureFault, signed_form,
};
use crate::id::UnixMillis;

/// So long a transport key opens after the next one came, where nothing else is said.
const OVERLAP: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The generations of a serving vault.
pub(super) struct State {
    steps: RwLock<Generations>,
    fingerprints: Generation,
    audits: Vec<PublicKey>,
    transports: Vec<TransportPublic>,
    former: Former,
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
            former: keyset.former.clone(),
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
        let former = self.generations.former.of(role);
        self.generations.look(|steps| states(steps, role, there, former))
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

    /// The fingerprints of all audit keys that were or are in use, the latest last.
    ///
    /// # Errors
    /// [`SignatureFault::MalformedKey`]; a keyring that was loaded has none.
    pub fn audit_history(&self) -> Result<Vec<KeyFingerprint>, SignatureFault> {
        let handovers = self.handovers();
        let before = handovers.iter().map(|handover| handover.from.fingerprint());
        before.chain([self.audit_public().fingerprint()]).collect()
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
        self.take_next(Rotated::Fingerprint, |keyring, now| {
            keyring.stepped(|steps| steps.fingerprints.push(now))
        })
        .await
    }

    /// These keys; a transport key opens for so long after the next one came, 30 days where nothing is said.
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
        self.take_next(Rotated::Transport, |keyring, at| {
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

    /// Makes a step of a role, in the keyring first.
    async fn take_next(
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
            EpochState::PreActive
            | EpochState::Compromised
            | EpochState::Destroying
            | EpochState::Destroyed
            | EpochState::Left => false,
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
