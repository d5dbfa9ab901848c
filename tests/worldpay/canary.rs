//! A card number, its security code and its holder that go through everything and are found nowhere afterwards.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bodies::{ADDRESS, ATTRIBUTES, EXPIRY, HOLDER, NUMBER, TYPE, bare, full, with};
use super::gateway::{Account, Reply, request};
use super::support::daemon::Daemon;
use super::support::http;

/// Numbers, names and a code that no other test uses.
const VISA: &str = "4012888888881881";
const AMEX: &str = "340056655665561";
const CODE: &str = "9137";
const NAME: &str = "Kanari Enderby-Vogelhuber";
const OTHER_NAME: &str = "Zaunkoenig Quittenstein";
const STREET: &str = "77 Kanarienvogelsteig";

pub(crate) fn nowhere() {
    let mut daemon = Daemon::start_with("log.filter = \"trace\"\nstore.audit_window = 10");
    let mut hidden: Vec<Vec<u8>> = [VISA, AMEX].into_iter().flat_map(forms).collect();
    for number in [VISA, AMEX] {
        everything(&Account::dev(&daemon), number, &mut hidden);
        broken(&Account::dev(&daemon), number);
    }
    for text in [NAME, OTHER_NAME, STREET] {
        hidden.push(text.as_bytes().to_vec());
        hidden.push(text.to_uppercase().into_bytes());
        hidden.push(data_encoding::BASE64.encode(text.as_bytes()).into_bytes());
    }
    // four digits alone stand anywhere by chance: as a JSON string, and with their length in front
    hidden.push(format!("\"{CODE}\"").into_bytes());
    hidden.push(format!("\u{4}{CODE}").into_bytes());
    let hidden = Hidden::new(hidden);

    let metrics = http::request(&daemon.admin(), "GET", "/metrics", &[], b"")
        .unwrap()
        .text();
    assert!(metrics.contains("dialect=\"worldpay\""), "{metrics}");
    let tail = daemon.run(&["audit", "tail", "--lines", "2000"], 0);
    assert!(tail.contains("\"tokenize\"") && tail.contains("\"reveal\""), "{tail}");
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    let log = daemon.log();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log tells all that it can"
    );
    assert!(!log.contains("panicked"), "{log}");
    for (name, text) in [("metrics", &metrics), ("audit trail", &tail), ("log", &log)] {
        assert_eq!(hidden.within(text.as_bytes()), None, "in the {name}");
        for line in text.lines().filter(|line| line.contains(CODE)) {
            let telling = ["cvc", "securityCode", "security_code"]
                .iter()
                .any(|mark| line.contains(mark));
            assert!(!telling, "in the {name}: {line}");
        }
    }
    let own = Hidden::new(vec![b"TEST_worldpay".to_vec()]);
    assert!(
        !own.below(&daemon.dir().join("state")).is_empty(),
        "what is stored is found"
    );
    assert_eq!(hidden.below(daemon.dir()), Vec::new());
    let mut segments = std::fs::read_dir(daemon.dir().join("state/audit")).unwrap();
    assert!(segments.next().is_some(), "segments are there");
}

/// What must not be found.
struct Hidden {
    forms: Vec<Vec<u8>>,
    /// By two bytes: whether a form begins with them.
    starts: Vec<bool>,
}

impl Hidden {
    fn new(forms: Vec<Vec<u8>>) -> Self {
        let mut starts = vec![false; 1 << 16];
        for form in &forms {
            starts[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
        }
        Self { forms, starts }
    }

    /// The first that these bytes hold.
    fn within(&self, bytes: &[u8]) -> Option<String> {
        let begins = |at: &usize| self.starts[usize::from(bytes[*at]) << 8 | usize::from(bytes[*at + 1])];
        let found = (0..bytes.len().saturating_sub(1))
            .filter(begins)
            .find_map(|at| self.forms.iter().find(|form| bytes[at..].starts_with(form)));
        found.map(|form| String::from_utf8_lossy(form).into_owned())
    }

    /// Files below `path` that hold one of them.
    fn below(&self, path: &Path) -> Vec<(PathBuf, String)> {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| match path.symlink_metadata().unwrap() {
                kind if kind.is_dir() => self.below(&path),
                kind if kind.is_file() => {
                    let found = self.within(&std::fs::read(&path).unwrap());
                    found.map(|form| (path, form)).into_iter().collect()
                }
                _ => Vec::new(),
            })
            .collect()
    }
}

