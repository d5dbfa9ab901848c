//! A token's record as it is stored: one version byte, then postcard. Numbers of few digits and absent fields take one
//! byte, so a record is little more than its ciphertexts.

mod shown;

use serde::{Deserialize, Serialize};

pub(super) use self::shown::Shown;
use super::identity;
use super::tables::{self, PanIndex};
use super::types::{Error, Format, IntegrityError, Status, Uses, Verification, View};
use crate::card::Expiry;
use crate::hsm::Generation;
use crate::id::{MerchantId, Namespace, RecordId, RepositoryId, Revision, Token, UnixMillis};
use crate::keys::{Place, Sealed};
use crate::store::{Key, Write};

/// The format that this program writes. An older one is read, a newer one is refused.
const VERSION: u8 = 5;

/// The format that ends behind `limited_updates`.
const VERSION_4: u8 = 4;

/// As that, before persons' cards had an entry of their own kind.
const VERSION_3: u8 = 3;

/// The format that ends behind `replacement`.
const VERSION_2: u8 = 2;

/// The format that ends behind `sealed`.
const VERSION_1: u8 = 1;

/// The field that version 4 has not: the first fingerprint key.
const NOT_IN_VERSION_4: [u8; 1] = [1];

/// The five fields that version 2 has not, the others absent or empty.
const NOT_IN_VERSION_2: [u8; 5] = [0, 0, 0, 0, 1];

/// The nine that version 1 has not.
const NOT_IN_VERSION_1: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 1];

/// How a token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Strategy {
    Opaque,
    Preserve64,
    RandomLuhn,
    Supplied,
}

/// A token and what is known of its card. The order of the fields is the stored order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: RecordId,
    pub(super) repository: RepositoryId,
    pub(super) token: Token,
    /// Who made it.
    pub(super) merchant: MerchantId,
    pub(super) revision: Revision,
    pub(super) status: Status,
    pub(super) uses: Uses,
    pub(super) strategy: Strategy,
    pub(super) shown: Shown,
    pub(super) expiry: Option<Expiry>,
    pub(super) namespace: Option<Namespace>,
    pub(super) metadata: Option<String>,
    pub(super) created_at: UnixMillis,
    pub(super) updated_at: UnixMillis,
    /// Its own end; [`Vault::ends_at`](super::Vault::ends_at) is the one that counts.
    pub(super) expires_at: Option<UnixMillis>,
    pub(super) pan: PanIndex,
    /// What the key is made of under which this token is the one of its card.
    pub(super) reuse: Option<[u8; 16]>,
    /// The profile compartment has a holder, so a reveal opens it.
    pub(super) holder: bool,
    /// [`Sealed`] as it encodes itself; none once the token is spent.
    pub(super) sealed: Option<Vec<u8>>,
    /// What, beside repository and PAN, made the reuse key; a new PAN makes a new key with it. A person's card has none here:
    /// the person is named in the sealed part.
    pub(super) scope: Option<Vec<u8>>,
    /// Who changed it last; none: the account updater.
    pub(super) updated_by: Option<MerchantId>,
    /// How the card was checked.
    pub(super) verification: Option<Verification>,
    /// The token that takes over from this one.
    pub(super) replacement: Option<Token>,
    /// Its second name.
    pub(super) alias: Option<Token>,
    /// Its place among the limited number of its namespace.
    pub(super) slot: Option<u8>,
    /// A use in the second half of its life gives it so much life again, in milliseconds.
    pub(super) renewed_by: Option<u64>,
    /// When it was changed under a limit, as far as that still counts, oldest first.
    pub(super) limited_updates: Vec<UnixMillis>,
    /// Under which fingerprint key `pan` and `reuse` were made.
    pub(super) generation: Generation,
}

impl Record {
    pub(super) fn encode(&self) -> Result<Vec<u8>, IntegrityError> {
        postcard::to_extend(self, vec![VERSION]).map_err(|_| IntegrityError::Damaged)
    }

