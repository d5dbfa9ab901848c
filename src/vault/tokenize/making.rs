//! A token on its way: what is known of it before it is stored.

use ring::digest::{Context, SHA256};

use crate::card::{BinTable, Pan};
use crate::hsm::Generation;
use crate::id::{Revision, Token, UnixMillis};
use crate::keys::{Compartment, Fingerprint, Place, Sealed, SecretBytes};
use crate::store::Key;
use crate::vault::Held;
use crate::vault::format::Candidates;
use crate::vault::idempotency::Claim;
use crate::vault::record::{Record, Shown, Strategy};
use crate::vault::refingerprint::CardPrints;
use crate::vault::tables::{self, PanIndex};
use crate::vault::types::{Actor, Error, IntegrityError, NewToken, Profile, Reuse, Status, Uses};

/// A token on its way, over several attempts.
pub(super) struct Making<'a> {
    pub(super) actor: &'a Actor,
    pub(super) new: &'a NewToken,
    pub(super) bins: &'a BinTable,
    pub(super) candidates: Candidates<'a>,
    pub(super) claim: Option<Claim>,
    /// The card as it is found.
    pub(super) prints: CardPrints,
    /// What, beside repository and PAN, makes the card the same, where anything does.
    pub(super) scope: Option<SecretBytes>,
    /// The token and what is sealed for it, once they are needed. Serves every attempt until another takes the token.
    pub(super) draft: Option<Draft>,
    /// Whether the card is looked for before it is stored. Where most cards are new, the commit's conditions are enough.
    pub(super) look_first: bool,
    /// Records that it takes the place of: their cards open nowhere any more.
    pub(super) dead: Vec<Held>,
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
    /// Under which keys the card's one token may stand: as [`Record::reuse_key`] of the record to be, and as of one that is
    /// found under an older fingerprint key.
    pub(super) fn reuse_keys(&self) -> Vec<Key> {
        let Some(scope) = &self.scope else {
            return Vec::new();
        };
        self.prints
            .one_token(self.actor.repository, scope, self.new.uses, self.is_personal())
    }

    /// What makes the card the same, made of its fingerprint under that key.
    pub(super) fn reuse(&self, under: Generation) -> Option<[u8; 16]> {
        let scope = self.scope.as_ref()?;
        let made = self.prints.made.iter().find(|(generation, _)| *generation == under);
        made.map(|(_, fingerprint)| reuse_hash(fingerprint, scope.expose(), self.new.uses))
    }

    /// Whether it is a person's, which the sealed part says; then the scope is made of the person.
    pub(super) fn is_personal(&self) -> bool {
        self.scope.is_some() && self.new.reuse.scope().is_none()
    }

    /// The record as it would be stored now.
    pub(super) fn record(&self, draft: &Draft, names: Names) -> Result<Record, IntegrityError> {
        let Self { actor, new, .. } = self;
        let now = UnixMillis::now();
        let (generation, fingerprint) = self.prints.newest()?;
        Ok(Record {
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
            pan: PanIndex::of(&fingerprint),
            reuse: self.reuse(generation),
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
            generation,
        })
    }
}

/// The plaintexts. Without holder and extras there is no profile compartment.
pub(in crate::vault) fn compartments(pan: &Pan, profile: &Profile) -> Result<Vec<(Compartment, SecretBytes)>, Error> {
    let mut parts = vec![(Compartment::Pan, SecretBytes::new(pan.expose().as_bytes().to_vec()))];
    if !profile.is_empty() {
        parts.push((Compartment::Profile, profile.encode()?));
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
