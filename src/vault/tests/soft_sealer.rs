//! The HSM's work in software.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::card::Pan;
use crate::hsm::jwe_client::modpow;
use crate::hsm::{
    self, Boxed, Epoch, Generation, Handover, PublicKey, Rotated, SealedPart, WrappedKey, framed, open_padded,
    signed_form,
};
use crate::id::{RepositoryId, UnixMillis, fill_random};
use crate::keys::{
    self, Compartment, EpochState, Fingerprint, KeyState, NotMoved, Place, Refused, Sealed, SealedCompartment,
    SecretBytes, TransportPublic, Uses,
};
use crate::vault::sealer::{Fut, Sealer, Step};

/// The transport key, RSA-2048, made for these tests.
const TRANSPORT_MODULUS: &str = "b502e69069ceffa91a463055aca6a40e07c2c9a8170e64553313cba4dcd72ed0b4a98e665f8749e3701d39c8efe48eeebfe0ead8534b5c\
     44f2a952121bf646d9db9f1eec334c66c2dd648cf8510ddbf7f9ce56f508140b196ce3a7dc25da0060bd76e2c4b02328086401f259e279\
     106a17589a76ec518e2a7d775c5f240e4b5f47507d98e8f92d33bb50d1193e84d072f90644fba1697f142f746a44ba828715081b592270\
     e2f917e8d220063ff705c287f97dc05bc10f8a70fbefeb21aab45e09b97e56bc28a20322bee378c3fbffbec902f01c527f49c5bef6008d\
     d220991d74c6339ca6ed66c78a7fc102c5867a801daf1f5dbb4ea109c4a8d5b72040a299";
const TRANSPORT_PRIVATE: &str = "01819b7dc056908bb6559fbc6f81754fd9ab0bee009c91c671e8d22ba4c4a318a3e0f4f7c3d903b992e2158f1b80ab7e014dd9921545e8\
     16626e332fd1c1629f2fd9adc3ec8273118e6bb80ec664713929aebb9d9aed54dcdbf01c50d97d3dbe4a86c8d47ce83259e7860db6dead\
     aeaea63c5bb33f4801bb203dcb6659d3a442e9672e48fae618d57abc458cb1052671ccc8187168b1eca8ed9f94ee2f8446533996614113\
     90127381c78970bf5b0f82f0c44ca6f92664f26b95ed95d11b99e65b03079e7f9f600836d5ecb480896e30dea543163cf9f8b2a98c997d\
     8e953183af265002b928181340b94c9c77d11fb6d7653e7ea271e1d3bc41990434802681";

/// KEK epochs that are there.
const SOFT_EPOCHS: u32 = 3;
/// Fingerprint keys that are there.
const SOFT_GENERATIONS: u32 = 3;

