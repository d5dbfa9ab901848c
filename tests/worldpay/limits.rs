//! How much there may be of everything.

use serde_json::{Value, json};

use super::bodies::{HOLDER, bare, card_number, fresh, full, with};
use super::gateway::Account;
use super::support::daemon::Daemon;

pub(crate) fn sixteen_cards(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let name = fresh("full-");
    let within = |number: &str| with(bare(number), "/namespace", json!(name));
    let numbers: Vec<String> = (0..17).map(|_| card_number()).collect();
    let made: Vec<_> = numbers[..16]
        .iter()
        .map(|number| account.made(&within(number)))
        .collect();
    for version in [1, 2, 3] {
        let refused = account.version(version).create(&within(&numbers[16]));
        refused.refused(403, "tooManyTokensForNamespace");
        assert_eq!(refused.header("Location"), None);
    }
    // what is in it already is matched as ever
    let again = account.create(&within(&numbers[0]));
    again.is(200);
    assert_eq!(again.href(), made[0].href());
    let conflict = account.create(&with(within(&numbers[15]), HOLDER, json!("Mycroft")));
    conflict.is(409);
    account
        .call("PUT", &conflict.link("tokens:conflicts"), &Value::Null)
        .done();
    // elsewhere there is room for the same card, and without a namespace for any number
    account.made(&bare(&numbers[16]));
    account.made(&with(bare(&numbers[16]), "/namespace", json!(fresh("room-"))));
    account.delete(&made[7].href()).done();
    account.made(&within(&numbers[16]));
    account
        .create(&within(&numbers[7]))
        .refused(403, "tooManyTokensForNamespace");
    let listed = account.get(&format!("/tokens?namespace={name}"));
    assert_eq!(listed.at("/_embedded/tokens").as_array().unwrap().len(), 16);
    // a namespace is its account's own
    let other = Account::added(daemon, &fresh("TESTwp"), true);
    other.made(&within(&numbers[7]));
}

pub(crate) fn fifty_updates(daemon: &mut Daemon) {
    let body = full(&card_number());
    let made = Account::dev(daemon).made(&body);
    {
        let account = Account::dev(daemon);
        let links = [
            ("tokens:description", json!("new")),
            ("tokens:cardHolderName", json!("Mycroft")),
            ("tokens:cardExpiryDate", json!({"month": 1, "year": 2050})),
            ("tokens:schemeTransactionReference", json!("REF1")),
        ];
        // the same again counts as well
        for (link, value) in links.iter().cycle().take(24) {
            account.put(&made.link(link), value).done();
        }
        // a conflict is one, however much it changes
        for _ in 0..2 {
            let conflict = account.create(&body);
            conflict.is(409);
            account
                .call("PUT", &conflict.link("tokens:conflicts"), &Value::Null)
                .done();
            account
                .put(&made.link("tokens:cardHolderName"), &json!("Mycroft"))
                .done();
        }
        for at in 28..49 {
            account
                .put(&made.link("tokens:description"), &json!(format!("new {at}")))
                .done();
        }
    }
    daemon.stop();
    daemon.up();
    let account = Account::dev(daemon);
    let conflict = account.create(&body).link("tokens:conflicts");
    account
        .put(&made.link("tokens:description"), &json!("the fiftieth"))
        .done();
    for (link, value) in [
        (made.link("tokens:description"), json!("one more")),
        (made.link("tokens:cardHolderName"), json!("one more")),
        (made.link("tokens:cardExpiryDate"), json!({"month": 1, "year": 2051})),
        (made.link("tokens:billingAddress"), super::bodies::address()),
        (made.link("tokens:schemeTransactionReference"), json!("REF3")),
        (conflict.clone(), Value::Null),
    ] {
        account
            .call("PUT", &link, &value)
            .refused(429, "maximumUpdatesExceeded");
    }
    let kept = account.get(&made.href());
    assert_eq!(kept.at("/description"), "the fiftieth");
    assert_eq!(kept.at("/paymentInstrument/cardHolderName"), "Mycroft");
    account.get(&conflict).is(200);
    account.create(&body).is(409);
    // another token has its own fifty
    let other = account.made(&full(&card_number()));
    account.put(&other.link("tokens:description"), &json!("new")).done();
    account.delete(&made.href()).done();
    let again = account.made(&body);
    account.put(&again.link("tokens:description"), &json!("new")).done();
}

pub(crate) fn bodies_of_64_kib(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let media = account.media();
    let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
    let sized = |length: usize| {
        let empty = with(bare(&card_number()), "/padding", json!("")).to_string().len();
        with(bare(&card_number()), "/padding", json!("x".repeat(length - empty))).to_string()
    };
    account.with("POST", "/tokens", &headers, &sized(64 << 10)).is(201);
    for length in [(64 << 10) + 1, 70_000, 1 << 20] {
        account
            .with("POST", "/tokens", &headers, &sized(length))
            .refused(413, "bodyDoesNotMatchSchema");
    }
    let made = account.made(&bare(&card_number()));
    account
        .put(&made.link("tokens:description"), &json!("x".repeat(70_000)))
        .refused(413, "bodyDoesNotMatchSchema");
    account
        .verified("cardOnFile", &json!({"padding": "x".repeat(70_000)}))
        .refused(413, "bodyDoesNotMatchSchema");
}
