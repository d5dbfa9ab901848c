//! Card numbers as they are, and security codes.

use serde_json::{Value, json};

use super::shop::{Shop, VISA, card, method};

fn raw(method: &Value) -> String {
    format!(
        "/payment-methods/{}?fetch_raw_detail=true",
        method["id"].as_str().unwrap()
    )
}

pub(crate) fn shown(shop: &Shop<'_>) {
    let customer = shop.customer();
    let made = shop.add(&method(&customer, &card(VISA, "03", "2030")));
    let seen = shop.get(&raw(&made));
    let expected = json!({"card": {
        "card_number": VISA, "card_exp_month": "03", "card_exp_year": "2030", "card_holder_name": "joseph Doe",
        "nick_name": null, "card_issuing_country": null, "card_network": "Visa", "card_issuer": null, "card_type": null,
        "card_cvc": null,
    }});
    assert_eq!(seen["raw_payment_method_data"], expected);
    let tail = shop.daemon.run(&["audit", "tail", "--lines", "20"], 0);
    assert!(
        tail.contains("reveal") && tail.contains(made["id"].as_str().unwrap()),
        "{tail}"
    );

    let mut new = method(&customer, &card(VISA, "04", "2030"));
    new["network_tokenization"] = json!({"enable": "Enable"});
    let made = shop.add(&new);
    let both = &shop.get(&raw(&made))["raw_payment_method_data"]["card_with_n_t"];
    let tail = shop.daemon.run(&["audit", "tail", "--lines", "4"], 0);
    assert!(tail.contains("network-token-reveal"), "{tail}");
    assert_eq!(both["card_details"]["card_number"], VISA);
    let number = both["network_token_details"]["card_number"].as_str().unwrap();
    assert!(number.starts_with("489537") && number.len() == 16, "{number}");
    assert_eq!(both["network_token_details"]["card_exp_year"], "2033");
    for bad in [
        "fetch_raw_detail=1",
        "fetch_raw_detail",
        "other=true",
        "fetch_raw_detail=true&x=1",
    ] {
        let path = format!("/payment-methods/{}?{bad}", made["id"].as_str().unwrap());
        shop.refused("GET", &path, &Value::Null, 400, "IR_06");
    }
}

pub(crate) fn not_listed(shop: &Shop<'_>) {
    let made = shop.add(&method(&shop.customer(), &card(VISA, "05", "2030")));
    let seen = shop.get(&raw(&made));
    assert!(seen["raw_payment_method_data"].is_null(), "{seen}");
    assert!(!seen.to_string().contains(VISA));
}

pub(crate) fn codes(shop: &Shop<'_>) {
    let mut new = method(&shop.customer(), &card(VISA, "03", "2030"));
    new["payment_method_data"]["card"]["card_cvc"] = json!("737");
    let made = shop.add(&new);
    let storage = &made["card_cvc_token_storage"];
    assert_eq!(storage["is_stored"], true);
    assert!(
        storage["expires_at"].as_str().unwrap() > made["created"].as_str().unwrap(),
        "{made}"
    );
    let plain = format!("/payment-methods/{}", made["id"].as_str().unwrap());
    assert_eq!(
        shop.get(&plain)["card_cvc_token_storage"]["is_stored"],
        true,
        "seeing is no use"
    );
    let used = shop.get(&raw(&made));
    assert_eq!(used["raw_payment_method_data"]["card"]["card_cvc"], "737");
    assert!(used["card_cvc_token_storage"].is_null());
    let again = shop.get(&raw(&made));
    assert!(again["raw_payment_method_data"]["card"]["card_cvc"].is_null());
    let update = format!("{plain}/update-saved-payment-method");
    let given = json!({"payment_method_data": {"card": {"card_cvc": "1234"}}});
    assert_eq!(
        shop.ok("PUT", &update, &given)["card_cvc_token_storage"]["is_stored"],
        true
    );
    assert_eq!(
        shop.get(&raw(&made))["raw_payment_method_data"]["card"]["card_cvc"],
        "1234"
    );
    for bad in ["12", "12345", "abc", ""] {
        let given = json!({"payment_method_data": {"card": {"card_cvc": bad}}});
        shop.refused("PUT", &update, &given, 400, "IR_07");
    }
    shop.ok("PUT", &update, &given);
    shop.ok("DELETE", &plain, &Value::Null);
}
