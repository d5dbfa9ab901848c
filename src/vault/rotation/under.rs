//! An entry of the store with its sealed part put under another KEK epoch, and nothing else changed.

use crate::hsm::Epoch;
use crate::keys::{Place, Sealed};
use crate::store::Key;
use crate::vault::documents::{Address, Row};
use crate::vault::record::Record;
use crate::vault::sealer::Fut;
use crate::vault::tables;
use crate::vault::types::{Error, IntegrityError};

/// What puts a sealed part under the epoch.
pub(super) trait Put: Send + Sync {
    /// The same under the epoch.
    fn put<'a>(&'a self, place: Place, sealed: &'a Sealed) -> Fut<'a, Sealed>;
}

/// The entry's value under the epoch `to`; `None` where it is there already, or has no sealed part.
///
/// # Errors
/// [`IntegrityError`]: it cannot be read, or does not open; or the HSM's.
pub(super) async fn under(key: &Key, value: &[u8], to: Epoch, by: &dyn Put) -> Result<Option<Vec<u8>>, Error> {
    match key.0.first() {
        Some(&tables::RECORD) => record(key, value, to, by).await,
        _ => document(key, value, to, by).await,
    }
}

async fn record(key: &Key, value: &[u8], to: Epoch, by: &dyn Put) -> Result<Option<Vec<u8>>, Error> {
    let (repository, token) = tables::owner_of(key, value).ok_or(IntegrityError::Damaged)?;
    let mut record = Record::decode(value, repository, &token)?;
    if record.sealed.is_none() {
        return Ok(None);
    }
    let sealed = record.sealed()?;
    if sealed.epoch == to {
        return Ok(None);
    }
    record.sealed = Some(by.put(record.place(), &sealed).await?.encode());
    Ok(Some(record.encode()?))
}

async fn document(key: &Key, value: &[u8], to: Epoch, by: &dyn Put) -> Result<Option<Vec<u8>>, Error> {
    let address = Address::parse(key).ok_or(IntegrityError::Damaged)?;
    let mut row = Row::decode(value, &address)?;
    let Some(secret) = &mut row.sealed else {
        return Ok(None);
    };
    let sealed = Sealed::decode(&secret.sealed)?;
    if sealed.epoch == to {
        return Ok(None);
    }
    secret.sealed = by.put(secret.place(), &sealed).await?.encode();
    Ok(Some(row.encode()?))
}
