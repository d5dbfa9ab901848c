//! Sessions as they are answered.

use serde::Serialize;

use super::method::{Card, CodeStorage, Data, NetworkToken, card, code_storage, last_used, network_token, subtype};
use super::outcome::{Network, Psp};
use crate::api::hyperswitch::auth::{publishable_key, sdk_authorization};
use crate::api::hyperswitch::wire::Toggle;
use crate::payment::wallet::{AddedMethod, Json, Method, MethodSession, PspTokenization, Storage, Text};
use crate::vault::types::Actor;

#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Session<'a> {
    id: &'a str,
    customer_id: Option<&'a str>,
    billing: Option<&'a Json>,
    psp_tokenization: Option<PspAsked<'a>>,
    network_tokenization: Option<NetworkAsked<'a>>,
    tokenization_data: Option<&'a Json>,
    expires_at: String,
    client_secret: &'a Text,
    return_url: Option<&'a Text>,
    next_action: Option<()>,
    authentication_details: Option<()>,
    associated_payment_methods: Option<Vec<Associated<'a>>>,
    associated_token_id: Option<()>,
    storage_type: &'static str,
    card_cvc_token_storage: Option<CodeStorage>,
    payment_method_data: Option<Data<Card<'a>>>,
    sdk_authorization: Text,
    publishable_key: String,
    keep_alive: bool,
    network_tokenization_data: Option<NetworkToken<'a>>,
    external_vault_details: Option<()>,
}

/// What was asked, or, where it was done, how that ended.
#[derive(Serialize)]
#[serde(untagged)]
enum NetworkAsked<'a> {
    Asked { enable: Toggle },
    Ended(Network<'a>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum PspAsked<'a> {
    Asked(&'a PspTokenization),
    Ended(Psp<'a>),
}

#[derive(Serialize)]
struct Associated<'a> {
    payment_method_token: Token<'a>,
}

#[derive(Serialize)]
struct Token<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: &'a str,
}

/// The customer's payment methods, and what can be added.
#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct List<'a> {
    payment_methods_enabled: [Enabled; 2],
    customer_payment_methods: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Enabled {
    payment_method_type: &'static str,
    payment_method_subtype: &'static str,
    /// None in particular.
    card_networks: [(); 0],
    required_fields: [(); 0],
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    payment_token: &'a str,
    payment_method_token: &'a str,
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
}

/// A payment method that was deleted.
#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct SessionDeleted<'a> {
    /// The older document's answer.
    pub(in crate::api::hyperswitch) id: &'a str,
    pub(in crate::api::hyperswitch) payment_method_token: &'a str,
}

/// A session, and the payment method that was looked at in it.
pub(in crate::api::hyperswitch) fn session<'a>(
    actor: &'a Actor,
    session: &'a MethodSession,
    method: Option<&'a Method>,
) -> Session<'a> {
    let terms = &session.terms;
    let associated = |handle: &'a String| Associated {
        payment_method_token: Token {
            kind: "payment_method_session_token",
            data: handle,
        },
    };
    let toggle = |enable| NetworkAsked::Asked {
        enable: if enable { Toggle::Enable } else { Toggle::Skip },
    };
    Session {
        id: &session.id,
        customer_id: terms.customer.as_deref(),
        billing: terms.billing.as_ref(),
        psp_tokenization: terms.psp_tokenization.as_ref().map(PspAsked::Asked),
        network_tokenization: terms.network_tokenization.map(toggle),
        tokenization_data: terms.tokenization_data.as_ref(),
        expires_at: session.ends_at.to_string(),
        client_secret: &session.secret,
        return_url: terms.return_url.as_ref(),
        next_action: None,
        authentication_details: None,
        associated_payment_methods: (!session.added.is_empty()).then(|| session.added.iter().map(associated).collect()),
        associated_token_id: None,
        storage_type: match terms.storage() {
            Storage::Persistent => "persistent",
            Storage::Volatile => "volatile",
        },
        card_cvc_token_storage: method.and_then(code_storage),
        payment_method_data: method.map(|method| Data { card: card(method) }),
        sdk_authorization: sdk_authorization(actor, session.secret.expose()),
        publishable_key: publishable_key(&actor.merchant),
        keep_alive: terms.keep_alive,
        network_tokenization_data: method.and_then(network_token),
        external_vault_details: None,
    }
}

/// A session in which a payment method was added just now.
pub(in crate::api::hyperswitch) fn confirmed<'a>(
    actor: &'a Actor,
    session_now: &'a MethodSession,
    added: &'a AddedMethod,
) -> Session<'a> {
    let now = session(actor, session_now, Some(&added.method));
    let network = added.network_tokenization.as_ref();
    let psp = added.psp_tokenization.as_ref();
    Session {
        network_tokenization: match network {
            Some(outcome) => Some(NetworkAsked::Ended(Network::of(outcome))),
            None => now.network_tokenization,
        },
        psp_tokenization: match psp {
            Some((asked, outcome)) => Some(PspAsked::Ended(Psp::of(asked, outcome))),
            None => now.psp_tokenization,
        },
        ..now
    }
}

/// The customer's payment methods by their temporary names.
pub(in crate::api::hyperswitch) fn session_list<'a>(
    methods: &'a [(String, Method)],
    default: Option<&str>,
) -> List<'a> {
    let enabled = |payment_method_subtype| Enabled {
        payment_method_type: "card",
        payment_method_subtype,
        card_networks: [],
        required_fields: [],
    };
    let item = |(handle, method): &'a (String, Method)| Item {
        id: &method.id,
        payment_token: handle,
        payment_method_token: handle,
        customer_id: method.customer.as_deref(),
        payment_method_type: "card",
        payment_method_subtype: subtype(method),
        recurring_enabled: false,
        payment_method_data: Data { card: card(method) },
        bank: None,
        created: method.created_at.to_string(),
        requires_cvv: true,
        last_used_at: last_used(method).to_string(),
        is_default: default == Some(method.id.as_str()),
        billing: method.billing.as_ref(),
    };
    List {
        payment_methods_enabled: [enabled("credit"), enabled("debit")],
        customer_payment_methods: methods.iter().map(item).collect(),
    }
}
