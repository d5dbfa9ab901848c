//! Payment methods as they are answered.

use serde::Serialize;

use super::outcome::{Network, Psp};
use super::raw::Raw;
use crate::api::hyperswitch::names::network;
use crate::card::Expiry;
use crate::id::UnixMillis;
use crate::payment::wallet::{
    Acknowledgement, AddedMethod, ConnectorTokenStatus, Intent, Json, Method, RawCard, Storage, Text, TokenizationType,
};
use crate::vault::types::Actor;

/// The only type.
const CARD: &str = "card";

#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Answer<'a> {
    id: &'a str,
    merchant_id: &'a str,
    customer_id: Option<&'a str>,
    payment_method_type: &'static str,
    payment_method_subtype: Option<&'a str>,
    recurring_enabled: bool,
    created: String,
    last_used_at: String,
    payment_method_data: Option<Data<Card<'a>>>,
    connector_tokens: Option<Vec<ConnectorToken<'a>>>,
    network_token: Option<NetworkToken<'a>>,
    storage_type: &'static str,
    card_cvc_token_storage: Option<CodeStorage>,
    network_transaction_id: Option<&'a Text>,
    raw_payment_method_data: Option<Raw<'a>>,
    billing: Option<&'a Json>,
    acknowledgement_status: Option<Acknowledgement>,
    /// Not the contract's: how it went, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    network_tokenization: Option<Network<'a>>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    psp_tokenization: Option<Psp<'a>>,
}

#[derive(Serialize)]
pub(super) struct Data<T> {
    pub(super) card: T,
}

#[derive(Serialize)]
pub(super) struct Card<'a> {
    issuer_country: Option<&'a str>,
    last4_digits: &'a str,
    expiry_month: String,
    expiry_year: String,
    card_holder_name: Option<&'a Text>,
    card_fingerprint: Option<()>,
    nick_name: Option<&'a Text>,
    card_network: Option<&'a str>,
    card_isin: Option<()>,
    card_issuer: Option<&'a str>,
    card_type: Option<&'a str>,
    saved_to_locker: bool,
}

#[derive(Serialize)]
struct ConnectorToken<'a> {
    connector_id: Option<&'a str>,
    token_type: Option<TokenizationType>,
    status: Option<ConnectorTokenStatus>,
    connector_token_request_reference_id: Option<&'a Text>,
    original_payment_authorized_amount: Option<i64>,
    original_payment_authorized_currency: Option<&'a str>,
    metadata: Option<&'a Json>,
    token: &'a Text,
    connector_customer_id: Option<&'a Text>,
}

#[derive(Serialize)]
pub(super) struct NetworkToken<'a> {
    payment_method_data: NetworkCard<'a>,
}

#[derive(Serialize)]
struct NetworkCard<'a> {
    last4_digits: &'a str,
    issuer_country: Option<&'a str>,
    network_token_expiry_month: String,
    network_token_expiry_year: String,
    nick_name: Option<&'a Text>,
    card_holder_name: Option<&'a Text>,
    card_isin: &'a str,
    card_issuer: Option<&'a str>,
    card_network: Option<&'a str>,
    card_type: Option<&'a str>,
    saved_to_locker: bool,
    par: &'a str,
}

#[derive(Serialize)]
pub(super) struct CodeStorage {
    is_stored: bool,
    expires_at: String,
}

#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Saved<'a> {
    customer_payment_methods: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    customer_id: Option<&'a str>,
    payment_method_type: &'static str,
    payment_method_subtype: Option<&'a str>,
    recurring_enabled: bool,
    payment_method_data: Data<Card<'a>>,
    bank: Option<()>,
    created: String,
    requires_cvv: bool,
    last_used_at: String,
    is_default: bool,
    billing: Option<&'a Json>,
    network_tokenization: Option<NetworkToken<'a>>,
    psp_tokenization_enabled: bool,
    connector_tokens: Option<Vec<ConnectorToken<'a>>>,
    network_transaction_id: Option<&'a Text>,
}

#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Default<'a> {
    default_payment_method_id: &'a str,
    customer_id: &'a str,
    payment_method_type: &'static str,
    payment_method_subtype: Option<&'a str>,
}

/// A payment method that was added.
pub(in crate::api::hyperswitch) fn added<'a>(actor: &'a Actor, added: &'a AddedMethod) -> Answer<'a> {
    Answer {
        network_tokenization: added.network_tokenization.as_ref().map(Network::of),
        psp_tokenization: added
            .psp_tokenization
            .as_ref()
            .map(|(asked, outcome)| Psp::of(asked, outcome)),
        ..method(actor, &added.method, None)
    }
}

/// A payment method, with `raw` its card as it is.
pub(in crate::api::hyperswitch) fn method<'a>(
    actor: &'a Actor,
    method: &'a Method,
    raw: Option<&'a RawCard>,
) -> Answer<'a> {
    Answer {
        id: &method.id,
        merchant_id: actor.merchant.as_str(),
        customer_id: method.customer.as_deref(),
        payment_method_type: CARD,
        payment_method_subtype: subtype(method),
        recurring_enabled: false,
        created: method.created_at.to_string(),
        last_used_at: last_used(method).to_string(),
        payment_method_data: Some(Data { card: card(method) }),
        connector_tokens: connector_tokens(method),
        network_token: network_token(method),
        storage_type: match method.storage {
            Storage::Persistent => "persistent",
            Storage::Volatile => "volatile",
        },
        card_cvc_token_storage: code_storage(method),
        network_transaction_id: method.network_transaction_id.as_ref(),
        raw_payment_method_data: raw.map(|raw| Raw::of(method, raw)),
        billing: method.billing.as_ref(),
        acknowledgement_status: method.acknowledged,
        network_tokenization: None,
        psp_tokenization: None,
    }
}

