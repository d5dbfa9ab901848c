//! Refusals.

use serde_json::{Value, json};

use super::shop::{Shop, VISA, card, method, refused};

pub(crate) fn envelopes(shop: &Shop<'_>) {
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"7",
        b"{\"a\":1}",
        b"nonsense",
        b"{\"name\":\"\xff\"}",
    ] {
        for path in ["/customers", "/payment-methods"] {
            refused(&shop.raw("POST", path, body), 400, "IR_06");
        }
    }
    let long = json!({"name": "x".repeat(70_000), "email": "x"});
    refused(&shop.call("POST", "/customers", &long), 413, "IR_06");
    let deep = format!("{{\"metadata\":{}1{}}}", "[".repeat(3_000), "]".repeat(3_000));
    refused(&shop.raw("POST", "/customers", deep.as_bytes()), 400, "IR_06");
    let twice = br#"{"name":"a","name":"b","email":"x"}"#;
    refused(&shop.raw("POST", "/customers", twice), 400, "IR_06");
}

pub(crate) fn values(shop: &Shop<'_>) {
    let customer = shop.customer();
    let good = method(&customer, &card(VISA, "03", "2030"));
    let refuse = |pointer: &str, value: Value, status: u16, code: &str| {
        let mut body = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(name)),
            value => drop(parent.insert(name.to_owned(), value)),
        }
        shop.refused("POST", "/v2/payment-methods", &body, status, code)
    };
    refuse("/customer_id", Value::Null, 400, "IR_04");
    refuse("/customer_id", json!("0a_cus_unheard"), 404, "HE_02");
    refuse("/payment_method_data", Value::Null, 400, "IR_04");
    refuse("/payment_method_type", Value::Null, 400, "IR_06");
    refuse("/payment_method_type", json!("gold"), 400, "IR_06");
    refuse("/payment_method_type", json!("wallet"), 422, "IR_06");
    refuse("/payment_method_subtype", json!("gold"), 400, "IR_06");
    refuse("/storage_type", json!("somewhere"), 400, "IR_06");
    refuse("/unheard", json!(1), 400, "IR_06");
    refuse("/metadata", json!("text"), 400, "IR_06");
    refuse("/metadata", json!({"card_cvc": "123"}), 400, "IR_07");
    refuse("/metadata", json!({"long": "x".repeat(9_000)}), 400, "IR_07");
    refuse("/payment_method_data/unheard", json!({}), 400, "IR_06");
    refuse("/payment_method_data/wallet", json!({}), 400, "IR_06");
    refuse("/payment_method_data/card", Value::Null, 400, "IR_06");
    for (number, message) in [
        ("4111111111111112", "card number invalid"),
        ("411111", "invalid card number length"),
        ("41111111111111111111", "invalid card number length"),
        ("4111x11111111111", "invalid character found in card number"),
        ("", "invalid card number length"),
    ] {
        let said = refuse("/payment_method_data/card/card_number", json!(number), 400, "IR_06");
        assert!(said["message"].as_str().unwrap().ends_with(message), "{said}");
    }
    refuse(
        "/payment_method_data/card/card_number",
        json!(4111111111111111_u64),
        400,
        "IR_06",
    );
    refuse("/payment_method_data/card/card_number", Value::Null, 400, "IR_06");
    for (name, value, code, message) in [
        ("card_exp_month", "ab", "IR_07", "card_exp_month"),
        ("card_exp_year", "2o30", "IR_07", "card_exp_year"),
        ("card_exp_month", "", "IR_07", "card_exp_month"),
        ("card_exp_month", "13", "IR_16", "Invalid Expiry Month"),
        ("card_exp_month", "00", "IR_16", "Invalid Expiry Month"),
        ("card_exp_year", "203", "IR_16", "Invalid Expiry Year"),
        ("card_exp_year", "1999", "IR_16", "Invalid Expiry Year"),
        ("card_exp_year", "2025", "IR_16", "Card Expired"),
        ("card_exp_year", "25", "IR_16", "Card Expired"),
        ("card_cvc", "12", "IR_07", "card_cvc"),
        ("card_holder_name", VISA, "IR_07", "card_holder_name"),
    ] {
        let said = refuse(&format!("/payment_method_data/card/{name}"), json!(value), 400, code);
        assert!(said["message"].as_str().unwrap().contains(message), "{said}");
    }
    for (name, value) in [
        ("card_network", "Gold"),
        ("card_issuing_country", "XYZ"),
        ("card_type", "Credit"),
    ] {
        refuse(&format!("/payment_method_data/card/{name}"), json!(value), 400, "IR_06");
    }
    // kinds that are no cards
    for (kind, data, storage, subtype, status, code) in [
        ("wallet", "wallet", "persistent", Some("apple_pay"), 400, "IR_19"),
        ("wallet", "wallet", "persistent", None, 400, "IR_04"),
        ("wallet", "wallet", "volatile", Some("apple_pay"), 422, "IR_29"),
        ("card", "proxy_card", "volatile", None, 422, "IR_29"),
        (
            "bank_redirect",
            "bank_redirect",
            "volatile",
            Some("ideal"),
            422,
            "IR_29",
        ),
        ("bank_debit", "bank_debit", "volatile", Some("ach"), 400, "IR_19"),
        ("card", "proxy_card", "persistent", None, 400, "IR_19"),
        ("bank_debit", "wallet", "persistent", Some("ach"), 422, "IR_06"),
    ] {
        let body = json!({"payment_method_type": kind, "payment_method_subtype": subtype, "customer_id": customer,
                          "payment_method_data": {data: {}}, "storage_type": storage});
        let said = shop.refused("POST", "/payment-methods", &body, status, code);
        assert_eq!(said["reason"].is_string(), code == "IR_19", "{said}");
    }
    let list = shop.get(&format!("/customers/{customer}/saved-payment-methods"));
    assert_eq!(
        list,
        json!({"customer_payment_methods": []}),
        "nothing of that was kept"
    );
}
