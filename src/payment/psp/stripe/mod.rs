//! The connector that speaks Stripe's payment-method API.
//!
//! A token for one use is a payment method that belongs to nobody. One for many uses belongs to a customer: the one
//! that is named, or a new one, which is made and given the payment method in one request. A customer that is named and
//! is not there any more is replaced by a new one. Where the issuer refuses that, a payment method that belongs to
//! nobody is left behind.
//!
//! The payer is not asked: a payment that needs strong authentication asks for it when the token is used.
//!
//! Source: Stripe's API reference (payment methods, customers, errors, idempotent requests), as of the version below.

mod answer;
mod form;
mod http;

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use self::answer::{Customer, PaymentMethod};
use self::form::Form;
use self::http::Http;
use super::connector::{Ask, Made, PspConnector};
use super::failure::Failure;
use super::token::{TokenKind, TokenStatus};
use super::{BaseUrl, secret_file::ApiKey};
use crate::id::PspReference;
use crate::payment::acquirer::Fut;
use crate::payment::trust::Trust;

/// The version of the API that is asked for: without it the account's own setting decides what answers look like.
const API_VERSION: &str = "2024-06-20";

/// A merchant's account at Stripe.
pub(super) struct Stripe {
    http: Http,
    /// A tokenization with all its requests and repetitions takes no longer.
    timeout: Duration,
}

impl Stripe {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// For operators; without the key.
    pub(super) fn new(base: BaseUrl, key: &ApiKey, trust: Trust, timeout: Duration) -> Result<Self, &'static str> {
        Ok(Self {
            http: Http::new(base, key, trust, timeout)?,
            timeout,
        })
    }

    async fn make(&self, ask: Ask<'_>) -> Result<Made, Failure> {
        let until = Instant::now() + self.timeout;
        let method = self.payment_method(&ask, until).await?;
        let customer = match ask.kind {
            TokenKind::SingleUse => None,
            TokenKind::MultiUse => Some(self.customer_of(&ask, &method.id, until).await?),
        };
        Ok(Made {
            token: method.id,
            status: TokenStatus::Active,
            customer,
            request: method.request,
        })
    }

    async fn payment_method(&self, ask: &Ask<'_>, until: Instant) -> Result<PaymentMethod, Failure> {
        let (month, year) = (ask.expiry.month().to_string(), ask.expiry.year().to_string());
        let mut form = Form::new();
        form.push("type", "card");
        form.push("card[number]", ask.pan.expose());
        form.push("card[exp_month]", &month);
        form.push("card[exp_year]", &year);
        form.push_some("card[cvc]", ask.security_code.map(|code| code.expose()));
        form.push_some("billing_details[name]", name(ask));
        let billing = ask.billing;
        for (key, text) in [
            ("billing_details[email]", &billing.email),
            ("billing_details[phone]", &billing.phone),
            ("billing_details[address][line1]", &billing.line1),
            ("billing_details[address][line2]", &billing.line2),
            ("billing_details[address][city]", &billing.city),
            ("billing_details[address][postal_code]", &billing.postal_code),
            ("billing_details[address][state]", &billing.state),
            ("billing_details[address][country]", &billing.country),
        ] {
            form.push_some(key, text.as_ref().map(|text| text.as_str()));
        }
        let key = format!("{}-method", ask.key);
        let answer = self
            .http
            .post("/v1/payment_methods", form.encode(), &key, until)
            .await?;
        answer.payment_method()
    }

    /// Has the payment method belong to a customer, and gives that.
    async fn customer_of(&self, ask: &Ask<'_>, method: &PspReference, until: Instant) -> Result<PspReference, Failure> {
        if let Some(customer) = ask.customer
            && self.attach(ask, method, customer, until).await?
        {
            return Ok(customer.clone());
        }
        let mut form = Form::new();
        form.push("payment_method", method.as_str());
        form.push_some("name", name(ask));
        form.push_some("email", ask.billing.email.as_ref().map(|text| text.as_str()));
        let key = format!("{}-customer", ask.key);
        let answer = self.http.post("/v1/customers", form.encode(), &key, until).await?;
        let Customer { id } = answer.customer()?;
        Ok(id)
    }

    /// Whether the customer is there, and has the payment method now.
    async fn attach(
        &self,
        ask: &Ask<'_>,
        method: &PspReference,
        customer: &PspReference,
        until: Instant,
    ) -> Result<bool, Failure> {
        let mut form = Form::new();
        form.push("customer", customer.as_str());
        let path = format!("/v1/payment_methods/{method}/attach");
        let key = format!("{}-attach", ask.key);
        let answer = self.http.post(&path, form.encode(), &key, until).await?;
        // the payment method was made a moment ago: it is the customer that is not there
        if answer.is_not_found() {
            return Ok(false);
        }
        let attached = answer.payment_method()?;
        match attached.id == *method && attached.customer.as_ref() == Some(customer) {
            true => Ok(true),
            false => Err(Failure::Answer),
        }
    }
}

fn name<'a>(ask: &Ask<'a>) -> Option<&'a str> {
    let billing: Option<&'a Zeroizing<String>> = ask.billing.name.as_ref();
    billing.map(|name| name.as_str()).or(ask.holder)
}

impl PspConnector for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn tokenize<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Made, Failure>> {
        Box::pin(self.make(ask))
    }
}
