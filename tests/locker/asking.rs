//! A client of the locker.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::http::{self, Answer};

/// The test tenant's side of a daemon.
#[derive(Clone)]
pub(crate) struct Locker<'a> {
    pub(crate) daemon: &'a Daemon,
    pub(crate) socket: PathBuf,
    pub(crate) tenant: String,
}

impl<'a> Locker<'a> {
    pub(crate) fn of(daemon: &'a Daemon) -> Self {
        let dev = daemon.dev_json();
        Self {
            daemon,
            socket: daemon.api(),
            tenant: dev["hyperswitch"]["locker"]["tenant_id"].as_str().unwrap().to_owned(),
        }
    }

    /// A request as the router sends it.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.text(path, &body.to_string())
    }

    /// The same with a body as it is.
    pub(crate) fn text(&self, path: &str, body: &str) -> Answer {
        let headers = [
            ("x-tenant-id", self.tenant.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.raw("POST", path, &headers, body)
    }

    pub(crate) fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        http::request(&self.socket, method, path, headers, body.as_bytes()).unwrap()
    }

    /// A request that is done.
    pub(crate) fn done(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("x-request-id").is_some());
        answer.json()
    }

    /// A request that is refused so.
    pub(crate) fn refused(&self, path: &str, body: &Value, status: u16, code: &str) -> String {
        refusal(&self.post(path, body), status, code)
    }

    /// Adds a card and gives the payload.
    pub(crate) fn add(&self, merchant: &str, customer: &str, card: &Value) -> Value {
        let body = json!({"merchant_id": merchant, "merchant_customer_id": customer, "card": card});
        let answer = self.done("/cards/add", &body);
        assert_eq!(answer["status"], "Ok");
        assert_eq!(answer["payload"]["dedup"], Value::Null);
        answer["payload"].clone()
    }

    /// Deletes, whatever is there.
    pub(crate) fn delete(&self, merchant: &str, customer: &str, reference: &str) {
        let answer = self.done("/cards/delete", &named(merchant, customer, reference));
        assert_eq!(answer, json!({"status": "Ok"}));
    }
}

/// What an answer that refuses says.
pub(crate) fn refusal(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["code"], code, "{body}");
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["code", "data", "message"]);
    assert_eq!(body["data"], Value::Null);
    body["message"].as_str().unwrap().to_owned()
}

pub(crate) fn named(merchant: &str, customer: &str, reference: &str) -> Value {
    json!({"merchant_id": merchant, "merchant_customer_id": customer, "card_reference": reference})
}

/// A card as the router sends it.
pub(crate) fn card(number: &str) -> Value {
    json!({
        "card_number": number, "name_on_card": "John Doe", "card_exp_month": "03", "card_exp_year": "2030",
        "card_brand": "VISA", "card_isin": "411111", "nick_name": "mine",
    })
}

/// A name that no other scenario has.
pub(crate) fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A made-up number of a test range that passes Luhn.
pub(crate) fn number(n: u32) -> String {
    let body = format!("400000{n:09}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}