    /// Reads what stands under the record key of `repository` and `token`.
    ///
    /// A record of another place is [`IntegrityError::Tampered`].
    pub(super) fn decode(bytes: &[u8], repository: RepositoryId, token: &Token) -> Result<Self, IntegrityError> {
        let record = Self::parse(bytes)?;
        let here = record.repository == repository && record.token == *token;
        if !here || !identity::belongs(record.id, repository, token) {
            return Err(IntegrityError::Tampered);
        }
        Ok(record)
    }

    fn parse(bytes: &[u8]) -> Result<Self, IntegrityError> {
        match bytes.split_first() {
            Some((&VERSION, body)) => Self::read(body),
            Some((&(VERSION_4 | VERSION_3), body)) => Self::read(&[body, &NOT_IN_VERSION_4].concat()),
            Some((&VERSION_2, body)) => Self::read(&[body, &NOT_IN_VERSION_2].concat()),
            Some((&VERSION_1, body)) => Self::read(&[body, &NOT_IN_VERSION_1].concat()).map(Self::upgraded),
            Some((newer, _)) if *newer > VERSION => Err(IntegrityError::NewerFormat),
            _ => Err(IntegrityError::Damaged),
        }
    }

    fn read(body: &[u8]) -> Result<Self, IntegrityError> {
        match postcard::take_from_bytes(body) {
            Ok((record, [])) => Ok(record),
            _ => Err(IntegrityError::Damaged),
        }
    }

    /// A record of version 1 as the later ones would have it. Only the native dialect wrote that version: its scope is the
    /// namespace, and only merchants changed a record.
    fn upgraded(self) -> Self {
        let scope = |_| match &self.namespace {
            Some(namespace) => [b"namespace:", namespace.as_str().as_bytes()].concat(),
            None => Vec::new(),
        };
        Self {
            scope: self.reuse.map(scope),
            updated_by: Some(self.merchant.clone()),
            ..self
        }
    }

    /// What its ciphertexts are bound to.
    pub(super) fn place(&self) -> Place {
        Place {
            repository: self.repository,
            record: self.id,
        }
    }

    /// The sealed part of a token that is not spent.
    pub(super) fn sealed(&self) -> Result<Sealed, Error> {
        let bytes = self.sealed.as_ref().ok_or(IntegrityError::Damaged)?;
        Ok(Sealed::decode(bytes)?)
    }

    pub(super) fn key(&self) -> Key {
        tables::record(self.repository, &self.token)
    }

    /// The record and its index entries, as a new token needs them.
    pub(super) fn insertion(&self) -> Result<Vec<Write>, IntegrityError> {
        let mut writes = vec![Write::Put(self.key(), self.encode()?)];
        writes.extend(self.entries().into_iter().map(|(key, value)| Write::Put(key, value)));
        Ok(writes)
    }

    /// All entries that lead to it, with their values; the reuse key, where there is one, is the last.
    pub(super) fn entries(&self) -> Vec<(Key, Vec<u8>)> {
        let indexes = self.indexes().into_iter().map(|key| (key, Vec::new()));
        indexes.chain(self.places()).chain(self.reuse_entry()).collect()
    }

    /// The unique entries that stay as they are while it lives.
    fn places(&self) -> impl Iterator<Item = (Key, Vec<u8>)> {
        let value = tables::reuse_value(self.repository, &self.token);
        [self.alias_key(), self.slot_key()]
            .into_iter()
            .flatten()
            .map(move |key| (key, value.clone()))
    }

    /// Where its second name leads to it.
    pub(super) fn alias_key(&self) -> Option<Key> {
        let alias = self.alias.as_ref()?;
        Some(tables::alias(self.repository, alias))
    }

    /// Its place in its namespace.
    pub(super) fn slot_key(&self) -> Option<Key> {
        Some(tables::slot(self.repository, self.namespace.as_ref()?, self.slot?))
    }

    /// Where its card leads to it, if that has one token.
    pub(super) fn reuse_key(&self) -> Option<Key> {
        let hash = self.reuse?;
        Some(tables::one_token(self.repository, self.pan, &hash, self.is_personal()))
    }

