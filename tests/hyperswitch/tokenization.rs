//! Tokens elsewhere: of the card networks, of payment service providers. None of them is a reason to lose the card.

use serde_json::{Value, json};

use super::shop::{MASTERCARD, Shop, VISA, card, method};

fn with_network(shop: &Shop<'_>, card: &Value) -> Value {
    let mut new = method(&shop.customer(), card);
    new["network_tokenization"] = json!({"enable": "Enable"});
    shop.add(&new)
}

pub(crate) fn network(shop: &Shop<'_>) {
    let made = with_network(shop, &card(VISA, "12", "2030"));
    let token = &made["network_token"]["payment_method_data"];
    assert_eq!(token["card_isin"], "489537", "{made}");
    assert_eq!(
        (
            &token["network_token_expiry_month"],
            &token["network_token_expiry_year"]
        ),
        (&json!("12"), &json!("2033"))
    );
    assert_eq!(token["card_network"], "Visa");
    assert_eq!(token["card_holder_name"], "joseph Doe");
    assert_eq!(token["saved_to_locker"], true);
    assert!(token["par"].as_str().unwrap().starts_with("SIM"));
    assert_eq!(token["last4_digits"].as_str().unwrap().len(), 4);
    assert_eq!(made["network_tokenization"]["status"], "succeeded");
    let path = format!("/payment-methods/{}", made["id"].as_str().unwrap());
    let seen = shop.get(&path);
    assert_eq!(seen["network_token"], made["network_token"]);
    assert!(seen.get("network_tokenization").is_none(), "told once");
    let list = shop.get(&format!(
        "/customers/{}/saved-payment-methods",
        made["customer_id"].as_str().unwrap()
    ));
    assert_eq!(
        list["customer_payment_methods"][0]["network_tokenization"],
        made["network_token"]
    );

    // what the simulator says by the card's expiry
    for (number, month, status, code) in [
        (MASTERCARD, "02", "failed", "service_unavailable"),
        (MASTERCARD, "03", "failed", "403"),
        ("5105105105105100", "04", "succeeded", ""),
        ("5200828282828210", "05", "pending", ""),
    ] {
        let made = with_network(shop, &card(number, month, "2038"));
        let told = &made["network_tokenization"];
        assert_eq!(told["status"], status, "{month}: {made}");
        assert_eq!(made["network_token"].is_object(), status == "succeeded", "{made}");
        if status == "failed" {
            assert_eq!(told["error_code"], code, "{made}");
        }
        shop.get(&format!("/payment-methods/{}", made["id"].as_str().unwrap()));
    }
    // a brand that gets none
    let made = with_network(shop, &card("6200000000000005", "12", "2030"));
    assert_eq!(made["network_tokenization"]["status"], "failed", "{made}");
    // not asked for
    let mut new = method(&shop.customer(), &card(VISA, "12", "2030"));
    new["network_tokenization"] = json!({"enable": "Skip"});
    let made = shop.add(&new);
    assert!(made["network_token"].is_null() && made.get("network_tokenization").is_none());
    new["network_tokenization"] = json!({"enable": "enable"});
    shop.refused("POST", "/payment-methods", &new, 400, "IR_06");
    // deleted, it is gone with its card; the same card gets one again
    shop.ok("DELETE", &path, &Value::Null);
    let again = with_network(shop, &card(VISA, "12", "2030"));
    assert_eq!(again["network_tokenization"]["status"], "succeeded", "{again}");
    // two customers have one card: its network token lasts until the last of them is gone
    let both = [0, 1].map(|_| with_network(shop, &card("4000056655665556", "12", "2030")));
    let paths = [0, 1].map(|at| format!("/payment-methods/{}", both[at]["id"].as_str().unwrap()));
    assert_eq!(both[0]["network_token"], both[1]["network_token"], "{both:?}");
    shop.ok("DELETE", &paths[0], &Value::Null);
    assert_eq!(shop.get(&paths[1])["network_token"], both[1]["network_token"]);
    shop.ok("DELETE", &paths[1], &Value::Null);
    let tail = shop.daemon.run(&["audit", "tail", "--lines", "10"], 0);
    assert_eq!(tail.matches("network-token-delete").count(), 1, "{tail}");
    // also where both go at once
    let both = [0, 1].map(|_| with_network(shop, &card("4000056655665556", "12", "2030")));
    std::thread::scope(|scope| {
        for made in &both {
            let path = format!("/payment-methods/{}", made["id"].as_str().unwrap());
            scope.spawn(move || shop.ok("DELETE", &path, &Value::Null));
        }
    });
    let tail = shop.daemon.run(&["audit", "tail", "--lines", "10"], 0);
    assert_eq!(tail.matches("network-token-delete").count(), 1, "{tail}");
    // a merchant that does business has nobody to ask yet
    let live = Shop::added(shop.daemon, "live_shop", &[]);
    let made = with_network(&live, &card(VISA, "12", "2030"));
    assert!(made["network_token"].is_null());
    assert_eq!(made["network_tokenization"]["error_code"], "not_configured", "{made}");
}

