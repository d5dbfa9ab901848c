//! Headers: what selects the version, what is forgiven, and what comes back.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::bodies::{HOLDER, bare, card_number, fresh, full, with, without};
use super::gateway::{Account, Reply, is_uuid, request};
use super::support::daemon::Daemon;

const V1: &str = "application/vnd.worldpay.tokens-v1.hal+json";
const V2: &str = "application/vnd.worldpay.tokens-v2.hal+json";
const V3: &str = "application/vnd.worldpay.tokens-v3.hal+json";
const VERIFIED: &str = "application/vnd.worldpay.verified-tokens-v3.hal+json";

pub(crate) fn versions(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&full(&card_number()));
    let got = |headers: &[(&str, &str)]| account.with("GET", &made.href(), headers, "");
    for (headers, version) in [
        (vec![], V3),
        (vec![("Accept", "*/*")], V3),
        (vec![("Accept", V1)], V1),
        (vec![("Accept", V2)], V2),
        (vec![("Accept", V3)], V3),
        // not looked at where there is no body
        (vec![("Content-Type", VERIFIED)], V3),
        (vec![("Accept", V2), ("Content-Type", VERIFIED)], V2),
        (vec![("Accept", V1), ("Content-Type", "text/plain")], V1),
    ] {
        let reply = got(&headers);
        reply.is(200);
        assert_eq!(reply.header("Content-Type"), Some(version), "{headers:?}");
    }
    for (headers, version) in [
        (vec![("Content-Type", V1)], V1),
        (vec![("Content-Type", V2), ("Accept", "*/*")], V2),
        (vec![("Content-Type", V3)], V3),
        (vec![("Content-Type", V3), ("WP-Api-Version", "2024-06-01")], V3),
        (
            vec![(
                "Content-Type",
                "application/vnd.worldpay.tokens-v3.hal+json; charset=UTF-8",
            )],
            V3,
        ),
    ] {
        let reply = account.with("POST", "/tokens", &headers, &full(&card_number()).to_string());
        reply.is(201);
        assert_eq!(reply.header("Content-Type"), Some(version), "{headers:?}");
    }
}

pub(crate) fn refused(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&full(&card_number()));
    let body = full(&card_number()).to_string();
    let says = |reply: &Reply, status: u16, name: &str, message: &str| {
        reply.refused(status, name);
        assert_eq!(reply.at("/message"), message);
    };
    for other in [
        "application/json",
        "text/html",
        VERIFIED,
        "application/vnd.worldpay.tokens-v4.hal+json",
        "x",
    ] {
        let not_accepted = "Accept header is not supported";
        let reply = account.with("GET", &made.href(), &[("Accept", other)], "");
        says(&reply, 406, "headerHasInvalidValue", not_accepted);
        let reply = account.with("POST", "/tokens", &[("Accept", other), ("Content-Type", V3)], &body);
        says(&reply, 406, "headerHasInvalidValue", not_accepted);
        for headers in [
            vec![("Accept", V3), ("Content-Type", other)],
            vec![("Content-Type", other)],
        ] {
            account
                .with("POST", "/tokens", &headers, &body)
                .refused(415, "unsupportedContentType");
            let link = made.link("tokens:description");
            account
                .with("PUT", &link, &headers, "\"new\"")
                .refused(415, "unsupportedContentType");
        }
    }
    for headers in [vec![], vec![("Accept", V3)]] {
        account
            .with("POST", "/tokens", &headers, &body)
            .refused(415, "unsupportedContentType");
    }
    for (accept, content) in [(V1, V3), (V3, V1), (V2, V3), (V3, V2)] {
        let headers = [("Accept", accept), ("Content-Type", content)];
        let differing = "Accept header does not match Content-type header";
        let reply = account.with("POST", "/tokens", &headers, &body);
        says(&reply, 400, "headerHasInvalidValue", differing);
        let reply = account.with("PUT", &made.link("tokens:description"), &headers, "\"new\"");
        says(&reply, 400, "headerHasInvalidValue", differing);
    }
    assert_eq!(account.get(&made.href()).body, made.body);
    account.made(&serde_json::from_str(&body).unwrap());
}

