//! Every call of the native API on the running daemon, good input and bad.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use serde_json::{Value, json};
use support::daemon::{AMEX, Daemon, MASTERCARD, VISA, card};

/// An answer that is a problem document of this status and code, naming `field`, and echoing no number.
fn assert_problem(answer: &support::http::Answer, status: u16, code: &str, field: Option<&str>) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{text}"
    );
    let body = answer.json();
    assert_eq!(body["status"], status, "{text}");
    assert_eq!(body["code"], code, "{text}");
    if let Some(field) = field {
        assert_eq!(body["field"], field, "{text}");
    }
    assert!(body["title"].is_string() && body["type"].is_string(), "{text}");
    assert!(answer.header("x-request-id").is_some());
    for digits in ["411111111111", "555555555555", "378282246310"] {
        assert!(!text.contains(digits), "a number came back: {text}");
    }
}

#[test]
fn a_card_goes_in_and_comes_out() {
    let daemon = Daemon::start();
    let answer = daemon.call(
        "POST",
        "/v1/tokens",
        &json!({
            "card": {"number": "4111 1111-1111 1111", "expiry": {"month": 12, "year": 2030}, "holder": "JANE DOE"},
            "namespace": "customer-7",
            "metadata": {"order": "A-1"},
            "profile": {"email": "jane@example.org"},
        }),
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let view = answer.json();
    let token = view["token"].as_str().unwrap();
    assert!(token.starts_with("tok_"), "{token}");
    assert_eq!(view["last4"], "1111");
    assert_eq!(view["bin"], "41111111");
    assert_eq!(view["brand"], "visa");
    assert_eq!(view["expiry"], json!({"month": 12, "year": 2030}));
    assert_eq!(view["status"], "active");
    assert_eq!(view["namespace"], "customer-7");
    assert_eq!(view["metadata"], json!({"order": "A-1"}));
    assert_eq!(view["revision"], 1);
    for absent in ["JANE", "4111111111111111", "jane@example.org"] {
        assert!(!answer.text().contains(absent));
    }

    let seen = daemon.call("GET", &format!("/v1/tokens/{token}"), &Value::Null);
    assert_eq!(seen.status, 200);
    assert_eq!(seen.json(), view);

    let revealed = daemon.reveal(token);
    assert_eq!(revealed.status, 200, "{}", revealed.text());
    assert_eq!(
        revealed.json()["card"],
        json!({"number": VISA, "expiry": {"month": 12, "year": 2030}, "holder": "JANE DOE"})
    );
    assert!(revealed.json().get("profile").is_none());
    let all = daemon.call(
        "POST",
        &format!("/v1/tokens/{token}/reveal"),
        &json!({"with": ["profile"]}),
    );
    assert_eq!(all.json()["profile"], json!({"email": "jane@example.org"}));
    let absent_body = daemon.call("POST", &format!("/v1/tokens/{token}/reveal"), &Value::Null);
    assert_eq!(absent_body.status, 200, "{}", absent_body.text());

    let gone = daemon.call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(gone.json()["token"], token);
    assert!(gone.json()["signature"].is_string());
    for path in [format!("/v1/tokens/{token}"), format!("/v1/tokens/{token}/reveal")] {
        let method = if path.ends_with("reveal") { "POST" } else { "GET" };
        assert_problem(&daemon.call(method, &path, &Value::Null), 404, "token_unknown", None);
    }
}

#[test]
fn formats_look_as_they_should() {
    let daemon = Daemon::start();
    let luhn = |digits: &str| {
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(i, b)| {
                let d = u32::from(b - b'0') * if i % 2 == 1 { 2 } else { 1 };
                if d > 9 { d - 9 } else { d }
            })
            .sum();
        sum.is_multiple_of(10)
    };
    let make = |format: &str| {
        let answer = daemon.call(
            "POST",
            "/v1/tokens",
            &json!({"card": card(MASTERCARD), "format": format}),
        );
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    for _ in 0..20 {
        let random = make("random_luhn");
        assert!(
            random.len() == 16 && random.starts_with('9') && luhn(&random),
            "{random}"
        );
        let kept = make("preserve_6_4");
        assert!(
            kept.len() == 16 && kept.starts_with("555555") && kept.ends_with("4444"),
            "{kept}"
        );
        assert!(!luhn(&kept), "{kept}");
    }
    let supplied = |token: &str| {
        daemon.call(
            "POST",
            "/v1/tokens",
            &json!({"card": card(AMEX), "format": "supplied", "token": token}),
        )
    };
    assert_eq!(supplied("my-token-1").status, 201);
    assert_problem(&supplied("my-token-1"), 409, "token_taken", None);
    assert_problem(&supplied(VISA), 422, "invalid_field", Some("token"));
    let missing = daemon.call("POST", "/v1/tokens", &json!({"card": card(AMEX), "format": "supplied"}));
    assert_problem(&missing, 422, "invalid_field", Some("token"));
}

#[test]
fn bad_input_is_named_and_not_echoed() {
    let daemon = Daemon::start();
    let post = |body: Value| daemon.call("POST", "/v1/tokens", &body);
    let field = |answer: &support::http::Answer, name: &str| {
        assert!((400..500).contains(&answer.status), "{}", answer.text());
        assert_problem(
            answer,
            answer.status,
            answer.json()["code"].as_str().unwrap(),
            Some(name),
        );
    };
    field(&post(json!({"card": card("4111111111111112")})), "card.number");
    field(&post(json!({"card": card("411111111111")})), "card.number");
    field(&post(json!({"card": card("4111x11111111111")})), "card.number");
    field(&post(json!({"card": {"number": 4111111111111111u64}})), "card.number");
    field(
        &post(json!({"card": {"number": VISA, "expiry": {"month": 13, "year": 2030}}})),
        "card.expiry",
    );
    field(
        &post(json!({"card": {"number": VISA, "expiry": {"month": 12}}})),
        "card.expiry.year",
    );
    field(
        &post(json!({"card": card(VISA), "format": "4111111111111111"})),
        "format",
    );
    field(&post(json!({"card": card(VISA), "colour": 1})), "colour");
    field(
        &post(json!({"card": card(VISA), "4111111111111111": 1})),
        "(name not shown)",
    );
    field(&post(json!({"card": card(VISA), "namespace": "a b"})), "namespace");
    field(&post(json!({"card": card(VISA), "namespace": VISA})), "namespace");
    field(
        &post(json!({"card": card(VISA), "metadata": {"note": "4111 1111 1111 1111"}})),
        "metadata",
    );
    field(
        &post(json!({"card": card(VISA), "metadata": {"a": [{"CVV": "123"}]}})),
        "metadata",
    );
    field(
        &post(json!({"card": card(VISA), "profile": {"security-code": "123"}})),
        "profile",
    );
    field(
        &post(json!({"card": card(VISA), "expires_at": "2020-01-01T00:00:00Z"})),
        "expires_at",
    );
    field(
        &post(json!({"card": card(VISA), "expires_at": "tomorrow"})),
        "expires_at",
    );
    field(&post(json!({})), "card");
    // A null member of such a name holds nothing.
    assert_eq!(post(json!({"card": card(VISA), "metadata": {"cvv": null}})).status, 201);

    let raw = |headers: &[(&str, &str)], body: &[u8]| daemon.raw("POST", "/v1/tokens", headers, body).unwrap();
    assert_problem(
        &raw(&[], br#"{"card":{"number":"4111111111111111""#),
        400,
        "malformed_json",
        None,
    );
    assert_problem(&raw(&[], b""), 400, "malformed_json", None);
    assert_problem(&raw(&[], b"\xff\xfe"), 400, "malformed_json", None);
    assert_problem(
        &raw(&[("Content-Type", "text/plain")], b"{}"),
        415,
        "unsupported_media_type",
        None,
    );
    assert_problem(&raw(&[], &vec![b' '; 70 << 10]), 413, "body_too_large", None);
    assert_problem(
        &raw(&[("Authorization", "Bearer nonsense")], b"{}"),
        401,
        "credential_invalid",
        None,
    );
    let none = support::http::request(&daemon.api(), "GET", "/v1/tokens/tok_x", &[], b"").unwrap();
    assert_problem(&none, 401, "credential_missing", None);
    assert!(none.header("www-authenticate").is_some());

    assert_problem(
        &daemon.call("GET", "/v1/tokens/tok_nothing", &Value::Null),
        404,
        "token_unknown",
        None,
    );
    assert_problem(&daemon.call("GET", "/v1/nothing", &Value::Null), 404, "not_found", None);
    let wrong = daemon.call("PUT", "/v1/tokens", &json!({}));
    assert_problem(&wrong, 405, "method_not_allowed", None);
    assert!(wrong.header("allow").unwrap().contains("POST"));
    assert_problem(
        &daemon.call("POST", "/v1/tokens/search", &json!({"cursor": "nonsense"})),
        400,
        "invalid_cursor",
        None,
    );
    field(
        &daemon.call("POST", "/v1/tokens/search", &json!({"limit": 100_000})),
        "limit",
    );
}

#[test]
fn updates_follow_revisions() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let path = format!("/v1/tokens/{token}");
    let patch = |if_match: &str, body: Value| {
        daemon
            .raw("PATCH", &path, &[("If-Match", if_match)], body.to_string().as_bytes())
            .unwrap()
    };
    let changed = patch(
        "\"1\"",
        json!({"expiry": {"month": 1, "year": 2031}, "metadata": {"a": 1}, "holder": "J. DOE"}),
    );
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["revision"], 2);
    assert_eq!(changed.json()["expiry"], json!({"month": 1, "year": 2031}));
    assert_problem(
        &patch("\"1\"", json!({"metadata": null})),
        412,
        "revision_mismatch",
        None,
    );
    let cleared = patch(
        "2",
        json!({"metadata": null, "status": "inactive", "profile": {"phone": "1"}}),
    );
    assert_eq!(cleared.status, 200, "{}", cleared.text());
    assert!(cleared.json()["metadata"].is_null());
    assert_eq!(cleared.json()["status"], "inactive");
    let reveal = || daemon.call("POST", &format!("{path}/reveal"), &json!({"with": ["profile"]}));
    assert_problem(&reveal(), 409, "token_inactive", None);
    assert_eq!(patch("3", json!({"status": "active"})).status, 200);
    let revealed = reveal().json();
    assert_eq!(revealed["card"]["holder"], "J. DOE");
    assert_eq!(revealed["card"]["number"], VISA);
    assert_eq!(revealed["profile"], json!({"phone": "1"}));
}

