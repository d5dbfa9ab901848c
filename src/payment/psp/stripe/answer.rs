//! What the provider answers, and whose fault it is where that is not what was asked for.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use crate::id::PspReference;
use crate::payment::psp::failure::{Failure, Refusal};

/// An answer as it came.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// None: it was too long.
    pub(super) body: Option<Bytes>,
    /// What the provider calls the request.
    pub(super) request: Option<PspReference>,
    /// Seconds.
    pub(super) retry_after_s: Option<u64>,
    /// Whether the provider wants it again; its word counts before the status.
    pub(super) should_retry: Option<bool>,
}

/// A payment method that there is.
pub(super) struct PaymentMethod {
    pub(super) id: PspReference,
    pub(super) customer: Option<PspReference>,
    pub(super) request: Option<PspReference>,
}

/// A customer that there is.
pub(super) struct Customer {
    pub(super) id: PspReference,
}

#[derive(Deserialize)]
struct Object {
    object: String,
    id: PspReference,
    #[serde(default)]
    customer: Option<PspReference>,
}

#[derive(Default, Deserialize)]
struct Wrapped {
    error: Words,
}

#[derive(Default, Deserialize)]
struct Words {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Answer {
    /// Whether asking again cannot give another answer.
    pub(super) fn is_final(&self) -> bool {
        let again = self
            .should_retry
            .unwrap_or(self.status == StatusCode::CONFLICT || self.status.is_server_error());
        self.status.is_success() || !again
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(super) fn payment_method(self) -> Result<PaymentMethod, Failure> {
        let request = self.request.clone();
        let Object { id, customer, .. } = self.object("payment_method", "pm_")?;
        Ok(PaymentMethod { id, customer, request })
    }

    pub(super) fn customer(self) -> Result<Customer, Failure> {
        let Object { id, .. } = self.object("customer", "cus_")?;
        Ok(Customer { id })
    }

    fn object(self, kind: &str, begins: &str) -> Result<Object, Failure> {
        if !self.status.is_success() {
            return Err(self.failure());
        }
        // what serde says of a fault may repeat what is in the answer
        let object: Option<Object> = self.body.and_then(|body| serde_json::from_slice(&body).ok());
        object
            .filter(|object| object.object == kind && object.id.as_str().starts_with(begins))
            .ok_or_else(|| {
                tracing::warn!(
                    status = self.status.as_u16(),
                    "the payment service provider's answer is no {kind}"
                );
                Failure::Answer
            })
    }

    fn failure(self) -> Failure {
        let words: Option<Wrapped> = self.body.and_then(|body| serde_json::from_slice(&body).ok());
        let understood = words.is_some();
        let Words {
            kind,
            code,
            decline_code,
            message,
        } = words.unwrap_or_default().error;
        let refusal = Refusal::new(code.as_deref(), decline_code.as_deref(), message.as_deref());
        let of_card = kind.as_deref() == Some("card_error") || refusal.code().is_some_and(|code| CARD.contains(&code));
        let failure = match self.status.as_u16() {
            400 | 402 | 422 if of_card => Failure::Card(refusal),
            401 | 403 => Failure::Account,
            // what an account must be allowed first, as sending card numbers, is refused so
            402 => Failure::Account,
            400 | 422 if understood => Failure::Request(refusal),
            409 => Failure::Busy { retry_after_s: None },
            429 => Failure::Busy {
                retry_after_s: self.retry_after_s,
            },
            500..=599 => Failure::Unavailable,
            _ => Failure::Answer,
        };
        tracing::warn!(
            status = self.status.as_u16(),
            class = failure.word(),
            code = failure.refusal().and_then(Refusal::code).unwrap_or_default(),
            request = self.request.as_ref().map(PspReference::as_str).unwrap_or_default(),
            "the payment service provider refused"
        );
        failure
    }
}

/// Codes that are about the card, whatever the type of the error says.
const CARD: [&str; 11] = [
    "card_declined",
    "expired_card",
    "incorrect_cvc",
    "incorrect_number",
    "incorrect_zip",
    "invalid_card_type",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "processing_error",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: Some(Bytes::from_static(body.as_bytes())),
            request: None,
            retry_after_s: Some(7),
            should_retry: None,
        }
    }

    fn failure(status: u16, body: &'static str) -> Failure {
        answer(status, body).payment_method().err().unwrap()
    }

    #[test]
    fn the_fault_is_found_by_status_type_and_code() {
        let declined = r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"lost_card","message":"Your card was declined."}}"#;
        let Failure::Card(refusal) = failure(402, declined) else {
            panic!()
        };
        assert_eq!(
            (refusal.code(), refusal.decline_code()),
            (Some("card_declined"), Some("lost_card"))
        );
        assert_eq!(refusal.message(), Some("Your card was declined."));

        let of_card = r#"{"error":{"type":"invalid_request_error","code":"invalid_expiry_year"}}"#;
        assert!(matches!(failure(400, of_card), Failure::Card(_)));
        let of_request = r#"{"error":{"type":"invalid_request_error","code":"email_invalid","message":"Invalid email address: a@b"}}"#;
        assert!(matches!(failure(400, of_request), Failure::Request(_)));
        let repeated = r#"{"error":{"type":"idempotency_error","message":"Keys for idempotent requests can only be used with the same parameters"}}"#;
        assert!(matches!(failure(400, repeated), Failure::Request(_)));
        let unsafe_number = r#"{"error":{"type":"invalid_request_error","message":"Sending credit card numbers directly to the Stripe API is generally unsafe."}}"#;
        assert_eq!(failure(402, unsafe_number), Failure::Account);
        let key = r#"{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_test_****"}}"#;
        assert_eq!(failure(401, key), Failure::Account);
        assert_eq!(failure(403, "{}"), Failure::Account);
        assert_eq!(failure(429, "{}"), Failure::Busy { retry_after_s: Some(7) });
        assert_eq!(failure(409, "{}"), Failure::Busy { retry_after_s: None });
        assert_eq!(failure(500, "<html>"), Failure::Unavailable);
        for (status, body) in [
            (400, "<html>"),
            (302, "{}"),
            (418, "{}"),
            (200, "{}"),
            (200, "<html>"),
            (204, ""),
        ] {
            assert_eq!(failure(status, body), Failure::Answer, "{status} {body}");
        }
    }

    #[test]
    fn only_an_object_of_the_right_kind_is_one() {
        let good = r#"{"object":"payment_method","id":"pm_1","customer":null,"card":{"last4":"4242"}}"#;
        let method = answer(200, good).payment_method().unwrap();
        assert_eq!((method.id.as_str(), method.customer), ("pm_1", None));
        for bad in [
            r#"{"object":"customer","id":"pm_1"}"#,
            r#"{"object":"payment_method","id":"cus_1"}"#,
            r#"{"object":"payment_method","id":"pm_1/../x"}"#,
            r#"{"object":"payment_method"}"#,
        ] {
            assert_eq!(failure(200, bad), Failure::Answer, "{bad}");
        }
    }

    #[test]
    fn what_may_be_asked_again() {
        for (status, said, is_final) in [
            (200, None, true),
            (200, Some(true), true),
            (402, None, true),
            (429, None, true),
            (429, Some(true), false),
            (409, None, false),
            (409, Some(false), true),
            (500, None, false),
            (503, Some(false), true),
        ] {
            let answer = Answer {
                should_retry: said,
                ..answer(status, "{}")
            };
            assert_eq!(answer.is_final(), is_final, "{status} {said:?}");
        }
    }
}
