//! Payment methods.

use axum::http::StatusCode;
use bytes::Bytes;

use super::customers::kept;
use super::refusal::Refusal;
use super::wire::{MethodData, MethodType, Storage, Toggle};
use super::{Context, answer, card, query, read, said, wire};
use crate::payment::wallet::{ConnectorToken, Error, MethodUpdate, NewIntent, NewMethod, Storage as Kept};

/// `POST /payment-methods`
pub(super) async fn add(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let new = asked(read::parse(context.body)?)?;
    let payments = &context.services.payments;
    let added = payments.add_method(&context.actor, new).await?;
    said(&answer::added(&context.actor, &added))
}

/// `GET /payment-methods/{id}`
pub(super) async fn show(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let mut raw = false;
    for (name, value) in query::pairs(context.query)? {
        match name.as_str() {
            "fetch_raw_detail" => raw = query::flag("fetch_raw_detail", &value)?,
            _ => return Err(Refusal::query("unknown field")),
        }
    }
    let (payments, actor, id) = (&context.services.payments, &context.actor, context.named(0));
    let found = match raw {
        true => payments.raw_method(actor, id).await,
        false => payments.method(actor, id).await.map(|method| (method, None)),
    };
    match found {
        Ok((method, raw)) => said(&answer::method(actor, &method, raw.as_ref())),
        Err(Error::MethodUnknown) => match payments.intent(actor, id).await? {
            Some(intent) => said(&answer::intent(actor, &intent)),
            None => Err(Error::MethodUnknown.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// `PUT` or `PATCH /payment-methods/{id}/update-saved-payment-method`
pub(super) async fn update(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let update = update_of(read::parse(context.body)?)?;
    let (payments, actor, id) = (&context.services.payments, &context.actor, context.named(0));
    let method = payments.update_method(actor, id, update).await.map_err(not_updated)?;
    said(&answer::method(actor, &method, None))
}

/// A payment method that was deleted is another thing to an update than to the rest.
pub(super) fn not_updated(error: Error) -> Refusal {
    match error {
        Error::MethodRedacted => Refusal::unprocessable("Redacted Payment Method cannot be updated"),
        error => error.into(),
    }
}

/// What is to be changed.
pub(super) fn update_of(asked: wire::MethodUpdate) -> Result<MethodUpdate, Refusal> {
    let mut update = MethodUpdate {
        network_transaction_id: asked.network_transaction_id,
        acknowledged: asked.acknowledgement_status,
        connector_token: asked.connector_token_details.map(connector_token),
        ..MethodUpdate::default()
    };
    if let Some(data) = asked.payment_method_data {
        let Some(card) = data.card.filter(|_| data.bank_debit.is_none()) else {
            return Err(not_a_card());
        };
        update.holder = card::given(card.card_holder_name);
        update.nick_name = card::given(card.nick_name);
        update.code = card::code(card.card_cvc)?;
    }
    Ok(update)
}

/// `POST /payment-methods/create-intent`
pub(super) async fn add_intent(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::NewIntent = read::parse(context.body)?;
    let new = NewIntent {
        customer: asked.customer_id.ok_or_else(|| Refusal::missing("customer_id"))?,
        metadata: read::object("metadata", asked.metadata)?,
        billing: kept(asked.billing.as_ref())?,
    };
    let intent = context.services.payments.add_intent(&context.actor, new).await?;
    said(&answer::intent(&context.actor, &intent))
}

/// `POST /payment-methods/{id}/confirm-intent`
pub(super) async fn confirm_intent(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::ConfirmIntent = read::parse(context.body)?;
    let new = wire::NewMethod {
        payment_method_type: asked.payment_method_type,
        payment_method_subtype: asked.payment_method_subtype,
        // the intent's
        customer_id: None,
        payment_method_data: asked.payment_method_data,
        storage_type: None,
        metadata: None,
        billing: None,
        network_tokenization: None,
        psp_tokenization: None,
    };
    let (payments, id) = (&context.services.payments, context.named(0));
    let added = payments.confirm_intent(&context.actor, id, self::asked(new)?).await?;
    said(&answer::added(&context.actor, &added))
}

/// `GET /payment-methods/token/{token}/details`
pub(super) async fn named(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let handle = context.named(0);
    let (payments, actor) = (&context.services.payments, &context.actor);
    // asks for the right to see it, too
    let method = payments.method(actor, &payments.method_named(actor, handle)?).await?;
    said(&answer::Named {
        id: &method.id,
        payment_method_token: handle,
    })
}

/// `DELETE /payment-methods/{id}`
pub(super) async fn delete(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let id = context.named(0);
    context.services.payments.delete_method(&context.actor, id).await?;
    said(&answer::Deleted { id })
}

/// `GET /customers/{id}/saved-payment-methods`
pub(super) async fn saved(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let payments = &context.services.payments;
    let (methods, default) = payments.methods(&context.actor, context.named(0)).await?;
    said(&answer::saved(&methods, default.as_deref()))
}

/// `GET /customers/total-payment-methods`
pub(super) async fn total(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let total_count = context.services.payments.count_methods(&context.actor).await?;
    said(&answer::Total { total_count })
}

/// `POST /customers/{id}/payment-methods/{id}/default`
pub(super) async fn make_default(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let payments = &context.services.payments;
    let (customer, id) = (context.named(0), context.named(1));
    let method = payments.set_default_method(&context.actor, customer, id).await?;
    said(&answer::default(customer, &method))
}

/// The payment method that is asked for.
fn asked(asked: wire::NewMethod) -> Result<NewMethod, Refusal> {
    let data = asked
        .payment_method_data
        .ok_or_else(|| Refusal::missing("payment_method_data"))?;
    let storage = asked.storage_type.unwrap_or(Storage::Persistent);
    let card = the_card(
        asked.payment_method_type,
        data,
        storage,
        asked.payment_method_subtype.is_some(),
    )?;
    let network_tokenization = asked
        .network_tokenization
        .is_some_and(|asked| asked.enable == Toggle::Enable);
    Ok(NewMethod {
        intent: None,
        customer: asked.customer_id,
        subtype: asked.payment_method_subtype.map(|subtype| subtype.0),
        card: card::read(card)?,
        storage: match storage {
            Storage::Persistent => Kept::Persistent,
            Storage::Volatile => Kept::Volatile,
        },
        metadata: read::object("metadata", asked.metadata)?,
        billing: kept(asked.billing.as_ref())?,
        network_tokenization,
        psp_tokenization: asked.psp_tokenization,
    })
}

/// The card, where type and data agree that it is one: this is a vault of cards.
pub(super) fn the_card(
    kind: MethodType,
    data: MethodData,
    storage: Storage,
    subtype: bool,
) -> Result<wire::Card, Refusal> {
    let MethodData {
        card,
        bank_debit,
        bank_redirect,
        proxy_card,
        wallet,
    } = data;
    let others = [
        (bank_debit.is_some(), MethodType::BankDebit, true),
        (bank_redirect.is_some(), MethodType::BankRedirect, false),
        (proxy_card.is_some(), MethodType::Card, false),
        (wallet.is_some(), MethodType::Wallet, false),
    ];
    let mut given = others.into_iter().filter(|(there, ..)| *there);
    match (card, given.next(), given.next()) {
        (Some(card), None, _) if kind == MethodType::Card => Ok(card),
        (None, Some((_, of, may_wait)), None) if kind == of => {
            if kind != MethodType::Card && !subtype {
                return Err(Refusal::missing("payment_method_subtype"));
            }
            if storage == Storage::Volatile && !may_wait {
                let message = "A payment method of this type cannot be volatile";
                return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "IR_29", message));
            }
            Err(not_a_card())
        }
        (Some(_), None, _) | (None, Some(_), None) => {
            Err(Refusal::unprocessable("Invalid 'payment_method_type' provided"))
        }
        (None, None, _) | (Some(_), Some(_), _) | (None, Some(_), Some(_)) => {
            Err(Refusal::json("`payment_method_data` must hold exactly one kind"))
        }
    }
}

fn not_a_card() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "IR_19", "Payment method type not supported")
        .because("This vault keeps cards")
}

fn connector_token(given: wire::ConnectorToken) -> ConnectorToken {
    ConnectorToken {
        connector_id: given.connector_id,
        token_type: given.token_type,
        status: given.status,
        token: given.token,
        request_reference_id: given.connector_token_request_reference_id,
        original_amount: given.original_payment_authorized_amount,
        original_currency: given.original_payment_authorized_currency,
        metadata: given.metadata,
        connector_customer_id: given.connector_customer_id,
    }
}
