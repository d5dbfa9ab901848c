//! What is refused, and with which code.

use serde_json::{Value, json};

use crate::asking::{Shop, Signed, fresh, now_ms};
use crate::support::daemon::VISA;
use crate::support::http;

const QUERY: &str = "/v3/payment/acq/query";

fn code(shop: &Shop<'_>, signed: &Signed) -> (u16, String) {
    let answer = shop.send(signed);
    assert!(answer.header("x-paykka-sign").is_none(), "nobody was let in");
    (answer.status, answer.json()["ret_code"].as_str().unwrap().to_owned())
}

/// Tampered body, stale time, replayed nonce, wrong key.
pub(crate) fn signatures(shop: &Shop<'_>) {
    let body = json!({"merchant_id": shop.merchant, "trans_id": "none"});
    let good = || shop.sign(QUERY, &body);
    let refused = |signed: &Signed| code(shop, signed);
    let of = |code: &str| (401, code.to_owned());

    let mut tampered = good();
    tampered.body = tampered.body.replace("none", "nine");
    assert_eq!(refused(&tampered), of("2000"));
    let mut elsewhere = good();
    elsewhere.path = "/v3/payment/acq/void".to_owned();
    assert_eq!(refused(&elsewhere), of("2000"));

    for off in [-301_000_i64, 301_000] {
        let at = i64::try_from(now_ms()).unwrap() + off;
        let stale = shop.sign_text(QUERY, body.to_string(), at.to_string(), fresh("nonce-0123456789"));
        assert_eq!(refused(&stale), of("2001"));
    }

    let once = good();
    assert_eq!(shop.send(&once).status, 404);
    assert_eq!(refused(&once), of("2000"), "a nonce is good once");

    let other = shop.daemon.dir().join("locker-client.pem");
    let mut stranger = good();
    let text = format!(
        "POST\n{QUERY}\n{}\n{}\n{}",
        stranger.timestamp, stranger.nonce, stranger.body
    );
    let strange = std::process::Command::new("sh")
        .args([
            "-c",
            "printf '%s' \"$1\" | openssl dgst -sha256 -sign \"$2\" | openssl base64 -A",
            "sh",
            &text,
        ])
        .arg(&other)
        .output()
        .unwrap();
    stranger.sign = String::from_utf8(strange.stdout).unwrap();
    assert_eq!(refused(&stranger), of("2000"));

    let mut nobody = good();
    nobody.appid = "nobody".to_owned();
    assert_eq!(refused(&nobody), of("1000"));
    let mut short = good();
    short.nonce = "123456789".to_owned();
    assert_eq!(refused(&short), of("2000"));
    let mut garbage = good();
    garbage.sign = "%%%".to_owned();
    assert_eq!(refused(&garbage), of("2000"));
    let mut unsigned = good();
    unsigned.sign = String::new();
    assert_eq!(refused(&unsigned), of("2000"));
    // another merchant in the body than the one that signed
    let foreign = shop.sign(QUERY, &json!({"merchant_id": "TEST_native", "trans_id": "none"}));
    assert_eq!(refused(&foreign), of("1021"));
    // Base64 that is not percent-encoded is taken
    let mut plain = good();
    plain.sign = plain.sign.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    assert_eq!(shop.send(&plain).status, 404);
}

/// A nonce stays used when the daemon starts again.
pub(crate) fn a_nonce_outlives_a_restart(daemon: &mut crate::support::daemon::Daemon) {
    let once = {
        let shop = Shop::of(daemon);
        let once = shop.sign(QUERY, &json!({"merchant_id": shop.merchant, "trans_id": "none"}));
        assert_eq!(shop.send(&once).status, 404);
        once
    };
    daemon.kill();
    daemon.up();
    assert_eq!(code(&Shop::of(daemon), &once), (401, "2000".to_owned()));
}

