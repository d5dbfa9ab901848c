//! Payment methods.

use std::time::Duration;

use serde_json::{Value, json};

use super::shop::{MASTERCARD, Shop, VISA, card, is_id, is_time, method, refused};
use super::support::daemon::Daemon;

fn path(method: &Value) -> String {
    format!("/payment-methods/{}", method["id"].as_str().unwrap())
}

fn update(method: &Value) -> String {
    format!("{}/update-saved-payment-method", path(method))
}

pub(crate) fn life(shop: &Shop<'_>) {
    let customer = shop.customer();
    let made = shop.add(&method(&customer, &card("4111 1111 1111 1111", "3", "30")));
    assert!(is_id(made["id"].as_str().unwrap(), "0a", "pm"), "{made}");
    for time in ["created", "last_used_at"] {
        assert!(is_time(&made[time]), "{made}");
    }
    let expected = json!({
        "id": made["id"], "merchant_id": shop.merchant, "customer_id": customer, "payment_method_type": "card",
        "payment_method_subtype": "credit", "recurring_enabled": false, "created": made["created"],
        "last_used_at": made["last_used_at"],
        "payment_method_data": {"card": {
            "issuer_country": null, "last4_digits": "1111", "expiry_month": "03", "expiry_year": "2030",
            "card_holder_name": "joseph Doe", "card_fingerprint": null, "nick_name": null, "card_network": "Visa",
            "card_isin": null, "card_issuer": null, "card_type": null, "saved_to_locker": true,
        }},
        "connector_tokens": null, "network_token": null, "storage_type": "persistent", "card_cvc_token_storage": null,
        "network_transaction_id": null, "raw_payment_method_data": null, "billing": null,
        "acknowledgement_status": null,
    });
    assert_eq!(made, expected);
    assert_eq!(shop.get(&path(&made)), made);
    assert_eq!(shop.get(&format!("{}?fetch_raw_detail=false", path(&made))), made);
    assert_eq!(shop.ok("DELETE", &path(&made), &Value::Null), json!({"id": made["id"]}));
    shop.refused("GET", &path(&made), &Value::Null, 404, "HE_02");
    shop.refused("DELETE", &path(&made), &Value::Null, 400, "IR_11");
    let change = json!({"payment_method_data": {"card": {"nick_name": "x"}}});
    shop.refused("PUT", &update(&made), &change, 422, "IR_06");
    // the card can be stored again, under a new id
    let again = shop.add(&method(&customer, &card(VISA, "03", "2030")));
    assert_ne!(again["id"], made["id"]);
    for unheard in ["0a_pm_unheard", "x", "%20", &"x".repeat(300)] {
        let path = format!("/payment-methods/{unheard}");
        shop.refused("GET", &path, &Value::Null, 404, "HE_02");
        shop.refused("DELETE", &path, &Value::Null, 404, "HE_02");
        let update = format!("{path}/update-saved-payment-method");
        shop.refused("PUT", &update, &json!({}), 404, "HE_02");
    }
    // what was given is kept, and a subtype that says nothing is the card's own kind
    let mut full = card(MASTERCARD, "12", "2031");
    for (name, value) in [
        ("nick_name", "mine"),
        ("card_issuing_country", "AF"),
        ("card_network", "Maestro"),
        ("card_issuer", "Bank"),
        ("card_type", "debit"),
    ] {
        full[name] = json!(value);
    }
    full["unheard"] = json!({"of": 1});
    let mut new = method(&customer, &full);
    new.as_object_mut().unwrap().remove("payment_method_subtype");
    new.as_object_mut().unwrap().remove("storage_type");
    new["billing"] = json!({"address": {"city": "Oslo"}, "email": "<string>"});
    new["metadata"] = json!({"own": [1, null]});
    let made = shop.add(&new);
    let seen = &made["payment_method_data"]["card"];
    assert_eq!(seen["card_network"], "Maestro");
    assert_eq!(seen["issuer_country"], "AF");
    assert_eq!(
        (&seen["card_issuer"], &seen["card_type"]),
        (&json!("Bank"), &json!("debit"))
    );
    assert_eq!(made["payment_method_subtype"], "debit");
    assert_eq!(made["storage_type"], "persistent", "where the request does not say");
    assert_eq!(made["billing"]["address"]["city"], "Oslo");
    assert!(made["billing"]["address"]["zip"].is_null() && made["billing"]["phone"].is_null());
}

