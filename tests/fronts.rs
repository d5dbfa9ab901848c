//! What stands before the daemon and beside it: the nginx site, Prometheus' configuration and alert rules, the dashboard,
//! each held against the real program and a running daemon. Where a program is missing, a test says that it is left out.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

#[allow(dead_code, reason = "a part of it is another test's")]
#[path = "paykka/asking.rs"]
mod asking;
#[path = "fronts/certificates.rs"]
mod certificates;
#[path = "fronts/dashboard.rs"]
mod dashboard;
#[path = "fronts/dialects.rs"]
mod dialects;
#[path = "fronts/expressions.rs"]
mod expressions;
#[path = "fronts/limits.rs"]
mod limits;
#[path = "fronts/prometheus.rs"]
mod prometheus;
#[path = "fronts/promtool.rs"]
mod promtool;
#[path = "fronts/routes.rs"]
mod routes;
#[path = "fronts/shut.rs"]
mod shut;
#[path = "fronts/site.rs"]
mod site;
#[path = "fronts/tls.rs"]
mod tls;
#[path = "fronts/watched.rs"]
mod watched;

use site::Site;
use support::scenarios::each;

type Scenario = (&'static str, fn(&Site));

#[test]
fn the_site_lets_dialects_through_and_nothing_else() {
    let Some(mut site) = Site::start("the_site_lets_dialects_through_and_nothing_else") else {
        return;
    };
    let scenarios: [Scenario; 13] = [
        ("every route", dialects::all_arrive),
        ("Mastercard", dialects::mastercard),
        ("Worldpay", dialects::worldpay),
        ("Hyperswitch", dialects::hyperswitch),
        ("PayKKa", dialects::paykka),
        ("nothing else", shut::nothing_else_goes_through),
        ("names", shut::names_are_kept_apart),
        ("TLS", tls::versions),
        ("certificates", tls::certificates_are_logins),
        ("strangers", tls::strangers),
        ("bodies", limits::bodies),
        ("rates", limits::rates),
        ("pages", limits::pages),
    ];
    each(scenarios, |scenario| scenario(&site));
    limits::answers_say_https_only(&site);
    limits::logs_hold_no_cards(&mut site);
}

/// The lines that an operator takes the mark of a comment from.
#[test]
fn the_site_lets_the_locker_through_when_told() {
    let uncommented = |site: String| {
        let lines = site
            .lines()
            .map(|line| match line.trim_start().strip_prefix("# \"~^(/") {
                Some(rest) => format!("    \"~^(/{rest}"),
                None => line.to_owned(),
            });
        lines.collect::<Vec<_>>().join("\n")
    };
    if let Some(site) = Site::start_with("the_site_lets_the_locker_through_when_told", uncommented) {
        dialects::lockers_arrive(&site);
    }
}

#[test]
fn the_tests_know_every_route() {
    routes::are_all();
}

#[test]
fn alert_rules_and_scrape_configuration_are_right() {
    promtool::files_are_right("alert_rules_and_scrape_configuration_are_right");
}

#[test]
fn each_alert_has_its_cases() {
    promtool::each_alert_has_its_cases();
}

#[test]
fn the_dashboard_is_well_made() {
    dashboard::is_well_made();
    promtool::expressions_are_right("the_dashboard_is_well_made: its expressions");
}

#[test]
fn what_is_watched_is_there() {
    let daemon = watched::start();
    watched::begins_at_zero(&daemon);
    watched::happen(&daemon);
    let metrics = watched::metrics(&daemon);
    for expression in expressions::of_alerts().iter().chain(&expressions::of_dashboard()) {
        let unknown = expressions::unknown(&metrics, expression);
        assert!(unknown.is_empty(), "{expression}: the daemon has no {unknown:?}");
    }
    promtool::metrics_are_right("what_is_watched_is_there: the format", &metrics);
}

#[test]
fn prometheus_watches_it() {
    prometheus::watches("prometheus_watches_it");
}
