//! What a card is held against: the tokens of its account and namespace that are there.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bodies::{bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

fn within(number: &str, namespace: &str) -> serde_json::Value {
    with(bare(number), "/namespace", json!(namespace))
}

pub(crate) fn namespaces(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let (number, name) = (card_number(), fresh("Shopper-"));
    let mut made = vec![account.made(&bare(&number))];
    for namespace in [&name, &name.to_lowercase(), &format!("{name}/a.1:é")] {
        let own = account.made(&within(&number, namespace));
        assert_eq!(own.at("/namespace"), namespace);
        made.push(own);
    }
    for (at, one) in made.iter().enumerate() {
        for other in &made[at + 1..] {
            assert_ne!(one.href(), other.href());
            assert_ne!(one.at("/tokenId"), other.at("/tokenId"));
        }
    }
    // each is matched by itself, and changed by itself
    let again = account.create(&within(&number, &name));
    again.is(200);
    assert_eq!(again.href(), made[1].href());
    account
        .put(&made[1].link("tokens:cardHolderName"), &json!("Mycroft"))
        .done();
    account.create(&within(&number, &name)).is(409);
    account.create(&bare(&number)).is(200);
    // a token's own link removes it from its namespace only
    account.delete(&made[1].href()).done();
    account.get(&made[1].href()).refused(404, "resourceNotFound");
    for other in [&made[0], &made[2], &made[3]] {
        assert_eq!(account.get(&other.href()).body, other.body);
    }
}

pub(crate) fn accounts(daemon: &Daemon) {
    let (one, two) = (Account::dev(daemon), Account::added(daemon, &fresh("TESTwp"), true));
    let body = full(&card_number());
    let own = one.made(&body);
    let others = two.made(&body);
    assert_ne!(own.href(), others.href());
    assert_ne!(own.at("/tokenId"), others.at("/tokenId"));
    let conflict = one.create(&with(
        body.clone(),
        "/paymentInstrument/cardHolderName",
        json!("Mycroft"),
    ));
    conflict.is(409);
    // nobody's link is another account's
    for link in [own.href(), conflict.link("tokens:conflicts")] {
        two.get(&link).refused(404, "resourceNotFound");
    }
    two.delete(&own.href()).refused(404, "resourceNotFound");
    two.call("PUT", &conflict.link("tokens:conflicts"), &serde_json::Value::Null)
        .refused(404, "resourceNotFound");
    two.put(&own.link("tokens:description"), &json!("mine"))
        .refused(404, "resourceNotFound");
    assert_eq!(one.get(&own.href()).body, own.body);
    // two credentials of one merchant are one account
    let second = Account::credential(daemon, &two.merchant, &[]);
    assert_eq!(second.create(&body).href(), others.href());
}

pub(crate) fn deleted(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = full(&card_number());
    let first = account.made(&body);
    let other = with(body, "/paymentInstrument/cardHolderName", json!("Mycroft"));
    let conflict = account.create(&other).link("tokens:conflicts");
    account.delete(&first.href()).done();
    gone(&account, &first, &conflict);
    // as if it had never been: what differed is stored now
    let second = account.made(&other);
    assert_ne!(second.href(), first.href());
    assert_ne!(second.at("/tokenId"), first.at("/tokenId"));
    assert_eq!(second.at("/paymentInstrument/cardHolderName"), "Mycroft");
    gone(&account, &first, &conflict);
}

pub(crate) fn expired(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let name = fresh("expiring-");
    for _ in 0..15 {
        account.made(&within(&card_number(), &name));
    }
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let number = card_number();
    let body = with(within(&number, &name), "/tokenExpiryDateTime", json!(end));
    let first = account.made(&body);
    assert_eq!(first.at("/tokenExpiryDateTime"), &json!(end));
    let other = with(
        within(&number, &name),
        "/paymentInstrument/cardHolderName",
        json!("Mycroft"),
    );
    let conflict = account.create(&other).link("tokens:conflicts");
    account
        .create(&within(&card_number(), &name))
        .refused(403, "tooManyTokensForNamespace");
    let until = Instant::now() + Duration::from_secs(10);
    while account.get(&first.href()).status != 404 {
        assert!(Instant::now() < until, "it is still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    gone(&account, &first, &conflict);
    let listed = account.get(&format!("/tokens?namespace={name}"));
    assert_eq!(listed.at("/_embedded/tokens").as_array().unwrap().len(), 15);
    account
        .get(&format!(
            "/tokens?namespace={name}&tokenId={}",
            first.at("/tokenId").as_str().unwrap()
        ))
        .refused(404, "resourceNotFound");
    // it no longer counts
    let second = account.made(&other);
    assert_ne!(second.href(), first.href());
    account
        .create(&within(&card_number(), &name))
        .refused(403, "tooManyTokensForNamespace");
}

/// Every link of a token answers that it is not there.
fn gone(account: &Account<'_>, token: &Reply, conflict: &str) {
    account.get(&token.href()).refused(404, "resourceNotFound");
    account.delete(&token.href()).refused(404, "resourceNotFound");
    for (link, body) in [
        (token.link("tokens:description"), json!("new")),
        (token.link("tokens:cardHolderName"), json!("new")),
        (token.link("tokens:cardExpiryDate"), json!({"month": 1, "year": 2050})),
        (token.link("tokens:schemeTransactionReference"), json!("NEW")),
        (token.link("tokens:billingAddress"), super::bodies::address()),
        (conflict.to_owned(), serde_json::Value::Null),
    ] {
        account.call("PUT", &link, &body).refused(404, "resourceNotFound");
    }
    account.get(conflict).refused(404, "resourceNotFound");
}
