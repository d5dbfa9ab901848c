//! Payment method sessions: what a customer's browser does.

use std::time::Duration;

use serde_json::{Value, json};

use super::shop::{MASTERCARD, Shop, VISA, card, is_id, is_time, method, refused};
use super::support::http::Answer;

/// A browser with a session.
struct Browser<'a> {
    shop: &'a Shop<'a>,
    authorization: String,
    base: String,
}

impl<'a> Browser<'a> {
    fn with(shop: &'a Shop<'a>, session: &Value) -> Self {
        Self {
            shop,
            authorization: format!(
                "publishable-key={},client-secret={}",
                session["publishable_key"].as_str().unwrap(),
                session["client_secret"].as_str().unwrap()
            ),
            base: format!("/v2/payment-method-sessions/{}", session["id"].as_str().unwrap()),
        }
    }

    fn call(&self, verb: &str, path: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Profile-Id", self.shop.profile.as_str()),
            ("Authorization", self.authorization.as_str()),
        ];
        self.shop.with(verb, &format!("{}{path}", self.base), &headers, &body)
    }

    fn ok(&self, verb: &str, path: &str, body: &Value) -> Value {
        let answer = self.call(verb, path, body);
        assert_eq!(answer.status, 200, "{verb} {path}: {}", answer.text());
        answer.json()
    }
}

fn confirm(number: &str) -> Value {
    json!({"payment_method_type": "card", "payment_method_subtype": "credit",
           "payment_method_data": {"card": card(number, "03", "2030"), "billing": {"email": "new@b"}},
           "customer_acceptance": {"acceptance_type": "online"}})
}

