//! A client of Access Worldpay's tokens on the Unix socket. It checks what holds of every answer.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::bodies::NUMBER;
use super::node::Node;
use super::published::published;
use super::support::daemon::Daemon;
use super::support::http;

/// A credential at one version of the API.
#[derive(Clone)]
pub(crate) struct Account<'d> {
    pub(crate) daemon: &'d Daemon,
    pub(crate) merchant: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) version: u8,
}

impl<'d> Account<'d> {
    /// The TEST merchant of a dev instance.
    pub(crate) fn dev(daemon: &'d Daemon) -> Self {
        Self::of_dev(daemon, "username", "password")
    }

    /// The dev instance's credential that sees card numbers and does nothing else.
    pub(crate) fn detokenizer(daemon: &'d Daemon) -> Self {
        Self::of_dev(daemon, "detokenize_username", "detokenize_password")
    }

    fn of_dev(daemon: &'d Daemon, user: &str, password: &str) -> Self {
        let dev = daemon.dev_json();
        let text = |name: &str| dev["worldpay"][name].as_str().unwrap().to_owned();
        Self {
            daemon,
            merchant: "TEST_worldpay".to_owned(),
            user: text(user),
            password: text(password),
            version: 3,
        }
    }

    /// A merchant added now.
    pub(crate) fn added(daemon: &'d Daemon, merchant: &str, test: bool) -> Self {
        let mut add = vec!["merchant", "add", merchant, "--dialect", "worldpay"];
        if test {
            add.push("--test");
        }
        daemon.run(&add, 0);
        Self::credential(daemon, merchant, &[])
    }

    /// Another credential of a merchant.
    pub(crate) fn credential(daemon: &'d Daemon, merchant: &str, more: &[&str]) -> Self {
        let add = [
            "credential",
            "add",
            "--merchant",
            merchant,
            "--dialect",
            "worldpay",
            "--json",
        ];
        let made: Value = serde_json::from_str(&daemon.run(&[&add[..], more].concat(), 0)).unwrap();
        Self {
            daemon,
            merchant: merchant.to_owned(),
            user: made["credential"]["id"].as_str().unwrap().to_owned(),
            password: made["secret"].as_str().unwrap().to_owned(),
            version: 3,
        }
    }

    /// The same at another version of the API.
    pub(crate) fn version(&self, version: u8) -> Self {
        Self {
            version,
            ..self.clone()
        }
    }

    pub(crate) fn media(&self) -> String {
        format!("application/vnd.worldpay.tokens-v{}.hal+json", self.version)
    }

    pub(crate) fn authorization(&self) -> String {
        format!(
            "Basic {}",
            BASE64.encode(format!("{}:{}", self.user, self.password).as_bytes())
        )
    }

    /// A request as the vendor's documents want it; null is no body.
    pub(crate) fn call(&self, method: &str, place: &str, body: &Value) -> Reply {
        let media = self.media();
        if body.is_null() {
            return self.with(method, place, &[("Accept", &media)], "");
        }
        let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
        self.with(method, place, &headers, &body.to_string())
    }

    /// A request with these headers, the credential and no other.
    pub(crate) fn with(&self, method: &str, place: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let login = self.authorization();
        let all = [&[("Authorization", login.as_str())], headers].concat();
        request(self.daemon, method, place, &all, body)
    }

    /// A request to verify and store a card; `kind` is `cardOnFile` or `oneTime`.
    pub(crate) fn verified(&self, kind: &str, body: &Value) -> Reply {
        let media = "application/vnd.worldpay.verified-tokens-v3.hal+json";
        let headers = [("Accept", media), ("Content-Type", media)];
        self.with("POST", &format!("/verifiedTokens/{kind}"), &headers, &body.to_string())
    }

    pub(crate) fn create(&self, body: &Value) -> Reply {
        self.call("POST", "/tokens", body)
    }

    pub(crate) fn get(&self, place: &str) -> Reply {
        self.call("GET", place, &Value::Null)
    }

    pub(crate) fn put(&self, place: &str, body: &Value) -> Reply {
        self.call("PUT", place, body)
    }

    pub(crate) fn delete(&self, place: &str) -> Reply {
        self.call("DELETE", place, &Value::Null)
    }

    /// A GET that asks for card numbers.
    pub(crate) fn detokenize(&self, place: &str) -> Reply {
        self.with(
            "GET",
            place,
            &[("Accept", &format!("{}; masked=false", self.media()))],
            "",
        )
    }