pub(crate) fn updates(shop: &Shop<'_>) {
    let customer = shop.customer();
    let made = shop.add(&method(&customer, &card(VISA, "03", "2030")));
    assert_eq!(shop.ok("PUT", &update(&made), &json!({})), made, "nothing to change");
    for verb in ["PUT", "PATCH"] {
        let change = json!({"payment_method_data": {"card": {"card_holder_name": verb, "nick_name": "n"}},
                            "network_transaction_id": "MCC123"});
        let changed = shop.ok(verb, &update(&made), &change);
        let card = &changed["payment_method_data"]["card"];
        assert_eq!(
            (&card["card_holder_name"], &card["nick_name"]),
            (&json!(verb), &json!("n"))
        );
        assert_eq!(changed["network_transaction_id"], "MCC123");
        assert_eq!(changed["id"], made["id"]);
        assert_eq!(shop.get(&path(&made)), changed);
    }
    let kept = shop.ok(
        "PUT",
        &update(&made),
        &json!({"payment_method_data": {"card": {"card_holder_name": null}}}),
    );
    assert_eq!(
        kept["payment_method_data"]["card"]["card_holder_name"], "PATCH",
        "a name cannot be cleared"
    );
    for bad in [
        json!({"unheard": 1}),
        json!({"payment_method_data": {"card": {"card_number": VISA}}}),
        json!({"payment_method_data": {"card": {"card_exp_month": "01"}}}),
        json!({"payment_method_data": {"card": {"nick_name": 1}}}),
        json!({"acknowledgement_status": "done"}),
    ] {
        shop.refused("PUT", &update(&made), &bad, 400, "IR_06");
    }
    let bank = json!({"payment_method_data": {"bank_debit": {}}});
    let refused = shop.refused("PUT", &update(&made), &bank, 400, "IR_19");
    assert!(refused["reason"].is_string());
    // many at once: each is there in the end
    std::thread::scope(|scope| {
        for at in 0..6 {
            let (shop, made) = (&shop, &made);
            scope.spawn(move || {
                let token = json!({"connector_token_details": {"connector_id": format!("mca_{at}"), "token": "t"}});
                shop.ok("PUT", &update(made), &token);
            });
        }
    });
    assert_eq!(shop.get(&path(&made))["connector_tokens"].as_array().unwrap().len(), 6);
}

