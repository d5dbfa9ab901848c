//! Customers as they are answered.

use serde::Serialize;

use crate::payment::wallet::{self, Json, RedactedCustomer, Text};

/// A customer.
#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Customer<'a> {
    id: &'a str,
    merchant_reference_id: Option<&'a Text>,
    connector_customer_ids: Option<()>,
    name: Option<&'a Text>,
    email: Option<&'a Text>,
    phone: Option<&'a Text>,
    phone_country_code: Option<&'a Text>,
    description: Option<&'a Text>,
    default_billing_address: Option<&'a Json>,
    default_shipping_address: Option<&'a Json>,
    created_at: String,
    metadata: Option<&'a Json>,
    default_payment_method_id: Option<&'a str>,
    tax_registration_id: Option<&'a Text>,
    document_details: Option<&'a Json>,
}

/// Customers, and how many there are.
#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Counted<'a> {
    pub(in crate::api::hyperswitch) data: Vec<Customer<'a>>,
    pub(in crate::api::hyperswitch) total_count: usize,
}

/// A customer whose data was removed.
#[derive(Serialize)]
pub(in crate::api::hyperswitch) struct Redacted<'a> {
    id: &'a str,
    merchant_reference_id: Option<&'a Text>,
    customer_deleted: bool,
    address_deleted: bool,
    payment_methods_deleted: bool,
}

pub(in crate::api::hyperswitch) fn customer(customer: &wallet::Customer) -> Customer<'_> {
    let details = &customer.details;
    Customer {
        id: &customer.id,
        merchant_reference_id: details.reference.as_ref(),
        connector_customer_ids: None,
        name: details.name.as_ref(),
        email: details.email.as_ref(),
        phone: details.phone.as_ref(),
        phone_country_code: details.phone_country_code.as_ref(),
        description: details.description.as_ref(),
        default_billing_address: details.billing_address.as_ref(),
        default_shipping_address: details.shipping_address.as_ref(),
        created_at: customer.created_at.to_string(),
        metadata: details.metadata.as_ref(),
        default_payment_method_id: customer.default_method.as_deref(),
        tax_registration_id: details.tax_registration_id.as_ref(),
        document_details: details.identity_document.as_ref(),
    }
}

pub(in crate::api::hyperswitch) fn redacted(customer: &RedactedCustomer) -> Redacted<'_> {
    Redacted {
        id: &customer.id,
        merchant_reference_id: customer.reference.as_ref(),
        customer_deleted: true,
        address_deleted: true,
        payment_methods_deleted: true,
    }
}
