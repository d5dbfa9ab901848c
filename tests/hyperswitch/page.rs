//! The requests of the vendor's page, as printed there; only keys and ids are put in.

use serde_json::{Value, json};

use super::shop::{Shop, refused};
use super::support::daemon::Daemon;
use super::support::skip::skipped;

/// `psp` and `network` as the page puts them at the end.
fn body(customer: &str, subtype: &str, psp: bool, network: bool) -> Value {
    let mut body = json!({
        "payment_method_type": "card", "payment_method_subtype": subtype, "metadata": {}, "customer_id": customer,
        "payment_method_data": {"card": {
            "card_number": "4111111145551142", "card_exp_month": "10", "card_exp_year": "25",
            "card_holder_name": "John Doe", "nick_name": "John Doe", "card_issuing_country": "AF",
            "card_network": "Visa", "card_issuer": "<string>", "card_type": "credit", "card_cvc": "242",
        }},
        "billing": {
            "address": {"city": "New York", "country": "AF", "line1": "123, King Street", "line2": "Powelson Avenue",
                        "line3": "Bridgewater", "zip": "08807", "state": "New York", "first_name": "John",
                        "last_name": "Doe"},
            "phone": {"number": "9123456789", "country_code": "+1"},
            "email": if network { "<string>" } else { "abc@gmail.com" },
        },
    });
    if psp {
        body["psp_tokenization"] = json!({"tokenization_type": "single_use", "connector_id": "<string>"});
    }
    if network {
        body["network_tokenization"] = json!({"enable": "Enable"});
    }
    body
}

const BODIES: [(&str, bool, bool); 4] = [
    ("credit", false, false),
    ("ach", true, false),
    ("ach", false, true),
    ("ach", true, true),
];

/// The card is past its expiry by now; with another year everything passes.
pub(crate) fn today(shop: &Shop<'_>) {
    for (subtype, psp, network) in BODIES {
        let mut new = body(&shop.customer(), subtype, psp, network);
        let expired = shop.refused("POST", "/v2/payment-methods", &new, 400, "IR_16");
        assert_eq!(expired["message"], "Card Expired");
        new["payment_method_data"]["card"]["card_exp_year"] = json!("35");
        check(shop, &new, subtype, psp, network);
    }
}

fn check(shop: &Shop<'_>, new: &Value, subtype: &str, psp: bool, network: bool) {
    let made = shop.ok("POST", "/v2/payment-methods", new);
    assert_eq!(made["payment_method_subtype"], subtype);
    assert_eq!(made["storage_type"], "persistent");
    assert_eq!(made["card_cvc_token_storage"]["is_stored"], true);
    assert_eq!(made["payment_method_data"]["card"]["last4_digits"], "1142");
    assert_eq!(made["billing"]["phone"], new["billing"]["phone"]);
    assert_eq!(made["network_token"].is_object(), network, "{made}");
    assert!(made["connector_tokens"].is_null(), "{made}");
    assert_eq!(made.get("psp_tokenization").is_some(), psp, "{made}");
    if psp {
        assert_eq!(made["psp_tokenization"]["status"], "failed", "{made}");
    }
    if network {
        assert_eq!(made["network_tokenization"]["status"], "succeeded", "{made}");
    }
    let one = format!("/v2/payment-methods/{}", made["id"].as_str().unwrap());
    assert_eq!(shop.get(&one)["id"], made["id"]);
    let update = json!({
        "payment_method_data": {"card": {"card_holder_name": "John Doe", "nick_name": "John Doe"}},
        "connector_token_details": {"token": "pm_9UhMqBMEOooRIvJFFdeW", "connector_token_request_reference_id": "<string>"},
    });
    let updated = shop.ok("PATCH", &format!("{one}/update-saved-payment-method"), &update);
    assert_eq!(updated["connector_tokens"][0]["token"], "pm_9UhMqBMEOooRIvJFFdeW");
    shop.ok("DELETE", &one, &Value::Null);
}

/// The customer, and the page's newer requests in the newer form of the key.
pub(crate) fn others(shop: &Shop<'_>) {
    let address = json!({"line1": "1467", "line2": "Harrison Street", "line3": "Harrison Street",
                         "city": "San Fransico", "state": "California", "zip": "94122", "country": "US",
                         "first_name": "joseph", "last_name": "Doe"});
    let customer = json!({
        "merchant_reference_id": "customer_1742551597", "name": "John Doe", "email": "guest@example.com",
        "phone": "999999999", "phone_country_code": "+65", "description": "First customer",
        "default_billing_address": address, "default_shipping_address": address,
        "metadata": {"udf1": "value1", "new_customer": "true", "login_date": "2019-09-10T10:11:12Z"},
    });
    let made = shop.ok("POST", "/v2/customers", &customer);
    assert_eq!(made["metadata"], customer["metadata"]);

    let authorization = format!("api-key={}", shop.key);
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
        ("X-Profile-Id", shop.profile.as_str()),
        ("Authorization", authorization.as_str()),
    ];
    let new = json!({
        "customer_id": made["id"], "payment_method_type": "card", "payment_method_subtype": "credit",
        "payment_method_data": {"card": {
            "card_number": "4111111111111111", "card_exp_month": "03", "card_exp_year": "2030",
            "card_holder_name": "joseph Doe", "card_cvc": "737",
        }},
        "storage_type": "persistent",
    });
    let answer = shop.with("POST", "/v1/payment-methods", &headers, new.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let one = format!("/v1/payment-methods/{}", answer.json()["id"].as_str().unwrap());
    let update = json!({"payment_method_data": {"card": {
        "card_holder_name": "joseph", "nick_name": "some_name11", "card_cvc": "737"}}});
    let path = format!("{one}/update-saved-payment-method");
    let answer = shop.with("PUT", &path, &headers, update.to_string().as_bytes());
    assert_eq!(answer.json()["payment_method_data"]["card"]["nick_name"], "some_name11");
    assert_eq!(answer.json()["card_cvc_token_storage"]["is_stored"], true);
    // the page deletes with the key alone
    let headers = [
        ("Authorization", shop.key.as_str()),
        ("X-Profile-Id", shop.profile.as_str()),
    ];
    assert_eq!(shop.with("DELETE", &one, &headers, b"").status, 200);
    refused(&shop.with("DELETE", &one, &headers, b""), 400, "IR_11");
}

/// The bodies letter by letter, at a time when their card was good.
pub(crate) fn in_its_time() {
    let Some(then) = crate::support::clock::at("@2025-06-01 12:00:00") else {
        skipped("the_page_in_its_own_time: needs libfaketime (Debian package libfaketime)");
        return;
    };
    let mut daemon = Daemon::start();
    daemon.stop();
    daemon.environment = then;
    daemon.up();
    let shop = Shop::dev(&daemon);
    for (subtype, psp, network) in BODIES {
        check(
            &shop,
            &body(&shop.customer(), subtype, psp, network),
            subtype,
            psp,
            network,
        );
    }
}
