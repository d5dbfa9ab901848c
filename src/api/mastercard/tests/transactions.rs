//! Orders and transactions, with the simulated acquirer.

use super::*;

/// `body` for a card with this expiry, in an order of 10 euros.
fn order_with(operation: &str, month: u8, year: u8, extra: &Value) -> Value {
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

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn authorize(extra: &Value) -> Value {
    order_with("AUTHORIZE", 1, 39, extra)
}

fn step(operation: &str, transaction: &Value) -> Value {
    json!({"apiOperation": operation, "transaction": transaction})
}

impl Client {
    async fn put(&self, ids: &str, body: &Value) -> super::Answer {
        let (order, transaction) = ids.split_once('/').unwrap();
        let path = format!("order/{order}/transaction/{transaction}");
        self.call("PUT", &path, &body.to_string()).await
    }

    /// The JSON of an answer that is one.
    async fn done(&self, ids: &str, body: &Value) -> Value {
        let answer = self.put(ids, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    }
}

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
async fn an_authorization_is_told_in_full() {
    let client = Client::start().await;
    let extra = json!({
        "correlationId": "c-1",
        "order": {"amount": 10.5, "reference": "R-1", "custom": "\"x\"\n", "customerNote": "ring twice"},
        "transaction": {"source": "INTERNET", "frequency": "SINGLE", "merchantNote": "note"},
        "billing": {"address": {"street": "1 High Street", "city": "Ely"}},
        "customer": {"email": "ada@example.com", "firstName": "Ada"},
        "shipping": {}, "device": {"ipAddress": "192.0.2.1"},
        "sourceOfFunds": {"provided": {"card": {"securityCode": "100"}}},
    });
    let answer = client.done("o-1/t-1", &authorize(&extra)).await;

    let mut expected = json!({
        "billing": {"address": {"street": "1 High Street", "city": "Ely"}},
        "correlationId": "c-1",
        "customer": {"email": "ada@example.com", "firstName": "Ada"},
        "device": {"ipAddress": "192.0.2.1"},
        "gatewayEntryPoint": "WEB_SERVICES_API",
        "merchant": MERCHANT,
        "order": {
            "amount": 10.50, "currency": "EUR", "id": "o-1", "status": "AUTHORIZED",
            "totalAuthorizedAmount": 10.50, "totalCapturedAmount": 0.00, "totalRefundedAmount": 0.00,
            "reference": "R-1", "custom": "\"x\"\n", "customerNote": "ring twice",
        },
        "response": {
            "acquirerCode": "00", "acquirerMessage": "Approved (simulator)", "gatewayCode": "APPROVED",
            "cardSecurityCode": {"acquirerCode": "M", "gatewayCode": "MATCH"},
        },
        "result": "SUCCESS",
        "sourceOfFunds": {"type": "CARD", "provided": {"card": {
            "brand": "MASTERCARD", "scheme": "MASTERCARD", "fundingMethod": answer["sourceOfFunds"]["provided"]["card"]["fundingMethod"],
            "number": "512345xxxxxx0008", "expiry": {"month": "1", "year": "39"},
        }}},
        "transaction": {
            "acquirer": {"id": "simulator"}, "amount": 10.50, "currency": "EUR", "frequency": "SINGLE", "id": "t-1",
            "merchantNote": "note", "source": "INTERNET", "type": "AUTHORIZATION",
        },
        "version": "70",
    });
    // made by the acquirer or the clock
    for path in [
        "/order/creationTime",
        "/order/lastUpdatedTime",
        "/timeOfRecord",
        "/timeOfLastUpdate",
        "/transaction/acquirer/transactionId",
        "/transaction/authorizationCode",
        "/transaction/receipt",
        "/transaction/stan",
    ] {
        let made = answer.pointer(path).and_then(Value::as_str);
        assert!(made.is_some_and(|text| text.len() >= 6), "{path}");
        if path.contains("ime") {
            assert!(made.unwrap().ends_with('Z'), "{path}");
        }
        let (group, name) = path.rsplit_once('/').unwrap();
        expected.pointer_mut(group).unwrap()[name] = made.unwrap().into();
    }
    assert_eq!(answer, expected);

    // shown later it is the same, but for what is not kept
    expected.as_object_mut().unwrap().remove("correlationId");
    assert_eq!(client.get("order/o-1/transaction/t-1").await, expected);
}

#[tokio::test]
async fn amounts_are_json_numbers_with_the_currencys_decimals() {
    let client = Client::start().await;
    for (order, currency, amount, written) in [
        ("eur", "EUR", "7", "7.00"),
        ("jpy", "JPY", "7.00", "7"),
        ("kwd", "KWD", "7", "7.000"),
    ] {
        let body = authorize(&json!({"order": {"amount": amount, "currency": currency}}));
        let answer = client.put(&format!("{order}/1"), &body).await;
        assert!(
            answer.text.contains(&format!("\"totalAuthorizedAmount\":{written},")),
            "{}",
            answer.text
        );
        assert!(
            answer.text.contains(&format!("{{\"amount\":{written},")),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn every_verdict_has_its_code_and_result() {
    let client = Client::start().await;
    for (at, (month, year, result, code)) in [
        (1, 39, "SUCCESS", "APPROVED"),
        (5, 39, "FAILURE", "DECLINED"),
        (4, 27, "FAILURE", "EXPIRED_CARD"),
        (8, 28, "FAILURE", "TIMED_OUT"),
        (1, 37, "FAILURE", "ACQUIRER_SYSTEM_ERROR"),
        (2, 37, "FAILURE", "UNSPECIFIED_FAILURE"),
        (5, 37, "UNKNOWN", "UNKNOWN"),
    ]
    .into_iter()
    .enumerate()
    {
        for operation in ["AUTHORIZE", "PAY", "VERIFY"] {
            let order = format!("{operation}{at}");
            let answer = client
                .done(&format!("{order}/1"), &order_with(operation, month, year, &json!({})))
                .await;
            assert_eq!(answer["result"], result, "{answer}");
            assert_eq!(answer["response"]["gatewayCode"], code, "{answer}");
            assert_eq!(answer["order"]["status"] == "FAILED", result != "SUCCESS", "{answer}");
            assert_eq!(client.get(&format!("order/{order}")).await["result"], result);
        }
    }
    for (code, expected) in [("100", "MATCH"), ("101", "NOT_PROCESSED"), ("102", "NO_MATCH")] {
        let extra = json!({"sourceOfFunds": {"provided": {"card": {"securityCode": code}}}});
        let answer = client.done(&format!("csc{code}/1"), &authorize(&extra)).await;
        assert_eq!(answer["response"]["cardSecurityCode"]["gatewayCode"], expected);
    }
    let extra = json!({"sourceOfFunds": {"provided": {"card": {"securityCode": "102"}}}});
    let answer = client.done("csc/1", &order_with("VERIFY", 1, 39, &extra)).await;
    assert_eq!(answer["response"]["gatewayCode"], "INVALID_CSC");
    assert_eq!(answer["result"], "FAILURE");
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
async fn both_wires_do_the_same() {
    let client = Client::start().await;
    let pairs = "apiOperation=AUTHORIZE&order.id=o+1&transaction.id=t%2f1&order.amount=10.00&order.currency=EUR\
                 &sourceOfFunds.type=CARD&sourceOfFunds.provided.card.number=5123450000000008\
                 &sourceOfFunds.provided.card.expiry.month=05&sourceOfFunds.provided.card.expiry.year=38\
                 &customer.firstName=Ada&order.reference=R%261";
    let nvp = client.nvp(pairs).await;
    assert_eq!(nvp.status, 201, "{}", nvp.text);
    for (name, value) in [
        ("order.amount", "10.00"),
        ("order.totalCapturedAmount", "0.00"),
        ("response.gatewayCode", "APPROVED"),
        ("sourceOfFunds.provided.card.expiry.month", "5"),
        ("sourceOfFunds.provided.card.number", "512345xxxxxx0008"),
        ("transaction.id", "t/1"),
        ("order.id", "o 1"),
        ("order.reference", "R&1"),
        ("customer.firstName", "Ada"),
    ] {
        assert_eq!(nvp.field(name).as_deref(), Some(value), "{name}");
    }
    let ids = "order.id=o+1&transaction.id=t%2f1";
    let shown = client.nvp(&format!("apiOperation=RETRIEVE_TRANSACTION&{ids}")).await;
    assert_eq!((shown.status, &shown.text), (200, &nvp.text));
    let rest = client.call("GET", "order/o%201/transaction/t%2F1", "").await;
    assert_eq!(rest.fields(), nvp.fields());
    let order = client.nvp("apiOperation=RETRIEVE_ORDER&order.id=o+1").await;
    assert_eq!(order.field("transaction[0].transaction.id").as_deref(), Some("t/1"));
    assert_eq!(order.fields(), client.call("GET", "order/o%201", "").await.fields());
    // the same request on the other wire is a repetition
    let again = client
        .put(
            "o%201/t%2f1",
            &json!({
                "apiOperation": "AUTHORIZE", "order": {"amount": "10.00", "currency": "EUR", "reference": "R&1"},
                "sourceOfFunds": {"type": "CARD", "provided": {"card": {"number": PAN, "expiry": {"month": "05", "year": "38"}}}},
                "customer": {"firstName": "Ada"}, "correlationId": "another",
            }),
        )
        .await;
    assert_eq!(again.status, 201);
    assert_eq!(again.field("timeOfRecord"), nvp.field("timeOfRecord"));
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
