//! Access Worldpay's tokens on the running daemon, and a client in another language that follows links only.
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

#[path = "worldpay/at_once.rs"]
mod at_once;
#[path = "worldpay/bodies.rs"]
mod bodies;
#[path = "worldpay/brands.rs"]
mod brands;
#[path = "worldpay/canary.rs"]
mod canary;
#[path = "worldpay/client.rs"]
mod client;
#[path = "worldpay/conflicts.rs"]
mod conflicts;
#[path = "worldpay/decision.rs"]
mod decision;
#[path = "worldpay/gateway.rs"]
mod gateway;
#[path = "worldpay/limits.rs"]
mod limits;
#[path = "worldpay/links.rs"]
mod links;
#[path = "worldpay/media.rs"]
mod media;
#[path = "worldpay/neighbours.rs"]
mod neighbours;
#[path = "worldpay/network.rs"]
mod network;
#[path = "worldpay/network_faults.rs"]
mod network_faults;
#[path = "worldpay/node.rs"]
mod node;
#[path = "worldpay/numbers.rs"]
mod numbers;
#[path = "worldpay/policy.rs"]
mod policy;
#[path = "worldpay/published.rs"]
mod published;
#[path = "worldpay/queries.rs"]
mod queries;
#[path = "worldpay/refusals.rs"]
mod refusals;
#[path = "worldpay/reveal.rs"]
mod reveal;
#[path = "worldpay/scopes.rs"]
mod scopes;
#[path = "worldpay/shapes.rs"]
mod shapes;
#[path = "worldpay/updates.rs"]
mod updates;
#[path = "worldpay/validation.rs"]
mod validation;
#[path = "worldpay/verified.rs"]
mod verified;

use support::daemon::Daemon;
use support::scenarios::each;

