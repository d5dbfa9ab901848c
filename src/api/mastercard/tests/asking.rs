//! How transactions are asked for.

use super::*;

/// A body with a card of this expiry, for an order of 10 euros.
pub(super) fn order_with(operation: &str, month: u8, year: u8, extra: &Value) -> Value {
    let mut body = json!({
        "apiOperation": operation,
        "order": {"amount": "10.00", "currency": "EUR"},
        "sourceOfFunds": {
            "type": "CARD",
            "provided": {"card": {"number": PAN, "expiry": {"month": month, "year": year}}},
        },
    });
    merge(&mut body, extra);
    body
}

pub(super) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

pub(super) fn authorize(extra: &Value) -> Value {
    order_with("AUTHORIZE", 1, 39, extra)
}

pub(super) fn step(operation: &str, transaction: &Value) -> Value {
    json!({"apiOperation": operation, "transaction": transaction})
}

impl Client {
    pub(super) async fn put(&self, ids: &str, body: &Value) -> super::Answer {
        let (order, transaction) = ids.split_once('/').unwrap();
        let path = format!("order/{order}/transaction/{transaction}");
        self.call("PUT", &path, &body.to_string()).await
    }

    /// The JSON of an answer that is one.
    pub(super) async fn done(&self, ids: &str, body: &Value) -> Value {
        let answer = self.put(ids, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    }
}
