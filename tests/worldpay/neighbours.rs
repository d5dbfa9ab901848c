//! What stands beside an account's tokens: a life that the request gave, other accounts and other dialects in the same
//! repository, and queries for what is not there.

use serde_json::{Value, json};

use super::bodies::{bare, card_number, fresh, full, with};
use super::gateway::Account;
use super::reveal::revealed;
use super::support::daemon::Daemon;

pub(crate) fn a_life_that_was_asked_for_is_not_renewed(daemon: &Daemon) {
    let live = Account::added(daemon, &fresh("wplive"), false);
    let detokenizer = Account::credential(daemon, &live.merchant, &["--kind", "detokenize-password"]);
    let end = json!("2030-01-02T03:04:05Z");
    let made = live.made(&with(bare(&card_number()), "/tokenExpiryDateTime", end.clone()));
    detokenizer.detokenize(&made.href()).is(200);
    assert_eq!(live.get(&made.href()).at("/tokenExpiryDateTime"), &end);
    let young = live.made(&bare(&card_number()));
    detokenizer.detokenize(&young.href()).is(200);
    let after = live.get(&young.href());
    assert_eq!(after.at("/tokenExpiryDateTime"), young.at("/tokenExpiryDateTime"));
}

pub(crate) fn a_query_in_the_wrong_namespace_shows_no_card(daemon: &Daemon) {
    let (account, detokenizer) = (Account::dev(daemon), Account::detokenizer(daemon));
    let made = account.made(&with(full(&card_number()), "/namespace", json!(fresh("n"))));
    let id = made.at("/tokenId").as_str().unwrap();
    let before = revealed(daemon);
    detokenizer
        .detokenize(&format!("/tokens?tokenId={id}"))
        .refused(404, "resourceNotFound");
    let other = format!("/tokens?tokenId={id}&namespace=other");
    detokenizer.detokenize(&other).refused(404, "resourceNotFound");
    assert_eq!(revealed(daemon), before, "none was opened");
    let long = format!("/tokens?namespace={}", "n".repeat(9_000));
    assert_eq!(account.get(&long).at("/_embedded/tokens"), &json!([]));
}

pub(crate) fn accounts_of_one_repository_have_their_own_namespaces(daemon: &Daemon) {
    let one = Account::added(daemon, &fresh("wpone"), false);
    let two = fresh("wptwo");
    let add = [
        "merchant",
        "add",
        &two,
        "--dialect",
        "worldpay",
        "--repository",
        &one.merchant,
    ];
    daemon.run(&add, 0);
    let two = Account::credential(daemon, &two, &[]);
    let name = fresh("shared-");
    let number = card_number();
    let within = with(full(&number), "/namespace", json!(name));
    let first = one.made(&within);
    assert_ne!(two.made(&within).href(), first.href());
    let listed = two.get(&format!("/tokens?namespace={name}"));
    assert_eq!(listed.at("/_embedded/tokens").as_array().unwrap().len(), 1);
    let text = listed.text;
    assert!(!text.contains(first.at("/tokenId").as_str().unwrap()), "{text}");
}

pub(crate) fn tokens_of_other_dialects_are_not_there(daemon: &Daemon) {
    let merchant = fresh("wpboth");
    let add = [
        "merchant",
        "add",
        &merchant,
        "--dialect",
        "worldpay",
        "--dialect",
        "native",
    ];
    daemon.run(&add, 0);
    let account = Account::credential(daemon, &merchant, &[]);
    let detokenizer = Account::credential(daemon, &merchant, &["--kind", "detokenize-password"]);
    let key = [
        "credential",
        "add",
        "--merchant",
        &merchant,
        "--dialect",
        "native",
        "--json",
    ];
    let key: Value = serde_json::from_str(&daemon.run(&key, 0)).unwrap();
    let bearer = format!("Bearer {}", key["secret"].as_str().unwrap());
    let native = |method: &str, path: &str, body: &Value| {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = daemon.raw(method, path, &headers, body.as_bytes()).unwrap();
        (
            answer.status,
            serde_json::from_str::<Value>(&answer.text()).unwrap_or(Value::Null),
        )
    };
    let card = json!({"card": {"number": card_number(), "expiry": {"month": 1, "year": 2035}}, "uses": "single"});
    let (status, made) = native("POST", "/v1/tokens", &card);
    assert_eq!(status, 201);
    let token = made["token"].as_str().unwrap();
    // the link that this dialect would make of it
    let raw = data_encoding::BASE32HEX_NOPAD
        .decode(token.trim_start_matches("tok_").to_uppercase().as_bytes())
        .unwrap();
    let link = |rel: u8| {
        let segment = data_encoding::BASE64URL_NOPAD.encode(&[&[rel], raw.as_slice()].concat());
        format!("/tokens/{segment}")
    };
    account.get(&link(0)).refused(404, "resourceNotFound");
    detokenizer.detokenize(&link(0)).refused(404, "resourceNotFound");
    account.put(&link(1), &json!("new")).refused(404, "resourceNotFound");
    account.delete(&link(0)).refused(404, "resourceNotFound");
    let (status, _) = native("POST", &format!("/v1/tokens/{token}/reveal"), &Value::Null);
    assert_eq!(status, 200, "it was not spent");

    // and what another dialect writes into this one's does not break it
    let shown = account.made(&full(&card_number()));
    let (_, found) = native(
        "POST",
        "/v1/tokens/search",
        &json!({"updated_since": shown.at("/tokenExpiryDateTime")}),
    );
    assert!(found["tokens"].as_array().is_some_and(Vec::is_empty), "{found}");
    let (_, found) = native("POST", "/v1/tokens/search", &json!({}));
    for row in found["tokens"].as_array().unwrap() {
        let path = format!("/v1/tokens/{}", row["token"].as_str().unwrap());
        let patch = json!({"profile": {"description": 1, "a\"b": "x", "billingAddress": "y"}});
        let (status, _) = native("PATCH", &path, &patch);
        assert!(matches!(status, 200 | 410 | 409), "{status}");
    }
    let after = account.get(&shown.href());
    after.is(200);
    assert_eq!(after.at("/description"), "Token");
    account.put(&shown.link("tokens:description"), &json!("again")).done();
    assert_eq!(account.get(&shown.href()).at("/description"), "again");
}

pub(crate) fn an_account_acts_where_no_rules_are(daemon: &Daemon) {
    let name = fresh("TESTwp");
    let add = [
        "merchant",
        "add",
        &name,
        "--dialect",
        "worldpay",
        "--repository",
        "RANDOM",
        "--test",
    ];
    let refused = daemon.try_run(&add);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("without rules"), "{said}");
}
