//! What clients send, named as the contract names it.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::names::{Country, Network, Subtype};
use crate::payment::wallet::{Acknowledgement, ConnectorTokenStatus, Json, PspTokenization, Text, TokenizationType};

/// A customer to be added, or what is to be changed of one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Customer {
    pub(super) merchant_reference_id: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) email: Option<Text>,
    pub(super) phone: Option<Text>,
    pub(super) phone_country_code: Option<Text>,
    pub(super) description: Option<Text>,
    pub(super) default_billing_address: Option<AddressDetails>,
    pub(super) default_shipping_address: Option<AddressDetails>,
    pub(super) metadata: Option<Json>,
    pub(super) default_payment_method_id: Option<String>,
    pub(super) tax_registration_id: Option<Text>,
    pub(super) document_details: Option<DocumentDetails>,
}

/// An address. What else is given is not kept.
#[derive(Deserialize, Serialize)]
#[serde(expecting = "an object")]
pub(super) struct AddressDetails {
    city: Option<Text>,
    country: Option<Country>,
    line1: Option<Text>,
    line2: Option<Text>,
    line3: Option<Text>,
    zip: Option<Text>,
    state: Option<Text>,
    first_name: Option<Text>,
    last_name: Option<Text>,
    origin_zip: Option<Text>,
}

/// A document that identifies a customer.
#[derive(Deserialize, Serialize)]
#[serde(expecting = "an object")]
pub(super) struct DocumentDetails {
    document_type: DocumentType,
    document_number: Text,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case", expecting = "a string")]
enum DocumentType {
    Cnpj,
    Cpf,
    Other,
    Psn,
}

/// A payment method's address, telephone and e-mail.
#[derive(Deserialize, Serialize)]
#[serde(expecting = "an object")]
pub(super) struct Address {
    address: Option<AddressDetails>,
    phone: Option<Phone>,
    email: Option<Text>,
}

#[derive(Deserialize, Serialize)]
#[serde(expecting = "an object")]
struct Phone {
    number: Option<Text>,
    country_code: Option<Text>,
}

/// A payment method to be added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewMethod {
    pub(super) payment_method_type: MethodType,
    pub(super) payment_method_subtype: Option<Subtype>,
    pub(super) customer_id: Option<String>,
    pub(super) payment_method_data: Option<MethodData>,
    pub(super) storage_type: Option<Storage>,
    pub(super) metadata: Option<Json>,
    pub(super) billing: Option<Address>,
    pub(super) network_tokenization: Option<NetworkTokenization>,
    pub(super) psp_tokenization: Option<PspTokenization>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum MethodType {
    BankDebit,
    BankRedirect,
    BankTransfer,
    Card,
    CardRedirect,
    Crypto,
    GiftCard,
    MobilePayment,
    NetworkToken,
    OpenBanking,
    PayLater,
    RealTimePayment,
    Reward,
    Upi,
    Voucher,
    Wallet,
}

/// One of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct MethodData {
    pub(super) card: Option<Card>,
    pub(super) bank_debit: Option<IgnoredAny>,
    pub(super) bank_redirect: Option<IgnoredAny>,
    pub(super) proxy_card: Option<IgnoredAny>,
    pub(super) wallet: Option<IgnoredAny>,
}

/// A card. What else is given is passed over.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Card {
    pub(super) card_number: Text,
    pub(super) card_exp_month: Text,
    pub(super) card_exp_year: Text,
    pub(super) card_holder_name: Option<Text>,
    pub(super) nick_name: Option<Text>,
    pub(super) card_issuing_country: Option<Country>,
    pub(super) card_network: Option<Network>,
    pub(super) card_issuer: Option<String>,
    pub(super) card_type: Option<CardType>,
    pub(super) card_cvc: Option<Text>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum CardType {
    Credit,
    Debit,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "a string")]
pub(super) enum Storage {
    Persistent,
    Volatile,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct NetworkTokenization {
    pub(super) enable: Toggle,
}

/// Capitalised, as the contract has it.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(expecting = "a string")]
pub(super) enum Toggle {
    Enable,
    Skip,
}

/// What is to be changed of a payment method.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct MethodUpdate {
    pub(super) payment_method_data: Option<UpdateData>,
    pub(super) connector_token_details: Option<ConnectorToken>,
    pub(super) network_transaction_id: Option<Text>,
    pub(super) acknowledgement_status: Option<Acknowledgement>,
}

/// A payment method whose card is still to come.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewIntent {
    pub(super) customer_id: Option<String>,
    pub(super) metadata: Option<Json>,
    pub(super) billing: Option<Address>,
}

/// Its card.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ConfirmIntent {
    pub(super) payment_method_type: MethodType,
    pub(super) payment_method_subtype: Option<Subtype>,
    pub(super) payment_method_data: Option<MethodData>,
    /// The intent has its own.
    #[serde(rename = "customer_id")]
    _customer: Option<String>,
}

/// A session to be opened, or what is to be changed of one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Session {
    pub(super) customer_id: Option<String>,
    pub(super) billing: Option<Address>,
    pub(super) return_url: Option<Text>,
    pub(super) psp_tokenization: Option<PspTokenization>,
    pub(super) network_tokenization: Option<NetworkTokenization>,
    pub(super) expires_in: Option<u32>,
    pub(super) tokenization_data: Option<Json>,
    pub(super) storage_type: Option<Storage>,
    pub(super) keep_alive: Option<bool>,
}

/// A payment method that is added in a session.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct ConfirmSession {
    pub(super) payment_method_type: MethodType,
    pub(super) payment_method_subtype: Option<Subtype>,
    pub(super) payment_method_data: Option<ConfirmData>,
    pub(super) storage_type: Option<Storage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ConfirmData {
    pub(super) card: Option<Card>,
    pub(super) bank_debit: Option<IgnoredAny>,
    pub(super) bank_redirect: Option<IgnoredAny>,
    pub(super) wallet: Option<IgnoredAny>,
    pub(super) billing: Option<Address>,
}

/// What is to be changed of a payment method in a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct SessionUpdate {
    /// Its own name, in the older document.
    #[serde(alias = "payment_method_id")]
    pub(super) payment_method_token: Option<String>,
    pub(super) payment_method_data: Option<UpdateData>,
    pub(super) connector_token_details: Option<ConnectorToken>,
    pub(super) network_transaction_id: Option<Text>,
    pub(super) acknowledgement_status: Option<Acknowledgement>,
}

/// A payment method that is to be deleted in a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct SessionDelete {
    /// Its own name, in the older document.
    #[serde(alias = "payment_method_id")]
    pub(super) payment_method_token: Option<String>,
}

/// One of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct UpdateData {
    pub(super) card: Option<CardUpdate>,
    pub(super) bank_debit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct CardUpdate {
    pub(super) card_holder_name: Option<Text>,
    pub(super) nick_name: Option<Text>,
    pub(super) card_cvc: Option<Text>,
}

/// A connector's token. The page shows one of which nothing but the token and a reference is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ConnectorToken {
    pub(super) connector_id: Option<String>,
    pub(super) token_type: Option<TokenizationType>,
    pub(super) status: Option<ConnectorTokenStatus>,
    pub(super) token: Text,
    pub(super) connector_token_request_reference_id: Option<Text>,
    pub(super) original_payment_authorized_amount: Option<i64>,
    pub(super) original_payment_authorized_currency: Option<String>,
    pub(super) metadata: Option<Json>,
    pub(super) connector_customer_id: Option<Text>,
}

impl CardType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
        }
    }
}
