//! Documents against their expiry index.

use super::{Check, hex};
use crate::store::{Error, Key, Part, Versioned};
use crate::vault::documents::{Address, Row};
use crate::vault::types::IntegrityError;

impl Check<'_> {
    /// The document reads, belongs where it stands, and is in the expiry index if it expires.
    pub(super) async fn document(&mut self, key: &Key, found: &Versioned) -> Result<(), Error> {
        let Some(address) = Address::parse(key) else {
            self.fault(format!("document {}: there is no such key", hex(key)));
            return Ok(());
        };
        let row = match Row::decode(&found.value, &address) {
            Ok(row) => row,
            Err(error) => {
                self.fault(format!("{}: {error}", named(&address)));
                return Ok(());
            }
        };
        let Some(at) = row.expires_at else {
            return Ok(());
        };
        let entry = self.store.get(Part::default(), &address.expiry_key(at)).await?;
        if entry.is_none() && self.unchanged(key, found.rev).await? {
            self.fault(format!("{}: is not in the expiry index", named(&address)));
        }
        Ok(())
    }

    /// The document that the entry is about expires when the entry says.
    pub(super) async fn document_expiry(&mut self, key: &Key, found: &Versioned) -> Result<(), Error> {
        let Some((at, address)) = Address::parse_expiry(key) else {
            self.fault(format!("document expiry index: {} names no document", hex(key)));
            return Ok(());
        };
        let held = self.store.get(Part::default(), &address.key()).await?;
        let what = match held.map(|held| Row::decode(&held.value, &address)) {
            Some(Ok(row)) if row.expires_at == Some(at) => return Ok(()),
            // told with the documents
            Some(Err(
                IntegrityError::Damaged
                | IntegrityError::KekDestroyed { .. }
                | IntegrityError::KekLeft { .. }
                | IntegrityError::NewerFormat
                | IntegrityError::Tampered,
            )) => {
                return Ok(());
            }
            Some(Ok(_)) => "which says otherwise",
            None => "which is not there",
        };
        if self.unchanged(key, found.rev).await? {
            self.fault(format!("document expiry index: names {}, {what}", named(&address)));
        }
        Ok(())
    }
}

/// For people. A name may be a text of a merchant's client, so it is not shown.
pub(in crate::vault) fn named(address: &Address) -> String {
    format!("document {} of merchant {}", hex(&address.key()), address.merchant)
}
