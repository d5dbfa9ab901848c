//! Customers.

use bytes::Bytes;

use super::refusal::Refusal;
use super::{Context, answer, query, read, said, wire};
use crate::payment::wallet::{CustomerDetails, CustomerQuery, Json};

/// Customers of one list where the request does not say, and at most.
const LIMIT: u32 = 10;
const LIMIT_MAX: u32 = 100;

/// `POST /customers`
pub(super) async fn add(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::Customer = read::parse(context.body)?;
    for (name, value) in [("name", &asked.name), ("email", &asked.email)] {
        if value.is_none() {
            return Err(Refusal::json(format!("missing field `{name}`")));
        }
    }
    if asked.default_payment_method_id.is_some() {
        return Err(Refusal::json("unknown field `default_payment_method_id`"));
    }
    let (details, _) = details(asked)?;
    let payments = &context.services.payments;
    let customer = payments.add_customer(&context.actor, details).await?;
    said(&answer::customer(&customer))
}

/// `GET /customers/{id}`
pub(super) async fn show(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let payments = &context.services.payments;
    let customer = payments.customer(&context.actor, context.named(0)).await?;
    said(&answer::customer(&customer))
}

/// `GET /customers/reference/{merchant_reference_id}`
pub(super) async fn by_reference(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let payments = &context.services.payments;
    let found = payments.customer_by_reference(&context.actor, context.named(0)).await?;
    said(&answer::customer(&found))
}

/// `PUT /customers/{id}`
pub(super) async fn update(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let asked: wire::Customer = read::parse(context.body)?;
    if asked.merchant_reference_id.is_some() {
        return Err(Refusal::json("unknown field `merchant_reference_id`"));
    }
    let (details, default) = details(asked)?;
    let payments = &context.services.payments;
    let (actor, id) = (&context.actor, context.named(0));
    let customer = payments.update_customer(actor, id, details, default).await?;
    said(&answer::customer(&customer))
}

/// `DELETE /customers/{id}`
pub(super) async fn delete(context: &Context<'_>) -> Result<Bytes, Refusal> {
    let payments = &context.services.payments;
    let redacted = payments.redact_customer(&context.actor, context.named(0)).await?;
    said(&answer::redacted(&redacted))
}

/// `GET /customers/list`, and with their number `/customers/list_with_count`
pub(super) async fn list(context: &Context<'_>, counted: bool) -> Result<Bytes, Refusal> {
    let mut wanted = CustomerQuery {
        limit: LIMIT,
        ..CustomerQuery::default()
    };
    for (name, value) in query::pairs(context.query)? {
        match name.as_str() {
            "offset" => wanted.offset = query::number("offset", &value, u32::MAX)?,
            "limit" => wanted.limit = query::number("limit", &value, LIMIT_MAX)?,
            "customer_id" => wanted.id = Some(value.to_string()),
            "start_time" => wanted.from = Some(query::time("start_time", &value)?),
            "end_time" => wanted.to = Some(query::time("end_time", &value)?),
            _ => {}
        }
    }
    let payments = &context.services.payments;
    let page = payments.customers(&context.actor, &wanted, counted).await?;
    let customers: Vec<_> = page.customers.iter().map(answer::customer).collect();
    match counted {
        true => said(&answer::Counted {
            data: customers,
            total_count: page.total,
        }),
        false => said(&customers),
    }
}

/// What is said of a customer, and its default payment method.
fn details(asked: wire::Customer) -> Result<(CustomerDetails, Option<String>), Refusal> {
    for (name, value, min, max) in [
        ("merchant_reference_id", &asked.merchant_reference_id, 1, 64),
        ("name", &asked.name, 0, 255),
        ("email", &asked.email, 0, 255),
        ("phone", &asked.phone, 0, 255),
        ("phone_country_code", &asked.phone_country_code, 0, 255),
        ("description", &asked.description, 0, 255),
        ("tax_registration_id", &asked.tax_registration_id, 0, 255),
    ] {
        read::within(name, value.as_ref().map(|text| text.expose()), min, max)?;
    }
    let details = CustomerDetails {
        reference: asked.merchant_reference_id,
        name: asked.name,
        email: asked.email,
        phone: asked.phone,
        phone_country_code: asked.phone_country_code,
        description: asked.description,
        tax_registration_id: asked.tax_registration_id,
        billing_address: kept(asked.default_billing_address.as_ref())?,
        shipping_address: kept(asked.default_shipping_address.as_ref())?,
        metadata: read::object("metadata", asked.metadata)?,
        identity_document: kept(asked.document_details.as_ref())?,
    };
    Ok((details, asked.default_payment_method_id))
}

/// An object as it is kept.
pub(super) fn kept(value: Option<&impl serde::Serialize>) -> Result<Option<Json>, Refusal> {
    let json = |value| Json::of(value).map_err(|_| Refusal::failed("an object could not be written"));
    value.map(json).transpose()
}
