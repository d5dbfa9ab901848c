//! Customers.

use serde_json::{Value, json};

use super::shop::{MASTERCARD, Shop, VISA, card, is_id, is_time, method};

pub(crate) fn life(shop: &Shop<'_>) {
    let made = shop.ok(
        "POST",
        "/v2/customers",
        &json!({"name": "Jon", "email": "jon@example.com"}),
    );
    let id = made["id"].as_str().unwrap();
    assert!(is_id(id, "0a", "cus"), "{made}");
    assert!(is_time(&made["created_at"]), "{made}");
    let keys = [
        "connector_customer_ids",
        "created_at",
        "default_billing_address",
        "default_payment_method_id",
        "default_shipping_address",
        "description",
        "document_details",
        "email",
        "id",
        "merchant_reference_id",
        "metadata",
        "name",
        "phone",
        "phone_country_code",
        "tax_registration_id",
    ];
    let members: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, keys, "nulls are there");
    assert!(made["phone"].is_null());

    let path = format!("/customers/{id}");
    assert_eq!(shop.get(&path), made);
    let change = json!({"phone": "999", "metadata": {"udf1": "v", "n": 12345678901234567890u64},
                        "default_billing_address": {"city": "Oslo", "country": "NO", "unheard": 1},
                        "document_details": {"document_type": "cpf", "document_number": "12345678911"}});
    for verb in ["PUT", "POST"] {
        let changed = shop.ok(verb, &path, &change);
        assert_eq!(changed["phone"], "999");
        assert_eq!(changed["name"], "Jon", "what is absent stays");
        assert_eq!(changed["metadata"], change["metadata"]);
        let address = &changed["default_billing_address"];
        assert_eq!((&address["city"], &address["zip"]), (&json!("Oslo"), &Value::Null));
        assert!(address.get("unheard").is_none());
        assert_eq!(changed["created_at"], made["created_at"]);
        assert_eq!(shop.get(&path), changed);
    }
    assert_eq!(shop.ok("PUT", &path, &json!({}))["phone"], "999");
    for missing in [json!({"name": "x"}), json!({"email": "x@y"})] {
        shop.refused("POST", "/customers", &missing, 400, "IR_06");
    }
    for bad in [
        json!({"unheard": 1}),
        json!({"name": 7}),
        json!({"name": "x".repeat(256)}),
        json!({"metadata": [1]}),
        json!({"merchant_reference_id": "x"}),
        json!({"default_billing_address": {"country": "Norway"}}),
    ] {
        shop.refused("PUT", &path, &bad, 400, "IR_06");
    }
    let secret = shop.refused("PUT", &path, &json!({"metadata": {"cvc": "123"}}), 400, "IR_07");
    assert!(secret["message"].as_str().unwrap().contains("metadata"), "{secret}");
    shop.refused(
        "PUT",
        &path,
        &json!({"default_payment_method_id": "0a_pm_x"}),
        404,
        "HE_02",
    );
    shop.refused("GET", "/customers/0a_cus_unheard", &Value::Null, 404, "HE_02");
    shop.refused("PUT", "/customers/0a_cus_unheard", &json!({}), 404, "HE_02");
}

pub(crate) fn references(shop: &Shop<'_>) {
    let new = json!({"merchant_reference_id": "jon/doe 7@example.com", "name": "Jon", "email": "jon@example.com"});
    let made = shop.ok("POST", "/v1/customers", &new);
    assert_eq!(made["merchant_reference_id"], new["merchant_reference_id"]);
    let found = shop.get("/v2/customers/reference/jon%2Fdoe%207%40example.com");
    assert_eq!(found, made);
    let again = shop.refused("POST", "/customers", &new, 400, "IR_12");
    assert!(again["message"].as_str().unwrap().contains("customer_id"), "{again}");
    shop.refused("GET", "/customers/reference/unheard", &Value::Null, 404, "HE_02");
    for bad in ["", &"x".repeat(65)] {
        let new = json!({"merchant_reference_id": bad, "name": "Jon", "email": "jon@example.com"});
        shop.refused("POST", "/customers", &new, 400, "IR_06");
    }

    // of many at once, one is added
    let new = json!({"merchant_reference_id": "at once", "name": "Jon", "email": "jon@example.com"});
    let made: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| shop.call("POST", "/customers", &new).status))
            .collect();
        tries
            .into_iter()
            .map(|each| usize::from(each.join().unwrap() == 200))
            .sum()
    });
    assert_eq!(made, 1);
}

