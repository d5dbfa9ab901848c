//! A token on its way: what is known of it before it is stored.

use ring::digest::{Context, SHA256};

use crate::card::BinTable;
use crate::id::{Revision, Token, UnixMillis};
use crate::keys::{Compartment, Fingerprint, Place, Sealed, SecretBytes};
use crate::store::Key;
use crate::vault::format::Candidates;
use crate::vault::idempotency::Claim;
use crate::vault::record::{Record, Shown, Strategy};
use crate::vault::tables::{self, PanIndex};
use crate::vault::types::{Actor, Error, NewToken, Reuse, Status, Uses};

/// A token on its way, over several attempts.
pub(super) struct Making<'a> {
    pub(super) actor: &'a Actor,
    pub(super) new: &'a NewToken,
    pub(super) bins: &'a BinTable,
    pub(super) candidates: Candidates<'a>,
    pub(super) claim: Option<Claim>,
    pub(super) fingerprint: Fingerprint,
    /// The unique key that makes the card the same.
    pub(super) reuse: Option<[u8; 16]>,
    /// The token and what is sealed for it, once they are needed. Serves every attempt until another takes the token.
    pub(super) draft: Option<Draft>,
    /// Whether the card is looked for before it is stored. Where most cards are new, the commit's conditions are enough.
    pub(super) look_first: bool,
}

/// A record's parts that are bound to each other.
pub(super) struct Draft {
    pub(super) token: Token,
    pub(super) place: Place,
    pub(super) sealed: Sealed,
}

/// What a token takes beside its own name; chosen anew in every attempt.
pub(super) struct Names {
    /// Its second name.
    pub(super) alias: Option<Token>,
    /// Its place in its namespace.
    pub(super) slot: Option<u8>,
}

impl Making<'_> {
    /// As [`Record::reuse_key`] of the record to be.
    pub(super) fn reuse_key(&self) -> Option<Key> {
        let (hash, pan) = (self.reuse?, PanIndex::of(&self.fingerprint));
        Some(tables::one_token(self.actor.repository, pan, &hash, self.is_personal()))
    }

    /// Whether it is a person's, which the sealed part says; then `reuse` is made of the person.
    pub(super) fn is_personal(&self) -> bool {
        self.reuse.is_some() && self.new.reuse.scope().is_none()
    }

    /// The record as it would be stored now.
    pub(super) fn record(&self, draft: &Draft, names: Names) -> Record {
        let Self { actor, new, .. } = self;
        let now = UnixMillis::now();
        Record {
            id: draft.place.record,
            repository: draft.place.repository,
            token: draft.token.clone(),
            merchant: actor.merchant.clone(),
            revision: Revision(1),
            status: Status::Active,
            uses: new.uses,
            strategy: Strategy::from(&new.format),
            shown: Shown::of(&new.pan, self.bins),
            expiry: new.expiry,
            namespace: new.namespace.clone(),
            metadata: new.metadata.clone(),
            created_at: now,
            updated_at: now,
            expires_at: new.expires_at,
            pan: PanIndex::of(&self.fingerprint),
            reuse: self.reuse,
            holder: new.profile.holder.is_some(),
            sealed: Some(draft.sealed.encode()),
            scope: new.reuse.scope().map(<[u8]>::to_vec),
            updated_by: Some(actor.merchant.clone()),
            verification: new.verification,
            replacement: None,
            alias: names.alias,
            slot: names.slot,
            renewed_by: new.terms.renewed_by,
            limited_updates: Vec::new(),
        }
    }
}

/// The plaintexts. Without holder and extras there is no profile compartment.
pub(super) fn compartments(new: &NewToken) -> Result<Vec<(Compartment, SecretBytes)>, Error> {
    let mut parts = vec![(Compartment::Pan, SecretBytes::new(new.pan.expose().as_bytes().to_vec()))];
    if !new.profile.is_empty() {
        parts.push((Compartment::Profile, new.profile.encode()?));
    }
    Ok(parts)
}

/// What is unique within a scope. `uses` is part of it, so that a caller who asks for a single-use token never gets one
/// that others hold for good. Nobody can make it from a PAN without the HSM.
pub(in crate::vault) fn reuse_hash(fingerprint: &Fingerprint, scope: &[u8], uses: Uses) -> [u8; 16] {
    let mut hash = Context::new(&SHA256);
    hash.update(&fingerprint.0);
    hash.update(match uses {
        Uses::Multi => b"multi/",
        Uses::Single => b"single/",
    });
    hash.update(scope);
    tables::half(hash.finish().as_ref())
}

impl Reuse {
    /// What, beside repository and PAN, makes a card the same; none where nothing does.
    pub(super) fn scope(&self) -> Option<&[u8]> {
        match self {
            Self::Never => None,
            Self::Return { scope } | Self::Refuse { scope } => Some(scope),
        }
    }
}
