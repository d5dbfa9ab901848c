//! Finding tokens.

use std::collections::BTreeSet;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::gateway::{AMEX, MONTH, NUMBER, SOURCE, Shop, Wire, YEAR, card};
use super::jwe;
use super::support::daemon::Daemon;
use super::support::http;
use super::tokens::fresh;

const EXPIRY: &str = "sourceOfFunds.provided.card.expiry";

pub(crate) fn conditions(daemon: &Daemon, wire: Wire) {
    let shop = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "MERCHANT_PROVIDED");
    // numbers and years that no other scenario has in this repository
    let (discover, jcb) = ("6011003179988686", "3528000000000007");
    // the vault's times have milliseconds: what is made in this one must be later than `before`
    std::thread::sleep(std::time::Duration::from_millis(5));
    let before = (jiff::Timestamp::now() - jiff::SignedDuration::from_millis(2)).to_string();
    let name = |number: &str, month: &str, year: &str| {
        let name = fresh("found");
        let fields = [card(number, month, year), vec![("token", name.as_str())]].concat();
        shop.call("TOKENIZE", &fields).succeeded(201);
        name
    };
    let a = name(discover, "1", "81");
    let b = name(discover, "12", "80");
    let c = name(jcb, "2", "81");
    let eq = |field: &str, value: &str| json!({"EQ": [field, value]});
    let since = json!({"GT": ["usage.lastUpdated", before]});
    let by = |expiry: &str| json!({"LE": [EXPIRY, expiry]});
    for (query, expected) in [
        (eq("token", &a), vec![&a]),
        (eq("token", "thereIsNone"), vec![]),
        (eq(NUMBER, discover), vec![&a, &b]),
        (eq(EXPIRY, "0281"), vec![&c]),
        (json!({"AND": [since, by("1280")]}), vec![&b]),
        (json!({"AND": [since, by("0181")]}), vec![&a, &b]),
        (json!({"AND": [eq(NUMBER, discover), eq(EXPIRY, "0181")]}), vec![&a]),
        (json!({"OR": [eq("token", &c), eq(EXPIRY, "1280")]}), vec![&b, &c]),
        (
            json!({"AND": [json!({"OR": [eq("token", &a), eq("token", &c)]}), by("0181")]}),
            vec![&a],
        ),
        (since, vec![&a, &b, &c]),
    ] {
        let found: BTreeSet<_> = shop.search(&query.to_string(), 2).0.into_iter().collect();
        assert_eq!(found, expected.into_iter().cloned().collect(), "{query}");
    }

    let page = shop.call("SEARCH_TOKENS", &[("query", &eq("token", &a).to_string())]);
    page.has(&[
        ("page.token[0].repositoryId", &shop.repository),
        ("page.token[0].status", "VALID"),
        ("page.token[0].verificationStrategy", "BASIC"),
        ("page.token[0].sourceOfFunds.type", "CARD"),
        ("page.token[0].sourceOfFunds.provided.card.number", "601100xxxxxx8686"),
        ("page.token[0].sourceOfFunds.provided.card.expiry", "0181"),
        ("page.token[0].sourceOfFunds.provided.card.brand", "DISCOVER"),
        ("page.token[0].usage.lastUpdated.merchantId", &shop.merchant),
    ]);
    for absent in [
        "nextPage",
        "page.token[0].response.gatewayCode",
        "page.token[0].result",
        "page.token[1].token",
    ] {
        assert_eq!(page.get(absent), None, "{}", page.text);
    }

    for bad in [
        "EQ",
        "{}",
        "[]",
        r#"{"EQ":["token"]}"#,
        r#"{"GT":["token","1"]}"#,
        r#"{"LT":["usage.lastUpdated","2014-10-31T03:11:53Z"]}"#,
        r#"{"GT":["usage.lastUpdated","yesterday"]}"#,
        r#"{"EQ":["sourceOfFunds.provided.card.expiry","1317"]}"#,
        r#"{"EQ":["sourceOfFunds.provided.card.number","6011003179988687"]}"#,
        r#"{"EQ":["sourceOfFunds.provided.giftCard.number","6011003179988686"]}"#,
    ] {
        let refused = shop.call("SEARCH_TOKENS", &[("query", bad)]);
        refused.refused("query", "INVALID");
        assert!(!refused.text.contains("60110031"), "{}", refused.text);
    }
    for token in [a, b, c] {
        shop.call("DELETE_TOKEN", &[("token", &token)]).succeeded(200);
    }
}