#[test]
fn one_new_card_from_64_clients_is_one_token() {
    let daemon = Daemon::start();
    let body = json!({"card": card(VISA), "reuse": "same_card", "namespace": "n1"});
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| daemon.call("POST", "/v1/tokens", &body)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .map(|answer| (answer.status, answer.json()))
            .collect()
    });
    assert_eq!(
        answers.iter().filter(|(status, _)| *status == 201).count(),
        1,
        "{answers:?}"
    );
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 201)));
    assert!(
        answers.iter().all(|(_, view)| *view == answers[0].1),
        "the answers differ"
    );
    assert_eq!(daemon.metric("panvault_tokens"), 1.0);
    // Another namespace is another scope.
    let other = daemon.call(
        "POST",
        "/v1/tokens",
        &json!({"card": card(VISA), "reuse": "same_card", "namespace": "n2"}),
    );
    assert_eq!(other.status, 201);
}

#[test]
fn a_single_use_token_is_revealed_once() {
    let daemon = Daemon::start();
    let made = daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA), "uses": "single"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..64).map(|_| scope.spawn(|| daemon.reveal(&token).status)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 410)),
        "{statuses:?}"
    );
    assert_problem(&daemon.reveal(&token), 410, "token_spent", None);
    let view = daemon.call("GET", &format!("/v1/tokens/{token}"), &Value::Null);
    assert_eq!(view.json()["status"], "spent");
}

