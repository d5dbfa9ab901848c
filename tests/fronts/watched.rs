//! A daemon to which everything has happened that is watched.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, VISA, card, signal};
use crate::support::http;

/// What the daemon exposes.
pub(crate) fn metrics(daemon: &Daemon) -> String {
    let answer = http::request(&daemon.admin(), "GET", "/metrics", &[], b"").unwrap();
    assert_eq!(answer.status, 200);
    answer.text()
}

/// One that lets a caller reveal once in a while.
pub(crate) fn start() -> Daemon {
    let daemon = Daemon::start_with("caps.reveal_per_second = 1\ncaps.reveal_burst = 1");
    daemon.wait_all_workers();
    daemon
}

/// What alarms watch is there before anything has happened: a counter that comes with its first event has not risen.
pub(crate) fn begins_at_zero(daemon: &Daemon) {
    let metrics = metrics(daemon);
    for sample in [
        "panvault_tampered_total 0",
        "panvault_cap_refusals_total{op=\"reveal\"} 0",
        "panvault_cap_refusals_total{op=\"search-by-pan\"} 0",
        "panvault_auth_failures_total{dialect=\"mastercard\"} 0",
        "panvault_auth_failures_total{dialect=\"native\"} 0",
        "panvault_hsm_worker_ends_total{reason=\"crashed\"} 0",
        "panvault_hsm_worker_ends_total{reason=\"stuck\"} 0",
        "panvault_hsm_worker_ends_total{reason=\"token\"} 0",
        "panvault_hsm_queue_full_total 0",
        "panvault_notifications_total{outcome=\"dead\"} 0",
        "panvault_notifications_dead 0",
        "panvault_store_writable 1",
    ] {
        assert!(metrics.lines().any(|line| line == sample), "no {sample} in\n{metrics}");
    }
}

/// Served, refused, capped, and without its HSM for a while.
pub(crate) fn happen(daemon: &Daemon) {
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let statuses: Vec<u16> = (0..3).map(|_| daemon.reveal(&token).status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    let wrong = [("Authorization", "Bearer nobodys")];
    assert_eq!(daemon.raw("GET", "/v1/tokens/x", &wrong, b"").unwrap().status, 401);
    for path in ["/api/x", "/tokens/x", "/v2/customers/x", "/payments/x", "/cards/x"] {
        daemon.call("GET", path, &Value::Null);
    }
    daemon.grant("native", "*", &["inspect"]);
    let create = || daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)}));
    assert_eq!(create().status, 403);
    daemon.grant("native", "*", &["*"]);

    let (conf, away) = (
        daemon.dir().join("softhsm2.conf"),
        daemon.dir().join("softhsm2.conf.away"),
    );
    daemon.wait_all_workers();
    std::fs::rename(&conf, &away).unwrap();
    for worker in daemon.workers() {
        signal(worker, "KILL");
    }
    daemon.wait(Duration::from_secs(30), "the HSM's absence", || create().status == 503);
    std::fs::rename(&away, &conf).unwrap();
    daemon.wait_ready();
}
