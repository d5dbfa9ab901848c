//! Card numbers in the clear: for credentials of their own, which do nothing else, and never unseen.

use serde_json::{Value, json};

use super::bodies::{ATTRIBUTES, HOLDER, NUMBER, TYPE, VISA, bare, card_number, fresh, full, with, without};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

/// How many cards the audit trail says that this dialect showed.
pub(crate) fn revealed(daemon: &Daemon) -> u64 {
    let tail = daemon.run(&["audit", "tail", "--lines", "5000"], 0);
    let events = tail
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone());
    events
        .filter(|event| event["action"] == "reveal" && event["outcome"] == "ok" && event["dialect"] == "worldpay")
        .map(|event| event["count"].as_u64().unwrap_or(1))
        .sum()
}

/// The body as it is with its number in the clear.
fn shown(masked: &Reply, number: &str) -> Value {
    with(
        with(masked.body.clone(), NUMBER, json!(number)),
        TYPE,
        json!("card/front"),
    )
}

pub(crate) fn by_link(daemon: &Daemon) {
    let (account, detokenizer) = (Account::dev(daemon), Account::detokenizer(daemon));
    let number = card_number();
    let made = account.made(&full(&number));
    let before = revealed(daemon);
    for version in [1, 2, 3] {
        let masked = account.version(version).get(&made.href());
        let reply = detokenizer.version(version).detokenize(&made.href());
        reply.is(200);
        assert_eq!(reply.body, shown(&masked, &number));
        assert_eq!(reply.names("/paymentInstrument"), masked.names("/paymentInstrument"));
        let kind = reply.header("Content-Type").unwrap();
        assert!(kind.starts_with(&account.version(version).media()), "{kind}");
    }
    assert_eq!(revealed(daemon), before + 3);
    let media = account.media();
    for accept in [format!("{media};masked=false"), format!("{media} ; masked=false")] {
        let reply = detokenizer.with("GET", &made.href(), &[("Accept", &accept)], "");
        reply.is(200);
        assert_eq!(reply.at(NUMBER), &json!(number));
    }
    // every length
    for number in ["340000000001007", "4000000000000000006"] {
        let made = account.made(&bare(number));
        assert_eq!(detokenizer.detokenize(&made.href()).at(NUMBER), number);
    }
    assert_eq!(revealed(daemon), before + 7);
    let tail = daemon.run(&["audit", "tail", "--lines", "5000"], 0);
    assert!(!tail.contains(&number) && !tail.contains("340000000001007"));
}

pub(crate) fn by_query(daemon: &Daemon) {
    let (account, detokenizer) = (Account::dev(daemon), Account::detokenizer(daemon));
    let name = fresh("shopper-");
    let numbers: Vec<String> = (0..5).map(|_| card_number()).collect();
    let within = |number: &String| with(full(number), "/namespace", json!(name));
    let made: Vec<Reply> = numbers.iter().map(|number| account.made(&within(number))).collect();
    let alone = account.made(&full(&numbers[0]));
    let before = revealed(daemon);
    let listed = detokenizer.detokenize(&format!("/tokens?namespace={name}"));
    listed.is(200);
    let expected: Vec<Value> = made
        .iter()
        .zip(&numbers)
        .map(|(reply, number)| shown(reply, number))
        .collect();
    assert_eq!(listed.at("/_embedded/tokens"), &json!(expected));
    assert_eq!(revealed(daemon), before + 5, "each card that was shown");
    let id = |reply: &Reply| reply.at("/tokenId").as_str().unwrap().to_owned();
    let one = detokenizer.detokenize(&format!("/tokens?namespace={name}&tokenId={}", id(&made[2])));
    assert_eq!(one.at("/_embedded/tokens"), &json!([expected[2]]));
    let one = detokenizer.detokenize(&format!("/tokens?tokenId={}", id(&alone)));
    assert_eq!(one.at("/_embedded/tokens"), &json!([shown(&alone, &numbers[0])]));
    assert_eq!(revealed(daemon), before + 7);
    let none = detokenizer.detokenize(&format!("/tokens?namespace={}", fresh("none-")));
    none.is(200);
    assert_eq!(none.at("/_embedded/tokens"), &json!([]));
    assert_eq!(revealed(daemon), before + 7);
}

pub(crate) fn not_for_others(daemon: &Daemon) {
    let (account, detokenizer) = (Account::dev(daemon), Account::detokenizer(daemon));
    let (body, name) = (full(VISA), fresh("shopper-"));
    let made = account.made(&body);
    let within = account.made(&with(body.clone(), "/namespace", json!(name)));
    let conflict = account.create(&with(body.clone(), HOLDER, json!("Mycroft")));
    let before = revealed(daemon);
    let id = made.at("/tokenId").as_str().unwrap();
    let queries = [format!("/tokens?namespace={name}"), format!("/tokens?tokenId={id}")];
    for place in [&made.href(), &within.href(), &queries[0], &queries[1]] {
        for version in [1, 2, 3] {
            let refused = account.version(version).detokenize(place);
            refused.refused(403, "accessDenied");
            assert!(!refused.text.contains(VISA), "{}", refused.text);
        }
        detokenizer.get(place).refused(403, "accessDenied");
        detokenizer.with("GET", place, &[], "").refused(403, "accessDenied");
    }
    // these credentials do nothing else, whatever is accepted
    let (plain, clear) = (account.media(), format!("{}; masked=false", account.media()));
    let tokenless = json!({"paymentInstrument": body["paymentInstrument"], "merchant": {"entity": "default"}});
    for accept in [&plain, &clear] {
        let denied = |method: &str, place: &str, body: &Value| {
            let text = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let headers = [("Accept", accept.as_str()), ("Content-Type", plain.as_str())];
            let refused = detokenizer.with(method, place, &headers, &text);
            refused.refused(403, "accessDenied");
            assert!(!refused.text.contains(VISA), "{}", refused.text);
        };
        denied("POST", "/tokens", &body);
        denied("POST", "/tokens", &full(&card_number()));
        denied("POST", "/tokens/network", &tokenless);
        denied("POST", "/tokens/network/cryptograms", &json!({"tokenNumber": VISA}));
        denied("DELETE", &made.href(), &Value::Null);
        denied("PUT", &conflict.link("tokens:conflicts"), &Value::Null);
        for rel in ATTRIBUTES {
            denied("PUT", &made.link(rel), &json!("new"));
        }
    }
    let card = with(without(body, "/description"), TYPE, json!("card/plain"));
    let card = with(card, "/verificationCurrency", json!("GBP"));
    detokenizer.verified("cardOnFile", &card).refused(403, "accessDenied");
    assert_eq!(revealed(daemon), before, "nothing was shown");
    assert_eq!(account.get(&made.href()).body, made.body);

    // another merchant's
    let stranger = Account::added(daemon, &fresh("TESTwp"), true);
    let stranger = Account::credential(daemon, &stranger.merchant, &["--kind", "detokenize-password"]);
    stranger.detokenize(&made.href()).refused(404, "resourceNotFound");
    let listed = stranger.detokenize(&queries[0]);
    assert_eq!(listed.at("/_embedded/tokens"), &json!([]));
    stranger.detokenize(&queries[1]).refused(404, "resourceNotFound");
    assert_eq!(revealed(daemon), before, "nothing was shown");
    // and one made as an operator makes it
    let second = Account::credential(daemon, &account.merchant, &["--kind", "detokenize-password"]);
    assert_eq!(second.detokenize(&made.href()).at(NUMBER), VISA);
    second.get(&made.href()).refused(403, "accessDenied");
}