/// Keys in software that bind and detect as the HSM does, and count their jobs.
pub(crate) struct SoftSealer {
    kek: [u8; 32],
    mac: hmac::Key,
    audit: Ed25519KeyPair,
    pub(crate) audit_public: PublicKey,
    pub(crate) transport_public: TransportPublic,
    /// Not counted by these keys.
    pub(crate) uses: Uses,
    epoch: AtomicU32,
    /// Epochs up to this one are destroyed.
    destroyed: AtomicU32,
    generation: AtomicU32,
    down: AtomicBool,
    seals: AtomicUsize,
    jobs: AtomicUsize,
    /// Which compartments were opened, in order.
    opened: Mutex<Vec<Compartment>>,
    /// Jobs under way, and the most that ever were.
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl SoftSealer {
    pub(crate) fn new() -> Self {
        let mut seed = [0; 32];
        fill_random(&mut seed).unwrap();
        let audit = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let x = BASE64URL_NOPAD.encode(audit.public_key().as_ref());
        Self {
            kek: seed,
            mac: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            audit,
            audit_public: PublicKey::Ed25519 { x },
            transport_public: TransportPublic {
                n: hex(TRANSPORT_MODULUS),
                e: vec![1, 0, 1],
            },
            uses: Uses::default(),
            epoch: AtomicU32::new(1),
            destroyed: AtomicU32::new(0),
            generation: AtomicU32::new(1),
            down: AtomicBool::new(false),
            seals: AtomicUsize::new(0),
            jobs: AtomicUsize::new(0),
            opened: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// The next epoch takes over, and all before it are destroyed.
    pub(crate) fn destroy_all(&self) {
        let gone = self.epoch.fetch_add(1, Ordering::SeqCst);
        assert!(gone < SOFT_EPOCHS, "no epoch is left");
        self.destroyed.store(gone, Ordering::SeqCst);
    }

    fn opening(&self, sealed: &Sealed) -> Result<(), keys::Error> {
        match self.is_destroyed(sealed.epoch) {
            true => Err(keys::Error::Destroyed {
                epoch: sealed.epoch,
                on: UnixMillis(1),
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn seals(&self) -> usize {
        self.seals.load(Ordering::SeqCst)
    }

    /// Jobs so far.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.load(Ordering::SeqCst)
    }

    /// What was opened since the last time this was asked.
    pub(crate) fn opened(&self) -> Vec<Compartment> {
        std::mem::take(&mut self.opened.lock().unwrap())
    }

    /// The most jobs that were under way at once since this was last asked.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.swap(0, Ordering::SeqCst)
    }

    async fn job(&self) -> Result<(), keys::Error> {
        self.jobs.fetch_add(1, Ordering::SeqCst);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(keys::Error::Hsm(hsm::Error::Down("told so".to_owned())));
        }
        Ok(())
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        hmac::sign(&self.mac, &framed(parts)).as_ref().try_into().unwrap()
    }

    fn fingerprint_of(&self, generation: Generation, repository: RepositoryId, pan: &[u8]) -> Fingerprint {
        let repository = repository.0.to_be_bytes();
        Fingerprint(self.hmac(&[b"pan", &generation.0.to_be_bytes(), &repository, pan]))
    }

    /// The data key: the "KEK" over a wrapped key's random part.
    fn dek(&self, wrapped: &WrappedKey) -> LessSafeKey {
        let bytes: Vec<u8> = wrapped.0[8..].iter().zip(&self.kek).map(|(a, b)| a ^ b).collect();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).unwrap())
    }

    fn sealed_part(
        &self,
        dek: &WrappedKey,
        place: Place,
        kind: Compartment,
        revision: u32,
        text: &[u8],
    ) -> SealedCompartment {
        let mut iv = [0; 12];
        fill_random(&mut iv).unwrap();
        let mut sealed = text.to_vec();
        let aad = Aad::from(place.aad(kind, revision));
        self.dek(dek)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), aad, &mut sealed)
            .unwrap();
        SealedCompartment {
            compartment: kind,
            revision,
            part: SealedPart {
                iv: iv.to_vec(),
                text: sealed,
            },
        }
    }
}

