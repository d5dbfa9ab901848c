//! Merchants, the repositories that they share, and their passwords.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::gateway::{MASTERCARD, NUMBER, SOURCE, Shop, VISA, Wire, card, encode, request};
use super::support::daemon::Daemon;
use super::tokens::fresh;

fn json(daemon: &Daemon, command: &[&str]) -> Value {
    serde_json::from_str(&daemon.run(&[command, &["--json"]].concat(), 0)).unwrap()
}

fn repository(daemon: &Daemon, management: &str, generation: &str) -> String {
    let name = fresh("SHARED");
    let rules = [
        "--management",
        management,
        "--generation",
        generation,
        "--verification",
        "BASIC",
    ];
    daemon.run(&[&["repository", "add", &name][..], &rules].concat(), 0);
    name
}

fn password(daemon: &Daemon, merchant: &str) -> (String, String) {
    let made = json(
        daemon,
        &["credential", "add", "--merchant", merchant, "--dialect", "mastercard"],
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["id"]), text(&made["secret"]))
}

fn merchant<'d>(daemon: &'d Daemon, wire: Wire, repository: &str, test: bool) -> Shop<'d> {
    let id = fresh(if test { "TESTM" } else { "M" });
    let mut add = vec![
        "merchant",
        "add",
        &id,
        "--dialect",
        "mastercard",
        "--repository",
        repository,
    ];
    if test {
        add.push("--test");
    }
    let made = json(daemon, &add);
    Shop {
        daemon,
        wire,
        version: 70,
        password: password(daemon, &id).1,
        merchant: id,
        repository: made["repository"].as_str().unwrap().to_owned(),
    }
}

pub(crate) fn shared(daemon: &Daemon, wire: Wire) {
    let name = repository(daemon, "UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN");
    let (one, two) = (merchant(daemon, wire, &name, true), merchant(daemon, wire, &name, true));
    let live = merchant(daemon, wire, &name, false);
    let elsewhere = repository(daemon, "UNIQUE_TOKEN", "RANDOM_WITH_LUHN");
    let stranger = merchant(daemon, wire, &elsewhere, true);
    assert_eq!((&one.repository, &live.repository), (&format!("TEST{name}"), &name));

    let token = one.token(MASTERCARD, "5", "31");
    assert_eq!(two.token(MASTERCARD, "5", "31"), token, "one account, whoever asks");
    let ask = [("token", token.as_str())];
    let by = |shop: &Shop<'_>| {
        let shown = one.call("RETRIEVE_TOKEN", &ask);
        shown.has(&[("result", "SUCCESS"), ("usage.lastUpdated.merchantId", &shop.merchant)]);
    };
    // the same card again changes nothing
    by(&one);
    assert_eq!(two.token(MASTERCARD, "6", "31"), token);
    by(&two);
    let update = [
        ("token", token.as_str()),
        (SOURCE, token.as_str()),
        (super::gateway::MONTH, "7"),
    ];
    one.call("TOKENIZE", &update).succeeded(201);
    two.call("RETRIEVE_TOKEN", &ask).has(&[
        ("usage.lastUpdated.merchantId", &one.merchant),
        ("sourceOfFunds.provided.card.expiry", "0731"),
    ]);
    for other in [&stranger, &live] {
        for operation in ["RETRIEVE_TOKEN", "DELETE_TOKEN"] {
            other.call(operation, &ask).refused("token", "INVALID");
        }
        let query = format!(r#"{{"EQ":["{NUMBER}","{MASTERCARD}"]}}"#);
        assert!(other.search(&query, 10).0.is_empty());
    }
    // the twin's account is not the repository's own
    assert_ne!(live.token(MASTERCARD, "5", "31"), token);
}

pub(crate) fn two_passwords(daemon: &Daemon, wire: Wire) {
    let name = repository(daemon, "UNIQUE_TOKEN", "RANDOM_WITH_LUHN");
    let old = merchant(daemon, wire, &name, true);
    let (id, second) = password(daemon, &old.merchant);
    let new = Shop {
        password: second,
        ..old.clone()
    };
    let token = old.token(VISA, "5", "31");
    let ask = [("token", token.as_str())];
    new.call("RETRIEVE_TOKEN", &ask).succeeded(200);
    daemon.run(&["credential", "remove", &id], 0);
    assert_eq!(new.call("RETRIEVE_TOKEN", &ask).status, 401);
    old.call("RETRIEVE_TOKEN", &ask).succeeded(200);
}

