//! A payment method as it is seen.

use super::network::NetworkCard;
use super::stored::{Acknowledgement, ConnectorToken, Kept};
use super::{Error, Storage};
use crate::card::Expiry;
use crate::id::{Token, UnixMillis};
use crate::payment::Payments;
use crate::payment::wallet::{Json, Text};
use crate::vault::types::{Actor, CallerError, Described, DocumentKind, Error as CoreError, Status};

/// A payment method, its card masked.
pub struct Method {
    /// Its name.
    pub id: String,
    /// Whose it is. One that is not stored may be nobody's.
    pub customer: Option<String>,
    /// The kind of card, as it was given.
    pub subtype: Option<String>,
    /// When it was added.
    pub created_at: UnixMillis,
    /// When it was last used.
    pub last_used_at: Option<UnixMillis>,
    /// Whether it is in use.
    pub state: MethodState,
    /// Where it is kept.
    pub storage: Storage,
    /// The card.
    pub card: CardView,
    /// Where bills go: one JSON object.
    pub billing: Option<Json>,
    /// What payment service providers gave for the card.
    pub connector_tokens: Vec<ConnectorToken>,
    /// What the card network called the first payment.
    pub network_transaction_id: Option<Text>,
    /// What became of its first use.
    pub acknowledged: Option<Acknowledgement>,
    /// The network token of the card.
    pub network_token: Option<NetworkCard>,
    /// A security code waits in memory until then.
    pub code_until: Option<UnixMillis>,
}

/// Whether a payment method is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodState {
    /// It was added, and not used yet.
    New,
    /// It is.
    Active,
    /// It is not.
    Inactive,
}

/// A card, masked.
pub struct CardView {
    /// The last four digits.
    pub last_four: String,
    /// Its expiry.
    pub expiry: Expiry,
    /// The name on it.
    pub holder: Option<Text>,
    /// What its holder calls it.
    pub nick_name: Option<Text>,
    /// The issuer's country: as given, else as the number says.
    pub issuing_country: Option<String>,
    /// The card network, as given.
    pub network: Option<String>,
    /// The brand that the number belongs to.
    pub brand: Option<String>,
    /// The issuer: as given, else as the number says.
    pub issuer: Option<String>,
    /// Credit or debit: as given, else as the number says.
    pub card_type: Option<String>,
}

/// A payment method of the vault as it was read.
pub(super) struct Held {
    pub(super) token: Token,
    pub(super) described: Described,
    pub(super) kept: Kept,
}

impl Payments {
    /// A stored payment method of the merchant's, in whatever state. None where it is not there.
    pub(super) async fn held_method(&self, actor: &Actor, id: &str) -> Result<Option<Held>, Error> {
        let Ok(token) = Token::parse(id) else {
            return Ok(None);
        };
        let described = match self.vault.describe(actor, &token).await {
            Ok(described) => described,
            Err(CoreError::Caller(CallerError::Expired | CallerError::UnknownToken)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(held) = held(token, described) else {
            return Ok(None);
        };
        // merchants may share a repository; customers, and what is theirs, they do not share
        let Some(customer) = &held.kept.customer else {
            return Ok(None);
        };
        let own = self.vault.document(actor, DocumentKind::Customer, customer).await?;
        Ok(own.map(|_| held))
    }

    /// A stored payment method as it is seen.
    pub(super) async fn method_view(&self, actor: &Actor, held: Held) -> Result<Method, Error> {
        let Held { described, kept, .. } = held;
        let Described { view, profile } = described;
        let network_token = match &kept.network_token {
            Some(reference) => self.network_card(actor, reference).await?,
            None => None,
        };
        let code_until = self
            .codes
            .until(&actor.merchant, view.token.as_str(), UnixMillis::now());
        let funding = view
            .funding
            .filter(|funding| matches!(funding.as_str(), "credit" | "debit"));
        Ok(Method {
            state: state(view.status, kept.acknowledged),
            id: view.token.to_string(),
            customer: kept.customer,
            subtype: kept.subtype,
            created_at: view.created_at,
            last_used_at: view.last_used_at,
            storage: Storage::Persistent,
            card: CardView {
                last_four: view.last4,
                // every payment method has one
                expiry: view.expiry.ok_or_else(crate::payment::Error::damaged)?,
                holder: profile.holder.map(Text::from),
                nick_name: kept.nick_name,
                issuing_country: kept.issuing_country.or(view.country),
                network: kept.network,
                brand: view.brand,
                issuer: kept.issuer,
                card_type: kept.card_type.or(funding),
            },
            billing: kept.billing,
            connector_tokens: kept.connector_tokens,
            network_transaction_id: kept.network_transaction_id,
            acknowledged: kept.acknowledged,
            network_token,
            code_until,
        })
    }
}

impl Held {
    pub(super) fn state(&self) -> MethodState {
        state(self.described.view.status, self.kept.acknowledged)
    }
}

/// `None` where the token is no payment method.
pub(super) fn held(token: Token, described: Described) -> Option<Held> {
    let kept = Kept::decode(described.profile.extra.as_ref())?;
    // a token of another dialect that keeps something alike
    kept.customer.as_ref()?;
    Some(Held { token, described, kept })
}

fn state(status: Status, acknowledged: Option<Acknowledgement>) -> MethodState {
    match (status, acknowledged) {
        (Status::Inactive | Status::Spent, _) | (Status::Active, Some(Acknowledgement::Failed)) => {
            MethodState::Inactive
        }
        (Status::Active, Some(Acknowledgement::Authenticated)) => MethodState::Active,
        (Status::Active, None) => MethodState::New,
    }
}