impl Sealer for SoftSealer {
    fn seal<'a>(
        &'a self,
        place: Place,
        pan: Option<(Generation, &'a Pan)>,
        compartments: Vec<(Compartment, SecretBytes)>,
    ) -> Fut<'a, (Option<Fingerprint>, Sealed)> {
        Box::pin(async move {
            self.job().await?;
            self.seals.fetch_add(1, Ordering::SeqCst);
            let mut wrapped = vec![0; 40];
            fill_random(&mut wrapped).unwrap();
            let dek = WrappedKey(wrapped);
            let compartments = compartments
                .iter()
                .map(|(kind, text)| self.sealed_part(&dek, place, *kind, 1, text.expose()))
                .collect();
            let fingerprint =
                pan.map(|(generation, pan)| self.fingerprint_of(generation, place.repository, pan.expose().as_bytes()));
            let epoch = self.active_epoch();
            Ok((
                fingerprint,
                Sealed {
                    epoch,
                    dek,
                    compartments,
                },
            ))
        })
    }

    fn open<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        which: &'a [Compartment],
    ) -> Fut<'a, Vec<Option<SecretBytes>>> {
        Box::pin(async move {
            self.opening(sealed)?;
            self.job().await?;
            let mut texts = Vec::new();
            for kind in which {
                let Some(there) = sealed.compartment(*kind) else {
                    texts.push(None);
                    continue;
                };
                self.opened.lock().unwrap().push(*kind);
                let nonce = Nonce::try_assume_unique_for_key(&there.part.iv).unwrap();
                let aad = Aad::from(place.aad(*kind, there.revision));
                let mut text = there.part.text.clone();
                let opened = self
                    .dek(&sealed.dek)
                    .open_in_place(nonce, aad, &mut text)
                    .map_err(|_| keys::Error::Tampered)?;
                texts.push(Some(SecretBytes::new(opened.to_vec())));
            }
            Ok(texts)
        })
    }

    fn open_jwe(&self, _: Generation, encrypted_key: Vec<u8>, content: Boxed) -> Fut<'_, Option<SecretBytes>> {
        Box::pin(async move {
            self.job().await?;
            let n = &self.transport_public.n;
            if encrypted_key.len() != n.len() || encrypted_key >= *n {
                return Ok(None);
            }
            let padded = modpow(&encrypted_key, &hex(TRANSPORT_PRIVATE), n);
            Ok(open_padded(&padded, n.len(), &content))
        })
    }

    fn open_locker(&self, _: Vec<u8>, _: Boxed) -> Fut<'_, Option<SecretBytes>> {
        Box::pin(async { Err(keys::Error::Hsm(hsm::Error::Malformed("no such key here".to_owned()))) })
    }

    fn sign_locker(&self, _: SecretBytes) -> Fut<'_, Vec<u8>> {
        Box::pin(async { Err(keys::Error::Hsm(hsm::Error::Malformed("no such key here".to_owned()))) })
    }

    fn sign_platform(&self, _: SecretBytes) -> Fut<'_, Vec<u8>> {
        Box::pin(async { Err(keys::Error::Hsm(hsm::Error::Malformed("no such key here".to_owned()))) })
    }

    fn reseal<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        compartment: Compartment,
        text: SecretBytes,
    ) -> Fut<'a, Sealed> {
        Box::pin(async move {
            self.opening(sealed)?;
            self.job().await?;
            let revision = sealed.compartment(compartment).map_or(0, |there| there.revision) + 1;
            let mut resealed = sealed.clone();
            resealed.compartments.retain(|there| there.compartment != compartment);
            let part = self.sealed_part(&sealed.dek, place, compartment, revision, text.expose());
            resealed.compartments.push(part);
            Ok(resealed)
        })
    }

    fn rewrap<'a>(&'a self, place: Place, sealed: &'a Sealed) -> Fut<'a, Sealed> {
        Box::pin(async move {
            // what does not open cannot be moved: the HSM finds that out by the wrapped key
            let kinds: Vec<Compartment> = sealed.compartments.iter().map(|there| there.compartment).collect();
            self.open(place, sealed, &kinds).await?;
            let mut moved = sealed.clone();
            moved.epoch = self.active_epoch();
            Ok(moved)
        })
    }

    fn advance(&self) -> Pin<Box<dyn Future<Output = Result<Epoch, NotMoved>> + Send + '_>> {
        Box::pin(async move {
            self.job().await.map_err(NotMoved::Keys)?;
            match self.epoch.load(Ordering::SeqCst) {
                SOFT_EPOCHS => Err(NotMoved::Refused(Refused::NoneLeft)),
                _ => Ok(Epoch(self.epoch.fetch_add(1, Ordering::SeqCst) + 1)),
            }
        })
    }

    fn active_epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    fn not_after(&self) -> Option<UnixMillis> {
        None
    }

    fn epochs(&self) -> Vec<(Epoch, EpochState)> {
        let destroyed = self.destroyed.load(Ordering::SeqCst);
        (1..=SOFT_EPOCHS)
            .map(|epoch| match epoch <= destroyed {
                true => (Epoch(epoch), EpochState::Destroyed),
                false => (Epoch(epoch), EpochState::of(Epoch(epoch), self.active_epoch())),
            })
            .collect()
    }

    fn fingerprint<'a>(
        &'a self,
        generation: Generation,
        repository: RepositoryId,
        pan: &'a Pan,
    ) -> Fut<'a, Fingerprint> {
        Box::pin(async move {
            self.job().await?;
            Ok(self.fingerprint_of(generation, repository, pan.expose().as_bytes()))
        })
    }

    fn refingerprint<'a>(&'a self, generation: Generation, place: Place, sealed: &'a Sealed) -> Fut<'a, Fingerprint> {
        Box::pin(async move {
            let opened = self.open(place, sealed, &[Compartment::Pan]).await?;
            // the worker keeps the number to itself: it was not opened for anybody
            self.opened.lock().unwrap().pop();
            let pan = opened.into_iter().next().flatten().ok_or(keys::Error::Tampered)?;
            Ok(self.fingerprint_of(generation, place.repository, pan.expose()))
        })
    }

    fn mac<'a>(&'a self, domain: &'a str, bytes: SecretBytes) -> Fut<'a, [u8; 32]> {
        Box::pin(async move {
            self.job().await?;
            Ok(self.hmac(&[b"mac", domain.as_bytes(), bytes.expose()]))
        })
    }

    fn mac_under<'a>(&'a self, generation: Generation, domain: &'a str, bytes: &'a SecretBytes) -> Fut<'a, [u8; 32]> {
        Box::pin(async move {
            self.job().await?;
            let number = generation.0.to_be_bytes();
            Ok(self.hmac(&[b"mac under", &number, domain.as_bytes(), bytes.expose()]))
        })
    }

    fn sign<'a>(&'a self, domain: &'a str, message: &'a [u8], _: &'a PublicKey) -> Fut<'a, Vec<u8>> {
        Box::pin(async move {
            self.job().await?;
            Ok(self.audit.sign(&signed_form(domain, message)).as_ref().to_vec())
        })
    }

    fn audit_public(&self) -> &PublicKey {
        &self.audit_public
    }

    fn transport_publics(&self) -> Vec<(Generation, TransportPublic)> {
        vec![(Generation::FIRST, self.transport_public.clone())]
    }

    fn generation(&self, role: Rotated) -> Generation {
        Generation(match role {
            Rotated::Fingerprint => self.generation.load(Ordering::SeqCst),
            Rotated::Audit | Rotated::Transport => 1,
        })
    }

    fn states(&self, role: Rotated) -> Vec<KeyState> {
        let active = self.generation(role).0;
        (1..=SOFT_GENERATIONS)
            .map(|generation| KeyState {
                generation,
                state: EpochState::of(Epoch(generation), Epoch(active)),
                until: None,
            })
            .collect()
    }

    fn handovers(&self) -> Vec<Handover> {
        Vec::new()
    }

    fn next_fingerprint(&self) -> Step<'_> {
        Box::pin(async move {
            self.job().await.map_err(NotMoved::Keys)?;
            match self.generation.load(Ordering::SeqCst) {
                SOFT_GENERATIONS => Err(NotMoved::NotMade(Rotated::Fingerprint)),
                _ => Ok(Generation(self.generation.fetch_add(1, Ordering::SeqCst) + 1)),
            }
        })
    }

    fn next_transport(&self) -> Step<'_> {
        Box::pin(async { Err(NotMoved::NotMade(Rotated::Transport)) })
    }

    fn next_audit(&self) -> Step<'_> {
        Box::pin(async { Err(NotMoved::NotMade(Rotated::Audit)) })
    }

    fn uses(&self) -> &Uses {
        &self.uses
    }
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}
