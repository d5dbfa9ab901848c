//! Orders through their transactions.

use super::asking::*;
use super::*;

/// What of an order changes with its transactions: status, authorized, captured, refunded.
fn standing(order: &Value) -> (&str, f64, f64, f64) {
    let amount = |name: &str| order[name].as_f64().unwrap();
    (
        order["status"].as_str().unwrap(),
        amount("totalAuthorizedAmount"),
        amount("totalCapturedAmount"),
        amount("totalRefundedAmount"),
    )
}

#[tokio::test]
async fn an_order_goes_through_its_steps() {
    let client = Client::start().await;
    let money = |amount: &str| json!({"amount": amount, "currency": "EUR"});
    let target = |id: &str| json!({"targetTransactionId": id});
    let verify = order_with("VERIFY", 1, 39, &json!({}));
    let steps = [
        ("v", verify, "VERIFICATION", ("VERIFIED", 0.00, 0.00, 0.00)),
        (
            "a",
            authorize(&json!({})),
            "AUTHORIZATION",
            ("AUTHORIZED", 10.00, 0.00, 0.00),
        ),
        (
            "u",
            step("UPDATE_AUTHORIZATION", &money("12.00")),
            "AUTHORIZATION_UPDATE",
            ("AUTHORIZED", 12.00, 0.00, 0.00),
        ),
        (
            "c1",
            step("CAPTURE", &money("4")),
            "CAPTURE",
            ("PARTIALLY_CAPTURED", 12.00, 4.00, 0.00),
        ),
        (
            "c2",
            step("CAPTURE", &json!({"amount": 8, "currency": "EUR"})),
            "CAPTURE",
            ("CAPTURED", 12.00, 12.00, 0.00),
        ),
        (
            "r1",
            step("REFUND", &money("1.5")),
            "REFUND",
            ("PARTIALLY_REFUNDED", 12.00, 12.00, 1.50),
        ),
        (
            "x1",
            step("VOID", &target("r1")),
            "VOID_REFUND",
            ("CAPTURED", 12.00, 12.00, 0.00),
        ),
        (
            "x2",
            step("VOID", &target("c2")),
            "VOID_CAPTURE",
            ("PARTIALLY_CAPTURED", 12.00, 4.00, 0.00),
        ),
        (
            "x3",
            step("VOID", &target("c1")),
            "VOID_CAPTURE",
            ("AUTHORIZED", 12.00, 0.00, 0.00),
        ),
        (
            "x4",
            step("VOID", &target("a")),
            "VOID_AUTHORIZATION",
            ("CANCELLED", 0.00, 0.00, 0.00),
        ),
    ];
    for (id, body, kind, expected) in &steps {
        let answer = client.done(&format!("o/{id}"), body).await;
        assert_eq!(answer["result"], "SUCCESS", "{answer}");
        assert_eq!(answer["transaction"]["type"], *kind);
        assert_eq!(standing(&answer["order"]), *expected, "{id}");
        assert_eq!(
            answer["sourceOfFunds"]["provided"]["card"]["number"],
            "512345xxxxxx0008"
        );
        let shown = client.get(&format!("order/o/transaction/{id}")).await;
        assert_eq!(shown, answer, "shown as it was");
        let order = client.get("order/o").await;
        assert_eq!(standing(&order), *expected, "{id}");
        assert_eq!(order["transaction"].as_array().unwrap().last(), Some(&answer));
    }
    let answer = client.done("p/1", &order_with("PAY", 1, 39, &json!({}))).await;
    assert_eq!(answer["transaction"]["type"], "PAYMENT");
    assert_eq!(answer["order"]["status"], "CAPTURED");
    let answer = client.done("p/2", &step("REFUND", &money("10"))).await;
    assert_eq!(answer["order"]["status"], "REFUNDED");
    assert_eq!(answer["transaction"]["targetTransactionId"], "1");
    let answer = client.done("p/3", &step("VOID", &target("2"))).await;
    assert_eq!(answer["transaction"]["type"], "VOID_REFUND");
    let answer = client.done("p/4", &step("VOID", &target("1"))).await;
    assert_eq!(answer["transaction"]["type"], "VOID_PAYMENT");
}

