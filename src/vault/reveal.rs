//! Giving the card back. It is opened first, then the reveal is made durable in the audit trail (and a single-use token
//! spent in the same commit), and only then answered: nothing is shown that is not on record, and a single-use card
//! is shown at most once, also across a crash.

use super::record::Record;
use super::tokenize::is_of;
use super::types::{
    Actor, CallerError, Described, Error, IntegrityError, Operation, Person, Profile, Revealed, RevealedRecord, Status,
    Uses,
};
use super::{ATTEMPTS, Held, Vault, event};
use crate::card::{Masked, Pan};
use crate::id::{MerchantId, Revision, Token, UnixMillis};
use crate::keys::{Compartment, SecretBytes};

impl Vault {
    /// The card of `token`; its holder always, the rest of the profile with `with_profile`.
    ///
    /// # Errors
    /// Not granted, capped; no such token, expired, spent, inactive; tampered with; the HSM or the store does not work:
    /// a single-use token may be spent then, if the store did not say how the commit ended.
    pub async fn reveal(&self, actor: &Actor, token: &Token, with_profile: bool) -> Result<Revealed, Error> {
        self.take_out(actor, Operation::Reveal, token, with_profile).await
    }

    /// The card of `token` with all that is known of it.
    ///
    /// # Errors
    /// As [`Vault::reveal`].
    pub async fn reveal_record(&self, actor: &Actor, token: &Token) -> Result<RevealedRecord, Error> {
        let taken = self.take_card(actor, Operation::Reveal, token, true, None).await;
        let (record, revealed) = self.taken(actor, Operation::Reveal, token, taken).await?;
        self.with_view(&record, revealed).await
    }

    /// The card of a person's token with all that is known of it; `None` where there is no such token, of nobody's: that is
    /// not counted, for callers who go on and look elsewhere.
    ///
    /// # Errors
    /// As [`Vault::reveal`]; [`CallerError::UnknownToken`] where the token is another person's.
    pub async fn reveal_for(
        &self,
        actor: &Actor,
        person: &Person,
        token: &Token,
    ) -> Result<Option<RevealedRecord>, Error> {
        let taken = self
            .take_card(actor, Operation::Reveal, token, true, Some(person))
            .await;
        if let Err(Error::Caller(CallerError::UnknownToken)) = &taken
            && !self.is_taken(actor, token).await?
        {
            return Ok(None);
        }
        let (record, revealed) = self.taken(actor, Operation::Reveal, token, taken).await?;
        self.with_view(&record, revealed).await.map(Some)
    }

    pub(super) async fn with_view(&self, record: &Record, revealed: Revealed) -> Result<RevealedRecord, Error> {
        Ok(RevealedRecord {
            pan: revealed.pan,
            record: Described {
                view: self.view(record).await?,
                profile: revealed.profile,
            },
        })
    }

    /// The card, taken out for `op`, which is the right that is asked for and the word in the audit trail.
    pub(super) async fn take_out(
        &self,
        actor: &Actor,
        op: Operation,
        token: &Token,
        with_profile: bool,
    ) -> Result<Revealed, Error> {
        let taken = self.take_card(actor, op, token, with_profile, None).await;
        Ok(self.taken(actor, op, token, taken).await?.1)
    }

    /// Counts how it went.
    async fn taken<T>(
        &self,
        actor: &Actor,
        op: Operation,
        token: &Token,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(Error::Caller(fault)) = &result
            && let Some(outcome) = in_vain(fault)
        {
            self.access.count(actor, op, outcome);
        }
        self.conclude(actor, op, Some(token), "ok", result).await
    }