/// Each operation with the canary, well formed; what it makes that must not be found either.
fn everything(account: &Account<'_>, number: &str, hidden: &mut Vec<Vec<u8>>) {
    let silent = |reply: &Reply| silent(reply, number);
    let address = json!({"address1": STREET, "postalCode": "TE12 34ST", "city": "Testville", "countryCode": "TS"});
    let body = with(with(full(number), HOLDER, json!(NAME)), ADDRESS, address.clone());
    let other = with(body.clone(), HOLDER, json!(OTHER_NAME));
    let within = with(body.clone(), "/namespace", json!("canaries"));
    let made = account.create(&body);
    silent(&made);
    made.is(201);
    for (request, status) in [(&body, 200), (&other, 409), (&within, 201)] {
        let reply = account.create(request);
        silent(&reply);
        reply.is(status);
    }
    let conflict = account.create(&other).link("tokens:conflicts");
    silent(&account.get(&conflict));
    account.call("PUT", &conflict, &Value::Null).done();
    account.put(&made.link("tokens:cardHolderName"), &json!(NAME)).done();
    account.put(&made.link("tokens:billingAddress"), &address).done();
    silent(&account.get(&made.href()));
    silent(&account.get("/tokens?namespace=canaries"));

    let verified = |kind: &str, expiry: Value| {
        let card = with(
            with(other.clone(), TYPE, json!("card/plain")),
            "/paymentInstrument/cvc",
            json!(CODE),
        );
        let reply = account.verified(
            kind,
            &with(with(card, "/verificationCurrency", json!("GBP")), EXPIRY, expiry),
        );
        silent(&reply);
        reply
    };
    for kind in ["cardOnFile", "oneTime"] {
        verified(kind, json!({"month": 5, "year": 2035})).is(409);
        verified(kind, json!({"month": 5, "year": 2039})).is(206);
    }

    let card = with(bare(number), HOLDER, json!(NAME));
    let reference = json!({"type": "card/tokenized", "href": made.href()});
    let stored = json!({"paymentInstrument": reference, "merchant": {"entity": "default"}});
    for body in [card, stored] {
        let provisioned = account.call("POST", "/tokens/network", &body);
        silent(&provisioned);
        provisioned.is(200);
        silent(&account.get(&provisioned.link("tokens:networkTokenLookup")));
        let token = provisioned.at("/tokenPaymentInstrument/tokenNumber").as_str().unwrap();
        let asked = account.call("POST", "/tokens/network/cryptograms", &json!({"tokenNumber": token}));
        asked.is(200);
        // the network's number is kept as a card's is, and its cryptograms not at all
        hidden.extend(forms(token));
        let cryptogram = asked.at("/cryptogramDetails/cryptogram").as_str().unwrap();
        hidden.push(cryptogram.as_bytes().to_vec());
        hidden.push(data_encoding::BASE64.decode(cryptogram.as_bytes()).unwrap());
    }
    assert_eq!(
        Account::detokenizer(account.daemon).detokenize(&made.href()).at(NUMBER),
        number
    );
    account.delete(&made.href()).done();
}

