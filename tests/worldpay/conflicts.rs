//! Conflicts: looked at, taken over, and gone.

use serde_json::{Value, json};

use super::bodies::{ADDRESS, EXPIRY, HOLDER, REFERENCE, address, bare, card_number, full, with, without};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

const LINK: &str = "tokens:conflicts";

#[track_caller]
fn conflicting(account: &Account<'_>, body: &Value) -> Reply {
    let reply = account.create(body);
    reply.is(409);
    reply
}

pub(crate) fn taken_over(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = full(&card_number());
    let made = account.made(&body);
    let other =
        json!({"address1": "1 Test Street", "postalCode": "TE12 34ST", "city": "Testville", "countryCode": "TS"});
    let changed = with(
        with(body.clone(), HOLDER, json!("Mycroft")),
        EXPIRY,
        json!({"month": 1, "year": 2040}),
    );
    let changed = with(changed, ADDRESS, other.clone());
    let conflict = conflicting(&account, &changed);
    let link = conflict.link(LINK);
    for _ in 0..2 {
        let shown = account.get(&link);
        shown.is(200);
        assert_eq!(shown.text, conflict.text, "the answer's own text");
    }
    // looking at it changes nothing
    assert_eq!(account.get(&made.href()).body, made.body);
    account.call("PUT", &link, &Value::Null).done();
    for method in ["GET", "PUT"] {
        account
            .call(method, &link, &Value::Null)
            .refused(404, "resourceNotFound");
    }
    let after = account.get(&made.href());
    assert_eq!(after.at(HOLDER), "Mycroft");
    assert_eq!(after.at(EXPIRY), &json!({"month": 1, "year": 2040}));
    assert_eq!(
        after.at(ADDRESS),
        &other,
        "all of the address, with nothing of the old one"
    );
    let changes: [&str; 3] = [HOLDER, EXPIRY, ADDRESS];
    let less = |reply: &Reply| {
        changes
            .iter()
            .fold(reply.body.clone(), |body, name| without(body, name))
    };
    assert_eq!(less(&after), less(&made), "and nothing else");
    account.create(&changed).is(200);
    conflicting(&account, &body);
}

pub(crate) fn each_its_own(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = with(full(&card_number()), REFERENCE, json!("REF1"));
    let made = account.made(&body);
    let named = with(body.clone(), HOLDER, json!("Mycroft"));
    let dated = with(body.clone(), EXPIRY, json!({"month": 1, "year": 2040}));
    let referred = with(body, REFERENCE, json!("REF2"));
    let conflicts = [&named, &named, &dated, &referred].map(|request| conflicting(&account, request));
    let links = conflicts.each_ref().map(|conflict| conflict.link(LINK));
    for (at, link) in links.iter().enumerate() {
        assert!(!links[at + 1..].contains(link), "one link for two conflicts");
        assert_eq!(account.get(link).body, conflicts[at].body);
    }
    account.call("PUT", &links[2], &Value::Null).done();
    account.get(&links[2]).refused(404, "resourceNotFound");
    for link in [&links[0], &links[1], &links[3]] {
        let shown = account.get(link);
        shown.is(200);
        assert_eq!(
            shown.at(EXPIRY),
            &json!({"month": 1, "year": 2040}),
            "the token as it is now"
        );
    }
    account.call("PUT", &links[3], &Value::Null).done();
    account.call("PUT", &links[1], &Value::Null).done();
    // what is no difference any more can still be taken over
    account.call("PUT", &links[0], &Value::Null).done();
    let after = account.get(&made.href());
    assert_eq!(
        (after.at(HOLDER), after.at(REFERENCE)),
        (&json!("Mycroft"), &json!("REF2"))
    );
    assert_eq!(after.at(EXPIRY), &json!({"month": 1, "year": 2040}));
}

/// As the Magento extension does it: member by member, without an Accept, with whatever Content-Type it used before.
pub(crate) fn member_by_member(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = bare(&card_number());
    let made = account.made(&body);
    let changed = with(
        with(body, HOLDER, json!("Mycroft")),
        EXPIRY,
        json!({"month": 1, "year": 2040}),
    );
    let changed = with(changed, ADDRESS, address());
    let conflict = conflicting(&account, &changed);
    let odd = [("Content-Type", "application/vnd.worldpay.verified-tokens-v3.hal+json")];
    let shown = account.with("GET", &conflict.link(LINK), &odd, "");
    shown.is(200);
    assert_eq!(
        shown.header("Content-Type"),
        Some("application/vnd.worldpay.tokens-v3.hal+json")
    );
    let media = account.media();
    for (rel, name) in [
        ("tokens:cardHolderName", "cardHolderName"),
        ("tokens:cardExpiryDate", "cardExpiryDate"),
        ("tokens:billingAddress", "billingAddress"),
    ] {
        let value = shown.at(&format!("/conflicts/paymentInstrument/{name}")).to_string();
        account
            .with("PUT", &shown.link(rel), &[("Content-Type", &media)], &value)
            .done();
    }
    account.create(&changed).is(200);
    // the conflict itself is still there, and a PUT of it needs no header at all
    account.with("PUT", &conflict.link(LINK), &[], "").done();
    assert_eq!(account.get(&made.href()).at(HOLDER), "Mycroft");
}

/// A conflict made in one version and taken over in another.
pub(crate) fn across_versions(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let (one, two) = (account.version(1), account.version(2));
    let body = without(full(&card_number()), "/merchant");
    let made = one.made(&body);
    let conflict = conflicting(&one, &with(body, HOLDER, json!("Mycroft")));
    let shown = two.get(&conflict.link(LINK));
    shown.is(200);
    assert_eq!(shown.body["conflicts"], conflict.body["conflicts"]);
    assert!(shown.at("/paymentInstrument").get("bin").is_some());
    two.call("PUT", &conflict.link(LINK), &Value::Null).done();
    assert_eq!(account.get(&made.href()).at(HOLDER), "Mycroft");
}

/// What was made before the daemon stopped is there afterwards, however it stopped.
pub(crate) fn outlive_the_daemon(daemon: &mut Daemon) {
    let body = full(&card_number());
    let made = Account::dev(daemon).made(&body);
    let other = with(body.clone(), HOLDER, json!("Mycroft"));
    let conflicts = [0, 1].map(|_| conflicting(&Account::dev(daemon), &other));
    let used = conflicting(&Account::dev(daemon), &other).link(LINK);
    let gone = Account::dev(daemon).made(&full(&card_number()));
    Account::dev(daemon).delete(&gone.href()).done();
    for (at, conflict) in conflicts.iter().enumerate() {
        match at {
            0 => daemon.stop(),
            _ => daemon.kill(),
        }
        daemon.up();
        let account = Account::dev(daemon);
        if at == 0 {
            assert_eq!(account.get(&made.href()).text, made.text);
            account.create(&body).is(200);
        }
        account.get(&gone.href()).refused(404, "resourceNotFound");
        let shown = account.get(&conflict.link(LINK));
        shown.is(200);
        assert_eq!(shown.body["conflicts"], conflict.body["conflicts"]);
        account.call("PUT", &conflict.link(LINK), &Value::Null).done();
        assert_eq!(account.get(&made.href()).at(HOLDER), "Mycroft");
    }
    let account = Account::dev(daemon);
    account.call("PUT", &used, &Value::Null).done();
    account
        .call("PUT", &used, &Value::Null)
        .refused(404, "resourceNotFound");
    daemon.run(&["audit", "verify"], 0);
}
