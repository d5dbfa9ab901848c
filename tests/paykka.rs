//! PayKKa's dialect on the running daemon: the flows of the vendor's page, its rules, the hosted page in a browser, and
//! what merchants are told. openssl signs the requests and checks the answers.
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

#[path = "paykka/asking.rs"]
mod asking;
#[path = "paykka/browser.rs"]
mod browser;
#[path = "paykka/flows.rs"]
mod flows;
#[path = "paykka/page.rs"]
mod page;
#[path = "paykka/receiver.rs"]
mod receiver;
#[path = "paykka/refused.rs"]
mod refused;
#[path = "paykka/rights.rs"]
mod rights;
#[path = "paykka/told.rs"]
mod told;

use asking::Shop;
use support::daemon::Daemon;
use support::scenarios::each;

type Scenario = (&'static str, fn(&Shop<'_>));

/// Runs all on one daemon.
fn all(daemon: &Daemon, scenarios: &[Scenario]) {
    each(scenarios.iter().copied(), |scenario| scenario(&Shop::of(daemon)));
}

#[test]
fn the_contract_holds() {
    let daemon = Daemon::start();
    all(
        &daemon,
        &[
            ("card on file", flows::card_on_file),
            ("subscription", flows::subscription),
            ("usages", flows::usages),
            ("removal", flows::removal),
            ("after a payment", flows::after_a_payment),
            ("declined", flows::declined),
            ("renewed", flows::renewed),
            ("unknown", flows::unknown),
            ("signatures", refused::signatures),
            ("rules", refused::rules),
            ("edges", refused::edges),
            ("the older form", refused::the_older_form),
            ("a page", page::card_on_file),
            ("a page for a subscription", page::subscription),
            ("what a page refuses", page::refused),
            ("a live merchant", refused::a_live_merchant),
            ("two keys", refused::two_keys),
            ("what is on record", page::on_record),
        ],
    );
}

#[test]
fn a_nonce_outlives_a_restart() {
    refused::a_nonce_outlives_a_restart(&mut Daemon::start());
}

#[test]
fn only_what_is_granted_is_done() {
    rights::granted();
}

#[test]
fn pages_have_a_listener_of_their_own() {
    rights::a_listener_of_their_own();
}

#[test]
fn payers_pay_in_a_browser() {
    browser::payers_pay();
}

#[test]
fn merchants_are_told() {
    told::in_order_and_signed();
}

#[test]
fn what_merchants_refuse_is_told_again() {
    told::again();
}

#[test]
fn what_is_given_up_is_dead() {
    told::dead();
}

#[test]
fn no_notification_is_lost_when_the_server_is_killed() {
    told::after_a_kill();
}

/// The commands of the README's section, as they stand there.
#[test]
fn what_the_readme_shows() {
    support::readme::shows(
        "## PayKKa tokenization API",
        &[
            "\"status\":\"SUCCESS\"",
            "\"token\":\"TK",
            "\"recurring_agreement_id\":\"RA",
            "\"session_url\":\"http",
            "\"tokens\":[",
            "\"ret_msg\":\"Success\"}",
            "SHOP3",
        ],
    );
}

#[test]
fn no_card_number_and_no_code_is_left_anywhere() {
    page::nothing_is_left();
}
