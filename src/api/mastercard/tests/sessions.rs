//! Sessions, and what transactions take from them.

use super::*;

impl Client {
    /// A new session's id.
    async fn session(&self) -> String {
        let answer = self.call("POST", "session", "").await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.field("session.id").unwrap()
    }

    async fn fill(&self, session: &str, body: &Value) -> super::Answer {
        self.call("PUT", &format!("session/{session}"), &body.to_string()).await
    }
}

fn whole() -> Value {
    json!({
        "order": {"amount": "5.00", "currency": "EUR", "reference": "R-1", "item": [{"name": "tea"}, {"name": "cake"}]},
        "customer": {"email": "ada@example.com"},
        "sourceOfFunds": {"type": "CARD", "provided": {"card": {
            "number": PAN, "expiry": {"month": "05", "year": "38"}, "securityCode": "100", "nameOnCard": "A Lovelace",
        }}},
    })
}

#[tokio::test]
async fn a_session_is_opened_filled_and_shown_masked() {
    let client = Client::start().await;
    let opened = client
        .call("POST", "session", r#"{"session":{"authenticationLimit":7}}"#)
        .await;
    assert_eq!(opened.status, 201);
    assert_eq!(opened.field("result").as_deref(), Some("SUCCESS"));
    assert_eq!(opened.field("merchant").as_deref(), Some(MERCHANT));
    assert_eq!(opened.field("session.updateStatus").as_deref(), Some("NO_UPDATE"));
    assert!(opened.text.contains("\"authenticationLimit\":7,"));
    let key = opened.field("session.aes256Key").unwrap();
    assert_eq!(BASE64.decode(key.as_bytes()).unwrap().len(), 32);
    let id = opened.field("session.id").unwrap();
    assert!((31..=35).contains(&id.len()));

    let filled = client.fill(&id, &whole()).await;
    assert_eq!(filled.status, 201, "{}", filled.text);
    let version = filled.field("session.version").unwrap();
    assert_ne!(Some(&version), opened.field("session.version").as_ref());
    let names: Vec<_> = filled.fields().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["merchant", "session.id", "session.updateStatus", "session.version"]
    );

    let shown = client.call("GET", &format!("session/{id}"), "").await;
    assert_eq!(shown.status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&shown.text).unwrap(),
        json!({
            "customer": {"email": "ada@example.com"},
            "merchant": MERCHANT,
            "order": {"amount": "5.00", "currency": "EUR", "reference": "R-1", "item": [{"name": "tea"}, {"name": "cake"}]},
            "session": {"id": id, "updateStatus": "SUCCESS", "version": version},
            "sourceOfFunds": {"type": "CARD", "provided": {"card": {
                "brand": "MASTERCARD", "scheme": "MASTERCARD", "number": "512345xxxxxx0008",
                "expiry": {"month": "5", "year": "38"}, "nameOnCard": "A Lovelace",
            }}},
        })
    );
    let nvp = client
        .nvp(&format!("apiOperation=RETRIEVE_SESSION&session.id={id}"))
        .await;
    assert_eq!(nvp.fields(), shown.fields());
    assert_eq!(nvp.field("order.item[1].name").as_deref(), Some("cake"));
}

