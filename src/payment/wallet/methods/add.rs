//! Adding a payment method.

use super::keep::Kind;
use super::network::copy;
use super::psp::{CardForPsp, PspTokenization, code_of};
use super::stored::Kept;
use super::view::Method;
use super::{CODE_LIFE, Error, KEPT_MAX, Storage};
use crate::card::{Expiry, Pan};
use crate::id::UnixMillis;
use crate::payment::network_tokens::ProvisionFrom;
use crate::payment::wallet::{Json, Text};
use crate::payment::{Payments, SecurityCode};
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation};

/// A card on its way.
pub struct NewCard {
    /// Its number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Expiry,
    /// The name on it.
    pub holder: Option<Text>,
    /// What its holder calls it.
    pub nick_name: Option<Text>,
    /// The issuer's country.
    pub issuing_country: Option<String>,
    /// The card network, in the dialect's word.
    pub network: Option<String>,
    /// The issuer.
    pub issuer: Option<String>,
    /// Credit or debit.
    pub card_type: Option<String>,
    /// Its security code: kept in memory for 15 minutes, and gone when it is used.
    pub code: Option<SecurityCode>,
}

/// A payment method to be added.
pub struct NewMethod {
    /// Its name, where it has one: an intent's.
    pub intent: Option<String>,
    /// Whose it is; may be nobody's where it is not stored.
    pub customer: Option<String>,
    /// The kind of card.
    pub subtype: Option<String>,
    /// The card.
    pub card: NewCard,
    /// Where it is kept.
    pub storage: Storage,
    /// The merchant's own: one JSON object.
    pub metadata: Option<Json>,
    /// Where bills go: one JSON object.
    pub billing: Option<Json>,
    /// Whether a network token is wanted.
    pub network_tokenization: bool,
    /// The token that is wanted of a payment service provider.
    pub psp_tokenization: Option<PspTokenization>,
}

/// How a tokenization elsewhere ended. None of them makes adding a payment method fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is a token.
    Done,
    /// There will be one, or not.
    Pending,
    /// There is none.
    Failed {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        message: String,
    },
}

/// A payment method that was added, or was there.
pub struct AddedMethod {
    /// The payment method.
    pub method: Method,
    /// How the network tokenization ended that was asked for.
    pub network_tokenization: Option<Outcome>,
    /// What was asked of a payment service provider, and how that ended.
    pub psp_tokenization: Option<(PspTokenization, Outcome)>,
}

impl Payments {
    /// Adds a payment method. A card that the customer has already, with the same expiry, is returned or refused as the
    /// configuration says; one that is not active takes over what is given. It goes on to its end where the caller stops
    /// waiting.
    ///
    /// # Errors
    /// [`Error::CustomerMissing`], [`Error::CustomerUnknown`], [`Error::CustomerRedacted`], [`Error::CardExpired`],
    /// [`Error::MethodExists`]; what cannot be kept; too many wait in memory; not granted; the HSM's; the store's.
    pub async fn add_method(&self, actor: &Actor, new: NewMethod) -> Result<AddedMethod, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 0)?;
        match (&new.customer, new.storage) {
            (Some(customer), _) => drop(self.active_customer(actor, customer).await?),
            (None, Storage::Persistent) => return Err(Error::CustomerMissing),
            (None, Storage::Volatile) => {}
        }
        if new.card.expiry.expired_at(UnixMillis::now().0) {
            return Err(Error::CardExpired);
        }
        let (payments, actor) = (self.clone(), actor.clone());
        to_its_end(async move { payments.add(&actor, new).await }).await
    }

    async fn add(&self, actor: &Actor, new: NewMethod) -> Result<AddedMethod, Error> {
        let NewMethod {
            intent,
            customer,
            subtype,
            card,
            storage,
            metadata,
            billing,
            network_tokenization,
            psp_tokenization,
        } = new;
        let (masked, info) = self.vault.look(&card.pan);
        let kept = Kept {
            customer: customer.clone(),
            subtype,
            nick_name: card.nick_name,
            issuing_country: card.issuing_country,
            network: card.network,
            issuer: card.issuer.or_else(|| info.issuer.clone()),
            card_type: card.card_type,
            billing,
            metadata,
            connector_tokens: Vec::new(),
            network_transaction_id: None,
            network_token: None,
            psp_tokenization: psp_tokenization.clone(),
            acknowledged: None,
        };
        self.vault
            .screen_object("payment_method", &kept.encode()?, KEPT_MAX, false)?;
        let (pan, expiry) = (copy(&card.pan)?, card.expiry);
        let holder = card.holder.clone();
        let kind = match (storage, customer) {
            (Storage::Persistent, Some(customer)) => Kind::Persistent { customer, intent },
            (Storage::Persistent, None) => return Err(Error::CustomerMissing),
            (Storage::Volatile, _) => Kind::Volatile { masked, info },
        };
        let id = self
            .keep_method(actor, kind, card.pan, expiry, card.holder, kept)
            .await?;
        if let Some(code) = card.code {
            self.keep_code(actor, &id, code);
        }
        let psp_tokenization = match psp_tokenization {
            Some(asked) => {
                let card = CardForPsp {
                    pan: &pan,
                    expiry,
                    holder: holder.as_ref().map(Text::expose),
                };
                let outcome = self.add_connector_token(actor, &id, card, &asked).await;
                Some((asked, outcome))
            }
            None => None,
        };
        let network_tokenization = match (network_tokenization, storage) {
            (true, Storage::Persistent) => {
                let holder = holder.map(Text::into_zeroizing);
                let from = ProvisionFrom::Card { pan, expiry, holder };
                Some(self.add_network_token(actor, &id, from).await)
            }
            // a network token is kept for good, which this card is not to be
            (true, Storage::Volatile) => Some(Outcome::Failed {
                code: "not_stored".to_owned(),
                message: "A payment method that is not stored gets no network token".to_owned(),
            }),
            (false, _) => None,
        };
        let method = self.method(actor, &id).await?;
        let network_tokenization = match network_tokenization {
            // it became ready meanwhile
            Some(Outcome::Pending) if method.network_token.is_some() => Some(Outcome::Done),
            ended => ended,
        };
        Ok(AddedMethod {
            method,
            network_tokenization,
            psp_tokenization,
        })
    }

    /// Keeps a security code in memory. Where too many wait it is not kept, and the answer says so.
    pub(super) fn keep_code(&self, actor: &Actor, id: &str, code: SecurityCode) {
        let until = UnixMillis::now().plus(CODE_LIFE);
        if let Err(error) = self.codes.put(&actor.merchant, id, code, until) {
            tracing::warn!(%error, "a security code is not kept");
        }
    }

    async fn add_connector_token(
        &self,
        actor: &Actor,
        id: &str,
        card: CardForPsp<'_>,
        asked: &PspTokenization,
    ) -> Outcome {
        let failed = |code: &str, message: String| Outcome::Failed {
            code: code.to_owned(),
            message,
        };
        // what could not be kept is not asked for
        if let Err(error) = self.vault.access().permit(actor, Operation::Update, 0) {
            return failed("not_allowed", error.to_string());
        }
        let token = match self.tokenize_at_psp(actor, card, asked).await {
            Ok(token) => token,
            Err(error) => return failed(code_of(&error), error.to_string()),
        };
        match self.put_connector_token(actor, id, token).await {
            Ok(()) => Outcome::Done,
            Err(error) => failed("not_kept", error.to_string()),
        }
    }
}
