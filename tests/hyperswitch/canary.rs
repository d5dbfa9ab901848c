//! A card number and a security code that go through everything and are found nowhere afterwards.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::shop::{Shop, method};
use super::support::daemon::Daemon;
use super::support::http::{self, Answer};

/// A published test card that no other test uses.
const CANARY: &str = "4000056655665556";
/// Looked for with what stands around it in a body: four digits alone are found everywhere.
const CODE: &str = "7391";

pub(crate) fn nowhere() {
    let mut daemon = Daemon::start_with("log.filter = \"trace\"\nstore.audit_window = 10");
    {
        let shop = Shop::dev(&daemon);
        everything(&shop);
        broken(&shop);
    }
    let metrics = http::request(&daemon.admin(), "GET", "/metrics", &[], b"")
        .unwrap()
        .text();
    assert!(metrics.contains("dialect=\"hyperswitch\"") && !metrics.contains(CANARY));
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    let merchant = b"TEST_hyperswitch";
    assert!(
        holding(&daemon.dir().join("state"), merchant).is_some(),
        "what is stored is found"
    );
    let code = [
        "\"card_cvc\":\"7391\"",
        "\"7391\"",
        "card_cvc=7391",
        "security_code\":\"7391",
    ];
    let code = code.iter().map(|text| text.as_bytes().to_vec());
    for form in forms().into_iter().chain(code) {
        assert_eq!(
            holding(daemon.dir(), &form),
            None,
            "a file holds {}",
            String::from_utf8_lossy(&form)
        );
    }
    for personal in ["canary holder", "canary@example.com", "canary reference"] {
        assert_eq!(
            holding(daemon.dir(), personal.as_bytes()),
            None,
            "{personal} is in clear"
        );
    }
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

fn card() -> Value {
    json!({"card_number": CANARY, "card_exp_month": "05", "card_exp_year": "2031", "card_holder_name": "canary holder",
           "card_cvc": CODE})
}

fn everything(shop: &Shop<'_>) {
    let new = json!({"merchant_reference_id": "canary reference", "name": "canary holder", "email": "canary@example.com",
                     "description": "canary holder"});
    let customer = shop.ok("POST", "/customers", &new)["id"].as_str().unwrap().to_owned();
    let mut body = method(&customer, &card());
    body["network_tokenization"] = json!({"enable": "Enable"});
    body["psp_tokenization"] = json!({"tokenization_type": "multi_use", "connector_id": "mca_simulator"});
    body["billing"] = json!({"email": "canary@example.com"});
    let made = shop.call("POST", "/payment-methods", &body);
    silent(&made);
    let one = format!("/payment-methods/{}", made.json()["id"].as_str().unwrap());
    let update = format!("{one}/update-saved-payment-method");
    silent(&shop.call("GET", &one, &Value::Null));
    let change = json!({"payment_method_data": {"card": {"card_cvc": CODE, "nick_name": "canary holder"}}});
    silent(&shop.call("PUT", &update, &change));
    silent(&shop.call(
        "GET",
        &format!("/customers/{customer}/saved-payment-methods"),
        &Value::Null,
    ));
    silent(&shop.call("GET", "/customers/reference/canary%20reference", &Value::Null));
    let raw = shop.call("GET", &format!("{one}?fetch_raw_detail=true"), &Value::Null);
    assert!(
        raw.text().contains(CANARY) && raw.text().contains(CODE),
        "{}",
        raw.text()
    );
    shop.ok("PUT", &update, &change);
    body["storage_type"] = json!("volatile");
    let passing = shop.call("POST", "/payment-methods", &body);
    silent(&passing);
    let one = format!("/payment-methods/{}", passing.json()["id"].as_str().unwrap());
    silent(&shop.call("GET", &one, &Value::Null));
    shop.get(&format!("{one}?fetch_raw_detail=true"));
    // codes wait while the daemon stops
    silent(&shop.call("POST", "/payment-methods", &body));
}

/// The card number where it does not belong.
fn broken(shop: &Shop<'_>) {
    let customer = shop.customer();
    let good = method(&customer, &card());
    for (pointer, value) in [
        ("/payment_method_data/card/card_number", json!(format!("{CANARY}0"))),
        ("/payment_method_data/card/card_number", json!(4000056655665556_u64)),
        ("/payment_method_data/card/card_exp_month", json!(CANARY)),
        ("/payment_method_data/card/card_exp_year", json!(CANARY)),
        ("/payment_method_data/card/card_cvc", json!(CANARY)),
        ("/payment_method_data/card/card_holder_name", json!(CANARY)),
        ("/payment_method_data/card/card_network", json!(CANARY)),
        ("/payment_method_type", json!(CANARY)),
        ("/payment_method_subtype", json!(CANARY)),
        ("/customer_id", json!(CANARY)),
        ("/storage_type", json!(CANARY)),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value;
        silent(&shop.call("POST", "/payment-methods", &body));
    }
    let mut body = good;
    body[CANARY] = json!(1);
    silent(&shop.call("POST", "/payment-methods", &body));
    for body in [
        format!("{{\"payment_method_type\":{CANARY}"),
        format!("[{CANARY}]"),
        CANARY.to_owned(),
    ] {
        silent(&shop.raw("POST", "/payment-methods", body.as_bytes()));
        silent(&shop.raw("POST", "/customers", body.as_bytes()));
    }
    for verb in ["GET", "PUT", "DELETE", "PATCH", "POST"] {
        for path in [
            format!("/payment-methods/{CANARY}"),
            format!("/customers/{CANARY}"),
            format!("/customers/reference/{CANARY}"),
            format!("/payment-methods/x?{CANARY}=1"),
            format!("/customers/list?limit={CANARY}"),
            format!("/payment-methods/{CANARY}/update-saved-payment-method"),
            format!("/proxy/{CANARY}"),
        ] {
            silent(&shop.call(verb, &path, &json!({})));
        }
    }
    let mut stranger = shop.clone();
    stranger.key = CANARY.to_owned();
    silent(&stranger.call("GET", "/customers/list", &Value::Null));
    let mut elsewhere = shop.clone();
    elsewhere.profile = CANARY.to_owned();
    silent(&elsewhere.call("GET", "/customers/list", &Value::Null));
}

fn silent(answer: &Answer) {
    let said = format!("{:?} {}", answer.headers, answer.text());
    let digits: String = said.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    assert!(!digits.contains(CANARY) && !said.contains(CODE), "{said}");
}

/// How the number could stand in a file.
fn forms() -> Vec<Vec<u8>> {
    let bcd: Vec<u8> = CANARY
        .as_bytes()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
        .collect();
    vec![
        CANARY.as_bytes().to_vec(),
        data_encoding::HEXLOWER.encode(CANARY.as_bytes()).into_bytes(),
        bcd,
    ]
}

/// A file below `path` that holds these bytes.
fn holding(path: &Path, bytes: &[u8]) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter_map(|path| match path.symlink_metadata().unwrap() {
            kind if kind.is_dir() => holding(&path, bytes),
            kind if kind.is_file() => {
                let content = std::fs::read(&path).unwrap();
                let found = content.windows(bytes.len()).any(|window| window == bytes);
                found.then_some(path)
            }
            _ => None,
        })
        .next()
}
