//! A real Prometheus with the shipped configuration watches a daemon.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::expressions;
use crate::site::{free_port, runs};
use crate::support::daemon::{Daemon, Running};
use crate::support::skip::skipped;
use crate::watched;

struct Prometheus {
    _running: Running,
    port: u16,
    _place: TempDir,
}

impl Prometheus {
    /// With its configuration but for the daemon's port, and ten times as fast and more.
    fn start(daemon: &Daemon) -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let shipped = include_str!("../../systemd/prometheus-scrape.yml");
        assert_eq!(shipped.matches("15s").count(), 2);
        let dev = daemon.dev_json();
        let config = shipped
            .replace("127.0.0.1:9420", dev["metrics"].as_str().unwrap())
            .replace("15s", "1s");
        std::fs::write(at("prometheus.yml"), config).unwrap();
        let alerts = include_str!("../../systemd/prometheus-alerts.yml");
        std::fs::write(at("prometheus-alerts.yml"), alerts).unwrap();
        let port = free_port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", at("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", at("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            _running: Running::start(&mut command),
            port,
            _place: place,
        }
    }

    /// What its API says; nothing while it does not.
    fn get(&self, path: &str, query: Option<&str>) -> Option<Value> {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "--noproxy", "*", "-G"]);
        command.arg(format!("http://127.0.0.1:{}/api/v1/{path}", self.port));
        if let Some(query) = query {
            command.arg("--data-urlencode").arg(format!("query={query}"));
        }
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).ok()?;
        assert_eq!(said["status"], "success", "{path} {query:?}: {said}");
        Some(said["data"].clone())
    }

    /// How many series an expression has.
    fn series(&self, expression: &str) -> usize {
        let found = self.get("query", Some(expression));
        found.map_or(0, |data| data["result"].as_array().unwrap().len())
    }
}

/// The job is scraped under its name, the rules are evaluated, whatever alerts and dashboard ask for is there, and the
/// first refusal raises its alarm.
pub(crate) fn watches(test: &str) {
    for (program, argument, package) in [("prometheus", "--version", "prometheus"), ("curl", "--version", "curl")] {
        if !runs(program, argument) {
            return skipped(&format!("{test}: needs {program} (Debian package {package})"));
        }
    }
    let daemon = watched::start();
    let prometheus = Prometheus::start(&daemon);
    let limit = Duration::from_secs(60);
    daemon.wait(limit, "the first figures", || {
        prometheus.series("panvault_cap_refusals_total{op=\"reveal\"} == 0") == 1
    });
    assert_eq!(prometheus.series("up{job=\"panvault\"} == 1"), 1);
    let fires = |alert: &str| prometheus.series(&format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}")) > 0;
    assert!(!fires("PanvaultCapReached"));

    watched::happen(&daemon);
    daemon.wait(limit, "the alarm of a refusal", || fires("PanvaultCapReached"));
    for silent in [
        "PanvaultDown",
        "PanvaultTampered",
        "PanvaultStoreTakesNoWrites",
        "PanvaultLoginsFail",
    ] {
        assert!(!fires(silent), "{silent}");
    }
    let rules = || prometheus.get("rules", None).unwrap()["groups"][0]["rules"].clone();
    daemon.wait(limit, "the rules", || {
        let rules = rules();
        let rules = rules.as_array().unwrap();
        rules.len() == expressions::of_alerts().len() && rules.iter().all(|rule| rule["health"] == "ok")
    });

    for expression in expressions::of_alerts().iter().chain(&expressions::of_dashboard()) {
        for selector in expressions::selectors(expression) {
            daemon.wait(limit, &selector, || prometheus.series(&selector) > 0);
        }
    }
    for expression in expressions::of_dashboard() {
        daemon.wait(limit, &expression, || prometheus.series(&expression) > 0);
    }
    assert_eq!(prometheus.series("panvault_hsm_workers{state=\"upp\"}"), 0);
}