pub(crate) fn connector_tokens(shop: &Shop<'_>) {
    let made = shop.add(&method(&shop.customer(), &card(VISA, "03", "2030")));
    let token = |connector: &str, token: &str| {
        json!({"connector_token_details": {
            "connector_id": connector, "token_type": "multi_use", "status": "active", "token": token,
            "connector_token_request_reference_id": "r", "original_payment_authorized_amount": 100,
            "original_payment_authorized_currency": "EUR", "metadata": {"a": 1}, "connector_customer_id": "c",
        }})
    };
    shop.ok("PUT", &update(&made), &token("mca_1", "one"));
    shop.ok("PUT", &update(&made), &token("mca_2", "two"));
    let changed = shop.ok("PUT", &update(&made), &token("mca_1", "three"));
    let tokens: Vec<_> = changed["connector_tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| {
            (
                token["connector_id"].as_str().unwrap(),
                token["token"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(tokens, [("mca_2", "two"), ("mca_1", "three")], "one of each connector");
    let mut expected = token("mca_1", "three")["connector_token_details"].clone();
    assert_eq!(changed["connector_tokens"][1], expected);
    expected["token_type"] = json!("often");
    shop.refused(
        "PUT",
        &update(&made),
        &json!({"connector_token_details": expected}),
        400,
        "IR_06",
    );
    // a code where none is ever stored, and more than fits
    let hidden = json!({"connector_token_details": {"token": "t", "metadata": {"cvv": "123"}}});
    shop.refused("PUT", &update(&made), &hidden, 400, "IR_07");
    let long = json!({"connector_token_details": {"token": "t".repeat(9_000)}});
    shop.refused("PUT", &update(&made), &long, 400, "IR_07");
}

pub(crate) fn acknowledgements(shop: &Shop<'_>) {
    let customer = shop.customer();
    let say = |made: &Value, status: &str| shop.ok("PUT", &update(made), &json!({"acknowledgement_status": status}));
    let made = shop.add(&method(&customer, &card(VISA, "03", "2030")));
    assert_eq!(say(&made, "authenticated")["acknowledgement_status"], "authenticated");
    assert_eq!(
        say(&made, "failed")["acknowledgement_status"],
        "authenticated",
        "for good"
    );
    shop.get(&path(&made));
    // an active one is returned unchanged
    let mut again = method(&customer, &card(VISA, "03", "2030"));
    again["payment_method_data"]["card"]["card_holder_name"] = json!("another");
    let there = shop.add(&again);
    assert_eq!(there["id"], made["id"]);
    assert_eq!(there["payment_method_data"]["card"]["card_holder_name"], "joseph Doe");

    let made = shop.add(&method(&customer, &card(MASTERCARD, "03", "2030")));
    assert_eq!(say(&made, "failed")["acknowledgement_status"], "failed");
    shop.refused("GET", &path(&made), &Value::Null, 404, "HE_02");
    shop.refused(
        "GET",
        &format!("{}?fetch_raw_detail=true", path(&made)),
        &Value::Null,
        404,
        "HE_02",
    );
    shop.refused("DELETE", &path(&made), &Value::Null, 404, "HE_02");
    let list = shop.get(&format!("/customers/{customer}/saved-payment-methods"));
    assert_eq!(list["customer_payment_methods"].as_array().unwrap().len(), 1);
    // added again it is new, under the same id, and takes over what is given
    let mut again = method(&customer, &card(MASTERCARD, "3", "30"));
    again["payment_method_data"]["card"]["nick_name"] = json!("second");
    let there = shop.add(&again);
    assert_eq!(there["id"], made["id"]);
    assert_eq!(there["payment_method_data"]["card"]["nick_name"], "second");
    assert!(there["acknowledgement_status"].is_null());
    say(&made, "failed");
    say(&made, "authenticated");
    shop.get(&path(&made));
}

pub(crate) fn saved(shop: &Shop<'_>) {
    let own = Shop::added(shop.daemon, "TEST_saved", &["--test"]);
    let customer = own.customer();
    let list_path = format!("/v2/customers/{customer}/saved-payment-methods");
    assert_eq!(own.get(&list_path), json!({"customer_payment_methods": []}));
    assert_eq!(own.get("/customers/total-payment-methods"), json!({"total_count": 0}));
    let first = own.add(&method(&customer, &card(VISA, "03", "2030")));
    std::thread::sleep(Duration::from_millis(5));
    let second = own.add(&method(&customer, &card(MASTERCARD, "03", "2030")));
    own.add(&method(&own.customer(), &card(MASTERCARD, "03", "2030")));
    assert_eq!(
        own.get("/v1/customers/total-payment-methods"),
        json!({"total_count": 3})
    );
    let list = own.get(&list_path);
    let item = &list["customer_payment_methods"][0];
    let expected = json!({
        "id": second["id"], "customer_id": customer, "payment_method_type": "card", "payment_method_subtype": "credit",
        "recurring_enabled": false, "payment_method_data": second["payment_method_data"], "bank": null,
        "created": second["created"], "requires_cvv": true, "last_used_at": second["last_used_at"],
        "is_default": false, "billing": null, "network_tokenization": null, "psp_tokenization_enabled": false,
        "connector_tokens": null, "network_transaction_id": null,
    });
    assert_eq!(*item, expected, "the newest first");
    let default = |id: &Value| format!("/customers/{customer}/payment-methods/{}/default", id.as_str().unwrap());
    let set = own.ok("POST", &default(&first["id"]), &Value::Null);
    let expected = json!({"default_payment_method_id": first["id"], "customer_id": customer,
                          "payment_method_type": "card", "payment_method_subtype": "credit"});
    assert_eq!(set, expected);
    own.refused("POST", &default(&first["id"]), &Value::Null, 400, "IR_16");
    // by a temporary name it is the same one
    let session = own.ok("POST", "/payment-method-sessions", &json!({"customer_id": customer}));
    let named = own.get(&format!(
        "/payment-method-sessions/{}/list-payment-methods",
        session["id"].as_str().unwrap()
    ));
    let handle = named["customer_payment_methods"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["is_default"] == true);
    own.refused(
        "POST",
        &default(&handle.unwrap()["payment_method_token"]),
        &Value::Null,
        400,
        "IR_16",
    );
    let list = own.get(&list_path);
    let defaults: Vec<_> = list["customer_payment_methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["is_default"].as_bool().unwrap())
        .collect();
    assert_eq!(defaults, [false, true]);
    let older = format!("/v1{}", default(&second["id"]).trim_start_matches("/customers"));
    own.ok("POST", &older, &Value::Null);
    assert_eq!(
        own.get(&format!("/customers/{customer}"))["default_payment_method_id"],
        second["id"]
    );
    let by_update = json!({"default_payment_method_id": first["id"]});
    own.ok("PUT", &format!("/customers/{customer}"), &by_update);
    own.ok("DELETE", &path(&first), &Value::Null);
    assert!(own.get(&format!("/customers/{customer}"))["default_payment_method_id"].is_null());
    // another's payment method, another merchant's customer
    own.refused("POST", &default(&json!("0a_pm_unheard")), &Value::Null, 404, "HE_02");
    let foreign = own.add(&method(&own.customer(), &card(VISA, "03", "2030")));
    own.refused("POST", &default(&foreign["id"]), &Value::Null, 404, "HE_02");
    shop.refused("GET", &list_path, &Value::Null, 404, "HE_02");
    shop.refused("GET", &path(&foreign), &Value::Null, 404, "HE_02");
}

pub(crate) fn every_path(shop: &Shop<'_>) {
    let customer = shop.customer();
    for prefix in ["", "/v1", "/v2"] {
        shop.get(&format!("{prefix}/customers/{customer}"));
        for segment in ["payment-methods", "payment_methods"] {
            let base = format!("{prefix}/{segment}");
            let made = shop.ok("POST", &base, &method(&customer, &card(VISA, "03", "2030")));
            let one = format!("{base}/{}", made["id"].as_str().unwrap());
            shop.get(&one);
            for update in ["update-saved-payment-method", "update_saved_payment_method"] {
                shop.ok("PATCH", &format!("{one}/{update}"), &json!({}));
            }
            shop.ok("DELETE", &one, &Value::Null);
        }
    }
    for path in [
        "/customers/x/y",
        "/v2/payment-methods/x/unheard",
        "/payment-method-sessions/x/unheard",
        "/proxy",
        "/v2/tokenize",
    ] {
        refused(&shop.call("GET", path, &Value::Null), 404, "IR_02");
    }
    for (verb, path) in [
        ("PATCH", "/customers"),
        ("POST", "/v1/payment-methods/x"),
        ("DELETE", "/customers/list"),
    ] {
        let answer = shop.call(verb, path, &Value::Null);
        refused(&answer, 405, "IR_03");
    }
}

pub(crate) fn intents(shop: &Shop<'_>) {
    let customer = shop.customer();
    let new = json!({"customer_id": customer, "metadata": {"a": 1}, "billing": {"email": "a@b"}});
    let made = shop.ok("POST", "/v2/payment-methods/create-intent", &new);
    assert!(is_id(made["id"].as_str().unwrap(), "0a", "pm"), "{made}");
    assert!(made["payment_method_type"] == "card" && made["payment_method_data"].is_null());
    assert_eq!(made["billing"]["email"], "a@b");
    assert_eq!(shop.get(&path(&made)), made);
    shop.refused("PUT", &update(&made), &json!({}), 404, "HE_02");
    let list = format!("/customers/{customer}/saved-payment-methods");
    assert_eq!(shop.get(&list), json!({"customer_payment_methods": []}));

    let confirm = format!("{}/confirm-intent", path(&made));
    let given = |number: &str| {
        json!({"payment_method_type": "card", "payment_method_subtype": "credit",
               "payment_method_data": {"card": card(number, "03", "2030")}})
    };
    shop.refused("POST", &confirm, &json!({"payment_method_type": "card"}), 400, "IR_04");
    shop.refused("POST", &confirm, &given("4111111111111112"), 400, "IR_06");
    // of many with different cards one is taken
    let numbers = [VISA, MASTERCARD, "378282246310005", "6011111111111117"];
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = numbers
            .iter()
            .map(|number| scope.spawn(|| shop.call("POST", &confirm, &given(number)).status))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(
        answers.iter().filter(|status| **status == 200).count(),
        1,
        "{answers:?}"
    );
    assert!(answers.iter().all(|status| matches!(status, 200 | 422)), "{answers:?}");
    let there = shop.get(&path(&made));
    assert_eq!((&there["id"], &there["customer_id"]), (&made["id"], &json!(customer)));
    assert_eq!(there["billing"]["email"], "a@b");
    shop.refused("POST", &confirm, &given(VISA), 422, "IR_06");
    assert_eq!(shop.get(&list)["customer_payment_methods"].as_array().unwrap().len(), 1);

    let other = shop.ok(
        "POST",
        "/payment-methods/create-intent",
        &json!({"customer_id": customer}),
    );
    shop.ok("DELETE", &path(&other), &Value::Null);
    shop.refused("GET", &path(&other), &Value::Null, 404, "HE_02");
    let confirm = format!("{}/confirm-intent", path(&other));
    shop.refused("POST", &confirm, &given(VISA), 404, "HE_02");
    shop.refused("POST", "/payment-methods/create-intent", &json!({}), 400, "IR_04");
    let unheard = json!({"customer_id": "0a_cus_unheard"});
    shop.refused("POST", "/payment-methods/create-intent", &unheard, 404, "HE_02");
}

pub(crate) fn restarted(daemon: &mut Daemon) {
    let (customer, made, other) = {
        let shop = Shop::dev(daemon);
        let customer = shop.customer();
        let mut new = method(&customer, &card(VISA, "03", "2030"));
        new["payment_method_data"]["card"]["card_cvc"] = json!("737");
        new["network_tokenization"] = json!({"enable": "Enable"});
        let made = shop.add(&new);
        assert!(made["network_token"].is_object(), "{made}");
        new["storage_type"] = json!("volatile");
        (customer, made, shop.add(&new))
    };
    daemon.kill();
    daemon.up();
    let shop = Shop::dev(daemon);
    let there = shop.get(&path(&made));
    assert!(
        there["card_cvc_token_storage"].is_null(),
        "a code is in memory only: {there}"
    );
    assert_eq!(there["network_token"], made["network_token"]);
    assert_eq!(there["payment_method_data"], made["payment_method_data"]);
    shop.refused("GET", &path(&other), &Value::Null, 404, "HE_02");
    let again = shop.add(&method(&customer, &card(VISA, "3", "30")));
    assert_eq!(again["id"], made["id"]);
    shop.ok("DELETE", &format!("/customers/{customer}"), &Value::Null);
    daemon.run(&["audit", "verify"], 0);
}
