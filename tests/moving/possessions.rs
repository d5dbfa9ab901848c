//! What a vault has in every dialect, and whether it has it still.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::daemon::{AMEX, Daemon, MASTERCARD, VISA, card};
use crate::support::http;

pub(crate) struct Possessions {
    /// Opaque tokens of one card, with a profile each.
    opaque: Vec<String>,
    /// The one token of a card, and that of a card in a namespace.
    reused: String,
    named: String,
    /// Used up by the first look.
    single: Option<String>,
    spent: String,
    worldpay: String,
    person: String,
    locked: Value,
    fingerprint: String,
}

impl Possessions {
    pub(crate) fn made(daemon: &Daemon) -> Self {
        let opaque: Vec<String> = (0..40)
            .map(|n| {
                let body = json!({"card": card(AMEX), "profile": {"email": format!("{n}@example.com")}});
                token(&store(daemon, &body))
            })
            .collect();
        let spent = token(&store(daemon, &json!({"card": card(VISA), "uses": "single"})));
        assert_eq!(daemon.reveal(&spent).status, 200);
        let worldpay = worldpay(daemon).expect("made");
        let person = hyperswitch(
            daemon,
            "POST",
            "/v2/customers",
            &json!({"name": "Ada", "email": "ada@example.com"}),
        );
        locker(daemon, "/api/v2/vault/add", &record());
        let locked = locker(daemon, "/cards/add", &locked_card())["payload"]["card_reference"].clone();
        Self {
            opaque,
            reused: token(&store(daemon, &reusable(VISA, None))),
            named: token(&store(daemon, &reusable(VISA, Some("shopper-1")))),
            single: Some(token(&store(daemon, &json!({"card": card(VISA), "uses": "single"})))),
            spent,
            worldpay,
            person: person["id"].as_str().unwrap().to_owned(),
            locked,
            fingerprint: fingerprint(daemon),
        }
    }

    /// A token of VISA.
    pub(crate) fn token(&self) -> &str {
        &self.reused
    }

    pub(crate) fn are_there(&mut self, daemon: &Daemon) {
        for (n, token) in self.opaque.iter().enumerate() {
            let opened = daemon.call(
                "POST",
                &format!("/v1/tokens/{token}/reveal"),
                &json!({"with": ["profile"]}),
            );
            let opened = opened.json();
            assert_eq!(opened["card"], card(AMEX), "{opened}");
            assert_eq!(opened["profile"]["email"], format!("{n}@example.com"), "{opened}");
        }
        assert_eq!(found(daemon, AMEX), sorted(self.opaque.clone()));
        assert_eq!(token(&store(daemon, &reusable(VISA, None))), self.reused);
        assert_eq!(token(&store(daemon, &reusable(VISA, Some("shopper-1")))), self.named);
        let answer = daemon.call("POST", "/v1/tokens/search", &json!({"namespace": "shopper-1"}));
        assert_eq!(answer.json()["tokens"][0]["token"], self.named, "{}", answer.text());
        if let Some(single) = self.single.take() {
            assert_eq!(daemon.reveal(&single).json()["card"]["number"], VISA);
            assert_ne!(daemon.reveal(&single).status, 200);
        }
        assert_ne!(daemon.reveal(&self.spent).status, 200);
        assert_eq!(worldpay(daemon).as_ref(), Some(&self.worldpay));
        let person = hyperswitch(daemon, "GET", &format!("/v2/customers/{}", self.person), &Value::Null);
        assert_eq!(person["email"], "ada@example.com", "{person}");
        let name = json!({"entity_id": "12345_cus", "vault_id": "0197a"});
        let opened = locker(daemon, "/api/v2/vault/retrieve", &name);
        assert_eq!(opened["data"], record()["data"]);
        let again = locker(daemon, "/cards/add", &locked_card());
        assert_eq!(again["payload"]["duplication_check"], "duplicated", "{again}");
        assert_eq!(again["payload"]["card_reference"], self.locked, "{again}");
        assert_eq!(fingerprint(daemon), self.fingerprint);
    }
}