#[tokio::test]
async fn an_order_shows_its_fields_at_the_top() {
    let client = Client::start().await;
    let extra = json!({
        "order": {"reference": "R-1", "description": "tea", "requestorName": "Ada"},
        "customer": {"email": "ada@example.com"}, "transaction": {"reference": "T-1"},
    });
    client.done("o/1", &authorize(&extra)).await;
    let capture = step(
        "CAPTURE",
        &json!({"amount": "10", "currency": "EUR", "reference": "T-2"}),
    );
    let capture = client.done("o/2", &capture).await;
    assert_eq!(capture["order"]["reference"], "R-1", "the order's stays with it");
    let order = client.get("order/o").await;
    for (name, value) in [
        ("id", "o"),
        ("currency", "EUR"),
        ("merchant", MERCHANT),
        ("reference", "R-1"),
        ("description", "tea"),
        ("requestorName", "Ada"),
        ("result", "SUCCESS"),
        ("status", "CAPTURED"),
    ] {
        assert_eq!(order[name], value, "{name}");
    }
    assert_eq!(order["amount"], 10.0);
    assert_eq!(order["customer"]["email"], "ada@example.com");
    assert_eq!(
        order["sourceOfFunds"]["provided"]["card"]["expiry"],
        json!({"month": "1", "year": "39"})
    );
    let references: Vec<_> = order["transaction"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["transaction"]["reference"])
        .collect();
    assert_eq!(references, ["T-1", "T-2"]);
}

#[tokio::test]
async fn what_active_merchant_sends_is_taken() {
    let client = Client::start().await;
    let empty = json!({"billing": {}, "customer": {}, "shipping": {}, "sourceOfFunds": {"provided": {"card": {}}}});
    client
        .done("o/1", &authorize(&json!({"billing": {}, "shipping": {}})))
        .await;
    let mut capture = step("CAPTURE", &json!({"amount": "10.00", "currency": "EUR"}));
    merge(&mut capture, &empty);
    assert_eq!(client.done("o/2", &capture).await["order"]["status"], "CAPTURED");
}

#[tokio::test]
async fn an_order_in_use_answers_lock_failure_and_does_nothing() {
    let client = Client::start().await;
    let body = authorize(&json!({}));
    let (first, second) = tokio::join!(client.done("o/1", &body), client.done("o/2", &body));
    assert_eq!(first["result"], "SUCCESS");
    assert_eq!(second["result"], "FAILURE", "{second}");
    assert_eq!(second["response"], json!({"gatewayCode": "LOCK_FAILURE"}));
    assert_eq!(second["merchant"], MERCHANT);
    assert_eq!(second["order"]["id"], "o");
    assert_eq!(second["order"]["amount"], 10.0);
    let transaction = json!({"amount": 10.0, "currency": "EUR", "id": "2", "type": "AUTHORIZATION"});
    assert_eq!(second["transaction"], transaction);
    let unknown = client.call("GET", "order/o/transaction/2", "").await;
    assert_eq!(unknown.error(), bad("transaction.id INVALID"));

    // of an order that is there already, its amounts and the kind of what is to be undone are known
    let capture = step("CAPTURE", &json!({"amount": 10, "currency": "EUR"}));
    let void = step("VOID", &json!({"targetTransactionId": "1"}));
    let (captured, locked) = tokio::join!(client.done("o/3", &capture), client.done("o/4", &void));
    assert_eq!(captured["result"], "SUCCESS");
    assert_eq!(locked["response"]["gatewayCode"], "LOCK_FAILURE");
    assert_eq!(locked["transaction"]["type"], "VOID_AUTHORIZATION");
    assert_eq!(standing(&locked["order"]), ("AUTHORIZED", 10.0, 0.0, 0.0));
    // another order is free
    let (one, other) = tokio::join!(client.done("p/1", &body), client.done("q/1", &body));
    assert_eq!(
        (&one["result"], &other["result"]),
        (&json!("SUCCESS"), &json!("SUCCESS"))
    );
}