/// A payment method whose card is still to come.
pub(in crate::api::hyperswitch) fn intent<'a>(actor: &'a Actor, intent: &'a Intent) -> Answer<'a> {
    let created = intent.created_at.to_string();
    Answer {
        id: &intent.id,
        merchant_id: actor.merchant.as_str(),
        customer_id: Some(&intent.customer),
        // the only type that there is
        payment_method_type: CARD,
        payment_method_subtype: None,
        recurring_enabled: false,
        last_used_at: created.clone(),
        created,
        payment_method_data: None,
        connector_tokens: None,
        network_token: None,
        storage_type: "persistent",
        card_cvc_token_storage: None,
        network_transaction_id: None,
        raw_payment_method_data: None,
        billing: intent.billing.as_ref(),
        acknowledgement_status: None,
        network_tokenization: None,
        psp_tokenization: None,
    }
}

pub(super) fn code_storage(method: &Method) -> Option<CodeStorage> {
    method.code_until.map(|until| CodeStorage {
        is_stored: true,
        expires_at: until.to_string(),
    })
}

/// A customer's payment methods.
pub(in crate::api::hyperswitch) fn saved<'a>(methods: &'a [Method], default: Option<&str>) -> Saved<'a> {
    let item = |method: &'a Method| Item {
        id: &method.id,
        customer_id: method.customer.as_deref(),
        payment_method_type: CARD,
        payment_method_subtype: subtype(method),
        recurring_enabled: false,
        payment_method_data: Data { card: card(method) },
        bank: None,
        created: method.created_at.to_string(),
        requires_cvv: true,
        last_used_at: last_used(method).to_string(),
        is_default: default == Some(method.id.as_str()),
        billing: method.billing.as_ref(),
        network_tokenization: network_token(method),
        psp_tokenization_enabled: method.connector_tokens.iter().any(|token| {
            token.token_type == Some(TokenizationType::MultiUse) && token.status == Some(ConnectorTokenStatus::Active)
        }),
        connector_tokens: connector_tokens(method),
        network_transaction_id: method.network_transaction_id.as_ref(),
    };
    Saved {
        customer_payment_methods: methods.iter().map(item).collect(),
    }
}

/// The payment method that a customer now uses by default.
pub(in crate::api::hyperswitch) fn default<'a>(customer: &'a str, method: &'a Method) -> Default<'a> {
    Default {
        default_payment_method_id: &method.id,
        customer_id: customer,
        payment_method_type: CARD,
        payment_method_subtype: subtype(method),
    }
}

/// As it was given; the kinds of cards are what the card's own kind is called, too.
pub(super) fn subtype(method: &Method) -> Option<&str> {
    method.subtype.as_deref().or(method.card.card_type.as_deref())
}

pub(super) fn last_used(method: &Method) -> UnixMillis {
    method.last_used_at.unwrap_or(method.created_at)
}

pub(super) fn card(method: &Method) -> Card<'_> {
    let card = &method.card;
    let (expiry_month, expiry_year) = written(card.expiry);
    Card {
        issuer_country: card.issuing_country.as_deref(),
        last4_digits: &card.last_four,
        expiry_month,
        expiry_year,
        card_holder_name: card.holder.as_ref(),
        card_fingerprint: None,
        nick_name: card.nick_name.as_ref(),
        card_network: network_of(method),
        card_isin: None,
        card_issuer: card.issuer.as_deref(),
        card_type: card.card_type.as_deref(),
        saved_to_locker: method.storage == Storage::Persistent,
    }
}

pub(super) fn network_of(method: &Method) -> Option<&str> {
    let card = &method.card;
    card.network.as_deref().or_else(|| network(card.brand.as_deref()))
}

/// Two and four digits, however they were given.
pub(super) fn written(expiry: Expiry) -> (String, String) {
    (format!("{:02}", expiry.month()), expiry.year().to_string())
}

fn connector_tokens(method: &Method) -> Option<Vec<ConnectorToken<'_>>> {
    let tokens: Vec<_> = method
        .connector_tokens
        .iter()
        .map(|there| ConnectorToken {
            connector_id: there.connector_id.as_deref(),
            token_type: there.token_type,
            status: there.status,
            connector_token_request_reference_id: there.request_reference_id.as_ref(),
            original_payment_authorized_amount: there.original_amount,
            original_payment_authorized_currency: there.original_currency.as_deref(),
            metadata: there.metadata.as_ref(),
            token: &there.token,
            connector_customer_id: there.connector_customer_id.as_ref(),
        })
        .collect();
    // `null` and not `[]` where there is none
    (!tokens.is_empty()).then_some(tokens)
}

pub(super) fn network_token(method: &Method) -> Option<NetworkToken<'_>> {
    let token = method.network_token.as_ref()?;
    let card = &method.card;
    let (network_token_expiry_month, network_token_expiry_year) = written(token.expiry);
    Some(NetworkToken {
        payment_method_data: NetworkCard {
            last4_digits: &token.last_four,
            issuer_country: card.issuing_country.as_deref(),
            network_token_expiry_month,
            network_token_expiry_year,
            nick_name: card.nick_name.as_ref(),
            card_holder_name: card.holder.as_ref(),
            card_isin: &token.first_six,
            card_issuer: card.issuer.as_deref(),
            card_network: network_of(method),
            card_type: card.card_type.as_deref(),
            saved_to_locker: true,
            par: token.account_reference.expose(),
        },
    })
}