pub(crate) fn store(daemon: &Daemon, body: &Value) -> Value {
    let answer = daemon.call("POST", "/v1/tokens", body);
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    answer.json()
}

fn reusable(number: &str, namespace: Option<&str>) -> Value {
    let mut body = json!({"card": card(number), "reuse": "same_card"});
    if let Some(namespace) = namespace {
        body["namespace"] = namespace.into();
    }
    body
}

fn token(view: &Value) -> String {
    view["token"].as_str().unwrap().to_owned()
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

/// All tokens of a card, by its number.
pub(crate) fn found(daemon: &Daemon, number: &str) -> Vec<String> {
    let answer = daemon.call("POST", "/v1/tokens/search", &json!({"pan": number, "limit": 100}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    sorted(answer.json()["tokens"].as_array().unwrap().iter().map(token).collect())
}

/// A token in a shopper's namespace; the same one for the same card.
fn worldpay(daemon: &Daemon) -> Option<String> {
    let dev = daemon.dev_json();
    let text = |name: &str| dev["worldpay"][name].as_str().unwrap().to_owned();
    let login = format!("{}:{}", text("username"), text("password"));
    let login = format!("Basic {}", BASE64.encode(login.as_bytes()));
    let media = "application/vnd.worldpay.tokens-v3.hal+json";
    let headers = [
        ("Authorization", login.as_str()),
        ("Accept", media),
        ("Content-Type", media),
    ];
    let body = json!({
        "paymentInstrument": {
            "type": "card/front", "cardHolderName": "Sherlock Holmes", "cardNumber": MASTERCARD,
            "cardExpiryDate": {"month": 5, "year": 2035},
        },
        "merchant": {"entity": "default"}, "namespace": "shopper-2",
    });
    let answer = http::request(&daemon.api(), "POST", "/tokens", &headers, body.to_string().as_bytes()).unwrap();
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    Some(answer.json()["tokenId"].as_str()?.to_owned())
}

fn hyperswitch(daemon: &Daemon, method: &str, path: &str, body: &Value) -> Value {
    let dev = daemon.dev_json();
    let key = format!("api-key={}", dev["hyperswitch"]["api_key"].as_str().unwrap());
    let profile = dev["hyperswitch"]["profile_id"].as_str().unwrap().to_owned();
    let headers = [
        ("Authorization", key.as_str()),
        ("X-Profile-Id", profile.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = http::request(&daemon.api(), method, path, &headers, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn locker(daemon: &Daemon, path: &str, body: &Value) -> Value {
    let dev = daemon.dev_json();
    let tenant = dev["hyperswitch"]["locker"]["tenant_id"].as_str().unwrap().to_owned();
    let headers = [("x-tenant-id", tenant.as_str()), ("Content-Type", "application/json")];
    let answer = http::request(&daemon.api(), "POST", path, &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn record() -> Value {
    let data = json!({"Card": {"card_number": VISA, "card_exp_month": "03", "card_exp_year": "2030"}});
    json!({"entity_id": "12345_cus", "vault_id": "0197a", "data": data, "ttl": 220_752_000})
}

fn locked_card() -> Value {
    let card = json!({
        "card_number": VISA, "name_on_card": "John Doe", "card_exp_month": "03", "card_exp_year": "2030",
        "card_brand": "VISA", "card_isin": "411111", "nick_name": "mine",
    });
    json!({"merchant_id": "m1", "merchant_customer_id": "c1", "card": card})
}

fn fingerprint(daemon: &Daemon) -> String {
    let found = locker(
        daemon,
        "/api/v2/vault/fingerprint",
        &json!({"key": "k", "data": "any text"}),
    );
    found["fingerprint_id"].as_str().unwrap().to_owned()
}
