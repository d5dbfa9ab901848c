//! Hyperswitch's vault API, version 2, on the running daemon: the contract's tables, the page's bodies as printed, and a
//! client in another language that holds every answer against the OpenAPI documents.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

#[path = "hyperswitch/access.rs"]
mod access;
#[path = "hyperswitch/canary.rs"]
mod canary;
#[path = "hyperswitch/client.rs"]
mod client;
#[path = "hyperswitch/customers.rs"]
mod customers;
#[path = "hyperswitch/duplicates.rs"]
mod duplicates;
#[path = "hyperswitch/errors.rs"]
mod errors;
#[path = "hyperswitch/methods.rs"]
mod methods;
#[path = "hyperswitch/page.rs"]
mod page;
#[path = "hyperswitch/raw.rs"]
mod raw;
#[path = "hyperswitch/sessions.rs"]
mod sessions;
#[path = "hyperswitch/shop.rs"]
mod shop;
#[path = "hyperswitch/tokenization.rs"]
mod tokenization;
#[path = "hyperswitch/volatile.rs"]
mod volatile;

use shop::Shop;
use support::daemon::Daemon;
use support::scenarios::each;

type Scenario = (&'static str, fn(&Shop<'_>));

/// Runs all on one daemon; each says its name when it fails, and the others still run.
fn all(daemon: &Daemon, scenarios: &[Scenario]) {
    let shop = Shop::dev(daemon);
    each(scenarios.iter().copied(), |scenario| scenario(&shop));
}

#[test]
fn as_the_contract_has_it() {
    let mut daemon = Daemon::start();
    all(
        &daemon,
        &[
            ("a customer's life", customers::life),
            ("references are unique", customers::references),
            ("customers listed", customers::lists),
            ("a redacted customer", customers::redacted),
            ("a payment method's life", methods::life),
            ("updates", methods::updates),
            ("connector tokens", methods::connector_tokens),
            ("acknowledgements", methods::acknowledgements),
            ("saved, counted and default", methods::saved),
            ("every path", methods::every_path),
            ("the page's bodies today", page::today),
            ("the page's customer and update", page::others),
            ("one card once for a customer", duplicates::returned),
            ("many at once", duplicates::at_once),
            ("network tokens", tokenization::network),
            ("payment service providers", tokenization::providers),
            ("raw details", raw::shown),
            ("security codes are used once", raw::codes),
            ("volatile", volatile::life),
            ("intents", methods::intents),
            ("a session's life", sessions::life),
            ("a full session", sessions::full),
            ("nobody's session", sessions::nobodys),
            ("envelopes", errors::envelopes),
            ("values", errors::values),
            ("who may ask", access::keys_and_profiles),
        ],
    );
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    daemon.run(&["check", "store"], 0);
}

#[test]
fn as_it_is_configured() {
    let daemon = Daemon::start_with(
        "hyperswitch.duplicates = \"refuse\"\nhyperswitch.cell_id = \"12345\"\nhyperswitch.volatile_s = 2\n\
         hyperswitch.raw_merchants = []",
    );
    all(
        &daemon,
        &[
            ("a second card is refused", duplicates::refused),
            ("one of many at once", duplicates::one_of_many),
            ("volatile ends", volatile::ends),
            ("no raw details", raw::not_listed),
        ],
    );
}

#[test]
fn secrets_of_sessions() {
    // failed logins make the next ones wait: these have a daemon of their own
    all(&Daemon::start(), &[("secrets of sessions", sessions::secrets)]);
}

#[test]
fn after_a_restart() {
    let mut daemon = Daemon::start();
    methods::restarted(&mut daemon);
}

#[test]
fn what_policy_denies() {
    access::denied(&Daemon::start());
}

#[test]
fn the_page_in_its_own_time() {
    page::in_its_time();
}

#[test]
fn no_card_number_and_no_code_is_left_anywhere() {
    canary::nowhere();
}

#[test]
fn a_client_in_another_language() {
    client::walks();
}

/// The commands of the README's section, as they stand there.
#[test]
fn what_the_readme_shows() {
    support::readme::shows(
        "## Hyperswitch vault API",
        &[
            "\"merchant_reference_id\":\"shopper-1\"",
            "\"network_tokenization\":{\"enable\":\"Enable\",\"status\":\"succeeded\"",
            "\"token\":\"pm_simulator_",
            "\"card_number\":\"4111111111111111\"",
            "\"customer_payment_methods\"",
            "\"nick_name\":\"mine\"",
            "\"payment_methods_deleted\":true",
        ],
    );
}
