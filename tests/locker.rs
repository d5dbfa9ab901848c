//! Hyperswitch's locker on the running daemon: each table of the contract, and where its program is weak.
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

#[path = "locker/asking.rs"]
mod asking;
#[path = "locker/bench.rs"]
mod bench;
#[path = "locker/cards.rs"]
mod cards;
#[path = "locker/faults.rs"]
mod faults;
#[path = "locker/fingerprints.rs"]
mod fingerprints;
#[path = "locker/jose.rs"]
mod jose;
#[path = "locker/records.rs"]
mod records;
#[path = "locker/rights.rs"]
mod rights;

use asking::Locker;
use support::daemon::Daemon;
use support::scenarios::each;

type Scenario = (&'static str, fn(&Locker<'_>));

/// Runs all on one daemon.
fn all(daemon: &Daemon, scenarios: &[Scenario]) {
    each(scenarios.iter().copied(), |scenario| scenario(&Locker::of(daemon)));
}

#[test]
fn the_contract_holds() {
    let daemon = Daemon::start();
    all(
        &daemon,
        &[
            ("a card's life", cards::life),
            ("details", cards::details),
            ("numbers", cards::numbers),
            ("encrypted data", cards::encrypted_data),
            ("references", cards::references),
            ("one reference", cards::one_reference),
            ("persons", cards::persons),
            ("first adders at once", cards::at_once),
            ("a card's ttl", cards::ttl),
            ("a record's life", records::life),
            ("modes", records::modes),
            ("modes at once", records::at_once),
            ("a record's ttl", records::ttl),
            ("what is refused", records::refused),
            ("sizes", records::sizes),
            ("values come back", records::values_come_back),
            ("fingerprints", fingerprints::ids),
            ("cards in fingerprints", fingerprints::cards),
            ("fingerprints die", fingerprints::die_with_the_record),
            ("entities", fingerprints::entities),
            ("shapes", faults::shapes),
            ("paths and methods", faults::paths),
            ("tenants", faults::tenants),
            ("health", faults::health),
        ],
    );
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    cards::survive();
}

#[test]
fn nothing_is_in_clear_on_the_disk() {
    faults::hidden();
}

#[test]
fn another_makers_jose_is_understood() {
    jose::speaks();
}

#[test]
fn jwe_may_be_required() {
    jose::required();
}

#[test]
fn the_locker_is_as_it_is_set() {
    jose::settings();
}

#[test]
fn loads_do_what_they_say() {
    bench::operations();
}

#[test]
fn only_what_is_granted_is_done() {
    rights::granted();
}

/// The commands of the README's section, as they stand there.
#[test]
fn what_the_readme_shows() {
    support::readme::shows(
        "## Hyperswitch locker",
        &[
            "\"database_connection\":\"Working\"",
            "\"card_reference\":\"tok_",
            "\"name_on_card\":\"Jane Doe\"",
            "\"data\":{\"Card\":{\"card_number\":\"4111111111111111\"}}",
            "TENANT2",
        ],
    );
}