/// Each rule of the contract has its code.
pub(crate) fn rules(shop: &Shop<'_>) {
    let card = json!({"card_no": VISA, "exp_month": "08", "exp_year": "2035", "cvv": "100"});
    let pay = |more: Value, payment: Value| {
        let mut body = json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "100", "payment": card});
        let merge = |to: &mut Value, from: Value| {
            for (name, value) in from.as_object().unwrap() {
                to[name] = value.clone();
            }
        };
        merge(&mut body, more);
        merge(&mut body["payment"], payment);
        shop.refused("/v3/payment/acq", body).1
    };
    let none = || json!({});
    let recurring = |mit: Value| json!({"payment_type": "RECURRING", "mit": mit});
    let storing = || json!({"store_payment_method": true, "token_usage": "SUBSCRIPTION", "shopper_reference": "s"});
    assert_eq!(
        pay(
            none(),
            json!({"store_payment_method": true, "token_usage": "CARD_ON_FILE"})
        ),
        "2008"
    );
    assert_eq!(
        pay(none(), json!({"store_payment_method": true, "shopper_reference": "s"})),
        "010000"
    );
    assert_eq!(pay(json!({"payment_type": "RECURRING"}), storing()), "2010");
    assert_eq!(
        pay(
            json!({"payment_type": "RECURRING", "mit": false, "recurring_agreement_id": "RA1"}),
            storing()
        ),
        "2011"
    );
    assert_eq!(pay(recurring(json!(true)), storing()), "2012");
    assert_eq!(pay(recurring(json!(false)), none()), "2014");
    assert_eq!(
        pay(
            none(),
            json!({"payment_method": "APPLE_PAY", "store_payment_method": true, "shopper_reference": "s",
            "token_usage": "CARD_ON_FILE"})
        ),
        "2013"
    );
    for method in ["APPLE_PAY", "GOOGLE_PAY", "SEPA"] {
        assert_eq!(pay(none(), json!({"payment_method": method})), "1004", "{method}");
    }
    assert_eq!(
        pay(none(), json!({"payment_method": "BankCard", "encrypted_card_no": "x"})),
        "2003"
    );
    assert_eq!(pay(json!({"currency": "XXX"}), none()), "1007");
    assert_eq!(pay(none(), json!({"card_no": "4111111111111112"})), "2099");
    for amount in [json!("-1"), json!(0), json!(1.5), json!("9999999999999")] {
        assert_eq!(pay(json!({"amount": amount}), none()), "010000", "{amount}");
    }
    assert_eq!(pay(json!({"trans_id": "4111111111111111"}), none()), "010000");
    assert_eq!(pay(json!({"notify_url": "https://127.0.0.1/x"}), none()), "010000");
    assert_eq!(pay(none(), json!({"exp_month": "13"})), "010000");
    assert_eq!(
        shop.refused("/v3/payment/acq/apple-pay/create-session", none()).1,
        "1004"
    );
    assert_eq!(
        shop.refused("/v3/payment/acq/query", none()),
        (400, "010000".to_owned())
    );
    let session = |mode: &str| {
        json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "1", "session_mode": mode,
            "return_url": "https://shop.example/"})
    };
    assert_eq!(shop.refused("/v3/payment/acq/session", session("DROP_IN")).1, "1005");
    // nothing of a request is repeated
    let wrong = shop.ask("/v3/payment/acq", json!({"trans_id": {"x": "4111111111111111"}}));
    assert!(!wrong.text().contains("4111"), "{}", wrong.text());
}

/// Paths, methods and bodies that are none.
pub(crate) fn edges(shop: &Shop<'_>) {
    let send = |method: &str, path: &str, body: &[u8]| {
        http::request(
            &shop.daemon.api(),
            method,
            path,
            &[("Content-Type", "application/json")],
            body,
        )
        .unwrap()
    };
    for (method, path, status) in [
        ("POST", "/v3/payment/acq/nothing", 404),
        ("GET", "/v3/payment/acq", 405),
        ("POST", "/payments/nothing", 404),
        ("POST", "/v3/payment/acq", 401),
    ] {
        let answer = send(method, path, b"{}");
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["ret_code"].is_string());
    }
    assert_eq!(send("POST", "/v3/payment/acq", &vec![b' '; 70_000]).status, 400);
    let broken = shop.sign_text(QUERY, "{".to_owned(), now_ms().to_string(), fresh("nonce-0123456789"));
    let answer = shop.send(&broken);
    assert_eq!((answer.status, &answer.json()["ret_code"]), (400, &json!("010000")));
    shop.check(QUERY, &answer);
}

