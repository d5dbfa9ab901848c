//! A merchant and its requests.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::http::{self, Answer};

pub(crate) const VISA: &str = "4111111111111111";
pub(crate) const MASTERCARD: &str = "5555555555554444";

/// A merchant of the dialect.
#[derive(Clone)]
pub(crate) struct Shop<'a> {
    pub(crate) daemon: &'a Daemon,
    pub(crate) socket: PathBuf,
    pub(crate) merchant: String,
    pub(crate) profile: String,
    pub(crate) key: String,
}

impl<'a> Shop<'a> {
    /// The dev instance's own.
    pub(crate) fn dev(daemon: &'a Daemon) -> Self {
        let file = daemon.dev_json();
        let text = |name: &str| file["hyperswitch"][name].as_str().unwrap().to_owned();
        assert_eq!(text("connector_id"), "mca_simulator");
        Self {
            daemon,
            socket: daemon.api(),
            merchant: text("merchant_id"),
            profile: text("profile_id"),
            key: text("api_key"),
        }
    }

    /// Another merchant.
    pub(crate) fn added(daemon: &'a Daemon, merchant: &str, more: &[&str]) -> Self {
        let add = [&["merchant", "add", merchant, "--dialect", "hyperswitch"], more].concat();
        daemon.run(&add, 0);
        let add = [
            "credential",
            "add",
            "--dialect",
            "hyperswitch",
            "--json",
            "--merchant",
            merchant,
        ];
        let made: Value = serde_json::from_str(&daemon.run(&add, 0)).unwrap();
        Self {
            daemon,
            socket: daemon.api(),
            merchant: merchant.to_owned(),
            profile: merchant.to_owned(),
            key: made["secret"].as_str().unwrap().to_owned(),
        }
    }

    /// A request; a body of `null` is none.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let text = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        self.raw(method, path, &text)
    }

    pub(crate) fn raw(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Profile-Id", self.profile.as_str()),
            ("api-key", self.key.as_str()),
        ];
        self.with(method, path, &headers, body)
    }

    pub(crate) fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = http::request(&self.socket, method, path, headers, body).unwrap();
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("x-request-id").is_some());
        answer
    }

    /// A request that succeeds.
    pub(crate) fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.call(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.json()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.ok("GET", path, &Value::Null)
    }

    /// A request that is refused so.
    pub(crate) fn refused(&self, method: &str, path: &str, body: &Value, status: u16, code: &str) -> Value {
        refused(&self.call(method, path, body), status, code)
    }

    /// A new customer's id.
    pub(crate) fn customer(&self) -> String {
        let made = self.ok(
            "POST",
            "/v2/customers",
            &json!({"name": "Jon Test", "email": "jon@example.com"}),
        );
        made["id"].as_str().unwrap().to_owned()
    }

    /// A payment method that is added.
    pub(crate) fn add(&self, body: &Value) -> Value {
        self.ok("POST", "/v2/payment-methods", body)
    }
}

/// Checks a refusal: its status, its code and its envelope. Gives the error.
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let said = answer.text();
    assert_eq!(answer.status, status, "{said}");
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], code, "{said}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{said}");
    let kind = if status >= 500 { "api" } else { "invalid_request" };
    let unread = error["message"].as_str().unwrap().contains("deserialize error");
    let (here, not_here) = if unread {
        ("error_type", "type")
    } else {
        ("type", "error_type")
    };
    assert_eq!(error[here], kind, "{said}");
    assert!(error.get(not_here).is_none(), "{said}");
    error
}

/// A card.
pub(crate) fn card(number: &str, month: &str, year: &str) -> Value {
    json!({"card_number": number, "card_exp_month": month, "card_exp_year": year, "card_holder_name": "joseph Doe"})
}

/// A payment method with that card.
pub(crate) fn method(customer: &str, card: &Value) -> Value {
    json!({
        "payment_method_type": "card", "payment_method_subtype": "credit", "customer_id": customer,
        "payment_method_data": {"card": card}, "storage_type": "persistent",
    })
}

/// `<cell>_<entity>_<UUID of version 7>`
pub(crate) fn is_id(text: &str, cell: &str, entity: &str) -> bool {
    let hex = text.strip_prefix(&format!("{cell}_{entity}_")).unwrap_or_default();
    hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && &hex[12..13] == "7"
}

/// `2026-02-14T14:03:06.957Z`
pub(crate) fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && &text[19..20] == "."
}
