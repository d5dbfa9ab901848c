//! What policy does not grant is not done; and pages have a listener of their own.

use serde_json::{Value, json};

use crate::asking::{Shop, fresh};
use crate::page::Page;
use crate::support::daemon::{Daemon, VISA};
use crate::support::http;

/// Each right is asked for, and the README names all that are needed.
pub(crate) fn granted() {
    let daemon = Daemon::start();
    let shop = Shop::of(&daemon);
    let shopper = fresh("shopper");
    let paid = shop.subscribe(&shopper, VISA);
    let card = json!({"card_no": VISA, "exp_month": "08", "exp_year": "2035", "cvv": "100"});
    let storing = json!({"card_no": VISA, "exp_month": "08", "exp_year": "2035", "cvv": "100", "shopper_reference": "s",
        "store_payment_method": true, "token_usage": "CARD_ON_FILE"});
    let pay =
        |payment: &Value| json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "1", "payment": payment});
    let asked: [(&str, &str, Value); 7] = [
        ("pay", "", pay(&card)),
        ("tokenize", "", pay(&storing)),
        ("pay", "/void", json!({"order_id": paid["order_id"]})),
        ("inspect", "/query", json!({"order_id": paid["order_id"]})),
        ("search", "/token/query", json!({"shopper_reference": shopper})),
        (
            "update",
            "/recurring/cancel",
            json!({"recurring_agreement_id": paid["recurring_agreement_id"]}),
        ),
        (
            "delete",
            "/token/remove",
            json!({"token": paid["token"], "shopper_reference": shopper}),
        ),
    ];
    let all = ["pay", "tokenize", "inspect", "search", "update", "delete"];
    for without in all {
        let rest: Vec<&str> = all.into_iter().filter(|op| *op != without).collect();
        daemon.grant("paykka", "*", &rest);
        for (_, path, body) in asked.iter().filter(|(needed, ..)| *needed == without) {
            let answer = shop.refused(&format!("/v3/payment/acq{path}"), body.clone());
            assert_eq!(answer, (403, "1022".to_owned()), "{path} without {without}");
        }
    }
    // nothing was charged by what was refused
    daemon.grant("paykka", "*", &all);
    let found = shop.ask("/v3/payment/acq/query", json!({"trans_id": asked[1].2["trans_id"]}));
    assert_eq!(found.status, 404, "{}", found.text());
    for (_, path, mut body) in asked {
        if body["trans_id"].is_string() {
            body["trans_id"] = json!(fresh("trans"));
        }
        let answer = shop.ask(&format!("/v3/payment/acq{path}"), body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

/// The listener of payers serves pages and nothing else.
pub(crate) fn a_listener_of_their_own() {
    let daemon = Daemon::start_with("listen.checkout = \"checkout.sock\"");
    let shop = Shop::of(&daemon);
    let page = Page::open(&shop, "PURCHASE", json!({}));
    let socket = daemon.dir().join("checkout.sock");
    let get = |path: &str| http::request(&socket, "GET", path, &[], b"").unwrap();
    assert_eq!(get(&page.path).status, 200);
    assert!(get("/checkout/style.css").text().contains("font"));
    for path in ["/v1/tokens/x", "/v3/payment/acq/query", "/metrics", "/cards/add", "/"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    let form = format!("number={VISA}&month=8&year=35&cvv=100");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let paid = http::request(&socket, "POST", &page.path, &kind, form.as_bytes()).unwrap();
    assert_eq!(paid.status, 303, "{}", paid.text());
}
