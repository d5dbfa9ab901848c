//! Links: where they lead, what they do not tell, and how a client finds the first.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::bodies::{ATTRIBUTES, HOLDER, bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply, request};
use super::support::daemon::Daemon;

/// The links of one token, that of a conflict included.
fn all(account: &Account<'_>, body: &Value) -> Vec<String> {
    account.made(body);
    let conflict = account.create(&with(body.clone(), HOLDER, json!("Mycroft")));
    conflict.is(409);
    let rels = [&["tokens:token"], &ATTRIBUTES[..], &["tokens:conflicts"]].concat();
    rels.into_iter().map(|rel| conflict.link(rel)).collect()
}

/// The last segment of a link, which must be the only one after `/tokens/`.
fn segment(link: &str) -> &str {
    let segment = link.strip_prefix("http://vault/tokens/");
    let segment = segment.unwrap_or_else(|| panic!("another place: {link}"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    assert!(segment.len() >= 22 && segment.bytes().all(plain), "{link}");
    segment
}

/// The texts that a segment is or decodes to, however often.
fn readings(segment: &str) -> Vec<Vec<u8>> {
    let mut found = vec![segment.as_bytes().to_vec()];
    let mut at = 0;
    while at < found.len() && found.len() < 16 {
        let bytes = found[at].clone();
        for encoding in [&BASE64URL_NOPAD, &BASE64URL, &BASE64] {
            found.extend(encoding.decode(&bytes).ok());
        }
        if let Ok(Value::Object(members)) = serde_json::from_slice(&bytes) {
            found.extend(
                members
                    .values()
                    .filter_map(Value::as_str)
                    .map(|text| text.as_bytes().to_vec()),
            );
        }
        at += 1;
    }
    found
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The length of the longest text that both have in them.
fn in_common(one: &str, two: &str) -> usize {
    let parts = (0..one.len()).flat_map(|from| (from + 1..=one.len()).map(move |to| from..to));
    parts
        .filter(|part| two.contains(&one[part.clone()]))
        .map(|part| part.len())
        .max()
        .unwrap_or(0)
}

pub(crate) fn tell_nothing(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let (number, name) = (card_number(), fresh("shopper-"));
    let body = full(&number);
    let within = all(&account, &with(body.clone(), "/namespace", json!(name)));
    let apart = all(&account, &body);
    let other = all(&account, &full(&card_number()));
    let bcd: Vec<u8> = number
        .as_bytes()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
        .collect();
    let secrets: [&[u8]; 6] = [
        number.as_bytes(),
        &bcd,
        &number.as_bytes()[..6],
        &number.as_bytes()[12..],
        b"Sherlock",
        name.as_bytes(),
    ];
    for link in within.iter().chain(&apart) {
        for reading in readings(segment(link)) {
            for secret in secrets {
                assert!(!has(&reading, secret), "{link} tells of the card");
            }
        }
    }
    let every: BTreeSet<_> = within.iter().chain(&apart).chain(&other).collect();
    assert_eq!(every.len(), 3 * within.len(), "each link is one of its own");
    // two tokens of a card have no more in common than tokens of two cards
    for at in 0..within.len() {
        let (one, two) = (segment(&within[at]), segment(&apart[at]));
        let usual = in_common(two, segment(&other[at]));
        assert!(in_common(one, two) <= usual + 4, "{one} and {two} are of one card");
    }
}

pub(crate) fn stay(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = full(&card_number());
    let made = account.made(&body);
    let links = |reply: &Reply| -> Vec<String> { ATTRIBUTES.iter().map(|rel| reply.link(rel)).collect() };
    for version in [1, 2, 3] {
        let own = account.version(version);
        let again = own.create(&body);
        again.is(200);
        let conflict = own.create(&with(body.clone(), HOLDER, json!("Mycroft")));
        conflict.is(409);
        for reply in [again, own.get(&made.href()), conflict] {
            assert_eq!((reply.href(), links(&reply)), (made.href(), links(&made)));
        }
    }
    account
        .put(&made.link("tokens:cardHolderName"), &json!("Mycroft"))
        .done();
    let after = account.get(&made.href());
    assert_eq!((after.href(), links(&after)), (made.href(), links(&made)));
    // a link that is nearly one is none
    let link = made.href();
    let middle = link.len() - segment(&link).len() / 2;
    let other = if &link[middle..=middle] == "A" { "B" } else { "A" };
    let changed = format!("{}{other}{}", &link[..middle], &link[middle + 1..]);
    for wrong in [changed, format!("{link}A"), link[..link.len() - 1].to_owned()] {
        account.get(&wrong).refused(404, "resourceNotFound");
        account.delete(&wrong).refused(404, "resourceNotFound");
    }
}

/// Answered to anyone, with absolute links.
pub(crate) fn discovery(daemon: &Daemon) {
    for (place, rels) in [
        (
            "/",
            vec![
                ("service:tokens", "http://vault/tokens"),
                ("service:verifiedTokens", "http://vault/verifiedTokens"),
            ],
        ),
        ("/tokens", vec![("tokens:tokens", "http://vault/tokens")]),
        (
            "/verifiedTokens",
            vec![
                ("verifiedTokens:cardOnFile", "http://vault/verifiedTokens/cardOnFile"),
                ("verifiedTokens:oneTime", "http://vault/verifiedTokens/oneTime"),
            ],
        ),
    ] {
        let media = Account::dev(daemon).media();
        for headers in [vec![], vec![("Accept", "*/*")], vec![("Accept", media.as_str())]] {
            if place == "/verifiedTokens" && headers == [("Accept", media.as_str())] {
                continue;
            }
            let reply = request(daemon, "GET", place, &headers, "");
            reply.is(200);
            for (rel, href) in &rels {
                assert_eq!(reply.link(rel), *href, "{place}");
            }
            if let Some(href) = reply.body["_links"]["resourceTree"]["href"].as_str() {
                request(daemon, "GET", href, &[], "").is(200);
            }
            let curies = reply.body["_links"]["curies"].as_array();
            for curie in curies.into_iter().flatten() {
                assert!(
                    curie["href"].as_str().unwrap().starts_with("http://vault/rels/"),
                    "{}",
                    reply.text
                );
                assert!(
                    curie["name"].is_string() && curie["templated"] == true,
                    "{}",
                    reply.text
                );
            }
        }
    }
    // with credentials, even with those that do nothing else
    Account::dev(daemon).get("/").is(200);
    Account::dev(daemon).get("/tokens").is(200);
}

/// Links lead to where clients find the vault, not to what they happened to call it.
pub(crate) fn outside_address(daemon: &mut Daemon) {
    let (body, name) = (full(&card_number()), fresh("shopper-"));
    let made = Account::dev(daemon).made(&body);
    daemon.stop();
    daemon.configure("worldpay.base_url = \"https://vault.example.com\"");
    daemon.up();
    let account = Account::dev(daemon);
    let again = account.create(&body);
    again.is(200);
    let base = "https://vault.example.com/";
    assert_eq!(again.href(), made.href().replace("http://vault/", base));
    assert_eq!(again.header("Location"), Some(again.href().as_str()));
    let conflict = account.create(&with(body, HOLDER, json!("Mycroft")));
    let within = account.made(&with(bare(&card_number()), "/namespace", json!(name)));
    let listed = account.get(&format!("/tokens?namespace={name}"));
    for reply in [
        &again,
        &conflict,
        &within,
        &listed,
        &request(daemon, "GET", "/", &[], ""),
    ] {
        assert!(!reply.text.contains("http://"), "{}", reply.text);
        assert!(reply.text.contains(base), "{}", reply.text);
    }
    account.get(&again.href()).is(200);
    let provision = json!({"paymentInstrument": {"type": "card/tokenized", "href": again.href()}, "merchant": {"entity": "default"}});
    account.call("POST", "/tokens/network", &provision).is(200);
}
