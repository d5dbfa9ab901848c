//! The verbs over a store in memory and keys in software. The HSM itself is tested where it runs.

mod batch;
mod faults;
mod idempotency;
mod lifecycle;
mod reveal;
mod search;
mod tokenize;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::accounts::{AccountStatus, Accounts, AdminActor, CredentialKind, NewCredential, NewMerchant};
use super::events::Events;
use super::policy::Policy;
use super::sealer::Fut;
use super::types::{Dialect, Format, NewToken, Peer, Profile, Reuse, Status, Tokenized, Uses};
use super::*;
use crate::card::{Expiry, Pan};
use crate::hsm::{self, Epoch, PublicKey, SealedPart, WrappedKey, framed, signed_form};
use crate::id::{MerchantId, RequestId, Revision, fill_random};
use crate::keys::{self, Compartment, Fingerprint, Place, Sealed, SealedCompartment, SecretBytes};
use crate::store::memory::MemoryStore;
use crate::store::{self, Depth, Health, Key, Page};

pub(super) const VISA: &str = "4111111111111111";
pub(super) const MASTERCARD: &str = "5555555555554444";
pub(super) const AMEX: &str = "378282246310005";

/// A vault, and the parts a test looks behind.
pub(super) struct Rig {
    pub(super) vault: Arc<Vault>,
    pub(super) actor: Actor,
    pub(super) store: Arc<TestStore>,
    pub(super) sealer: Arc<SoftSealer>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(Arc::new(SoftSealer::new())).await
    }

    /// With a store of its own.
    pub(super) async fn with(sealer: Arc<SoftSealer>) -> Self {
        let store = Arc::new(TestStore::default());
        let metrics = Metrics::new().unwrap();
        let accounts = Accounts::load(store.clone()).await.unwrap();
        let peer = Peer {
            uid: 1000,
            gid: 1000,
            pid: None,
        };
        let admin = AdminActor { peer };
        let merchant = MerchantId::parse("shop").unwrap();
        let new = NewMerchant {
            id: merchant.clone(),
            name: "Shop".to_owned(),
            dialects: BTreeSet::from([Dialect::Native]),
            repository: None,
            test: true,
        };
        assert_eq!(
            accounts.add_merchant(admin, new).await.unwrap().status,
            AccountStatus::Active
        );
        let credential = NewCredential {
            merchant,
            dialect: Dialect::Native,
            kind: CredentialKind::ApiKey,
            expires_at: None,
        };
        let secret = accounts.add_credential(admin, credential).await.unwrap().secret;
        let events = Arc::new(Events::new(store.clone()));
        let access = Access::new(
            accounts,
            Policy::dev(1000),
            AccessConfig::default(),
            events,
            metrics.clone(),
        )
        .unwrap();
        let header = format!("Bearer {}", secret.expose_secret());
        let request = RequestId::parse("req_test").unwrap();
        let actor = access
            .authenticate_bearer(peer, Dialect::Native, request, Some(&header))
            .unwrap();
        let bins = Arc::new(RwLock::new(Arc::new(BinTable::built_in())));
        let vault = Vault::assemble(
            VaultId::random().unwrap(),
            store.clone(),
            sealer.clone(),
            access,
            bins,
            metrics,
        );
        Self {
            vault,
            actor,
            store,
            sealer,
        }
    }

    /// The same store and keys after a restart: nothing of the old process is left.
    pub(super) async fn restarted(&self) -> Self {
        let fresh = Self::new().await;
        let bins = Arc::new(RwLock::new(Arc::new(BinTable::built_in())));
        let Ok(parts) = Arc::try_unwrap(fresh.vault) else {
            panic!("a new vault is shared")
        };
        let vault = Vault::assemble(
            self.vault.id.clone(),
            self.store.clone(),
            self.sealer.clone(),
            parts.access,
            bins,
            parts.metrics,
        );
        Self {
            vault,
            actor: self.actor.clone(),
            store: Arc::clone(&self.store),
            sealer: Arc::clone(&self.sealer),
        }
    }

    pub(super) async fn create(&self, new: NewToken) -> View {
        match self.vault.tokenize(&self.actor, new).await.unwrap() {
            Tokenized::Created(view) => view,
            Tokenized::Reused(view) => panic!("reused {}", view.token),
        }
    }

    /// `action outcome` of all audit events of the verbs, oldest first.
    pub(super) async fn events(&self) -> Vec<String> {
        let lines = self.store.audit(1, 10_000).await.unwrap();
        lines
            .iter()
            .map(|line| serde_json::from_slice::<serde_json::Value>(&line.line).unwrap())
            .map(|line| {
                let text = |name: &str| line["event"][name].as_str().unwrap().to_owned();
                format!("{} {}", text("action"), text("outcome"))
            })
            .filter(|event| !event.starts_with("merchant") && !event.starts_with("credential"))
            .collect()
    }

    /// All keys of the verbs' tables.
    pub(super) async fn keys(&self) -> Vec<Key> {
        let from = std::ops::Bound::Included(Key(vec![RECORD_TABLE]));
        let to = std::ops::Bound::Excluded(Key(vec![0x20]));
        let page = self.store.scan(Part::default(), from, to, 10_000).await.unwrap();
        assert!(page.next.is_none());
        page.items.into_iter().map(|(key, _)| key).collect()
    }
}

