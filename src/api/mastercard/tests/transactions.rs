//! Transactions with the simulated acquirer, as they are told.

use super::asking::*;
use super::*;

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
        "sourceOfFunds": {"provided": {"card": {"securityCode": "100", "nameOnCard": "A Lovelace"}}},
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
            "number": "512345xxxxxx0008", "expiry": {"month": "1", "year": "39"}, "nameOnCard": "A Lovelace",
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
async fn a_token_pays() {
    let client = Client::start().await;
    let card = order_with("PAY", 1, 39, &json!({}));
    let stored = client
        .call(
            "POST",
            "token",
            &json!({"sourceOfFunds": card["sourceOfFunds"]}).to_string(),
        )
        .await;
    let token = stored.field("token").unwrap_or_else(|| panic!("{}", stored.text));
    let pay = json!({
        "apiOperation": "PAY",
        "order": {"amount": 1.00, "currency": "SAR"},
        "sourceOfFunds": {"token": token, "provided": {"card": {"securityCode": "100"}}},
        "transaction": {"frequency": "RECURRING"},
    });
    let answer = client.done("o/1", &pay).await;
    assert_eq!(answer["result"], "SUCCESS", "{answer}");
    assert_eq!(answer["sourceOfFunds"]["token"], token);
    assert_eq!(
        answer["sourceOfFunds"]["provided"]["card"]["number"],
        "512345xxxxxx0008"
    );
    assert_eq!(
        answer["sourceOfFunds"]["provided"]["card"]["expiry"],
        json!({"month": "1", "year": "39"})
    );
    assert_eq!(answer["transaction"]["frequency"], "RECURRING");
    // a number of the request's own comes before the token's
    let mut other = pay.clone();
    merge(
        &mut other,
        &json!({"sourceOfFunds": {"type": "CARD", "provided": {"card": {"number": "4111111111111111"}}}}),
    );
    let answer = client.done("p/1", &other).await;
    assert_eq!(
        answer["sourceOfFunds"]["provided"]["card"]["number"],
        "411111xxxxxx1111"
    );
    assert_eq!(
        answer["sourceOfFunds"].get("token"),
        None,
        "its card is not what was used"
    );
}