pub(crate) fn pages(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    // a token of the same millisecond is none that is newer
    let before = (jiff::Timestamp::now() - jiff::SignedDuration::from_millis(2)).to_string();
    let made: Vec<String> = (0..20).map(|_| shop.token(AMEX, "3", "40")).collect();
    let queries = [
        json!({"EQ": [EXPIRY, "0340"]}),
        json!({"EQ": [NUMBER, AMEX]}),
        json!({"GT": ["usage.lastUpdated", before]}),
        json!({"AND": [json!({"LE": [EXPIRY, "0340"]}), json!({"EQ": [NUMBER, AMEX]})]}),
    ];
    let mut alive: BTreeSet<String> = made.iter().cloned().collect();
    for (round, query) in queries.iter().enumerate() {
        let mut page = shop.call("SEARCH_TOKENS", &[("query", &query.to_string()), ("limit", "4")]);
        let mut seen: Vec<String> = page.page().into_iter().filter(|token| alive.contains(token)).collect();
        assert!(page.page().len() <= 4);
        // one that was seen goes, one that was not goes, and one more comes
        let unseen = alive.iter().find(|token| !seen.contains(token)).unwrap().clone();
        for gone in [seen.first().cloned(), Some(unseen)].into_iter().flatten() {
            shop.call("DELETE_TOKEN", &[("token", &gone)]).succeeded(200);
            alive.remove(&gone);
        }
        let newcomer = shop.token(AMEX, "3", "40");
        let mut turns = 0;
        while let Some(next) = page.get("nextPage").map(str::to_owned) {
            page = shop.call("SEARCH_TOKENS", &[("nextPage", &next)]);
            page.succeeded(200);
            assert!(page.page().len() <= 4);
            seen.extend(page.page());
            turns += 1;
            assert!(turns < 100, "pages without end");
        }
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "round {round}: a token twice: {seen:?}");
        for token in &alive {
            assert!(once.contains(token), "round {round}: {token} was not found: {query}");
        }
        alive.insert(newcomer);
    }

    // a page belongs to who asked for it
    let first = shop.call("SEARCH_TOKENS", &[("query", &queries[0].to_string()), ("limit", "4")]);
    let next = [("nextPage", first.at("nextPage"))];
    let other = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
    other.call("SEARCH_TOKENS", &next).refused("nextPage", "INVALID");
    // an update in between moves nothing twice
    let token = alive.first().unwrap().as_str();
    let touch = [("token", token), (SOURCE, token), (MONTH, "3"), (YEAR, "40")];
    shop.call("TOKENIZE", &touch).succeeded(201);
    shop.call("SEARCH_TOKENS", &next).succeeded(200);
}

pub(crate) fn encrypted(daemon: &Daemon, wire: Wire) {
    let keys = http::request(&daemon.api(), "GET", "/api/keys", &[], b"").unwrap();
    assert_eq!(keys.status, 200);
    let key = keys.json()["keys"][0].clone();
    assert_eq!(
        (&key["kty"], &key["alg"], &key["use"]),
        (&json!("RSA"), &json!("RSA-OAEP-256"), &json!("enc"))
    );
    let part = |name: &str| BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes()).unwrap();
    let (n, e) = (part("n"), part("e"));
    let header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": key["kid"]}).to_string();

    let number = "36259600000012";
    let shop = Shop::random(daemon, wire);
    let token = shop.token(number, "5", "31");
    let find = |compact: &str| json!({"EQ": [NUMBER, compact]}).to_string();
    let sealed = jwe::compact(&n, &e, &header, number.as_bytes());
    assert!(shop.search(&find(&sealed), 100).0.contains(&token));
    // an altered tag, another number that is none, another algorithm
    let mut torn = sealed.clone();
    torn.replace_range(
        sealed.len() - 4..,
        if sealed.ends_with("AAAA") { "BBBB" } else { "AAAA" },
    );
    let no_number = jwe::compact(&n, &e, &header, b"36259600000013");
    let other = jwe::compact(&n, &e, &header.replace("A256GCM", "A128GCM"), number.as_bytes());
    for bad in [torn, no_number, other, "a.b.c.d.e".to_owned()] {
        shop.call("SEARCH_TOKENS", &[("query", &find(&bad))])
            .refused("query", "INVALID");
    }
}