pub(crate) fn providers(shop: &Shop<'_>) {
    for kind in ["single_use", "multi_use"] {
        let mut new = method(&shop.customer(), &card(VISA, "12", "2030"));
        new["psp_tokenization"] = json!({"tokenization_type": kind, "connector_id": "mca_simulator"});
        let made = shop.add(&new);
        assert_eq!(made["psp_tokenization"]["status"], "succeeded", "{made}");
        let tokens = made["connector_tokens"].as_array().unwrap();
        assert_eq!(tokens.len(), 1, "{made}");
        assert_eq!(
            (
                &tokens[0]["connector_id"],
                &tokens[0]["token_type"],
                &tokens[0]["status"]
            ),
            (&json!("mca_simulator"), &json!(kind), &json!("active"))
        );
        assert!(
            tokens[0]["token"].as_str().unwrap().starts_with("pm_simulator_"),
            "{made}"
        );
        let seen = shop.get(&format!("/payment-methods/{}", made["id"].as_str().unwrap()));
        assert_eq!(seen["connector_tokens"], made["connector_tokens"]);
        // of one that is not stored as well
        new["storage_type"] = json!("volatile");
        new["customer_id"] = json!(shop.customer());
        let made = shop.add(&new);
        assert_eq!(made["connector_tokens"].as_array().map(Vec::len), Some(1), "{made}");
    }
    // each of the two may fail without the other, by the simulators' expiries
    for (number, month, psp, network) in [
        (VISA, "02", "failed", "failed"),
        (VISA, "04", "succeeded", "succeeded"),
        (VISA, "06", "failed", "succeeded"),
        // a brand that gets no network token
        ("6200000000000005", "12", "succeeded", "failed"),
    ] {
        let mut new = method(&shop.customer(), &card(number, month, "2038"));
        new["psp_tokenization"] = json!({"tokenization_type": "single_use", "connector_id": "mca_simulator"});
        new["network_tokenization"] = json!({"enable": "Enable"});
        let made = shop.add(&new);
        assert_eq!(made["psp_tokenization"]["status"], psp, "{month}: {made}");
        assert_eq!(made["network_tokenization"]["status"], network, "{month}: {made}");
        assert_eq!(made["connector_tokens"].is_array(), psp == "succeeded", "{made}");
        let path = format!("/payment-methods/{}", made["id"].as_str().unwrap());
        shop.ok("DELETE", &path, &Value::Null);
    }
    for kind in ["single_use", "multi_use"] {
        let mut new = method(&shop.customer(), &card(VISA, "12", "2030"));
        new["psp_tokenization"] = json!({"tokenization_type": kind, "connector_id": "mca_unheard"});
        let made = shop.add(&new);
        let told = &made["psp_tokenization"];
        assert_eq!(
            (&told["tokenization_type"], &told["connector_id"]),
            (&json!(kind), &json!("mca_unheard"))
        );
        assert_eq!(told["status"], "failed", "{made}");
        assert!(told["error_message"].as_str().unwrap().contains("connector"), "{made}");
        shop.get(&format!("/payment-methods/{}", made["id"].as_str().unwrap()));
    }
    for bad in [
        json!({"tokenization_type": "single_use"}),
        json!({"connector_id": "x"}),
        json!({"tokenization_type": "often", "connector_id": "x"}),
    ] {
        let mut new = method(&shop.customer(), &card(VISA, "12", "2030"));
        new["psp_tokenization"] = bad;
        shop.refused("POST", "/payment-methods", &new, 400, "IR_06");
    }
}
