//! The masked view with the sealed personal part: for dialects whose clients see holder and address with every token. The
//! card number stays closed. Counted, not audited one by one.

use std::ops::Bound;

use super::record::Record;
use super::tables::PanIndex;
use super::types::{Actor, CallerError, Described, Error, Operation, Profile};
use super::walk::{Index, Room};
use super::{Vault, tables};
use crate::id::{Namespace, RepositoryId, Token};
use crate::keys::{Compartment, SecretBytes};
use crate::store::Part;

/// Tokens of a namespace that are described at once.
const NAMESPACE_MAX: u32 = 255;

/// Tokens of one card that are looked through.
const OF_CARD_MAX: u32 = 1_000;

impl Vault {
    /// A token with its profile.
    ///
    /// # Errors
    /// Not granted; no such token, expired; tampered with; the HSM or the store does not work.
    pub async fn describe(&self, actor: &Actor, token: &Token) -> Result<Described, Error> {
        let described = async {
            self.access.permit(actor, Operation::Inspect, 1)?;
            self.described(&self.load_live(actor, token).await?.record).await
        };
        let described = described.await;
        self.conclude(actor, Operation::Inspect, Some(token), "ok", described)
            .await
    }

    /// The token that has this second name and stands in this namespace, or in none, for who may do `op` with it; the verb
    /// that does it asks again and counts.
    ///
    /// # Errors
    /// Not granted; no such token; the store does not work.
    pub async fn token_of_alias(
        &self,
        actor: &Actor,
        op: Operation,
        alias: &Token,
        namespace: Option<&Namespace>,
    ) -> Result<Token, Error> {
        self.access.permit(actor, op, 0)?;
        let key = tables::alias(actor.repository, alias);
        let found = self.store.get(Part::default(), &key).await?;
        let found = found.ok_or(CallerError::UnknownToken)?;
        let held = self.holder_of(actor.repository, &found.value).await?;
        let record = held.ok_or(CallerError::UnknownToken)?.record;
        match record.namespace.as_ref() == namespace {
            true => Ok(record.token),
            false => Err(CallerError::UnknownToken.into()),
        }
    }

    /// The tokens of a namespace that has limited room, in the order they were made, for who may do `op`: search, or reveal
    /// them.
    ///
    /// # Errors
    /// Not granted; the store does not work.
    pub async fn tokens_of(&self, actor: &Actor, op: Operation, namespace: &Namespace) -> Result<Vec<Token>, Error> {
        let found = async {
            // each that is shown counts with the verb that shows it
            self.access.permit(actor, op, u64::from(op == Operation::Search))?;
            let prefix = tables::slots(actor.repository, namespace);
            let to = tables::end_of(&prefix);
            let from = Bound::Included(prefix);
            let page = self.store.scan(Part::default(), from, to, NAMESPACE_MAX).await?;
            let mut records = Vec::with_capacity(page.items.len());
            for (_, found) in page.items {
                records.extend(self.live_holder(actor.repository, &found.value).await?);
            }
            records.sort_by(|a, b| (a.created_at, &a.token).cmp(&(b.created_at, &b.token)));
            Ok(records.into_iter().map(|record| record.token).collect())
        };
        let found = found.await;
        self.conclude(actor, op, None, "ok", found).await
    }

    /// The other tokens of the card that `token` stands for, for who may do `op` with it. None where they are too many to
    /// tell.
    ///
    /// # Errors
    /// Not granted; no such token, expired; the store does not work.
    pub async fn others_of_card(
        &self,
        actor: &Actor,
        op: Operation,
        token: &Token,
    ) -> Result<Option<Vec<Token>>, Error> {
        self.access.permit(actor, op, 0)?;
        let record = self.load_live(actor, token).await?.record;
        let mut room = Room::for_page(OF_CARD_MAX);
        let mut others = Vec::new();
        for pan in self.indexes_of(&record).await? {
            if room.is_used_up() {
                return Ok(None);
            }
            let index = Index::pan(actor.repository, pan);
            let walked = self
                .walk(&index, Bound::Unbounded, room, &|other| other.token != record.token)
                .await?;
            room = room.less(&walked);
            let token = |view: super::types::View| Some(view.token).filter(|token| !others.contains(token));
            let new: Vec<Token> = walked.tokens.into_iter().filter_map(token).collect();
            others.extend(new);
            if walked.stopped.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(others))
    }

    /// What the card of a record is found by: under each fingerprint key in use, the oldest first.
    async fn indexes_of(&self, record: &Record) -> Result<Vec<PanIndex>, Error> {
        let generations = self.generations().await?;
        let mut indexes = Vec::new();
        for generation in generations.older().chain([generations.active()]) {
            if generation == record.generation {
                indexes.push(record.pan);
            } else if record.sealed.is_some() {
                let sealed = record.sealed()?;
                let made = self.sealer.refingerprint(generation, record.place(), &sealed).await?;
                indexes.push(PanIndex::of(&made));
            }
        }
        Ok(indexes)
    }

    /// A namespace that is a person's name for the caller: the store knows it by a keyed MAC, the same for the same text of the
    /// same merchant in the same repository.
    ///
    /// # Errors
    /// The HSM's.
    pub async fn personal_namespace(&self, actor: &Actor, text: &str) -> Result<Namespace, Error> {
        let framed = crate::hsm::framed(&[
            &actor.repository.0.to_be_bytes(),
            actor.merchant.as_str().as_bytes(),
            text.as_bytes(),
        ]);
        let mac = self
            .sealer
            .mac("panvault namespace v1", SecretBytes::new(framed))
            .await?;
        // letters only: digits could look like a card number
        let letters = tables::half(&mac)
            .into_iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|nibble| char::from(b'a' + nibble));
        let name: String = letters.collect();
        Namespace::parse(&format!("ns_{name}")).map_err(|_| super::types::IntegrityError::Damaged.into())
    }

    async fn live_holder(&self, repository: RepositoryId, value: &[u8]) -> Result<Option<Record>, Error> {
        let held = self.holder_of(repository, value).await?;
        Ok(held
            .map(|held| held.record)
            .filter(|record| !self.is_over(record, crate::id::UnixMillis::now())))
    }

    pub(super) async fn described(&self, record: &Record) -> Result<Described, Error> {
        Ok(Described {
            view: self.view(record).await?,
            profile: self.profile_of(record).await?,
        })
    }

    /// The profile, opened; an empty one where there is none, or the token is spent.
    pub(super) async fn profile_of(&self, record: &Record) -> Result<Profile, Error> {
        if record.sealed.is_none() {
            return Ok(Profile::default());
        }
        let sealed = record.sealed()?;
        if sealed.compartment(Compartment::Profile).is_none() {
            return Ok(Profile::default());
        }
        let texts = self
            .sealer
            .open(record.place(), &sealed, &[Compartment::Profile])
            .await?;
        match texts.into_iter().next().flatten() {
            Some(text) => Ok(Profile::decode(&text)?),
            None => Ok(Profile::default()),
        }
    }
}