    /// Stores a card that is new here.
    #[track_caller]
    pub(crate) fn made(&self, body: &Value) -> Reply {
        let reply = self.create(body);
        reply.is(201);
        reply
    }
}

/// An answer; null is an empty body.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
    }

    /// 204, and nothing in it.
    #[track_caller]
    pub(crate) fn done(&self) {
        self.is(204);
        assert_eq!(self.text, "");
    }

    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        let found = self.body.pointer(pointer);
        found.unwrap_or_else(|| panic!("no {pointer}: {} {}", self.status, self.text))
    }

    /// Where a link leads.
    #[track_caller]
    pub(crate) fn link(&self, rel: &str) -> String {
        let href = self.body["_links"][rel]["href"].as_str();
        href.unwrap_or_else(|| panic!("no link {rel}: {} {}", self.status, self.text))
            .to_owned()
    }

    /// Where the token is.
    #[track_caller]
    pub(crate) fn href(&self) -> String {
        self.link("tokens:token")
    }

    /// The names in an object, in the order of the answer.
    #[track_caller]
    pub(crate) fn names(&self, pointer: &str) -> Vec<String> {
        let node: Node = serde_json::from_str(&self.text).unwrap();
        let found = node.at(pointer);
        found
            .unwrap_or_else(|| panic!("no object {pointer}: {}", self.text))
            .names()
    }

    /// Refused in the form that all refusals have, with the message that is published for it.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, name: &str) {
        assert_eq!(
            (self.status, &self.body["errorName"]),
            (status, &json!(name)),
            "{}",
            self.text
        );
        let message = self.body["message"].as_str().unwrap_or_default();
        // what is too long is told in any words
        match published(name).filter(|_| status != 413) {
            Some(expected) => assert_eq!(message, expected, "{}", self.text),
            None => assert!(!message.is_empty(), "{}", self.text),
        }
        let (names, more) = (self.names(""), (status, name) == (400, "bodyDoesNotMatchSchema"));
        assert_eq!(names.first().map(String::as_str), Some("errorName"), "{}", self.text);
        assert_eq!(names.get(1).map(String::as_str), Some("message"), "{}", self.text);
        let last: &[&str] = if more { &["validationErrors"] } else { &[] };
        assert_eq!(names.get(2..).unwrap(), last, "{}", self.text);
    }

    /// 400 with just these faults, each a name and where.
    #[track_caller]
    pub(crate) fn faulty(&self, expected: &[(&str, &str)]) {
        self.refused(400, "bodyDoesNotMatchSchema");
        let list = self.body["validationErrors"].as_array().unwrap();
        let mut found = Vec::new();
        for (at, fault) in list.iter().enumerate() {
            let names = self.names(&format!("/validationErrors/{at}"));
            assert_eq!(names, ["errorName", "message", "jsonPath"], "{}", self.text);
            assert!(
                fault["message"].as_str().is_some_and(|said| !said.is_empty()),
                "{}",
                self.text
            );
            found.push((
                fault["errorName"].as_str().unwrap(),
                fault["jsonPath"].as_str().unwrap(),
            ));
        }
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{}", self.text);
    }
}

/// Any request; `place` is a path or an absolute link.
pub(crate) fn request(daemon: &Daemon, method: &str, place: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let answer = http::request(&daemon.api(), method, path(place), headers, body.as_bytes()).unwrap();
    let reply = Reply {
        status: answer.status,
        text: answer.text(),
        body: match answer.body.is_empty() {
            true => Value::Null,
            false => answer.json(),
        },
        headers: answer.headers,
    };
    let said = format!("{method} {place}: {} {:?} {}", reply.status, reply.headers, reply.text);
    assert!(reply.header("WP-CorrelationId").is_some_and(is_uuid), "{said}");
    if !reply.text.is_empty() {
        let kind = reply.header("Content-Type").unwrap_or_default();
        assert!(kind.starts_with("application/") && kind.contains("json"), "{said}");
    }
    let shown = headers.iter().any(|(_, value)| value.contains("masked=false")) && reply.status == 200;
    let sent: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(number) = sent.pointer(NUMBER).and_then(Value::as_str).filter(|n| n.len() >= 12) {
        assert!(shown || !said.contains(number), "a card number came back: {said}");
    }
    reply
}

/// The path of an absolute link, or the path that it is already.
pub(crate) fn path(place: &str) -> &str {
    match place.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap()..],
        None => place,
    }
}

pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