pub(super) fn token(text: &str) -> Token {
    Token::parse(text).unwrap()
}

/// A card as the simplest caller hands it in.
pub(super) fn card(pan: &str) -> NewToken {
    NewToken {
        pan: Pan::parse(pan).unwrap(),
        expiry: Some(Expiry::new(12, 2030).unwrap()),
        profile: profile(Some("Ada Lovelace"), None),
        format: Format::Opaque,
        reuse: Reuse::Never,
        namespace: None,
        metadata: None,
        expires_at: None,
        uses: Uses::Multi,
        idempotency: None,
    }
}

pub(super) fn profile(holder: Option<&str>, extra: Option<&str>) -> Profile {
    let text = |text: &str| Zeroizing::new(text.to_owned());
    Profile {
        holder: holder.map(text),
        extra: extra.map(text),
    }
}

pub(super) fn return_within(scope: &str) -> Reuse {
    Reuse::Return {
        scope: scope.as_bytes().to_vec(),
    }
}

/// The error of a result whose value cannot be printed.
pub(super) fn error<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("it was done"),
        Err(error) => error,
    }
}

pub(super) fn field(result: Result<impl Sized, Error>) -> &'static str {
    match error(result) {
        Error::Caller(CallerError::Field { field, .. }) => field,
        other => panic!("{other}"),
    }
}

/// The store in memory, and the faults it is told to have.
#[derive(Default)]
pub(super) struct TestStore {
    inner: MemoryStore,
    faults: Mutex<Vec<Fault>>,
    commits: AtomicUsize,
    last: Mutex<Commit>,
}

/// What the next commit meets.
pub(super) enum Fault {
    /// It happens, but the answer is lost.
    AnswerLost,
    /// It does not happen.
    Refused(store::Error),
    /// It happens after this one.
    Behind(Commit),
}

impl TestStore {
    pub(super) fn next_commit(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub(super) fn last_commit(&self) -> Commit {
        self.last.lock().unwrap().clone()
    }

    pub(super) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Store for TestStore {
    fn commit(&self, commit: Commit) -> store::Fut<'_, Outcome> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.last.lock().unwrap().clone_from(&commit);
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Box::pin(async move {
            // a caller that goes on while this waits is what races are made of
            tokio::task::yield_now().await;
            match fault {
                None => self.inner.commit(commit).await,
                Some(Fault::AnswerLost) => {
                    self.inner.commit(commit).await?;
                    Err(store::Error::OutcomeUnknown)
                }
                Some(Fault::Refused(error)) => Err(error),
                Some(Fault::Behind(first)) => {
                    self.inner.commit(first).await?;
                    self.inner.commit(commit).await
                }
            }
        })
    }

    fn get(&self, part: Part, key: &Key) -> store::Fut<'_, Option<Versioned>> {
        let key = key.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.inner.get(part, &key).await
        })
    }

    fn scan(
        &self,
        part: Part,
        from: std::ops::Bound<Key>,
        to: std::ops::Bound<Key>,
        limit: u32,
    ) -> store::Fut<'_, Page> {
        self.inner.scan(part, from, to, limit)
    }

    fn audit(&self, from: u64, limit: u32) -> store::Fut<'_, Vec<store::AuditLine>> {
        self.inner.audit(from, limit)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn verify(&self, depth: Depth) -> store::Fut<'_, store::Report> {
        self.inner.verify(depth)
    }

    fn close(&self) -> store::Fut<'_, ()> {
        self.inner.close()
    }
}

/// Keys in software that bind and detect as the HSM does, and count their jobs.
pub(super) struct SoftSealer {
    kek: [u8; 32],
    mac: hmac::Key,
    audit: Ed25519KeyPair,
    audit_public: PublicKey,
    down: AtomicBool,
    seals: AtomicUsize,
    /// Which compartments were opened, in order.
    opened: Mutex<Vec<Compartment>>,
}

impl SoftSealer {
    fn new() -> Self {
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

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(super) fn seals(&self) -> usize {
        self.seals.load(Ordering::SeqCst)
    }

    /// What was opened since the last time this was asked.
    pub(super) fn opened(&self) -> Vec<Compartment> {
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