type Scenario = (&'static str, fn(&Daemon));

/// Runs all on one daemon.
fn all(scenarios: &[Scenario]) {
    let daemon = Daemon::start();
    each(scenarios.iter().copied(), |scenario| scenario(&daemon));
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn cards_that_come_again() {
    all(&[
        ("the decision table", decision::table),
        ("namespaces", scopes::namespaces),
        ("accounts", scopes::accounts),
        ("deleted tokens", scopes::deleted),
        ("expired tokens", scopes::expired),
        ("a conflict is taken over", conflicts::taken_over),
        ("each conflict has its own link", conflicts::each_its_own),
        ("a conflict member by member", conflicts::member_by_member),
        ("a conflict across versions", conflicts::across_versions),
        ("sixteen cards in a namespace", limits::sixteen_cards),
    ]);
}

#[test]
fn what_stands_beside_a_token() {
    all(&[
        (
            "a life that was asked for",
            neighbours::a_life_that_was_asked_for_is_not_renewed,
        ),
        (
            "the wrong namespace",
            neighbours::a_query_in_the_wrong_namespace_shows_no_card,
        ),
        (
            "one repository",
            neighbours::accounts_of_one_repository_have_their_own_namespaces,
        ),
        ("other dialects", neighbours::tokens_of_other_dialects_are_not_there),
        (
            "repositories with rules",
            neighbours::an_account_acts_where_no_rules_are,
        ),
    ]);
}

#[test]
fn bodies_and_links() {
    all(&[
        ("created, matched, in conflict", shapes::created_matched_and_in_conflict),
        ("nothing that was not given", shapes::nothing_that_was_not_given),
        ("ends of tokens", shapes::ends_of_tokens),
        ("versions", shapes::versions),
        ("brands", brands::vendors_cards),
        ("links tell nothing", links::tell_nothing),
        ("links stay", links::stay),
        ("discovery", links::discovery),
        ("queries by id and namespace", queries::by_id_and_namespace),
        ("queries in order", queries::in_order),
        (
            "namespaces as they are written",
            queries::namespaces_as_they_are_written,
        ),
        ("queries of others", queries::nobody_elses),
    ]);
}

#[test]
fn a_shop_s_own_table_of_card_ranges() {
    brands::own_table(&mut Daemon::start());
}

#[test]
fn links_lead_to_the_outside_address() {
    links::outside_address(&mut Daemon::start());
}

#[test]
fn updates_and_deletion() {
    all(&[
        ("updates by link", updates::by_link),
        ("bad values", updates::bad_values),
        ("this month", updates::this_month),
        ("deletion", updates::deletion),
        ("methods", updates::methods),
        ("what is not there", updates::not_there),
        ("bodies of 64 KiB", limits::bodies_of_64_kib),
    ]);
}

#[test]
fn fifty_updates_and_no_more() {
    limits::fifty_updates(&mut Daemon::start());
}

#[test]
fn faults_of_bodies() {
    all(&[
        ("missing or null", validation::missing_or_null),
        ("lengths", validation::lengths),
        ("patterns and types", validation::patterns_and_types),
        ("numbers and dates", numbers::numbers_and_dates),
        ("numbers out of place", numbers::numbers_out_of_place),
        ("all at once", numbers::all_at_once),
        ("unreadable bodies", refusals::unreadable_bodies),
    ]);
}

#[test]
fn headers_and_logins() {
    all(&[
        ("versions by header", media::versions),
        ("media types that are refused", media::refused),
        ("correlation", media::correlation),
        ("reason phrases", media::reason_phrases),
        ("broken header lines", media::broken_lines),
        ("logins", refusals::logins),
        ("wrong passwords", refusals::wrong_passwords),
        ("other dialects' credentials", refusals::other_dialects),
        ("a suspended merchant", refusals::suspended),
    ]);
}

#[test]
fn too_often() {
    refusals::too_often();
}

#[test]
fn the_hsm_goes_away_and_comes_back() {
    refusals::without_the_hsm(&Daemon::start());
}

#[test]
fn card_numbers_in_the_clear() {
    all(&[
        ("by link", reveal::by_link),
        ("by query", reveal::by_query),
        ("not for others", reveal::not_for_others),
    ]);
}

#[test]
fn many_at_once() {
    all(&[
        ("320 first creates of 40 cards", at_once::first_creates),
        ("more cards than a namespace holds", at_once::one_namespace),
        ("creates that do not agree", at_once::different_names),
        ("updates", at_once::updates),
    ]);
}

#[test]
fn conflicts_outlive_the_daemon() {
    conflicts::outlive_the_daemon(&mut Daemon::start());
}

#[test]
fn the_policy_grants_or_does_not() {
    policy::denies(&mut Daemon::start());
}

#[test]
fn verified_tokens() {
    all(&[
        ("outcomes", verified::outcomes),
        ("declined", verified::declined),
        ("faults", verified::faults),
        ("limits", verified::limits),
        ("a merchant that does business", verified::live),
        ("references", verified::references),
    ]);
}

#[test]
fn network_tokens() {
    all(&[
        ("a network token's life", network::life),
        ("of a stored token", network::of_a_stored_token),
        ("refused and pending", network::refused_and_pending),
        ("faults", network_faults::faults),
        ("a merchant that does business", network_faults::live),
    ]);
}

#[test]
fn network_tokens_outlive_the_daemon() {
    network::outlives_the_daemon(&mut Daemon::start());
}

#[test]
fn no_card_is_left_anywhere() {
    canary::nowhere();
}

/// The client has no code in common with the daemon or with these tests.
#[test]
fn a_client_in_another_language() {
    client::walks();
}

/// The commands of the README's section, as they stand there.
#[test]
fn what_the_readme_shows() {
    support::readme::shows(
        "## Access Worldpay Tokens API",
        &[
            "\"service:tokens\"",
            "\"tokens:conflicts\"",
            "\"_embedded\"",
            "\"cardNumber\":\"4444333322221111\"",
            "\"card/networkToken\"",
            "\"outcome\":\"verified\"",
            "SHOP",
        ],
    );
}
