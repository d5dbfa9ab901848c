//! Everything in a repository.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::hyperswitch::{Shop, card, method};
use super::support::daemon::{AMEX, Daemon, MASTERCARD, VISA, card as native};
use super::{Erasing, ask, events, lines, locker, paykka, said};

const WHOLE: [&str; 2] = ["--repository", "TEST_native"];

#[test]
fn a_repository_is_erased_with_receipts_and_a_signed_summary() {
    let mut daemon = Daemon::start();
    let shop = Shop::dev(&daemon);
    let others = shop.add(&method(&shop.customer(), &card(VISA, "03", "2030")));
    let mut tokens = BTreeSet::new();
    for at in 0..70 {
        let number = [VISA, MASTERCARD, AMEX][at % 3];
        tokens.insert(daemon.tokenize(number)["token"].as_str().unwrap().to_owned());
    }
    // one that was used up, one with all kinds of index entries, one that expires
    let single = daemon
        .call("POST", "/v1/tokens", &json!({"card": native(VISA), "uses": "single"}))
        .json();
    let spent = single["token"].as_str().unwrap();
    assert_eq!(daemon.reveal(spent).status, 200);
    let full = json!({"card": native(VISA), "namespace": "c1", "reuse": "same_card", "expires_at": "2090-01-01T00:00:00Z",
                      "format": "random_luhn", "profile": {"a": 1}});
    let full = daemon.call("POST", "/v1/tokens", &full).json();
    for token in [&single, &full] {
        tokens.insert(token["token"].as_str().unwrap().to_owned());
    }

    let erasing = Erasing::of(&daemon);
    assert_eq!(erasing.there(&WHOLE), json!({"tokens": 72, "documents": {}}));
    let refused = erasing.run("early", &WHOLE);
    assert!(
        said(&refused).contains("panvault repository suspend TEST_native"),
        "{}",
        said(&refused)
    );
    assert!(!refused.status.success() && !erasing.at("early").exists());
    assert_eq!(daemon.metric("panvault_tokens"), 73.0);

    daemon.run(&["repository", "suspend", "TEST_native"], 0);
    let summary = erasing.done("all", &WHOLE);
    assert_eq!(
        (&summary["tokens"], &summary["remaining"], &summary["kek_epochs"]),
        (&json!(72), &json!(0), &json!([1]))
    );
    assert!(summary["residue"].as_str().unwrap().contains("until the KEKs"));
    let receipts = lines(&erasing.at("all"));
    let named: BTreeSet<String> = receipts[..72]
        .iter()
        .map(|line| line["token"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, tokens, "each token has its receipt");
    assert_eq!(
        receipts.iter().filter(|line| line["sealed_sha256"].is_string()).count(),
        71,
        "all but the spent one"
    );
    // the trail has each, between the records that the summary names
    let (from, to) = (
        summary["audit_from"].as_u64().unwrap(),
        summary["audit_to"].as_u64().unwrap(),
    );
    assert!(from < to);
    let deleted = events(&daemon, "delete");
    assert_eq!(deleted.len(), 72);
    assert!(
        deleted
            .iter()
            .all(|event| event["outcome"] == "ok" && event["peer"].is_object())
    );
    let outcomes: Vec<Value> = events(&daemon, "erase")
        .iter()
        .map(|event| event["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["begun", "ok"]);
    // nobody else's are touched
    assert_eq!(daemon.metric("panvault_tokens"), 1.0);
    shop.get(&format!("/payment-methods/{}", others["id"].as_str().unwrap()));
    assert_eq!(erasing.there(&WHOLE), json!({"tokens": 0, "documents": {}}));
    assert_eq!(erasing.done("again", &WHOLE)["tokens"], 0);

    // nothing is left in the way, and each receipt stands for itself
    let one = erasing.at("one");
    std::fs::write(&one, receipts[5].to_string()).unwrap();
    assert!(
        daemon
            .run(&["receipt", "verify", one.to_str().unwrap()], 0)
            .contains("authentic")
    );
    daemon.run(&["merchant", "remove", "TEST_native"], 0);
    daemon.run(&["audit", "verify"], 0);
    forged(&daemon, &erasing);
    drop(erasing);
    daemon.stop();
    daemon.run(&["check", "store"], 0);
}

/// A file that says something else than the summary does not pass.
fn forged(daemon: &Daemon, erasing: &Erasing<'_>) {
    let text = std::fs::read_to_string(erasing.at("all")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let with = |change: fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.join("\n") + "\n"
    };
    let changed = text.replacen("\"token\":\"t", "\"token\":\"u", 1);
    for (what, text, told) in [
        (
            "dropped",
            with(|lines| _ = lines.remove(3)),
            "covers 72 lines, here are 71",
        ),
        ("swapped", with(|lines| lines.swap(3, 4)), "in another order"),
        ("twice", with(|lines| lines[3] = lines[4]), "covers other lines"),
        (
            "without summary",
            with(|lines| _ = lines.pop()),
            "no summary of an erasure",
        ),
        (
            "summary first",
            with(|lines| lines.swap(0, 72)),
            "no receipt stands before others",
        ),
        ("changed", changed, "the signature is wrong"),
        ("cut", text[..text.len() - 9].to_owned(), "cut off"),
        ("empty", String::new(), "there is nothing"),
    ] {
        let file = erasing.at("forged");
        std::fs::write(&file, text).unwrap();
        let output = daemon.try_run(&["receipt", "verify", "--erasure", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{what}: {}", said(&output));
        assert!(said(&output).contains(told), "{what}: {}", said(&output));
    }
}

#[test]
fn every_document_of_a_repository_goes_with_it() {
    let mut daemon = Daemon::start();
    hyperswitch(&daemon);
    records(&daemon);
    orders(&daemon);
    network_token_and_conflict(&daemon);
    let shop = paykka::Shop::of(&daemon);
    shop.subscribe("shopper 1", MASTERCARD);
    shop.store("shopper 2", VISA);

    let erasing = Erasing::of(&daemon);
    for (repository, merchant, kinds) in [
        (
            "TEST_hyperswitch",
            "TEST_hyperswitch",
            &[
                "customer",
                "customer-reference",
                "method-intent",
                "method-session",
                "network-token",
            ][..],
        ),
        (
            "TEST_locker",
            "TEST_locker",
            &["record", "record-content", "fingerprint", "person"],
        ),
        (
            "TESTRANDOM",
            "TESTRANDOM",
            &["order", "transaction", "session", "maintenance"],
        ),
        (
            "TEST_worldpay",
            "TEST_worldpay",
            &["network-token", "network-token-number", "conflict"],
        ),
        (
            "TEST_paykka",
            "TEST_paykka",
            &[
                "shopper-payment",
                "shopper-payment-name",
                "agreement",
                "agreement-of-token",
                "order",
            ],
        ),
    ] {
        let whole = ["--repository", repository];
        let there = erasing.there(&whole);
        for kind in kinds {
            assert!(
                there["documents"][kind].as_u64() > Some(0),
                "{repository} has {kind}: {there}"
            );
        }
        daemon.run(&["repository", "suspend", repository], 0);
        let summary = erasing.done(repository, &whole);
        assert!(
            summary["tokens"].as_u64() > Some(0) || repository == "TEST_locker",
            "{summary}"
        );
        for kind in kinds {
            assert!(
                summary["documents"][kind].as_u64() > Some(0),
                "{repository} {kind}: {summary}"
            );
        }
        assert_eq!(
            erasing.there(&whole),
            json!({"tokens": 0, "documents": {}}),
            "{repository}"
        );
        if repository == "TEST_locker" {
            used_again(&daemon);
        }
        daemon.run(&["merchant", "remove", merchant], 0);
    }
    assert_eq!(daemon.metric("panvault_tokens"), 0.0);
    drop(erasing);
    daemon.stop();
    daemon.run(&["check", "store"], 0);
}

fn hyperswitch(daemon: &Daemon) {
    let shop = Shop::dev(daemon);
    let reference = json!({"name": "Jon", "email": "jon@example.com", "merchant_reference_id": "ref-1"});
    let made = shop.ok("POST", "/v2/customers", &reference);
    let customer = made["id"].as_str().unwrap();
    let mut new = method(customer, &card(VISA, "03", "2030"));
    new["network_tokenization"] = json!({"enable": "Enable"});
    assert!(shop.add(&new)["network_token"].is_object());
    shop.ok(
        "POST",
        "/payment-methods/create-intent",
        &json!({"customer_id": customer}),
    );
    shop.ok("POST", "/v2/payment-method-sessions", &json!({"customer_id": customer}));
}

fn records(daemon: &Daemon) {
    let locker = locker::Locker::of(daemon);
    let data = json!({"entity_id": "cus_1", "vault_id": "v1", "data": {"number": VISA}, "ttl": 220_752_000});
    locker.done("/api/v2/vault/add", &data);
    let encrypted = json!({"merchant_id": "m1", "merchant_customer_id": "c1", "enc_card_data": "abc"});
    locker.done("/cards/add", &encrypted);
    locker.add("m1", "c1", &locker::card(VISA));
    locker.done("/cards/fingerprint", &json!({"data": "x", "key": "k"}));
    locker.done("/entity", &json!({"entity_id": "e1"}));
}

/// A repository that was erased serves again, and knows nobody.
fn used_again(daemon: &Daemon) {
    daemon.run(&["repository", "resume", "TEST_locker"], 0);
    let locker = locker::Locker::of(daemon);
    let name = json!({"entity_id": "cus_1", "vault_id": "v1"});
    locker.refused("/api/v2/vault/retrieve", &name, 404, "TE_02");
    locker.done("/entity", &json!({"entity_id": "e1"}));
    daemon.run(&["repository", "suspend", "TEST_locker"], 0);
    let erasing = Erasing::of(daemon);
    let again = erasing.done("again", &["--repository", "TEST_locker"]);
    assert_eq!(again["documents"], json!({"person": 1}));
}

fn orders(daemon: &Daemon) {
    let dev = daemon.dev_json();
    let shop = dev["mastercard"]
        .as_array()
        .unwrap()
        .iter()
        .find(|shop| shop["merchant"] == "TESTRANDOM")
        .unwrap();
    let basic = BASE64.encode(format!("merchant.TESTRANDOM:{}", shop["password"].as_str().unwrap()).as_bytes());
    let authorization = format!("Basic {basic}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
    ];
    let place = "/api/rest/version/70/merchant/TESTRANDOM";
    let done = |method: &str, path: &str, body: Value| {
        let answer = ask(daemon, method, &format!("{place}{path}"), &headers, &body);
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    };
    let source =
        json!({"type": "CARD", "provided": {"card": {"number": MASTERCARD, "expiry": {"month": "1", "year": "39"}}}});
    let token = done("POST", "/token", json!({"sourceOfFunds": source}))["token"].clone();
    done("POST", "/session", json!({}));
    let pay = json!({"apiOperation": "PAY", "order": {"amount": "1.00", "currency": "EUR"},
                     "sourceOfFunds": {"token": token}, "customer": {"email": "a@example.com"},
                     "agreement": {"type": "RECURRING", "id": "a1"}, "transaction": {"source": "MERCHANT"}});
    done("PUT", "/order/o1/transaction/1", pay);
}

fn network_token_and_conflict(daemon: &Daemon) {
    let account = Worldpay::of(daemon);
    let token = account.create("ns-1", VISA, "Sherlock", 201);
    account.create("ns-1", VISA, "Mycroft", 409);
    account.network_token(&token);
}

/// The dev instance's account.
pub(crate) struct Worldpay<'a> {
    daemon: &'a Daemon,
    authorization: String,
}

impl<'a> Worldpay<'a> {
    pub(crate) fn of(daemon: &'a Daemon) -> Self {
        let dev = daemon.dev_json();
        let text = |name: &str| dev["worldpay"][name].as_str().unwrap().to_owned();
        let login = format!("{}:{}", text("username"), text("password"));
        Self {
            daemon,
            authorization: format!("Basic {}", BASE64.encode(login.as_bytes())),
        }
    }

    fn call(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let media = "application/vnd.worldpay.tokens-v3.hal+json";
        let headers = [
            ("Authorization", self.authorization.as_str()),
            ("Content-Type", media),
            ("Accept", media),
        ];
        let answer = ask(self.daemon, method, path, &headers, body);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }

    /// Its link.
    pub(crate) fn create(&self, namespace: &str, number: &str, holder: &str, status: u16) -> String {
        let card = json!({"type": "card/front", "cardNumber": number, "cardHolderName": holder,
                          "cardExpiryDate": {"month": 5, "year": 2035}});
        let body = json!({"paymentInstrument": card, "merchant": {"entity": "default"}, "namespace": namespace});
        let made = self.call("POST", "/tokens", &body, status);
        made["_links"]["tokens:token"]["href"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The lookup of its network token.
    pub(crate) fn network_token(&self, token: &str) -> String {
        let body =
            json!({"paymentInstrument": {"type": "card/tokenized", "href": token}, "merchant": {"entity": "default"}});
        let made = self.call("POST", "/tokens/network", &body, 200);
        made["_links"]["tokens:networkTokenLookup"]["href"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn is(&self, link: &str, status: u16) {
        self.call("GET", link.strip_prefix("http://vault").unwrap(), &Value::Null, status);
    }
}