/// The canary where it does not belong, and requests that cannot be read.
fn broken(account: &Account<'_>, number: &str) {
    let silent = |reply: &Reply| silent(reply, number);
    let members = [
        "/description",
        "/namespace",
        "/tokenExpiryDateTime",
        "/merchant",
        "/merchant/entity",
        "/paymentInstrument",
        TYPE,
        HOLDER,
        "/paymentInstrument/cardExpiryDate/month",
        EXPIRY,
        "/paymentInstrument/billingAddress/address1",
        "/paymentInstrument/billingAddress/countryCode",
        ADDRESS,
        "/paymentInstrument/cvc",
        "/verificationCurrency",
        "/unknown",
    ];
    let clean = super::bodies::card_number();
    for pointer in members {
        for value in [
            json!(number),
            json!(number.parse::<u64>().unwrap()),
            json!({number: number}),
            json!([number]),
        ] {
            silent(&account.create(&with(full(&clean), pointer, value.clone())));
            let card = with(
                with(full(&clean), TYPE, json!("card/plain")),
                "/verificationCurrency",
                json!("GBP"),
            );
            silent(&account.verified("oneTime", &with(card, pointer, value.clone())));
            silent(&account.call("POST", "/tokens/network", &with(full(&clean), pointer, value)));
        }
    }
    for grown in [
        format!("{number}0"),
        format!("{number}x"),
        format!("{number} "),
        format!("0{number}"),
    ] {
        silent(&account.create(&bare(&grown)));
    }
    let made = account.create(&full(&super::bodies::card_number()));
    // a reference may look like a number, because references do
    for rel in ATTRIBUTES.into_iter().filter(|rel| !rel.ends_with("Reference")) {
        for value in [
            json!(number),
            json!({number: number}),
            json!({"address1": number, "month": number}),
        ] {
            silent(&account.put(&made.link(rel), &value));
        }
    }
    for place in [
        format!("/tokens/{number}"),
        format!("/tokens?tokenId={number}"),
        format!("/tokens?namespace={number}"),
        format!("/tokens?{number}=x"),
        format!("/tokens/network/{number}"),
        format!("/verifiedTokens/{number}"),
        format!("/rels/{number}"),
        format!("/tokens/x/{number}"),
    ] {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            silent(&account.call(method, &place, &json!(number)));
        }
        silent(&Account::detokenizer(account.daemon).detokenize(&place));
    }
    let media = account.media();
    for body in [
        format!("{{\"paymentInstrument\":{number}"),
        format!("{{\"{number}\":{{}}}}"),
        number.to_owned(),
        format!("{{\"paymentInstrument\":{{\"cardNumber\":\"{number}\",\"cardNumber\":\"{number}\"}}}}"),
    ] {
        silent(&account.with("POST", "/tokens", &[("Content-Type", &media)], &body));
        silent(&account.with("POST", "/tokens", &[("Content-Type", number)], &body));
    }
    for header in ["Accept", "WP-CorrelationId", "X-Other"] {
        silent(&account.with("GET", &made.href(), &[(header, number)], ""));
    }
    let login = format!(
        "Basic {}",
        data_encoding::BASE64.encode(format!("{number}:{number}").as_bytes())
    );
    silent(&request(
        account.daemon,
        "GET",
        "/tokens/x",
        &[("Authorization", &login)],
        "",
    ));
}

fn silent(reply: &Reply, number: &str) {
    let said = format!("{:?} {}", reply.headers, reply.text);
    let digits: String = said.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    assert!(!digits.contains(number), "{said}");
}

/// How a number could stand in a file.
fn forms(number: &str) -> Vec<Vec<u8>> {
    let even = format!("{}{number}", &"0"[..number.len() % 2]);
    let bcd = even
        .as_bytes()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
        .collect();
    let value: u64 = number.parse().unwrap();
    vec![
        number.as_bytes().to_vec(),
        data_encoding::HEXLOWER.encode(number.as_bytes()).into_bytes(),
        bcd,
        value.to_be_bytes()[1..].to_vec(),
        value.to_le_bytes()[..7].to_vec(),
    ]
}