pub(crate) fn life(shop: &Shop<'_>) {
    let customer = shop.customer();
    let saved = shop.add(&method(&customer, &card(MASTERCARD, "03", "2030")));
    let new = json!({
        "customer_id": customer, "billing": {"email": "a@b"}, "return_url": "https://example.com", "expires_in": 600,
        "network_tokenization": {"enable": "Enable"}, "tokenization_data": {"any": [1]}, "storage_type": "persistent",
        "psp_tokenization": {"tokenization_type": "multi_use", "connector_id": "mca_unheard"}, "keep_alive": true,
    });
    let opened = shop.ok("POST", "/v2/payment-method-sessions", &new);
    assert!(is_id(opened["id"].as_str().unwrap(), "0a", "pms"), "{opened}");
    assert!(is_time(&opened["expires_at"]));
    assert!(opened["client_secret"].as_str().unwrap().starts_with("cs_"));
    for name in [
        "customer_id",
        "return_url",
        "network_tokenization",
        "tokenization_data",
        "psp_tokenization",
        "keep_alive",
    ] {
        assert_eq!(opened[name], new[name], "{name}");
    }
    assert!(opened["associated_payment_methods"].is_null());
    let own = format!("/payment-method-sessions/{}", opened["id"].as_str().unwrap());
    assert_eq!(shop.get(&own), opened);

    let browser = Browser::with(shop, &opened);
    assert_eq!(browser.ok("GET", "", &Value::Null), opened);
    let list = browser.ok("GET", "/list-payment-methods", &Value::Null);
    assert_eq!(list["payment_methods_enabled"][0]["payment_method_type"], "card");
    let item = &list["customer_payment_methods"][0];
    let handle = item["payment_method_token"].as_str().unwrap();
    assert!(handle.starts_with("token_") && handle.len() == 26, "{handle}");
    assert_eq!(item["payment_method_data"], saved["payment_method_data"]);
    let again = browser.ok("GET", "/list-payment-methods", &Value::Null);
    assert_eq!(
        again["customer_payment_methods"][0]["payment_method_token"], handle,
        "no more names than needed"
    );
    // the merchant uses the temporary name
    assert_eq!(shop.get(&format!("/payment-methods/{handle}"))["id"], saved["id"]);
    let details = shop.get(&format!("/v1/payment-methods/token/{handle}/details"));
    assert_eq!(details, json!({"id": saved["id"], "payment_method_token": handle}));
    shop.refused(
        "GET",
        "/payment-methods/token/token_unheard/details",
        &Value::Null,
        404,
        "HE_02",
    );

    let done = browser.ok("POST", "/confirm", &confirm(VISA));
    assert_eq!(done["network_tokenization"]["status"], "succeeded", "{done}");
    assert_eq!(done["psp_tokenization"]["status"], "failed", "{done}");
    assert_eq!(
        done["network_tokenization_data"]["payment_method_data"]["card_network"],
        "Visa"
    );
    assert_eq!(done["payment_method_data"]["card"]["last4_digits"], "1111");
    let token = &done["associated_payment_methods"][0]["payment_method_token"];
    assert_eq!(token["type"], "payment_method_session_token");
    let added = shop.get(&format!("/payment-methods/{}", token["data"].as_str().unwrap()));
    assert_eq!(
        (&added["customer_id"], &added["billing"]["email"]),
        (&json!(customer), &json!("new@b"))
    );
    assert_eq!(
        shop.get(&own)["associated_payment_methods"],
        done["associated_payment_methods"]
    );

    let change = json!({"payment_method_token": handle, "payment_method_data": {"card": {"nick_name": "mine", "card_cvc": "737"}}});
    let changed = browser.ok("PUT", "/update-saved-payment-method", &change);
    assert_eq!(changed["card_cvc_token_storage"]["is_stored"], true, "{changed}");
    assert_eq!(changed["payment_method_data"]["card"]["nick_name"], "mine");
    let terms = browser.ok("PUT", "", &json!({"billing": {"email": "c@d"}}));
    assert_eq!(terms["billing"]["email"], "c@d");
    let skip = json!({"network_tokenization": {"enable": "Skip"}});
    let terms = shop.ok("PUT", &format!("/v2{own}"), &skip);
    assert_eq!(
        (&terms["billing"]["email"], &terms["network_tokenization"]["enable"]),
        (&json!("c@d"), &json!("Skip"))
    );
    // what is the merchant's to say
    for mine in [
        json!({"network_tokenization": {"enable": "Enable"}}),
        json!({"psp_tokenization": {"tokenization_type": "multi_use", "connector_id": "mca_simulator"}}),
        json!({"tokenization_data": {"any": [2]}}),
    ] {
        refused(&browser.call("PUT", "", &mine), 400, "IR_06");
    }
    for mine in [
        json!({"acknowledgement_status": "authenticated"}),
        json!({"network_transaction_id": "nti"}),
        json!({"connector_token_details": {"token": "t"}}),
    ] {
        let mut change = mine;
        change["payment_method_token"] = json!(handle);
        refused(
            &browser.call("PUT", "/update-saved-payment-method", &change),
            400,
            "IR_06",
        );
    }
    assert_eq!(terms["return_url"], new["return_url"]);
    let gone = browser.ok("DELETE", "", &json!({"payment_method_token": handle}));
    assert_eq!(gone, json!({"id": saved["id"], "payment_method_token": handle}));
    let path = format!("/payment-methods/{}", saved["id"].as_str().unwrap());
    shop.refused("DELETE", &path, &Value::Null, 400, "IR_11");
    // what it may not: another's payment method, the rest of the API
    let other = shop.add(&method(&shop.customer(), &card(VISA, "03", "2030")));
    for name in [&other["id"], &json!("token_unheard")] {
        let delete = browser.call("DELETE", "", &json!({"payment_method_token": name}));
        refused(&delete, 404, "HE_02");
    }
    for bad in [json!({}), json!({"unheard": 1})] {
        let code = if bad == json!({}) { "IR_04" } else { "IR_06" };
        refused(&browser.call("DELETE", "", &bad), 400, code);
    }
}

/// A session takes so many cards, and one that it does not take is kept nowhere.
pub(crate) fn full(shop: &Shop<'_>) {
    let customer = shop.customer();
    let new = json!({"customer_id": customer, "storage_type": "persistent"});
    let browser = Browser::with(shop, &shop.ok("POST", "/v2/payment-method-sessions", &new));
    let at = |year: usize| {
        let mut new = confirm(VISA);
        new["payment_method_data"]["card"]["card_exp_year"] = json!((2030 + year).to_string());
        new
    };
    for year in 0..32 {
        browser.ok("POST", "/confirm", &at(year));
    }
    refused(&browser.call("POST", "/confirm", &at(32)), 400, "IR_16");
    let list = shop.get(&format!("/customers/{customer}/saved-payment-methods"));
    assert_eq!(list["customer_payment_methods"].as_array().unwrap().len(), 32);
}

