//! A client of the gateway's API that speaks both wires: fields are dotted names on either, so one table serves both.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Map, Value};

use super::support::daemon::Daemon;
use super::support::http;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Nvp,
    Rest,
}

pub(crate) const WIRES: [Wire; 2] = [Wire::Rest, Wire::Nvp];

/// Published test cards of the gateway.
pub(crate) const MASTERCARD: &str = "5123450000000008";
pub(crate) const MASTERCARD_2: &str = "5111111111111118";
pub(crate) const VISA: &str = "4508750015741019";
pub(crate) const AMEX: &str = "371449635398431";

pub(crate) const NUMBER: &str = "sourceOfFunds.provided.card.number";
pub(crate) const MONTH: &str = "sourceOfFunds.provided.card.expiry.month";
pub(crate) const YEAR: &str = "sourceOfFunds.provided.card.expiry.year";
pub(crate) const CODE: &str = "sourceOfFunds.provided.card.securityCode";
pub(crate) const SOURCE: &str = "sourceOfFunds.token";
pub(crate) const TYPE: &str = "sourceOfFunds.type";

pub(crate) type Field<'a> = (&'a str, &'a str);

/// A card as a request gives it.
pub(crate) fn card<'a>(number: &'a str, month: &'a str, year: &'a str) -> Vec<Field<'a>> {
    vec![(TYPE, "CARD"), (NUMBER, number), (MONTH, month), (YEAR, year)]
}

/// A merchant at one wire and version.
#[derive(Clone)]
pub(crate) struct Shop<'d> {
    pub(crate) daemon: &'d Daemon,
    pub(crate) wire: Wire,
    pub(crate) version: u16,
    pub(crate) merchant: String,
    pub(crate) password: String,
    pub(crate) repository: String,
}

