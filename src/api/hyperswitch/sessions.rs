//! Payment method sessions: opened by a merchant, used by its customer's browser.

use bytes::Bytes;

use super::customers::kept;
use super::methods::{not_updated, the_card, update_of};
use super::refusal::Refusal;
use super::wire::{MethodData, Storage, Toggle};
use super::{Context, answer, card, read, said, wire};
use crate::payment::wallet::{SessionCard, SessionTerms, SessionUse};

/// How long a session is where the request does not say, and at most. Seconds.
const LIFE: u32 = 900;
const LIFE_MAX: u32 = 24 * 3_600;

/// `POST /payment-method-sessions`
pub(super) async fn open(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::Session = read::parse(context.body)?;
    let life = asked.expires_in.unwrap_or(LIFE);
    if !(1..=LIFE_MAX).contains(&life) {
        return Err(Refusal::value("expires_in"));
    }
    read::within(
        "return_url",
        asked.return_url.as_ref().map(|url| url.expose()),
        0,
        2_048,
    )?;
    let terms = SessionTerms {
        customer: asked.customer_id,
        billing: kept(asked.billing.as_ref())?,
        return_url: asked.return_url,
        network_tokenization: asked.network_tokenization.map(|asked| asked.enable == Toggle::Enable),
        psp_tokenization: asked.psp_tokenization,
        tokenization_data: asked.tokenization_data,
        stored: asked.storage_type.unwrap_or(Storage::Persistent) == Storage::Persistent,
        keep_alive: asked.keep_alive.unwrap_or(false),
    };
    let payments = &context.services.payments;
    let session = payments
        .open_method_session(&context.actor, terms, u64::from(life) * 1_000)
        .await?;
    said(&answer::session(&context.actor, &session, None))
}

/// `GET /payment-method-sessions/{id}`
pub(super) async fn show(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let SessionUse { id, secret } = used(context);
    let payments = &context.services.payments;
    let session = payments.method_session(&context.actor, id, secret).await?;
    said(&answer::session(&context.actor, &session, None))
}

/// `PUT /payment-method-sessions/{id}`
pub(super) async fn update(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::Session = read::parse(context.body)?;
    for (name, given) in [
        ("customer_id", asked.customer_id.is_some()),
        ("expires_in", asked.expires_in.is_some()),
        ("storage_type", asked.storage_type.is_some()),
    ] {
        if given {
            return Err(Refusal::json(format!("unknown field `{name}`")));
        }
    }
    for_merchants(
        context,
        &[
            ("network_tokenization", asked.network_tokenization.is_some()),
            ("psp_tokenization", asked.psp_tokenization.is_some()),
            ("tokenization_data", asked.tokenization_data.is_some()),
        ],
    )?;
    let billing = kept(asked.billing.as_ref())?;
    let network = asked.network_tokenization.map(|asked| asked.enable == Toggle::Enable);
    let SessionUse { id, secret } = used(context);
    let change = |terms: &mut SessionTerms| {
        terms.billing = billing.clone().or(terms.billing.take());
        terms.return_url = asked.return_url.clone().or(terms.return_url.take());
        terms.psp_tokenization = asked.psp_tokenization.clone().or(terms.psp_tokenization.take());
        terms.tokenization_data = asked.tokenization_data.clone().or(terms.tokenization_data.take());
        terms.network_tokenization = network.or(terms.network_tokenization);
        terms.keep_alive = asked.keep_alive.unwrap_or(terms.keep_alive);
    };
    let payments = &context.services.payments;
    let session = payments
        .change_method_session(&context.actor, id, secret, change)
        .await?;
    said(&answer::session(&context.actor, &session, None))
}

/// `GET /payment-method-sessions/{id}/list-payment-methods`
pub(super) async fn list(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let payments = &context.services.payments;
    let (methods, default) = payments.methods_in_session(&context.actor, used(context)).await?;
    said(&answer::session_list(&methods, default.as_deref()))
}

/// `POST /payment-method-sessions/{id}/confirm`
pub(super) async fn confirm(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::ConfirmSession = read::parse(context.body)?;
    let data = asked
        .payment_method_data
        .ok_or_else(|| Refusal::missing("payment_method_data"))?;
    let kind = MethodData {
        card: data.card,
        bank_debit: data.bank_debit,
        bank_redirect: data.bank_redirect,
        proxy_card: None,
        wallet: data.wallet,
    };
    let storage = asked.storage_type.unwrap_or(Storage::Persistent);
    let subtype = asked.payment_method_subtype;
    let given = the_card(asked.payment_method_type, kind, storage, subtype.is_some())?;
    let given = SessionCard {
        card: card::read(given)?,
        subtype: subtype.map(|subtype| subtype.0),
        billing: kept(data.billing.as_ref())?,
    };
    let payments = &context.services.payments;
    let (session, added) = payments.add_in_session(&context.actor, used(context), given).await?;
    said(&answer::confirmed(&context.actor, &session, &added))
}

/// `PUT /payment-method-sessions/{id}/update-saved-payment-method`
pub(super) async fn update_method(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::SessionUpdate = read::parse(context.body)?;
    let handle = asked
        .payment_method_token
        .ok_or_else(|| Refusal::missing("payment_method_token"))?;
    for_merchants(
        context,
        &[
            ("acknowledgement_status", asked.acknowledgement_status.is_some()),
            ("connector_token_details", asked.connector_token_details.is_some()),
            ("network_transaction_id", asked.network_transaction_id.is_some()),
        ],
    )?;
    let update = update_of(wire::MethodUpdate {
        payment_method_data: asked.payment_method_data,
        connector_token_details: asked.connector_token_details,
        network_transaction_id: asked.network_transaction_id,
        acknowledgement_status: asked.acknowledgement_status,
    })?;
    let payments = &context.services.payments;
    let (session, method) = payments
        .update_in_session(&context.actor, used(context), &handle, update)
        .await
        .map_err(not_updated)?;
    said(&answer::session(&context.actor, &session, Some(&method)))
}

/// `DELETE /payment-method-sessions/{id}`: a payment method, not the session
pub(super) async fn delete_method(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::SessionDelete = read::parse(context.body)?;
    let handle = asked
        .payment_method_token
        .ok_or_else(|| Refusal::missing("payment_method_token"))?;
    let payments = &context.services.payments;
    let id = payments
        .delete_in_session(&context.actor, used(context), &handle)
        .await?;
    said(&answer::SessionDeleted {
        id: &id,
        payment_method_token: &handle,
    })
}

/// Refuses what is the merchant's to say where a browser says it, with no more than the session's secret.
fn for_merchants(context: &Context<'_>, members: &[(&str, bool)]) -> Result<(), Refusal> {
    let guest = context.secret.is_some();
    match members.iter().find(|(_, given)| guest && *given) {
        Some((name, _)) => Err(Refusal::json(format!(
            "`{name}` is given with the merchant's API key only"
        ))),
        None => Ok(()),
    }
}

fn used<'a>(context: &'a Context<'_>) -> SessionUse<'a> {
    SessionUse {
        id: context.named(0),
        secret: context.secret.as_deref().map(String::as_str),
    }
}