pub(crate) fn lists(shop: &Shop<'_>) {
    let own = Shop::added(shop.daemon, "TEST_lists", &["--test"]);
    assert_eq!(own.get("/customers/list"), json!([]));
    let ids: Vec<_> = (0..12).map(|_| own.customer()).collect();
    let listed = |path: &str| -> Vec<String> {
        let list = own.get(path);
        let list = list.as_array().unwrap().iter();
        list.map(|each| each["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        listed("/v2/customers/list"),
        ids[..10],
        "10 where the request does not say"
    );
    assert_eq!(listed("/customers/list?limit=100"), ids, "in the order they were added");
    assert_eq!(listed("/customers/list?offset=3&limit=2"), ids[3..5]);
    assert_eq!(listed(&format!("/customers/list?customer_id={}", ids[4])), ids[4..5]);
    assert!(listed("/customers/list?customer_id=unheard").is_empty());
    let counted = own.get("/v1/customers/list_with_count?limit=2");
    assert_eq!(counted["total_count"], 12);
    assert_eq!(counted["data"].as_array().unwrap().len(), 2);
    let middle = own.get(&format!("/customers/{}", ids[6]))["created_at"]
        .as_str()
        .unwrap()
        .to_owned();
    let since = own.get(&format!("/customers/list_with_count?start_time={middle}"));
    assert!(matches!(since["total_count"].as_u64(), Some(6..)), "{since}");
    own.ok("DELETE", &format!("/customers/{}", ids[0]), &Value::Null);
    assert_eq!(
        own.get("/customers/list_with_count")["total_count"],
        11,
        "redacted ones are not listed"
    );
    for bad in ["limit=101", "limit=x", "offset=-1", "start_time=yesterday", "limit=%zz"] {
        own.refused("GET", &format!("/customers/list?{bad}"), &Value::Null, 400, "IR_06");
    }
}

pub(crate) fn redacted(shop: &Shop<'_>) {
    let new = json!({"merchant_reference_id": "to be redacted", "name": "Jon", "email": "jon@example.com"});
    let id = shop.ok("POST", "/customers", &new)["id"].as_str().unwrap().to_owned();
    let one = shop.add(&method(&id, &card(VISA, "03", "2030")));
    let two = shop.add(&method(&id, &card(MASTERCARD, "03", "2030")));
    let mut passing = method(&id, &card(VISA, "03", "2030"));
    passing["storage_type"] = json!("volatile");
    let three = shop.add(&passing);
    let path = format!("/customers/{id}");
    let gone = shop.ok("DELETE", &path, &Value::Null);
    let expected = json!({
        "id": id, "merchant_reference_id": "to be redacted", "customer_deleted": true, "address_deleted": true,
        "payment_methods_deleted": true,
    });
    assert_eq!(gone, expected);
    for (verb, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("GET", format!("{path}/saved-payment-methods")),
        ("GET", "/customers/reference/to%20be%20redacted".to_owned()),
    ] {
        shop.refused(verb, &path, &Value::Null, 400, "IR_11");
    }
    shop.refused("PUT", &path, &json!({"name": "x"}), 400, "IR_11");
    shop.refused(
        "POST",
        "/payment-methods",
        &method(&id, &card(VISA, "03", "2030")),
        400,
        "IR_11",
    );
    for method in [one, two, three] {
        let path = format!("/payment-methods/{}", method["id"].as_str().unwrap());
        shop.refused("GET", &path, &Value::Null, 404, "HE_02");
    }
    shop.refused("POST", "/customers", &new, 400, "IR_12");
}
