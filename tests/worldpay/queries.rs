//! Tokens found by their id and their namespace.

use serde_json::{Value, json};

use super::bodies::{HOLDER, VISA, bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

fn id(reply: &Reply) -> &str {
    reply.at("/tokenId").as_str().unwrap()
}

/// The tokens of a query.
#[track_caller]
fn found(reply: &Reply) -> Value {
    reply.is(200);
    assert!(reply.at("/_links").is_object());
    reply.at("/_embedded/tokens").clone()
}

pub(crate) fn by_id_and_namespace(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let (number, name) = (card_number(), fresh("shopper-"));
    let alone = account.made(&full(&number));
    let within = account.made(&with(full(&number), "/namespace", json!(name)));
    let second = account.made(&with(bare(&card_number()), "/namespace", json!(name)));
    let asked = |query: &str| account.get(&format!("/tokens?{query}"));

    assert_eq!(found(&asked(&format!("tokenId={}", id(&alone)))), json!([alone.body]));
    asked(&format!("tokenId={}", id(&within))).refused(404, "resourceNotFound");
    for query in [
        format!("tokenId={}&namespace={name}", id(&within)),
        format!("namespace={name}&tokenId={}", id(&within)),
    ] {
        assert_eq!(found(&asked(&query)), json!([within.body]));
    }
    asked(&format!("tokenId={}&namespace={name}", id(&alone))).refused(404, "resourceNotFound");
    asked(&format!("tokenId={}&namespace=other", id(&within))).refused(404, "resourceNotFound");
    let both = json!([within.body, second.body]);
    assert_eq!(found(&asked(&format!("namespace={name}"))), both);
    assert_eq!(found(&asked(&format!("namespace={}", name.to_uppercase()))), json!([]));
    for unknown in ["9900000000000000000", "x", "", VISA, "99"] {
        let refused = asked(&format!("tokenId={unknown}"));
        assert!((400..500).contains(&refused.status), "{}", refused.text);
        assert!(!refused.text.contains(VISA));
    }
    asked("tokenId=9900000000000000000").refused(404, "resourceNotFound");
}

/// All of a namespace, in the order in which they were made.
pub(crate) fn in_order(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let name = fresh("shopper-");
    let made: Vec<Reply> = (0..16)
        .map(|_| account.made(&with(full(&card_number()), "/namespace", json!(name))))
        .collect();
    let query = format!("/tokens?namespace={name}");
    let bodies = |replies: &[Reply]| -> Vec<Value> { replies.iter().map(|reply| reply.body.clone()).collect() };
    assert_eq!(found(&account.get(&query)), json!(bodies(&made)));
    // as the newer cartridge asks
    let headers = [
        ("Accept", "application/vnd.worldpay.tokens-v3.hal+json"),
        ("WP-Api-Version", "2024-06-01"),
    ];
    assert_eq!(found(&account.with("GET", &query, &headers, "")), json!(bodies(&made)));
    assert_eq!(account.get(&query).names("/_embedded/tokens/0"), made[0].names(""));
    for version in [1, 2] {
        let own = account.version(version);
        let listed = own.get(&query);
        assert_eq!(found(&listed)[3], own.get(&made[3].href()).body);
        assert_eq!(listed.header("Content-Type"), Some(own.media().as_str()));
    }
    // an update moves nothing, and what is gone is not shown
    account
        .put(&made[2].link("tokens:cardHolderName"), &json!("Mycroft"))
        .done();
    account.delete(&made[5].href()).done();
    let mut expected = bodies(&made);
    expected[2] = with(expected[2].clone(), HOLDER, json!("Mycroft"));
    expected.remove(5);
    assert_eq!(found(&account.get(&query)), json!(expected));
    let last = account.made(&with(full(&card_number()), "/namespace", json!(name)));
    expected.push(last.body);
    assert_eq!(found(&account.get(&query)), json!(expected));
}

pub(crate) fn namespaces_as_they_are_written(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for (written, encoded) in [
        ("kunde+é/1%2B", "kunde%2B%C3%A9%2F1%252B"),
        ("a=b?c#d", "a%3Db%3Fc%23d"),
    ] {
        let unique = fresh("n");
        let name = format!("{unique}{written}");
        let made = account.made(&with(bare(&card_number()), "/namespace", json!(name)));
        let reply = account.get(&format!("/tokens?namespace={unique}{encoded}"));
        assert_eq!(found(&reply), json!([made.body]), "{name}");
    }
}

pub(crate) fn nobody_elses(daemon: &Daemon) {
    let (one, two) = (Account::dev(daemon), Account::added(daemon, &fresh("TESTwp"), true));
    let name = fresh("shopper-");
    let alone = one.made(&full(&card_number()));
    let within = one.made(&with(full(&card_number()), "/namespace", json!(name)));
    two.get(&format!("/tokens?tokenId={}", id(&alone)))
        .refused(404, "resourceNotFound");
    two.get(&format!("/tokens?tokenId={}&namespace={name}", id(&within)))
        .refused(404, "resourceNotFound");
    assert_eq!(found(&two.get(&format!("/tokens?namespace={name}"))), json!([]));
    let own = two.made(&with(full(&card_number()), "/namespace", json!(name)));
    assert_eq!(found(&two.get(&format!("/tokens?namespace={name}"))), json!([own.body]));
    assert_eq!(
        found(&one.get(&format!("/tokens?namespace={name}"))),
        json!([within.body])
    );
}