    async fn take_card(
        &self,
        actor: &Actor,
        op: Operation,
        token: &Token,
        with_profile: bool,
        of: Option<&Person>,
    ) -> Result<(Record, Revealed), Error> {
        // a person's token that is nobody's costs nothing: who asks goes on and looks elsewhere
        let mut paid = of.is_none();
        self.access.permit(actor, op, u64::from(paid))?;
        let mut turn = None;
        for _ in 0..ATTEMPTS {
            let loaded = self.load_live(actor, token).await;
            if !paid && !matches!(loaded, Err(Error::Caller(CallerError::UnknownToken))) {
                self.access.permit(actor, op, 1)?;
                paid = true;
            }
            let held = loaded?;
            match held.record.status {
                Status::Active => {}
                Status::Inactive => return Err(CallerError::Inactive.into()),
                Status::Spent => return Err(CallerError::Spent.into()),
            }
            let revealed = self.open_card(&held, with_profile).await?;
            if let Some(person) = of
                && !is_of(&revealed.profile, person)?
            {
                return Err(CallerError::UnknownToken.into());
            }
            let used = match held.record.uses {
                Uses::Multi => renewed(&held.record, UnixMillis::now()),
                Uses::Single => Some(spent(&held.record, Some(&actor.merchant))),
            };
            let writes = match &used {
                Some(used) => used.replacement(&held.record)?,
                None => Vec::new(),
            };
            let mut event = event(actor, op, "ok", Some(token));
            let until = used.as_ref().and_then(|used| used.expires_at);
            if until != held.record.expires_at {
                // as far as the repository allows
                let until = used.as_ref().and_then(|used| self.ends_at(used));
                event.detail = until.map(|at| format!("renewed until {at}"));
            }
            if self.commit_if_unchanged(&held, writes, event).await? {
                self.last_used.touch(actor.repository, token);
                return Ok((used.unwrap_or(held.record), revealed));
            }
            // changed in between: from now on in line with those who change it
            if turn.is_none() {
                turn = self.turns.wait(actor.repository, token).await;
            }
        }
        Err(CallerError::Contended.into())
    }

    pub(super) async fn open_card(&self, held: &Held, with_profile: bool) -> Result<Revealed, Error> {
        let record = &held.record;
        let which: &[Compartment] = if record.holder || with_profile {
            &[Compartment::Pan, Compartment::Profile]
        } else {
            &[Compartment::Pan]
        };
        let mut texts = self
            .sealer
            .open(record.place(), &record.sealed()?, which)
            .await?
            .into_iter();
        let pan = texts.next().flatten().ok_or(IntegrityError::Damaged)?;
        let mut profile = match texts.next().flatten() {
            Some(text) => Profile::decode(&text)?,
            None => Profile::default(),
        };
        if !with_profile {
            profile.extra = None;
        }
        Ok(Revealed {
            pan: read_pan(&pan, record)?,
            expiry: record.expiry,
            profile,
        })
    }
}

/// How an attempt on a token that shows no card stands in the audit trail (PCI DSS 10.2.1.4), counted and not one by one.
fn in_vain(fault: &CallerError) -> Option<&'static str> {
    match fault {
        CallerError::UnknownToken => Some("unknown-token"),
        CallerError::Expired => Some("expired"),
        CallerError::Inactive => Some("inactive"),
        CallerError::Spent => Some("spent"),
        CallerError::BadCursor
        | CallerError::CardExists { .. }
        | CallerError::CardFixed
        | CallerError::Contended
        | CallerError::Field { .. }
        | CallerError::FormatExhausted
        | CallerError::IdempotencyMismatch
        | CallerError::NamespaceFull
        | CallerError::Replaced
        | CallerError::Revision { .. }
        | CallerError::TokenTaken
        | CallerError::TooManyUpdates { .. } => None,
    }
}

/// The opened number; one that is not the number the record shows was put there by another hand.
pub(super) fn read_pan(text: &SecretBytes, record: &Record) -> Result<Pan, Error> {
    let pan = std::str::from_utf8(text.expose())
        .ok()
        .and_then(|digits| Pan::parse(digits).ok())
        .ok_or(IntegrityError::Damaged)?;
    let shown = Masked::new(&pan, record.shown.bin.len());
    if shown.bin != record.shown.bin || shown.last4 != record.shown.last4 {
        return Err(IntegrityError::Tampered.into());
    }
    Ok(pan)
}

/// The record with a new life, if it is one that use renews and less than half of its life is left. That changes nothing
/// that others compare, so its revision stays.
fn renewed(record: &Record, now: UnixMillis) -> Option<Record> {
    let (life, ends) = (record.renewed_by?, record.expires_at?);
    (ends < now.plus(life / 2)).then(|| Record {
        expires_at: Some(now.plus(life)),
        ..record.clone()
    })
}

/// What is left of a single-use token that was used: the masked view. The card, its DEK and the ways to it are gone.
pub(super) fn spent(record: &Record, by: Option<&MerchantId>) -> Record {
    Record {
        status: Status::Spent,
        revision: Revision(record.revision.0.saturating_add(1)),
        updated_at: UnixMillis::now().max(record.updated_at),
        updated_by: by.cloned(),
        holder: false,
        reuse: None,
        scope: None,
        sealed: None,
        ..record.clone()
    }
}