    fn reuse_entry(&self) -> Option<(Key, Vec<u8>)> {
        let value = tables::reuse_value(self.repository, &self.token);
        self.reuse_key().map(|key| (key, value))
    }

    /// Whether it is a person's: then its reuse key is its entry of the PAN index.
    pub(super) fn is_personal(&self) -> bool {
        self.reuse.is_some() && self.scope.is_none()
    }

    /// Whether an entry is one of those that come and go with this record.
    pub(super) fn has(&self, key: &Key, value: &[u8]) -> bool {
        *key == tables::last_used(self.repository, &self.token)
            || self.entries().iter().any(|entry| entry.0 == *key && entry.1 == value)
    }

    /// Whether a key is its own, or of a unique entry of its.
    pub(super) fn leads_here(&self, key: &Key) -> bool {
        let unique = [Some(self.key()), self.alias_key(), self.slot_key(), self.reuse_key()];
        unique.iter().flatten().any(|one| one == key)
    }

    /// Removes all that [`Record::insertion`] wrote, and the time of last use.
    pub(super) fn removal(&self) -> Vec<Write> {
        let last_used = tables::last_used(self.repository, &self.token);
        [self.key(), last_used]
            .into_iter()
            .chain(self.indexes())
            .chain(self.places().map(|(key, _)| key))
            .chain(self.reuse_key())
            .map(Write::Del)
            .collect()
    }

    /// Turns `old` into this record: writes only what differs. A new reuse key must be [`Cond::Absent`] before.
    ///
    /// [`Cond::Absent`]: crate::store::Cond::Absent
    pub(super) fn replacement(&self, old: &Self) -> Result<Vec<Write>, IntegrityError> {
        let (before, after) = (old.indexes(), self.indexes());
        let mut writes = vec![Write::Put(self.key(), self.encode()?)];
        writes.extend(
            before
                .iter()
                .filter(|key| !after.contains(key))
                .cloned()
                .map(Write::Del),
        );
        writes.extend(
            after
                .iter()
                .filter(|key| !before.contains(key))
                .map(|key| Write::Put(key.clone(), Vec::new())),
        );
        if old.reuse_key() != self.reuse_key() {
            writes.extend(old.reuse_key().map(Write::Del));
            writes.extend(self.reuse_entry().map(|(key, value)| Write::Put(key, value)));
        }
        Ok(writes)
    }

    /// The entries without a value. A spent token is not found by its PAN: the card is gone.
    fn indexes(&self) -> Vec<Key> {
        let (repository, token) = (self.repository, &self.token);
        let pan =
            (self.status != Status::Spent && !self.is_personal()).then(|| tables::pan(repository, self.pan, token));
        let namespace = self
            .namespace
            .as_ref()
            .map(|name| tables::namespace(repository, name, token));
        let expiry = self.expires_at.map(|at| tables::expiry(at, repository, token));
        let updated = tables::updated(repository, self.updated_at, token);
        [Some(updated), pan, namespace, expiry].into_iter().flatten().collect()
    }

    /// The masked view.
    pub(super) fn view(&self, last_used_at: Option<UnixMillis>) -> View {
        View {
            token: self.token.clone(),
            bin: self.shown.bin.clone(),
            last4: self.shown.last4.clone(),
            masked: self.shown.masked(),
            brand: self.shown.brand.clone(),
            funding: self.shown.funding.clone(),
            country: self.shown.country.clone(),
            expiry: self.expiry,
            status: self.status,
            uses: self.uses,
            namespace: self.namespace.clone(),
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            updated_by: self.updated_by.clone(),
            verification: self.verification,
            replacement: self.replacement.clone(),
            alias: self.alias.clone(),
            last_used_at,
            expires_at: self.expires_at,
            revision: self.revision,
        }
    }
}

impl From<&Format> for Strategy {
    fn from(format: &Format) -> Self {
        match format {
            Format::Opaque => Self::Opaque,
            Format::Preserve64 => Self::Preserve64,
            Format::RandomLuhn => Self::RandomLuhn,
            Format::Supplied(_) => Self::Supplied,
        }
    }
}

#[cfg(test)]
mod tests;