pub(crate) fn secrets(shop: &Shop<'_>) {
    let customer = shop.customer();
    let open = |life: u32| {
        let new = json!({"customer_id": customer, "expires_in": life, "storage_type": "persistent"});
        shop.ok("POST", "/payment-method-sessions", &new)
    };
    let (session, other) = (open(600), open(600));
    let good = Browser::with(shop, &session);
    let ask = |authorization: String| {
        let browser = Browser {
            shop,
            authorization,
            base: good.base.clone(),
        };
        browser.call("GET", "/list-payment-methods", &Value::Null)
    };
    let key = session["publishable_key"].as_str().unwrap();
    assert_eq!(ask(good.authorization.clone()).status, 200);
    assert_eq!(
        ask(session["sdk_authorization"].as_str().unwrap().to_owned()).status,
        200
    );
    assert_eq!(
        ask(format!("api-key={}", shop.key)).status,
        200,
        "the merchant may do all of it"
    );
    refused(&ask(format!("publishable-key={key}")), 400, "IR_08");
    refused(
        &ask(format!("publishable-key={key},client-secret=cs_wrong")),
        401,
        "IR_15",
    );
    let others = other["client_secret"].as_str().unwrap();
    refused(
        &ask(format!("publishable-key={key},client-secret={others}")),
        401,
        "IR_15",
    );
    let secret = session["client_secret"].as_str().unwrap();
    for stranger in ["pk_unheard", "unheard", ""] {
        refused(
            &ask(format!("publishable-key={stranger},client-secret={secret}")),
            401,
            "IR_01",
        );
    }
    // a browser has no other part of the API
    let headers = [
        ("X-Profile-Id", shop.profile.as_str()),
        ("Authorization", good.authorization.as_str()),
    ];
    for (verb, path) in [
        ("GET", format!("/customers/{customer}")),
        ("POST", "/payment-method-sessions".to_owned()),
        ("GET", format!("/customers/{customer}/saved-payment-methods")),
        ("GET", "/payment-methods/x?fetch_raw_detail=true".to_owned()),
    ] {
        refused(&shop.with(verb, &path, &headers, b"{}"), 401, "IR_01");
    }
    let short = Browser::with(shop, &open(1));
    std::thread::sleep(Duration::from_millis(1_100));
    refused(&short.call("GET", "", &Value::Null), 400, "IR_09");
    shop.refused(
        "GET",
        "/payment-method-sessions/0a_pms_unheard",
        &Value::Null,
        404,
        "HE_02",
    );
    for bad in [
        json!({"customer_id": customer, "expires_in": 0}),
        json!({"customer_id": customer, "expires_in": 90_000}),
    ] {
        shop.refused("POST", "/payment-method-sessions", &bad, 400, "IR_07");
    }
    shop.refused("POST", "/payment-method-sessions", &json!({}), 400, "IR_04");
    let hidden = json!({"customer_id": customer, "tokenization_data": {"cvv": "123"}});
    shop.refused("POST", "/payment-method-sessions", &hidden, 400, "IR_07");
}

pub(crate) fn nobodys(shop: &Shop<'_>) {
    let session = shop.ok(
        "POST",
        "/v1/payment-method-sessions",
        &json!({"storage_type": "volatile"}),
    );
    let browser = Browser::with(shop, &session);
    let done = browser.ok("POST", "/confirm", &confirm(VISA));
    let handle = done["associated_payment_methods"][0]["payment_method_token"]["data"]
        .as_str()
        .unwrap()
        .to_owned();
    let method = shop.get(&format!("/payment-methods/{handle}"));
    assert_eq!(method["storage_type"], "volatile");
    let list = browser.ok("GET", "/list-payment-methods", &Value::Null);
    assert_eq!(list["customer_payment_methods"], json!([]));
    browser.ok("DELETE", "", &json!({"payment_method_token": handle}));
    let path = format!("/payment-methods/{}", method["id"].as_str().unwrap());
    shop.refused("GET", &path, &Value::Null, 404, "HE_02");
}
