//! Transactions that are refused, or were done already.

use super::asking::*;
use super::*;

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let client = Client::start().await;
    let without = |path: &str| {
        let mut body = authorize(&json!({}));
        let (group, name) = path.rsplit_once('/').unwrap();
        body.pointer_mut(group).unwrap().as_object_mut().unwrap().remove(name);
        body
    };
    let with = |extra: Value| authorize(&extra);
    for (body, at) in [
        (without("/apiOperation"), "apiOperation MISSING"),
        (with(json!({"apiOperation": "REFERRAL"})), "apiOperation UNSUPPORTED"),
        (with(json!({"apiOperation": "TOKENIZE"})), "apiOperation INVALID"),
        (without("/order/amount"), "order.amount MISSING"),
        (without("/order/currency"), "order.currency MISSING"),
        (without("/sourceOfFunds/type"), "sourceOfFunds.type MISSING"),
        (
            without("/sourceOfFunds/provided/card/number"),
            "sourceOfFunds.provided.card.number MISSING",
        ),
        (
            without("/sourceOfFunds/provided/card/expiry"),
            "sourceOfFunds.provided.card.expiry.month MISSING",
        ),
        (with(json!({"order": {"amount": "-1"}})), "order.amount INVALID"),
        (with(json!({"order": {"amount": "1e3"}})), "order.amount INVALID"),
        (with(json!({"order": {"amount": "1.001"}})), "order.amount INVALID"),
        (with(json!({"order": {"amount": 0}})), "order.amount INVALID"),
        (with(json!({"order": {"currency": "euro"}})), "order.currency INVALID"),
        (with(json!({"order": {"id": "o"}})), "order.id UNSUPPORTED"),
        (with(json!({"order": {"reference": PAN}})), "order.reference INVALID"),
        (
            with(json!({"order": {"description": "card 5123-4500 0000 0008"}})),
            "order.description INVALID",
        ),
        (
            with(json!({"transaction": {"merchantNote": PAN}})),
            "transaction.merchantNote INVALID",
        ),
        (
            with(json!({"sourceOfFunds": {"provided": {"card": {"nameOnCard": PAN}}}})),
            "sourceOfFunds.provided.card.nameOnCard INVALID",
        ),
        (
            with(json!({"sourceOfFunds": {"token": "9102370788509763", "provided": {"card": {"number": ""}}}})),
            "sourceOfFunds.token INVALID",
        ),
        (with(json!({"order": {"cvv": "100"}})), "order.cvv UNSUPPORTED"),
        (
            step("CAPTURE", &json!({"currency": "EUR"})),
            "transaction.amount MISSING",
        ),
        (
            step("CAPTURE", &json!({"amount": 1, "currency": "EUR"})),
            "apiOperation INVALID",
        ),
        (step("REFUND", &json!({"amount": 1})), "transaction.currency MISSING"),
        (step("VOID", &json!({})), "transaction.targetTransactionId MISSING"),
        (
            step("VOID", &json!({"targetTransactionId": "1"})),
            "apiOperation INVALID",
        ),
        (step("UPDATE_AUTHORIZATION", &json!({})), "apiOperation INVALID"),
    ] {
        let answer = client.put("o/1", &body).await;
        assert_eq!(answer.error(), bad(at), "{body}");
        assert!(!answer.text.contains("0000"), "{}", answer.text);
    }
    // nothing was stored
    assert_eq!(client.call("GET", "order/o", "").await.error(), bad("order.id INVALID"));
    let unknown = client.call("GET", "order/o/transaction/1", "").await;
    assert_eq!(unknown.error(), bad("transaction.id INVALID"));
    assert_eq!(
        client.nvp("apiOperation=RETRIEVE_ORDER").await.error(),
        bad("order.id MISSING")
    );

    let body = authorize(&json!({}));
    let long = "%C3%A9".repeat(40);
    assert_eq!(
        client.put(&format!("{long}/1"), &body).await.status,
        201,
        "characters, not bytes"
    );
    for (ids, at) in [
        (format!("{long}x/1"), "order.id INVALID"),
        (format!("o/{long}x"), "transaction.id INVALID"),
        (format!("{PAN}/1"), "order.id INVALID"),
        (format!("o/{PAN}"), "transaction.id INVALID"),
    ] {
        assert_eq!(client.put(&ids, &body).await.error(), bad(at));
    }
}

#[tokio::test]
async fn a_repetition_is_not_done_again_and_another_request_is_refused() {
    let client = Client::start().await;
    let body = |code: &str, amount: &str| {
        authorize(
            &json!({"order": {"amount": amount}, "sourceOfFunds": {"provided": {"card": {"securityCode": code}}}}),
        )
    };
    let first = client.done("o/1", &body("100", "10.00")).await;
    assert_eq!(client.done("o/1", &body("100", "10.00")).await, first);
    // nothing is kept of a security code, so it cannot make a difference
    assert_eq!(client.done("o/1", &body("102", "10.00")).await, first);
    let other = client.put("o/1", &body("100", "11.00")).await;
    assert_eq!(other.error(), bad("transaction.id INVALID"));
}