pub(crate) fn suspended(daemon: &Daemon, wire: Wire) {
    let name = repository(daemon, "UNIQUE_TOKEN", "RANDOM_WITH_LUHN");
    let shop = merchant(daemon, wire, &name, true);
    let token = shop.token(VISA, "5", "31");
    let ask = [("token", token.as_str())];
    for (kind, id) in [
        ("merchant", shop.merchant.as_str()),
        ("repository", shop.repository.as_str()),
    ] {
        daemon.run(&[kind, "suspend", id], 0);
        let refused = shop.call("RETRIEVE_TOKEN", &ask);
        assert_eq!(
            (refused.status, refused.at("error.cause")),
            (403, "REQUEST_REJECTED"),
            "{}",
            refused.text
        );
        assert!(refused.get("error.supportCode").is_some());
        daemon.run(&[kind, "resume", id], 0);
        shop.call("RETRIEVE_TOKEN", &ask).succeeded(200);
    }
}

pub(crate) fn live(daemon: &Daemon, wire: Wire) {
    let name = repository(daemon, "UNIQUE_TOKEN", "RANDOM_WITH_LUHN");
    let shop = merchant(daemon, wire, &name, false);
    let token = shop.token(VISA, "5", "31");
    for strategy in ["ACQUIRER", "ACCOUNT_UPDATER"] {
        let more = vec![("verificationStrategy", strategy), ("transaction.currency", "EUR")];
        let refused = shop.call("TOKENIZE", &[card(VISA, "5", "31"), more].concat());
        assert_eq!(
            (refused.status, refused.at("error.cause")),
            (400, "INVALID_REQUEST"),
            "{}",
            refused.text
        );
        assert!(
            refused.at("error.explanation").contains("No acquirer"),
            "{}",
            refused.text
        );
    }
    let pay = [
        ("order.id", "o1"),
        ("transaction.id", "t1"),
        ("order.amount", "1.00"),
        ("order.currency", "EUR"),
        (SOURCE, token.as_str()),
    ];
    let refused = shop.call("PAY", &pay);
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(
        refused.at("error.explanation").contains("No acquirer"),
        "{}",
        refused.text
    );
}

pub(crate) fn acquirers_tokens(daemon: &Daemon, wire: Wire) {
    let name = repository(daemon, "UNIQUE_TOKEN", "ACQUIRER_TOKENIZATION");
    let shop = merchant(daemon, wire, &name, true);
    let token = shop.token(MASTERCARD, "5", "31");
    assert_eq!(
        shop.token(MASTERCARD, "6", "32"),
        token,
        "the acquirer gives one token for a card"
    );
    assert_ne!(shop.token(VISA, "5", "31"), token);
    shop.call("RETRIEVE_TOKEN", &[("token", &token)]).has(&[
        (NUMBER, "512345xxxxxx0008"),
        ("sourceOfFunds.provided.card.expiry", "0632"),
    ]);
    let other = [card(VISA, "5", "31"), vec![("token", token.as_str())]].concat();
    shop.call("TOKENIZE", &other).refused(NUMBER, "INVALID");
}

/// A certificate and its text as nginx's `$ssl_client_escaped_cert` gives it.
fn certificate(daemon: &Daemon, name: &str) -> (PathBuf, String) {
    let (file, key) = (daemon.dir().join(format!("{name}.pem")), daemon.dir().join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", &format!("/CN={name}"), "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&file)
        .output();
    assert!(made.unwrap().status.success());
    let escaped = encode(&std::fs::read_to_string(&file).unwrap());
    (file, escaped)
}

/// The front's word on a client certificate counts where the configuration names the front's user, and of nobody else.
pub(crate) fn certificates(daemon: &mut Daemon) {
    let name = repository(daemon, "UNIQUE_TOKEN", "RANDOM_WITH_LUHN");
    let id = merchant(daemon, Wire::Rest, &name, true).merchant;
    let (file, shown) = certificate(daemon, "client");
    let (_, other) = certificate(daemon, "other");
    let add = [
        "credential",
        "add",
        "--merchant",
        &id,
        "--dialect",
        "mastercard",
        "--certificate",
    ];
    daemon.run(&[&add[..], &[file.to_str().unwrap()]].concat(), 0);

    let path =
        format!("/api/rest/version/70/merchant/{id}/tokenSearch?query=%7B%22EQ%22%3A%5B%22token%22%2C%22x%22%5D%7D");
    let ask = |daemon: &Daemon, certificates: &[&str]| {
        let headers: Vec<_> = certificates
            .iter()
            .map(|text| ("X-Client-Certificate", *text))
            .collect();
        request(daemon, "GET", &path, &headers, "").unwrap().status
    };
    assert_eq!(ask(daemon, &[&shown]), 401, "no front is named");

    daemon.stop();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap();
    daemon.configure(&format!("listen.front_user = \"{}\"", own.name));
    daemon.up();
    assert_eq!(ask(daemon, &[&shown]), 200);
    assert_eq!(ask(daemon, &[&other]), 401, "another certificate");
    assert_eq!(
        ask(daemon, &[&shown, &shown]),
        401,
        "which of the two did the front set?"
    );
    assert_eq!(ask(daemon, &["nonsense"]), 401);
}
