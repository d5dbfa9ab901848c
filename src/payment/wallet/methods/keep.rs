//! Where a payment method goes: the vault, or memory.

use super::stored::Kept;
use super::view::{Held, MethodState};
use super::volatile::Volatile;
use super::{ATTEMPTS, Error, contended, pause};
use crate::card::{BinInfo, Expiry, Masked, Pan};
use crate::id::{Namespace, Token, UnixMillis};
use crate::payment::wallet::id::Entity;
use crate::payment::wallet::{Duplicates, Text};
use crate::payment::{self, Payments};
use crate::vault::types::{
    Actor, CallerError, Change, DocumentEvent, Error as CoreError, Format, NewToken, Operation, Patch, Profile, Reuse,
    Status, Terms, Tokenized, Uses,
};

/// Where it goes.
pub(super) enum Kind {
    /// Into the vault, for this customer, under the name of an intent or a new one.
    Persistent { customer: String, intent: Option<String> },
    /// Into memory; so it looks.
    Volatile { masked: Masked, info: BinInfo },
}

impl Payments {
    /// Its name, new or as it was.
    pub(super) async fn keep_method(
        &self,
        actor: &Actor,
        kind: Kind,
        pan: Pan,
        expiry: Expiry,
        holder: Option<Text>,
        kept: Kept,
    ) -> Result<String, Error> {
        match kind {
            Kind::Persistent { customer, intent } => {
                let card = (pan, expiry, holder);
                let id = self.store_method(actor, &customer, intent, card, kept).await?;
                // its data was being removed meanwhile: what came too late for that goes by itself
                match self.active_customer(actor, &customer).await {
                    Err(error @ (Error::CustomerRedacted | Error::CustomerUnknown)) => {
                        self.delete_stored(actor, &id).await?;
                        Err(error)
                    }
                    Ok(_) => Ok(id),
                    // what went wrong says nothing of the customer: the card, which may have been there before, stays
                    Err(error) => Err(error),
                }
            }
            Kind::Volatile { masked, info } => {
                self.vault.access().permit(actor, Operation::Tokenize, 1)?;
                if let Some(holder) = &holder {
                    self.vault.screen_holder(holder.expose())?;
                }
                let customer = kept.customer.clone();
                let id = self.wallet.cell.fresh(Entity::Method)?;
                let token = Token::parse(&id).map_err(|_| payment::Error::damaged())?;
                let now = UnixMillis::now();
                let volatile = Volatile {
                    pan,
                    expiry,
                    holder,
                    kept,
                    masked,
                    info,
                    created_at: now,
                };
                let until = now.plus(self.wallet.volatile_life);
                let event = DocumentEvent {
                    action: Operation::Tokenize.as_str(),
                    outcome: "volatile",
                    token: Some(token),
                    detail: None,
                };
                // on record first: nothing is kept that is not
                self.vault.write_documents(actor, Vec::new(), event).await?;
                self.volatile.put(&actor.merchant, &id, volatile, until)?;
                if let Some(customer) = customer
                    && let Err(error) = self.active_customer(actor, &customer).await
                {
                    self.volatile.take(&actor.merchant, &id, UnixMillis::now());
                    return Err(error);
                }
                Ok(id)
            }
        }
    }

    async fn store_method(
        &self,
        actor: &Actor,
        customer: &str,
        intent: Option<String>,
        (pan, expiry, holder): (Pan, Expiry, Option<Text>),
        kept: Kept,
    ) -> Result<String, Error> {
        let namespace = self.vault.personal_namespace(actor, customer).await?;
        let mut new = NewToken {
            pan,
            expiry: Some(expiry),
            profile: Profile {
                holder: holder.map(Text::into_zeroizing),
                extra: Some(kept.encode()?),
            },
            format: Format::Opaque,
            reuse: Reuse::Refuse {
                scope: scope(actor, &namespace, expiry),
            },
            namespace: Some(namespace),
            metadata: None,
            expires_at: None,
            uses: Uses::Multi,
            idempotency: None,
            verification: None,
            terms: Terms::default(),
        };
        for round in 0..ATTEMPTS {
            pause(round).await;
            let id = match &intent {
                Some(id) => id.clone(),
                None => self.wallet.cell.fresh(Entity::Method)?,
            };
            new.format = Format::Supplied(Token::parse(&id).map_err(|_| payment::Error::damaged())?);
            let there = match self.vault.tokenize_again(actor, &new).await {
                Ok(Tokenized::Created(_)) => return Ok(id),
                Ok(Tokenized::Reused(view)) => view.token,
                Err(CoreError::Caller(CallerError::CardExists { token })) => token,
                // another card was faster
                Err(CoreError::Caller(CallerError::TokenTaken)) if intent.is_some() => {
                    return Err(Error::MethodNotAwaited);
                }
                Err(error) => return Err(error.into()),
            };
            if self.wallet.duplicates == Duplicates::Refuse {
                return Err(Error::MethodExists);
            }
            let Some(held) = self.held_method(actor, there.as_str()).await? else {
                // deleted since it was found
                continue;
            };
            match held.state() {
                MethodState::Active => return Ok(there.to_string()),
                MethodState::New | MethodState::Inactive => {
                    if self.renew(actor, &held, &new, &kept).await? {
                        return Ok(there.to_string());
                    }
                }
            }
        }
        Err(contended())
    }

    /// Has one that was not used yet, or is out of use, take over what is given now. `false`: it changed meanwhile.
    async fn renew(&self, actor: &Actor, held: &Held, new: &NewToken, given: &Kept) -> Result<bool, Error> {
        let kept = Kept {
            connector_tokens: held.kept.connector_tokens.clone(),
            network_transaction_id: held.kept.network_transaction_id.clone(),
            network_token: held.kept.network_token.clone(),
            ..given.clone()
        };
        let holder = new.profile.holder.as_ref();
        let named = holder.is_none() || holder == held.described.profile.holder.as_ref();
        if named && held.state() == MethodState::New && kept.encode()? == held.kept.encode()? {
            // of many who add the same at once, none waits for another
            return Ok(true);
        }
        let patch = Patch {
            holder: holder.cloned().map_or(Change::Keep, Change::Set),
            status: Some(Status::Active),
            ..Patch::default()
        };
        match self.rewrite(actor, held, &kept, patch).await {
            Err(Error::MethodUnknown) => Ok(false),
            renewed => renewed,
        }
    }
}

/// What makes it the same card, beside its number: the merchant, the customer and the expiry.
fn scope(actor: &Actor, namespace: &Namespace, expiry: Expiry) -> Vec<u8> {
    let (month, year) = (expiry.month(), expiry.year());
    format!("hyperswitch/{}/{namespace}/{year}-{month:02}", actor.merchant).into_bytes()
}
