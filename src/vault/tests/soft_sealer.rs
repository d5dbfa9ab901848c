//! The HSM's work in software.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::card::Pan;
use crate::hsm::{self, Epoch, PublicKey, SealedPart, WrappedKey, framed, signed_form};
use crate::id::{RepositoryId, fill_random};
use crate::keys::{self, Compartment, Fingerprint, Place, Sealed, SealedCompartment, SecretBytes};
use crate::vault::sealer::{Fut, Sealer};
/// Keys in software that bind and detect as the HSM does, and count their jobs.
pub(crate) struct SoftSealer {
    kek: [u8; 32],
    mac: hmac::Key,
    audit: Ed25519KeyPair,
    pub(crate) audit_public: PublicKey,
    down: AtomicBool,
    seals: AtomicUsize,
    /// Which compartments were opened, in order.
    opened: Mutex<Vec<Compartment>>,
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
            down: AtomicBool::new(false),
            seals: AtomicUsize::new(0),
            opened: Mutex::default(),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn seals(&self) -> usize {
        self.seals.load(Ordering::SeqCst)
    }

    /// What was opened since the last time this was asked.
    pub(crate) fn opened(&self) -> Vec<Compartment> {
        std::mem::take(&mut self.opened.lock().unwrap())
    }

    async fn job(&self) -> Result<(), keys::Error> {
        tokio::task::yield_now().await;
        if self.down.load(Ordering::SeqCst) {
            return Err(keys::Error::Hsm(hsm::Error::Down("told so".to_owned())));
        }
        Ok(())
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        hmac::sign(&self.mac, &framed(parts)).as_ref().try_into().unwrap()
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
        pan: Option<&'a Pan>,
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
            let fingerprint = match pan {
                Some(pan) => Some(self.fingerprint(place.repository, pan).await?),
                None => None,
            };
            let epoch = Epoch(1);
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

    fn reseal<'a>(
        &'a self,
        place: Place,
        sealed: &'a Sealed,
        compartment: Compartment,
        text: SecretBytes,
    ) -> Fut<'a, Sealed> {
        Box::pin(async move {
            self.job().await?;
            let revision = sealed.compartment(compartment).map_or(0, |there| there.revision) + 1;
            let mut resealed = sealed.clone();
            resealed.compartments.retain(|there| there.compartment != compartment);
            let part = self.sealed_part(&sealed.dek, place, compartment, revision, text.expose());
            resealed.compartments.push(part);
            Ok(resealed)
        })
    }

    fn fingerprint<'a>(&'a self, repository: RepositoryId, pan: &'a Pan) -> Fut<'a, Fingerprint> {
        Box::pin(async move {
            self.job().await?;
            let repository = repository.0.to_be_bytes();
            Ok(Fingerprint(self.hmac(&[b"pan", &repository, pan.expose().as_bytes()])))
        })
    }

    fn mac<'a>(&'a self, domain: &'a str, bytes: SecretBytes) -> Fut<'a, [u8; 32]> {
        Box::pin(async move {
            self.job().await?;
            Ok(self.hmac(&[b"mac", domain.as_bytes(), bytes.expose()]))
        })
    }

    fn sign<'a>(&'a self, domain: &'a str, message: &'a [u8]) -> Fut<'a, Vec<u8>> {
        Box::pin(async move {
            self.job().await?;
            Ok(self.audit.sign(&signed_form(domain, message)).as_ref().to_vec())
        })
    }

    fn audit_public(&self) -> &PublicKey {
        &self.audit_public
    }
}
