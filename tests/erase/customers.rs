//! One customer's tokens, and what hangs on them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::hyperswitch::{Shop, card, method};
use super::repositories::Worldpay;
use super::support::daemon::{AMEX, Daemon, MASTERCARD, VISA};
use super::{Erasing, events, paykka, token_of};

#[test]
fn a_namespace_is_erased_while_its_customer_goes_on() {
    let daemon = Daemon::start();
    let erasing = Erasing::of(&daemon);
    let before: Vec<String> = (0..60).map(|_| token_of(&daemon, "c-77", VISA)).collect();
    let other = token_of(&daemon, "c-7", VISA);
    let (stop, meanwhile) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
    let summary = std::thread::scope(|scope| {
        scope.spawn(|| {
            // tokens that are there are revealed and changed, new ones are made
            for at in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let token = &before[at % before.len()];
                daemon.reveal(token);
                daemon.call("PATCH", &format!("/v1/tokens/{token}"), &json!({"metadata": {"n": at}}));
                let begun = !events(&daemon, "erase").is_empty();
                let made = token_of(&daemon, "c-77", MASTERCARD);
                if begun {
                    meanwhile.lock().unwrap().push(made);
                }
            }
        });
        std::thread::sleep(Duration::from_millis(100));
        let summary = erasing.done(
            "c-77",
            &[
                "--repository",
                "TEST_native",
                "--namespace",
                "c-77",
                "--per-second",
                "40",
            ],
        );
        stop.store(true, Ordering::Relaxed);
        summary
    });
    for token in &before {
        assert_eq!(daemon.reveal(token).status, 404, "{token}");
    }
    let meanwhile = meanwhile.into_inner().unwrap();
    assert!(meanwhile.len() > 1, "{}", meanwhile.len());
    for token in &meanwhile {
        assert_eq!(daemon.reveal(token).status, 200, "made after it began: {token}");
    }
    assert!(
        summary["tokens"].as_u64().unwrap() >= 60 && summary["created_meanwhile"].as_u64() > Some(0),
        "{summary}"
    );
    assert_eq!(daemon.reveal(&other).status, 200);
    // a person is named nowhere
    let mac = summary["namespace_mac"].as_str().unwrap();
    assert!(mac.len() == 64 && !summary.to_string().contains("c-77"));
    let told = json!(events(&daemon, "erase")).to_string();
    assert!(!told.contains("c-77") && told.contains(&mac[..8]), "{told}");
    // the rest goes when it is run again
    let again = erasing.done("again", &["--repository", "TEST_native", "--namespace", "c-77"]);
    assert_eq!(
        (&again["namespace_mac"], &again["created_meanwhile"]),
        (&json!(mac), &json!(0))
    );
    assert_eq!(daemon.metric("panvault_tokens"), 1.0);
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn a_customer_is_erased_with_all_that_hangs_on_it() {
    let mut daemon = Daemon::start();
    let erasing = Erasing::of(&daemon);
    let of = |dialect: &str, customer: &str| {
        let name = format!("TEST_{dialect}");
        ["--repository", &name, "--merchant", &name, "--customer", customer].map(str::to_owned)
    };
    let erase = |file: &str, arguments: [String; 6]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        erasing.done(file, &arguments)
    };

    // Hyperswitch: of two customers with one card
    let shop = Shop::dev(&daemon);
    let named = json!({"name": "Jon", "email": "jon@example.com", "merchant_reference_id": "jon-1"});
    let jon = shop.ok("POST", "/v2/customers", &named)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ada = shop.customer();
    let add = |customer: &str, number: &str| {
        let mut new = method(customer, &card(number, "03", "2030"));
        new["network_tokenization"] = json!({"enable": "Enable"});
        shop.add(&new)["id"].as_str().unwrap().to_owned()
    };
    let (shared, own) = (add(&jon, VISA), add(&jon, MASTERCARD));
    let adas = add(&ada, VISA);
    shop.ok("POST", "/payment-methods/create-intent", &json!({"customer_id": jon}));
    let summary = erase("jon", of("hyperswitch", &jon));
    assert_eq!(summary["tokens"], 2);
    assert_eq!(
        summary["documents"],
        json!({"customer": 1, "customer-reference": 1, "method-intent": 1, "network-token": 1, "network-token-number": 2}),
        "the network token of the card that Ada has too stays"
    );
    for gone in [&shared, &own] {
        assert_eq!(
            shop.call("GET", &format!("/payment-methods/{gone}"), &Value::Null)
                .status,
            404
        );
    }
    assert_eq!(
        shop.call("GET", &format!("/v2/customers/{jon}"), &Value::Null).status,
        404
    );
    let there = shop.get(&format!("/payment-methods/{adas}"));
    assert!(there["network_token"].is_object(), "{there}");

    // Worldpay: a namespace with a conflict and a network token
    let account = Worldpay::of(&daemon);
    let token = account.create("shopper-1", AMEX, "Sherlock", 201);
    account.create("shopper-1", AMEX, "Mycroft", 409);
    let network = account.network_token(&token);
    let neighbour = account.create("shopper-2", VISA, "Mary", 201);
    account.is(&network, 200);
    let summary = erase("shopper-1", of("worldpay", "shopper-1"));
    assert_eq!(
        (&summary["tokens"], &summary["documents"]),
        (
            &json!(1),
            &json!({"conflict": 1, "network-token": 1, "network-token-number": 2})
        )
    );
    account.is(&token, 404);
    account.is(&network, 404);
    account.is(&neighbour, 200);

    // PayKKa: a shopper with an agreement; what was paid stays
    let shop = paykka::Shop::of(&daemon);
    let paid = shop.subscribe("shopper 1", MASTERCARD);
    shop.subscribe("shopper 2", MASTERCARD);
    let summary = erase("paykka", of("paykka", "shopper 1"));
    assert_eq!(
        (&summary["tokens"], &summary["documents"]),
        (&json!(1), &json!({"agreement": 1, "agreement-of-token": 1}))
    );
    assert!(shop.tokens("shopper 1").is_empty());
    assert_eq!(shop.tokens("shopper 2").len(), 1);
    let found = shop.data("/v3/payment/acq/query", json!({"order_id": paid["order_id"]}));
    assert_eq!(found["status"], "SUCCESS", "{found}");
    drop(erasing);
    daemon.stop();
    daemon.run(&["check", "store"], 0);
}