/// An answer, its fields by their dotted names.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl<'d> Shop<'d> {
    /// The dev instance's merchant with these strategies.
    pub(crate) fn dev(daemon: &'d Daemon, wire: Wire, management: &str, generation: &str) -> Self {
        let list = daemon.dev_json()["mastercard"].clone();
        let fits = |entry: &&Value| entry["management"] == management && entry["generation"] == generation;
        let entry = list.as_array().unwrap().iter().find(fits).unwrap().clone();
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        Self {
            daemon,
            wire,
            version: 70,
            merchant: text("merchant"),
            password: text("password"),
            repository: text("repository"),
        }
    }

    /// Any number of random tokens for a card.
    pub(crate) fn random(daemon: &'d Daemon, wire: Wire) -> Self {
        Self::dev(daemon, wire, "UNIQUE_TOKEN", "RANDOM_WITH_LUHN")
    }

    pub(crate) fn version(&self, version: u16) -> Self {
        Self {
            version,
            ..self.clone()
        }
    }

    /// Sends an operation. Ids that REST has in the path are fields here too.
    pub(crate) fn call(&self, operation: &str, fields: &[Field<'_>]) -> Reply {
        self.try_call(operation, fields).unwrap()
    }

    /// The same, where the daemon may be gone.
    pub(crate) fn try_call(&self, operation: &str, fields: &[Field<'_>]) -> std::io::Result<Reply> {
        match self.wire {
            Wire::Nvp => {
                let user = format!("merchant.{}", self.merchant);
                let own = [
                    ("merchant", self.merchant.as_str()),
                    ("apiUsername", &user),
                    ("apiPassword", &self.password),
                    ("apiOperation", operation),
                ];
                self.form(&format!("&{}", form(&[&own[..], fields].concat())))
            }
            Wire::Rest => {
                let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
                let transaction = || {
                    let (order, transaction) = (field("order.id").unwrap(), field("transaction.id").unwrap());
                    format!("order/{}/transaction/{}", encode(order), encode(transaction))
                };
                let (method, path, ids): (_, _, &[&str]) = match operation {
                    "TOKENIZE" => match field("token") {
                        Some(token) => ("PUT", format!("token/{}", encode(token)), &["token"]),
                        None => ("POST", "token".to_owned(), &[]),
                    },
                    "RETRIEVE_TOKEN" => ("GET", format!("token/{}", encode(field("token").unwrap())), &["token"]),
                    "DELETE_TOKEN" => (
                        "DELETE",
                        format!("token/{}", encode(field("token").unwrap())),
                        &["token"],
                    ),
                    "SEARCH_TOKENS" => ("GET", "tokenSearch".to_owned(), &[]),
                    "CREATE_SESSION" => ("POST", "session".to_owned(), &[]),
                    "RETRIEVE_SESSION" => (
                        "GET",
                        format!("session/{}", field("session.id").unwrap()),
                        &["session.id"],
                    ),
                    "UPDATE_SESSION" => (
                        "PUT",
                        format!("session/{}", field("session.id").unwrap()),
                        &["session.id"],
                    ),
                    "RETRIEVE_ORDER" => (
                        "GET",
                        format!("order/{}", encode(field("order.id").unwrap())),
                        &["order.id"],
                    ),
                    "RETRIEVE_TRANSACTION" => ("GET", transaction(), &["order.id", "transaction.id"]),
                    _ => ("PUT", transaction(), &["order.id", "transaction.id"]),
                };
                let mut rest: Vec<Field<'_>> = fields.iter().filter(|(name, _)| !ids.contains(name)).copied().collect();
                if path.starts_with("order/") && method == "PUT" {
                    rest.push(("apiOperation", operation));
                }
                match method {
                    "PUT" | "POST" => self.json(method, &path, &nested(&rest).to_string()),
                    _ => self.json(method, &format!("{path}?{}", form(&rest)), ""),
                }
            }
        }
    }

    /// A REST request with a body as it is; `path` goes on from the merchant's.
    pub(crate) fn json(&self, method: &str, path: &str, body: &str) -> std::io::Result<Reply> {
        let path = format!("/api/rest/version/{}/merchant/{}/{path}", self.version, self.merchant);
        let login = BASE64.encode(format!("merchant.{}:{}", self.merchant, self.password).as_bytes());
        let login = format!("Basic {login}");
        let headers = [("Authorization", login.as_str()), ("Content-Type", "application/json")];
        request(self.daemon, method, &path, &headers, body)
    }

    /// An NVP request with a body as it is.
    pub(crate) fn form(&self, body: &str) -> std::io::Result<Reply> {
        let path = format!("/api/nvp/version/{}", self.version);
        let headers = [("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")];
        request(self.daemon, "POST", &path, &headers, body)
    }

    /// Stores a card; its token.
    pub(crate) fn token(&self, number: &str, month: &str, year: &str) -> String {
        let reply = self.call("TOKENIZE", &card(number, month, year));
        reply.succeeded(201);
        reply.at("token").to_owned()
    }

    /// All tokens that a query finds, in pages of `limit`, and how many pages that took.
    pub(crate) fn search(&self, query: &str, limit: usize) -> (Vec<String>, usize) {
        let limit = limit.to_string();
        let mut reply = self.call("SEARCH_TOKENS", &[("query", query), ("limit", &limit)]);
        let (mut tokens, mut pages) = (Vec::new(), 1);
        loop {
            reply.succeeded(200);
            tokens.extend(reply.page());
            let Some(next) = reply.get("nextPage").map(str::to_owned) else {
                return (tokens, pages);
            };
            assert!(pages < 100, "pages without end");
            pages += 1;
            reply = self.call("SEARCH_TOKENS", &[("nextPage", &next)]);
        }
    }
}

impl Reply {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(crate) fn at(&self, name: &str) -> &str {
        self.get(name)
            .unwrap_or_else(|| panic!("no {name}: {} {}", self.status, self.text))
    }

    /// A number, however many decimals it is written with.
    pub(crate) fn amount(&self, name: &str) -> f64 {
        self.at(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {}", self.text))
    }

    #[track_caller]
    pub(crate) fn succeeded(&self, status: u16) {
        assert_eq!(
            (self.status, self.get("result")),
            (status, Some("SUCCESS")),
            "{}",
            self.text
        );
    }

    /// The fields have these values.
    #[track_caller]
    pub(crate) fn has(&self, expected: &[Field<'_>]) {
        for (name, value) in expected {
            assert_eq!(self.get(name), Some(*value), "{name} in {} {}", self.status, self.text);
        }
    }

    /// Refused for this field: 400, INVALID_REQUEST.
    #[track_caller]
    pub(crate) fn refused(&self, field: &str, validation: &str) {
        assert_eq!(self.status, 400, "{}", self.text);
        self.has(&[
            ("result", "ERROR"),
            ("error.cause", "INVALID_REQUEST"),
            ("error.field", field),
            ("error.validationType", validation),
        ]);
        assert!(
            (1..=1000).contains(&self.at("error.explanation").len()),
            "{}",
            self.text
        );
    }

    /// The tokens of a page.
    pub(crate) fn page(&self) -> Vec<String> {
        (0..)
            .map_while(|at| self.get(&format!("page.token[{at}].token")).map(str::to_owned))
            .collect()
    }
}

/// Any request of this dialect; its answer must be in the form of its wire.
pub(crate) fn request(
    daemon: &Daemon,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Reply> {
    let answer = http::request(&daemon.api(), method, path, headers, body.as_bytes())?;
    let text = answer.text();
    let mut fields = BTreeMap::new();
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    if path.starts_with("/api/nvp") {
        assert!(kind.starts_with("application/x-www-form-urlencoded"), "{kind}: {text}");
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("no pair: {text}"));
            let twice = fields.insert(decode(name), decode(value));
            assert!(twice.is_none(), "{name} twice: {text}");
        }
    } else {
        assert!(kind.starts_with("application/json"), "{kind}: {text}");
        flatten(&answer.json(), String::new(), &mut fields);
    }
    Ok(Reply {
        status: answer.status,
        headers: answer.headers,
        fields,
        text,
    })
}

/// `a.b` as objects in objects.
fn nested(fields: &[Field<'_>]) -> Value {
    let mut all = Map::new();
    for (name, value) in fields {
        let mut place = &mut all;
        let mut words = name.split('.').peekable();
        while let Some(word) = words.next() {
            if words.peek().is_none() {
                place.insert(word.to_owned(), (*value).into());
                break;
            }
            let group = place.entry(word).or_insert_with(|| Value::Object(Map::new()));
            place = group.as_object_mut().unwrap();
        }
    }
    Value::Object(all)
}

fn flatten(value: &Value, name: String, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(value, format!("{name}{dot}{member}"), fields);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                flatten(item, format!("{name}[{at}]"), fields);
            }
        }
        Value::String(text) => {
            fields.insert(name, text.clone());
        }
        other => {
            fields.insert(name, other.to_string());
        }
    }
}

pub(crate) fn form(fields: &[Field<'_>]) -> String {
    let pairs: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&")
}

pub(crate) fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
