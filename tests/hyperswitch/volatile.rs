//! Payment methods that are not stored.

use std::time::Duration;

use serde_json::{Value, json};

use super::shop::{Shop, VISA, card, method};

fn volatile(customer: Option<&str>) -> Value {
    let mut new = method("", &card(VISA, "03", "2030"));
    new["storage_type"] = json!("volatile");
    match customer {
        Some(customer) => new["customer_id"] = json!(customer),
        None => drop(new.as_object_mut().unwrap().remove("customer_id")),
    }
    new
}

pub(crate) fn life(shop: &Shop<'_>) {
    let customer = shop.customer();
    let mut new = volatile(Some(&customer));
    new["payment_method_data"]["card"]["card_cvc"] = json!("737");
    new["billing"] = json!({"email": "a@b"});
    let made = shop.add(&new);
    assert_eq!(made["storage_type"], "volatile");
    assert_eq!(made["billing"]["email"], "a@b");
    assert_eq!(made["payment_method_data"]["card"]["saved_to_locker"], false);
    let path = format!("/payment-methods/{}", made["id"].as_str().unwrap());
    assert_eq!(shop.get(&path), made);
    let list = shop.get(&format!("/customers/{customer}/saved-payment-methods"));
    assert_eq!(list, json!({"customer_payment_methods": []}));
    let raw = shop.get(&format!("{path}?fetch_raw_detail=true"));
    let card = &raw["raw_payment_method_data"]["card"];
    assert_eq!((&card["card_number"], &card["card_cvc"]), (&json!(VISA), &json!("737")));
    let update = format!("{path}/update-saved-payment-method");
    shop.refused("PUT", &update, &json!({}), 400, "IR_19");
    let other = shop.add(&new);
    assert_ne!(other["id"], made["id"], "each is one of its own");
    assert_eq!(shop.ok("DELETE", &path, &Value::Null), json!({"id": made["id"]}));
    shop.refused("GET", &path, &Value::Null, 404, "HE_02");

    let nobodys = shop.add(&volatile(None));
    assert!(nobodys["customer_id"].is_null());
    shop.refused(
        "POST",
        "/payment-methods",
        &volatile(Some("0a_cus_unheard")),
        404,
        "HE_02",
    );
    // a name is held against the same limits, wherever the card is kept
    for bad in ["x".repeat(1_021), VISA.to_owned(), "a\u{1}b".to_owned()] {
        let mut new = volatile(None);
        new["payment_method_data"]["card"]["card_holder_name"] = json!(bad);
        shop.refused("POST", "/payment-methods", &new, 400, "IR_07");
    }
    let mut new = volatile(None);
    new["network_tokenization"] = json!({"enable": "Enable"});
    new["psp_tokenization"] = json!({"tokenization_type": "single_use", "connector_id": "x"});
    let made = shop.add(&new);
    assert_eq!(made["network_tokenization"]["error_code"], "not_stored");
    let tail = shop.daemon.run(&["audit", "tail", "--lines", "10"], 0);
    assert!(tail.contains("volatile"), "{tail}");
    // another merchant has nothing of it
    let other = Shop::added(shop.daemon, "TEST_volatile", &["--test"]);
    let path = format!("/payment-methods/{}", nobodys["id"].as_str().unwrap());
    other.refused("GET", &path, &Value::Null, 404, "HE_02");
}

/// After two seconds, as it is configured.
pub(crate) fn ends(shop: &Shop<'_>) {
    let made = shop.add(&volatile(None));
    let path = format!("/payment-methods/{}", made["id"].as_str().unwrap());
    shop.get(&path);
    std::thread::sleep(Duration::from_millis(2_100));
    shop.refused("GET", &path, &Value::Null, 404, "HE_02");
}