#[test]
fn expired_tokens_are_refused_and_swept() {
    let daemon = Daemon::start();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_millis(1500);
    let millis = i64::try_from(soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let at = jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    let made = daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA), "expires_at": at}));
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(daemon.reveal(&token).status, 200);
    daemon.wait(std::time::Duration::from_secs(10), "expiry", || {
        daemon.reveal(&token).status != 200
    });
    let refused = daemon.reveal(&token);
    assert!(matches!(refused.status, 404 | 410), "{}", refused.text());
    daemon.wait(std::time::Duration::from_secs(10), "the sweep", || {
        daemon.metric("panvault_tokens") == 0.0
    });
    assert_problem(&daemon.reveal(&token), 404, "token_unknown", None);
    assert_eq!(daemon.metric("panvault_expired_total"), 1.0);
}

#[test]
fn search_pages_are_stable() {
    let daemon = Daemon::start();
    let mut made = Vec::new();
    for i in 0..25 {
        let number = if i % 2 == 0 { VISA } else { MASTERCARD };
        let answer = daemon.call(
            "POST",
            "/v1/tokens",
            &json!({"card": card(number), "namespace": format!("n{}", i % 3)}),
        );
        made.push(answer.json()["token"].as_str().unwrap().to_owned());
    }
    let pages = |filter: Value| {
        let mut all = Vec::new();
        let mut query = filter;
        query["limit"] = json!(4);
        for _ in 0..20 {
            let answer = daemon.call("POST", "/v1/tokens/search", &query);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page = answer.json();
            all.extend(
                page["tokens"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|view| view["token"].as_str().unwrap().to_owned()),
            );
            match page.get("next").and_then(Value::as_str) {
                Some(next) => query["cursor"] = json!(next),
                None => return all,
            }
            // Inserts and deletes between pages neither repeat nor lose the others.
            if all.len() == 4 {
                daemon.tokenize(AMEX);
            }
        }
        panic!("the pages do not end");
    };
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let expect = |keep: &dyn Fn(usize) -> bool| {
        sorted(
            made.iter()
                .enumerate()
                .filter(|(i, _)| keep(*i))
                .map(|(_, token)| token.clone())
                .collect(),
        )
    };
    assert_eq!(sorted(pages(json!({"pan": VISA}))), expect(&|i| i % 2 == 0));
    assert_eq!(sorted(pages(json!({"namespace": "n1"}))), expect(&|i| i % 3 == 1));
    assert_eq!(
        sorted(pages(json!({"last4": "4444", "namespace": "n0"}))),
        expect(&|i| i % 2 == 1 && i % 3 == 0)
    );
    assert_eq!(sorted(pages(json!({"bin": "555555"}))), expect(&|i| i % 2 == 1));
    let since = pages(json!({"updated_since": "2020-01-01T00:00:00Z", "bin": "411111"}));
    assert_eq!(sorted(since), expect(&|i| i % 2 == 0));
    assert!(pages(json!({"expiry_to": {"month": 1, "year": 2029}})).is_empty());
    let cursor = daemon
        .call("POST", "/v1/tokens/search", &json!({"namespace": "n0", "limit": 1}))
        .json()["next"]
        .clone();
    let foreign = daemon.call("POST", "/v1/tokens/search", &json!({"pan": VISA, "cursor": cursor}));
    assert_problem(&foreign, 400, "invalid_cursor", None);
}

