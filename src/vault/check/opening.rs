//! What is sealed, opened: whether it is what the record or the document shows.

use std::time::Duration;

use tokio::time::Instant;

use crate::hsm;
use crate::keys::{self, Compartment, Place, Sealed};
use crate::vault::record::Record;
use crate::vault::reveal::read_pan;
use crate::vault::sealer::{Fut, Sealer};
use crate::vault::tables::PanIndex;
use crate::vault::tokenize::reuse_hash;
use crate::vault::types::{Error, IntegrityError, Profile};

/// How long a busy HSM is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the HSM said.
pub(super) enum Opened {
    /// It opened, and this is wrong with it.
    Yes(Option<&'static str>),
    /// Its KEK was destroyed.
    Dead,
    /// Its KEK is in an HSM that the vault has left.
    Left,
}

/// What is to be opened.
pub(super) enum Closed {
    Card(Box<Record>),
    Document(Place, Sealed),
}

impl Closed {
    /// Opens it.
    pub(super) async fn open(&self, sealer: &dyn Sealer) -> Result<Opened, Error> {
        let opened = match self {
            Self::Card(record) => card(sealer, record).await,
            Self::Document(place, sealed) => document(sealer, place, sealed).await,
        };
        match opened {
            Err(Error::Integrity(IntegrityError::KekDestroyed { .. })) => Ok(Opened::Dead),
            Err(Error::Integrity(IntegrityError::KekLeft { .. })) => Ok(Opened::Left),
            opened => opened.map(Opened::Yes),
        }
    }
}

/// What is wrong with a document.
async fn document(sealer: &dyn Sealer, place: &Place, sealed: &Sealed) -> Result<Option<&'static str>, Error> {
    match patiently(|| sealer.open(*place, sealed, &[Compartment::Profile])).await {
        Ok(_) => Ok(None),
        Err(keys::Error::Tampered) => Ok(Some(TAMPERED)),
        Err(error) => Err(error.into()),
    }
}

/// What is wrong with a card.
async fn card(sealer: &dyn Sealer, record: &Record) -> Result<Option<&'static str>, Error> {
    let Ok(sealed) = record.sealed() else {
        return Ok(Some("its sealed part is damaged"));
    };
    let which = [Compartment::Pan, Compartment::Profile];
    let opened = patiently(|| sealer.open(record.place(), &sealed, &which)).await;
    let mut texts = match opened {
        Ok(texts) => texts.into_iter(),
        Err(keys::Error::Tampered) => return Ok(Some(TAMPERED)),
        Err(error) => return Err(error.into()),
    };
    let Some(pan) = texts.next().flatten().and_then(|text| read_pan(&text, record).ok()) else {
        return Ok(Some("the card in it is not the one that it shows"));
    };
    if let Some(text) = texts.next().flatten()
        && Profile::decode(&text).is_err()
    {
        return Ok(Some("its profile cannot be read"));
    }
    let fingerprint = patiently(|| sealer.fingerprint(record.generation, record.repository, &pan)).await?;
    if PanIndex::of(&fingerprint) != record.pan {
        return Ok(Some("it is found by another card's fingerprint"));
    }
    let other = record.reuse.zip(record.scope.as_ref());
    if other.is_some_and(|(hash, scope)| hash != reuse_hash(&fingerprint, scope, record.uses)) {
        return Ok(Some("it is reused for another card than its own"));
    }
    Ok(None)
}

const TAMPERED: &str = "it does not open: its key or its ciphertext was changed, or belongs elsewhere";

/// Asks again while the HSM has no time: callers go first.
async fn patiently<'a, T>(ask: impl Fn() -> Fut<'a, T>) -> Result<T, keys::Error> {
    let since = Instant::now();
    loop {
        match ask().await {
            Err(keys::Error::Hsm(hsm::Error::Busy | hsm::Error::Deadline)) if since.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
}