/// `WP-CorrelationId`: the client's own where it is one, else one that is new.
pub(crate) fn correlation(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let own = "f8b7fb30-3c5e-4f5a-9d5f-2c1d3a9b0e77";
    let media = account.media();
    let login = account.authorization();
    let made = account.made(&full(&card_number()));
    let (href, description) = (made.href(), made.link("tokens:description"));
    let same = full(&card_number()).to_string();
    let conflict = with(serde_json::from_str(&same).unwrap(), HOLDER, json!("Mycroft")).to_string();
    let calls = [
        ("GET", "/", "", 200),
        ("GET", "/tokens", "", 200),
        ("POST", "/tokens", same.as_str(), 201),
        ("POST", "/tokens", &same, 200),
        ("POST", "/tokens", &conflict, 409),
        ("POST", "/tokens", "{", 400),
        ("POST", "/tokens", "", 400),
        ("GET", &href, "", 200),
        ("PUT", &description, "\"new\"", 204),
        ("GET", &description, "", 405),
        ("GET", "/tokens/x", "", 404),
        ("GET", "/tokens/x/y", "", 404),
        ("GET", "/tokens?namespace=none", "", 200),
        ("DELETE", &href, "", 204),
    ];
    for (method, place, body, status) in calls {
        let headers = [
            ("Authorization", login.as_str()),
            ("Accept", &media),
            ("Content-Type", &media),
            ("WP-CorrelationId", own),
        ];
        let reply = request(daemon, method, place, &headers, body);
        reply.is(status);
        assert_eq!(reply.header("WP-CorrelationId"), Some(own), "{method} {place}");
    }
    let stranger = request(daemon, "GET", "/tokens/x", &[("WP-CorrelationId", own)], "");
    stranger.refused(401, "unauthorized");
    assert_eq!(stranger.header("WP-CorrelationId"), Some(own));
    let long = request(
        daemon,
        "POST",
        "/tokens",
        &[("WP-CorrelationId", own)],
        &"x".repeat(70_000),
    );
    assert_eq!(long.header("WP-CorrelationId"), Some(own));
    // one whose digits, read across the hyphens, pass for a card number; every id that is one comes back
    let odd = "53d3e333-3496-4384-8251-12c72a717cbb";
    let reply = account.with("GET", "/tokens/x", &[("WP-CorrelationId", odd)], "");
    assert_eq!(reply.header("WP-CorrelationId"), Some(odd));
    let mut seen = Vec::new();
    for given in [
        "",
        "x",
        "4444333322221111",
        "f8b7fb30-3c5e-4f5a-9d5f-2c1d3a9b0e7",
        "g8b7fb30-3c5e-4f5a-9d5f-2c1d3a9b0e77",
    ] {
        let reply = account.with("GET", "/tokens/x", &[("WP-CorrelationId", given)], "");
        let id = reply.header("WP-CorrelationId").unwrap().to_owned();
        assert!(is_uuid(&id) && id != given && !seen.contains(&id), "{id}");
        seen.push(id);
    }
}

/// What comes back for bytes sent as they are: the status line, and everything.
fn raw(daemon: &Daemon, head: &[&str], body: &str) -> (String, String) {
    let mut stream = UnixStream::connect(daemon.api()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = format!("Content-Length: {}", body.len());
    let mut lines = head.to_vec();
    lines.extend(["Connection: close", &length, "", body]);
    stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (text.lines().next().unwrap_or_default().to_owned(), text)
}

/// Reason phrases, for a client that reads those.
pub(crate) fn reason_phrases(daemon: &Daemon) {
    let account = Account::dev(daemon).version(1);
    let login = format!("Authorization: {}", account.authorization());
    let (accept, content) = (format!("Accept: {V1}"), format!("Content-Type: {V1}"));
    let sent = |method: &str, place: &str, body: &str| {
        let first = format!("{method} {place} HTTP/1.1");
        let head = [&first, "Host: vault", &login, &accept, &content];
        raw(daemon, &head, body).0
    };
    let body = with(
        without(full(&card_number()), "/merchant"),
        "/namespace",
        json!(fresh("customer-")),
    );
    let conflict = with(body.clone(), HOLDER, json!("Mycroft"));
    let (body, conflict) = (body.to_string(), conflict.to_string());
    assert_eq!(sent("POST", "/tokens", &body), "HTTP/1.1 201 Created");
    assert_eq!(sent("POST", "/tokens", &body), "HTTP/1.1 200 OK");
    assert_eq!(sent("POST", "/tokens", &conflict), "HTTP/1.1 409 Conflict");
    assert_eq!(sent("POST", "/tokens", "{"), "HTTP/1.1 400 Bad Request");
    assert_eq!(sent("GET", "/tokens/x", ""), "HTTP/1.1 404 Not Found");
    assert_eq!(sent("PUT", "/tokens", &body), "HTTP/1.1 405 Method Not Allowed");
    let made = account.made(&without(bare(&card_number()), "/merchant"));
    let place = made.href().replace("http://vault", "");
    assert_eq!(sent("DELETE", &place, ""), "HTTP/1.1 204 No Content");
}

/// Header lines that are none, as an old shop extension sends them, do no harm.
pub(crate) fn broken_lines(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let login = format!("Authorization: {}", account.authorization());
    let made = account.made(&full(&card_number()));
    let conflict = account.made(&full(&card_number()));
    let place = |reply: &Reply, rel: &str| reply.link(rel).replace("http://vault", "");
    let content = format!("Content-Type: {VERIFIED}");
    for line in ["Access Worldpay", "Bad Name: x", "nothing", "X[]: y"] {
        let get = format!("GET {} HTTP/1.1", place(&made, "tokens:token"));
        let (status, text) = raw(daemon, &[&get, "Host: vault", line, &login, &content], "");
        assert_eq!(status, "HTTP/1.1 200 OK", "{line}: {text}");
        assert!(text.to_lowercase().contains("wp-correlationid: "), "{text}");
        let put = format!("PUT {} HTTP/1.1", place(&conflict, "tokens:cardHolderName"));
        let typed = format!("Content-Type: {V3}");
        let (status, text) = raw(daemon, &[&put, "Host: vault", &login, line, &typed], "\"Mycroft\"");
        assert_eq!(status, "HTTP/1.1 204 No Content", "{line}: {text}");
    }
    let delete = format!("DELETE {} HTTP/1.1", place(&made, "tokens:token"));
    let (status, text) = raw(
        daemon,
        &[&delete, "Host: vault", "Access Worldpay", &login, &content],
        "",
    );
    assert_eq!(status, "HTTP/1.1 204 No Content", "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    account
        .call("GET", &made.href(), &Value::Null)
        .refused(404, "resourceNotFound");
}