#[test]
fn batches_answer_item_by_item() {
    let daemon = Daemon::start();
    let items: Vec<Value> = (0..50)
        .map(|i| {
            if i == 7 {
                json!({"card": card("4111111111111112")})
            } else {
                json!({"card": card(VISA)})
            }
        })
        .collect();
    let answer = daemon.call("POST", "/v1/tokens/batch", &json!({"items": items}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["items"].as_array().unwrap().clone();
    assert_eq!(results.len(), 50);
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result["status"], if i == 7 { 422 } else { 201 }, "{result}");
    }
    assert!(!answer.text().contains("4111111111111112"));
    let tokens: Vec<Value> = results
        .iter()
        .filter_map(|result| result["result"]["token"].as_str())
        .map(|token| json!({"token": token}))
        .chain([json!({"token": "tok_nothing"})])
        .collect();
    assert_eq!(tokens.len(), 50);
    let answer = daemon.call("POST", "/v1/tokens/reveal-batch", &json!({"items": tokens}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["items"].as_array().unwrap().clone();
    assert_eq!(
        results
            .iter()
            .filter(|result| result["result"]["card"]["number"] == VISA)
            .count(),
        49
    );
    assert_eq!(results[49]["status"], 404);
    let many: Vec<Value> = (0..1001).map(|_| json!({"token": "x"})).collect();
    let refused = daemon.call("POST", "/v1/tokens/reveal-batch", &json!({"items": many}));
    assert_problem(
        &refused,
        refused.status,
        refused.json()["code"].as_str().unwrap(),
        Some("items"),
    );
}

#[test]
fn idempotent_requests_happen_once() {
    let daemon = Daemon::start();
    let body = json!({"card": card(VISA)}).to_string();
    let send = |key: &str, body: &str| {
        daemon
            .raw("POST", "/v1/tokens", &[("Idempotency-Key", key)], body.as_bytes())
            .unwrap()
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(|| send("k-1", &body))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let token = answers[0].json()["token"].clone();
    for answer in &answers {
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["token"], token);
    }
    assert_eq!(daemon.metric("panvault_tokens"), 1.0);
    let other = json!({"card": card(MASTERCARD)}).to_string();
    assert_problem(&send("k-1", &other), 422, "idempotency_mismatch", None);
    assert_ne!(send("k-2", &body).json()["token"], token);
    // The body is kept only as a keyed MAC: the number stands nowhere in the store's files.
    assert_problem(&send("bad key", &body), 400, "invalid_header", None);
}

#[test]
fn the_openapi_document_names_every_call() {
    let daemon = Daemon::start();
    let answer = support::http::request(&daemon.api(), "GET", "/v1/openapi.json", &[], b"").unwrap();
    assert_eq!(answer.status, 200);
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/v1/tokens", vec!["post"]),
        ("/v1/tokens/{token}", vec!["get", "patch", "delete"]),
        ("/v1/tokens/{token}/reveal", vec!["post"]),
        ("/v1/tokens/search", vec!["post"]),
        ("/v1/tokens/batch", vec!["post"]),
        ("/v1/tokens/reveal-batch", vec!["post"]),
    ] {
        for method in methods {
            assert!(paths[path].get(method).is_some(), "{method} {path}");
        }
    }
}