/// Version 1.2: the signature in a header of its own, over the body's own time.
pub(crate) fn the_older_form(shop: &Shop<'_>) {
    let path = "/payments/token/query";
    let at = now_ms();
    let body = json!({"merchant_id": shop.merchant, "timestamp": at, "shopper_reference": "none"}).to_string();
    let sign = |body: &str, at: u64| {
        shop.signature(format!("merchantId={}&timestamp={at}&requestBody={body}", shop.merchant).as_bytes())
    };
    let send = |signature: &str, body: &str| {
        let headers = [
            ("Content-Type", "application/json"),
            ("signature", signature),
            ("type", "RSA256"),
            ("version", "v1.2"),
        ];
        http::request(&shop.daemon.api(), "POST", path, &headers, body.as_bytes()).unwrap()
    };
    let signature = sign(&body, at);
    let answer = send(&signature, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("version"), Some("v1.2"));
    let text = format!(
        "merchantId={}&timestamp={}&requestBody={}",
        shop.merchant,
        answer.header("timestamp").unwrap(),
        answer.text()
    );
    assert!(shop.is_platforms(&text, answer.header("signature").unwrap()));
    // it covers no path, so it is good on its own paths only
    let headers = [
        ("Content-Type", "application/json"),
        ("signature", signature.as_str()),
        ("type", "RSA256"),
    ];
    let elsewhere = http::request(
        &shop.daemon.api(),
        "POST",
        "/v3/payment/acq/token/query",
        &headers,
        body.as_bytes(),
    );
    assert_eq!(elsewhere.unwrap().json()["ret_code"], "2002");
    let code = |answer: http::Answer| answer.json()["ret_code"].as_str().unwrap().to_owned();
    assert_eq!(code(send(&signature, &body)), "206003", "the same request again");
    assert_eq!(code(send(&signature, &body.replace("none", "some"))), "206003");
    let old = json!({"merchant_id": shop.merchant, "timestamp": at - 400_000, "shopper_reference": "none"}).to_string();
    assert_eq!(code(send(&sign(&old, at - 400_000), &old)), "206004");
}

/// Nobody simulates anything for a merchant that is no TEST merchant.
pub(crate) fn a_live_merchant(shop: &Shop<'_>) {
    let live = shop.another("LIVE1", &[]);
    let pay = json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "1",
        "payment": {"card_no": VISA, "exp_month": "08", "exp_year": "2035", "cvv": "100"}});
    assert_eq!(
        live.refused("/v3/payment/acq", pay).1,
        "1008",
        "and it is not certified"
    );
    let session =
        json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "1", "return_url": "https://shop.example/"});
    assert_eq!(live.refused("/v3/payment/acq/session", session).1, "1016");
    // what one merchant has, another does not
    let paid = shop.store(&fresh("shopper"), VISA);
    assert_eq!(
        live.refused(QUERY, json!({"order_id": paid["order_id"]})),
        (404, "206024".to_owned())
    );
}

/// Two keys of a merchant may be live, so that one takes over from the other; each is good while it is.
pub(crate) fn two_keys(shop: &Shop<'_>) {
    let add = |name: &str, key: &str, code: i32| {
        let key = shop.daemon.dir().join(key);
        let add = [
            "credential",
            "add",
            "--merchant",
            name,
            "--dialect",
            "paykka",
            "--json",
            "--public-key",
        ];
        shop.daemon.run(&[&add[..], &[key.to_str().unwrap()]].concat(), code)
    };
    let first = shop.another("TEST_keys", &["--test"]);
    let added: Value = serde_json::from_str(&add("TEST_keys", "locker-client-public.pem", 0)).unwrap();
    let second = first.signing_with("locker-client.pem");
    for one in [&first, &second] {
        assert_eq!(one.ask(QUERY, json!({"trans_id": "none"})).status, 404);
    }
    let id = added["credential"]["id"]
        .as_str()
        .or(added["id"].as_str())
        .unwrap()
        .to_owned();
    shop.daemon.run(&["credential", "remove", &id], 0);
    let signed = second.sign(QUERY, &json!({"merchant_id": "TEST_keys", "trans_id": "none"}));
    assert_eq!(code(&second, &signed), (401, "2000".to_owned()));
    assert_eq!(first.ask(QUERY, json!({"trans_id": "none"})).status, 404);
}
