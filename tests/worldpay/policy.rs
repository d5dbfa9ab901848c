//! What the policy of the machine grants its users, on top of the credentials.

use serde_json::{Value, json};

use super::bodies::{ATTRIBUTES, HOLDER, VISA, bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

const OPERATIONS: [&str; 9] = [
    "delete",
    "export",
    "inspect",
    "pay",
    "reveal",
    "search",
    "search-by-pan",
    "tokenize",
    "update",
];

/// Starts the daemon again with a policy that grants this user these things alone.
fn restrict(daemon: &mut Daemon, dialect: &str, operations: &[&str]) {
    daemon.stop();
    let uid = nix::unistd::getuid().as_raw();
    let policy = format!(
        "version = 1\n[[grant]]\nname = \"some\"\nuid = {uid}\ndialects = [\"{dialect}\"]\nrepositories = [\"*\"]\n\
         operations = {operations:?}\n"
    );
    std::fs::write(daemon.dir().join("strict.toml"), policy).unwrap();
    let file = daemon.dir().join("panvault.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        config.replace("policy = \"policy.toml\"", "policy = \"strict.toml\""),
    )
    .unwrap();
    daemon.up();
}

fn but<'a>(left_out: &[&str]) -> Vec<&'a str> {
    OPERATIONS
        .into_iter()
        .filter(|operation| !left_out.contains(operation))
        .collect()
}

#[track_caller]
fn denied(reply: &Reply) {
    reply.refused(403, "accessDenied");
    assert!(!reply.text.contains(VISA), "{}", reply.text);
}

pub(crate) fn denies(daemon: &mut Daemon) {
    let name = fresh("shopper-");
    let body = with(full(VISA), "/namespace", json!(name));
    let other = with(body.clone(), HOLDER, json!("Mycroft"));
    let account = Account::dev(daemon);
    let made = account.made(&body);
    let conflict = account.create(&other).link("tokens:conflicts");
    let query = format!("/tokens?namespace={name}");

    restrict(daemon, "worldpay", &but(&["update"]));
    let account = Account::dev(daemon);
    for rel in ATTRIBUTES {
        let value = match rel {
            "tokens:cardExpiryDate" => json!({"month": 1, "year": 2050}),
            "tokens:billingAddress" => super::bodies::address(),
            _ => json!("new"),
        };
        denied(&account.put(&made.link(rel), &value));
    }
    denied(&account.call("PUT", &conflict, &Value::Null));
    assert_eq!(account.get(&made.href()).body, made.body);
    account.create(&body).is(200);
    account.create(&other).is(409);
    account.made(&full(&card_number()));

    restrict(daemon, "worldpay", &but(&["delete"]));
    let account = Account::dev(daemon);
    denied(&account.delete(&made.href()));
    account.get(&made.href()).is(200);
    account.put(&made.link("tokens:description"), &json!("new")).done();

    restrict(daemon, "worldpay", &but(&["reveal"]));
    let detokenizer = Account::detokenizer(daemon);
    denied(&detokenizer.detokenize(&made.href()));
    denied(&detokenizer.detokenize(&query));
    Account::dev(daemon).get(&query).is(200);

    restrict(daemon, "worldpay", &but(&["tokenize"]));
    let account = Account::dev(daemon);
    denied(&account.create(&bare(&card_number())));
    denied(&account.create(&body));
    account.get(&made.href()).is(200);

    restrict(daemon, "worldpay", &but(&["inspect", "search"]));
    let account = Account::dev(daemon);
    denied(&account.get(&made.href()));
    denied(&account.get(&query));

    restrict(daemon, "native", &OPERATIONS);
    let account = Account::dev(daemon);
    denied(&account.get(&made.href()));
    denied(&account.get(&query));
    denied(&account.create(&body));
    denied(&account.delete(&made.href()));
    denied(&Account::detokenizer(daemon).detokenize(&made.href()));

    restrict(daemon, "worldpay", &OPERATIONS);
    let account = Account::dev(daemon);
    account.call("PUT", &conflict, &Value::Null).done();
    account.delete(&made.href()).done();
    daemon.run(&["audit", "verify"], 0);
}
