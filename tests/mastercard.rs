//! The Mastercard gateway's dialect on the running daemon, each table over REST and over name-value pairs, and a client in
//! another language.
//!
//! A daemon serves a whole program's worth of scenarios; each says its name when it fails, and the others still run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

#[path = "mastercard/accounts.rs"]
mod accounts;
#[path = "mastercard/canary.rs"]
mod canary;
#[path = "mastercard/errors.rs"]
mod errors;
#[path = "mastercard/gateway.rs"]
mod gateway;
#[path = "support/jwe.rs"]
mod jwe;
#[path = "mastercard/order_twice.rs"]
mod order_twice;
#[path = "mastercard/orders.rs"]
mod orders;
#[path = "mastercard/search.rs"]
mod search;
#[path = "mastercard/sessions.rs"]
mod sessions;
#[path = "mastercard/tokens.rs"]
mod tokens;
#[path = "mastercard/transport.rs"]
mod transport;
#[path = "mastercard/verification.rs"]
mod verification;

use std::process::Command;
use std::time::{Duration, Instant};

use gateway::{WIRES, Wire};
use support::daemon::{Daemon, PROGRAM, Running};
use support::scenarios::each;
use support::skip::skipped;

type Scenario = (&'static str, fn(&Daemon, Wire));

/// Runs all on one daemon, over both wires.
fn all(daemon: &Daemon, scenarios: &[Scenario]) {
    let over = |wire| {
        scenarios
            .iter()
            .map(move |(name, scenario)| (format!("{name} over {wire:?}"), (scenario, wire)))
    };
    each(WIRES.into_iter().flat_map(over), |(scenario, wire)| {
        scenario(daemon, wire)
    });
}

#[test]
fn tokens_as_the_contract_has_them() {
    let daemon = Daemon::start();
    all(
        &daemon,
        &[
            ("every strategy", tokens::every_strategy),
            ("how many tokens a card has", tokens::how_many_tokens_a_card_has),
            ("what an update may change", tokens::what_an_update_may_change),
            ("answers by version", tokens::answers_by_version),
            ("one token under load", tokens::one_token_under_load),
            ("verification", verification::acquirer),
            ("no verification", verification::none_and_basic),
            ("account updater", verification::account_updater),
            ("a closed account", verification::closed_account),
            ("replacement", verification::replacement),
            ("fields", errors::fields),
            ("values", errors::values),
            ("envelopes", errors::envelopes),
            ("logins", errors::logins),
            ("search", search::conditions),
            ("search in pages", search::pages),
            ("search by an encrypted number", search::encrypted),
        ],
    );
    errors::rest_only(&daemon);
    errors::forms_only(&daemon);
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn the_transport_key_of_before_opens_for_the_overlap_and_no_longer() {
    transport::rotated("the_transport_key_of_before_opens_for_the_overlap_and_no_longer");
}

#[test]
fn merchants_and_repositories() {
    let daemon = Daemon::start();
    all(
        &daemon,
        &[
            ("a repository of several merchants", accounts::shared),
            ("the acquirer's tokens", accounts::acquirers_tokens),
            ("two passwords", accounts::two_passwords),
            ("suspended", accounts::suspended),
            ("a merchant that does business", accounts::live),
        ],
    );
}

#[test]
fn a_certificate_that_the_front_has_checked() {
    if Command::new("openssl").arg("version").output().is_err() {
        skipped("a_certificate_that_the_front_has_checked: there is no openssl command here");
        return;
    }
    accounts::certificates(&mut Daemon::start());
}

#[test]
fn orders_and_sessions_as_the_contract_has_them() {
    let daemon = Daemon::start();
    all(
        &daemon,
        &[
            ("an order's life", orders::life),
            ("voids", orders::voids),
            ("verdicts", orders::verdicts),
            ("what does not fit", orders::what_does_not_fit),
            ("idempotency", order_twice::idempotency),
            ("many at once", order_twice::many_at_once),
            ("invalid tokens", order_twice::invalid_tokens),
            ("sessions", sessions::life),
            ("precedence", sessions::precedence),
            ("a code is used once", sessions::codes_are_used_once),
        ],
    );
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn killed_in_the_middle_of_an_order() {
    order_twice::killed();
}

#[test]
fn no_card_number_is_left_anywhere() {
    canary::nowhere();
}

/// The client has no code in common with the daemon or with these tests.
#[test]
fn a_client_in_another_language() {
    let python = Command::new("python3").args(["-c", "import requests"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        skipped("a_client_in_another_language: needs python3 with the requests library");
        return;
    }
    let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
    let dev = place.path().join("dev.json");
    let _daemon = Running::start(
        Command::new(PROGRAM)
            .args(["dev", "--tcp", "127.0.0.1:0", "--dir"])
            .arg(place.path()),
    );
    let until = Instant::now() + Duration::from_secs(60);
    while !dev.exists() {
        assert!(Instant::now() < until, "the daemon did not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mastercard/client.py");
    let output = Command::new("python3")
        .args([client.as_ref(), dev.as_os_str()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("all steps done"), "{said}");
}

/// The commands of the README's section, as they stand there.
#[test]
fn what_the_readme_shows() {
    support::readme::shows(
        "## Mastercard gateway API",
        &[
            "BASIC_VERIFICATION_SUCCESSFUL",
            "\"status\":\"CAPTURED\"",
            "status=VALID",
            "\"page\":",
            "RSA-OAEP-256",
            "SHOPS",
            "TESTTWO",
        ],
    );
}