#[tokio::test]
async fn fields_are_overwritten_one_by_one() {
    let client = Client::start().await;
    let opened = client.nvp("apiOperation=CREATE_SESSION").await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let id = opened.field("session.id").unwrap();
    client.fill(&id, &whole()).await;
    let pairs = format!(
        "apiOperation=UPDATE_SESSION&session.id={id}&order.currency=KWD&sourceOfFunds.provided.card.expiry.year=39"
    );
    assert_eq!(client.nvp(&pairs).await.status, 201);
    let shown = client.call("GET", &format!("session/{id}"), "").await;
    for (name, value) in [
        ("order.amount", "5.00"),
        ("order.currency", "KWD"),
        ("sourceOfFunds.provided.card.expiry.month", "5"),
        ("sourceOfFunds.provided.card.expiry.year", "39"),
    ] {
        assert_eq!(shown.field(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_transaction_takes_from_its_session_what_it_does_not_say() {
    let client = Client::start().await;
    let id = client.session().await;
    client.fill(&id, &whole()).await;
    let pay = |amount: Option<&str>| {
        let mut body = json!({"apiOperation": "PAY", "session": {"id": id}});
        if let Some(amount) = amount {
            body["order"] = json!({"amount": amount});
        }
        body.to_string()
    };
    let path = "order/o/transaction/1";
    let first = client.call("PUT", path, &pay(Some("6.00"))).await;
    assert_eq!(first.status, 201, "{}", first.text);
    for (name, value) in [
        ("order.amount", "6.00"),
        ("order.currency", "EUR"),
        ("order.reference", "R-1"),
        ("customer.email", "ada@example.com"),
        ("sourceOfFunds.provided.card.expiry.month", "5"),
        ("response.cardSecurityCode.gatewayCode", "MATCH"),
    ] {
        assert_eq!(first.field(name).as_deref(), Some(value), "{name}");
    }
    // a repetition is the same whatever became of the session
    client.fill(&id, &json!({"order": {"reference": "R-2"}})).await;
    assert_eq!(client.call("PUT", path, &pay(Some("6.00"))).await.text, first.text);
    // the security code was good for one use
    let second = client.call("PUT", "order/p/transaction/1", &pay(None)).await;
    assert_eq!(second.field("order.amount").as_deref(), Some("5.00"));
    assert_eq!(second.field("response.cardSecurityCode.gatewayCode"), None);
    let mut stale: Value = serde_json::from_str(&pay(None)).unwrap();
    stale["session"]["version"] = "0000000000".into();
    let stale = client.call("PUT", "order/q/transaction/1", &stale.to_string()).await;
    assert_eq!(stale.error(), bad("session.version INVALID"));
}

#[tokio::test]
async fn a_stored_card_takes_from_its_session_what_the_request_does_not_say() {
    let client = Client::start().await;
    let id = client.session().await;
    let mut body = whole();
    body["transaction"] = json!({"currency": "EUR"});
    body["billing"] = json!({"address": {"city": "Turin", "street": "Via Po 1"}});
    assert_eq!(client.fill(&id, &body).await.status, 201);
    let made = client
        .nvp(&format!(
            "apiOperation=TOKENIZE&session.id={id}&verificationStrategy=ACQUIRER&billing.address.city=Rome"
        ))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    for (name, value) in [
        ("response.gatewayCode", "EXTERNAL_VERIFICATION_SUCCESSFUL"),
        ("sourceOfFunds.provided.card.expiry", "0538"),
        ("billing.address.city", "Rome"),
        ("billing.address.street", "Via Po 1"),
        ("customer.email", "ada@example.com"),
    ] {
        assert_eq!(made.field(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(made.field("order.reference"), None, "a token has no order");
}

#[tokio::test]
async fn a_card_number_is_given_back_from_no_field() {
    let client = Client::start().await;
    let holder = "sourceOfFunds.provided.card.nameOnCard";
    for operation in [
        "TOKENIZE",
        "PAY&order.id=o&transaction.id=1&order.amount=1&order.currency=EUR",
    ] {
        for field in [
            "billing.address.street",
            "customer.firstName",
            "device.ipAddress",
            holder,
        ] {
            let card = format!(
                "sourceOfFunds.type=CARD&sourceOfFunds.provided.card.number={PAN}\
                 &sourceOfFunds.provided.card.expiry.month=1&sourceOfFunds.provided.card.expiry.year=39"
            );
            let answer = client
                .nvp(&format!("apiOperation={operation}&{card}&{field}=4111 1111 1111 1111"))
                .await;
            assert_eq!(answer.error(), bad(&format!("{field} INVALID")), "{operation}");
            assert!(!answer.text.contains("1111"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn what_a_session_cannot_take_is_named() {
    let client = Client::start().await;
    let id = client.session().await;
    let bad_limit = client
        .call("POST", "session", r#"{"session":{"authenticationLimit":26}}"#)
        .await;
    assert_eq!(bad_limit.error(), bad("session.authenticationLimit INVALID"));
    for (body, at) in [
        (json!({"order": {"reference": PAN}}), "order.reference INVALID"),
        (json!({"customer": {"email": PAN}}), "customer.email INVALID"),
        (
            json!({"sourceOfFunds": {"provided": {"card": {"nameOnCard": format!("Ada {PAN}")}}}}),
            "sourceOfFunds.provided.card.nameOnCard INVALID",
        ),
        (json!({"order": {"amount": "-1"}}), "order.amount INVALID"),
        (json!({"session": {"version": "0000000000"}}), "session.version INVALID"),
        (json!({"session": {"id": id}}), "session.id UNSUPPORTED"),
        (
            json!({"sourceOfFunds": {"provided": {"card": {"expiry": {"month": 13}}}}}),
            "sourceOfFunds.provided.card.expiry.month INVALID",
        ),
        (
            json!({"sourceOfFunds": {"provided": {"card": {"cvv": "100"}}}}),
            "sourceOfFunds.provided.card.cvv UNSUPPORTED",
        ),
    ] {
        let answer = client.fill(&id, &body).await;
        assert_eq!(answer.error(), bad(at), "{body}");
    }
    let unknown = format!("SESSION{}", "A".repeat(24));
    let pay = json!({"apiOperation": "PAY", "order": {"amount": 1, "currency": "EUR"}, "session": {"id": unknown}});
    for answer in [
        client.fill(&unknown, &json!({"order": {"reference": "x"}})).await,
        client.call("GET", &format!("session/{unknown}"), "").await,
        client.call("PUT", "order/o/transaction/1", &pay.to_string()).await,
    ] {
        assert_eq!(answer.error(), bad("session.id INVALID"));
    }
    // another version of the API has sessions of its own
    let other = format!("/api/rest/version/71/merchant/{MERCHANT}/session/{id}");
    assert_eq!(
        client
            .call("PUT", &other, "{\"order\":{\"reference\":\"x\"}}")
            .await
            .error(),
        bad("session.id INVALID")
    );
    let shown = client.call("GET", &format!("session/{id}"), "").await;
    assert_eq!(shown.field("session.updateStatus").as_deref(), Some("NO_UPDATE"));
}
