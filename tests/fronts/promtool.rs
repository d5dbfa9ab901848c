//! What Prometheus' own tool says of the files.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::expressions;
use crate::site::runs;
use crate::support::skip::skipped;

fn file(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn is_there(test: &str) -> bool {
    let there = runs("promtool", "--version");
    if !there {
        skipped(&format!("{test}: needs promtool (Debian package prometheus)"));
    }
    there
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // what does not read it may have ended by now
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs it; it must find nothing.
fn finds_nothing(arguments: &[&str], input: &str) -> String {
    let output = promtool(arguments, input);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// Each alert has a case in which it fires and one in which it does not, and all come out so.
pub(crate) fn files_are_right(test: &str) {
    if !is_there(test) {
        return;
    }
    let said = finds_nothing(&["check", "config", &file("systemd/prometheus-scrape.yml")], "");
    assert!(said.contains("1 rule files found"), "{said}");
    let said = finds_nothing(&["check", "rules", &file("systemd/prometheus-alerts.yml")], "");
    assert!(
        said.contains(&format!("{} rules found", expressions::of_alerts().len())),
        "{said}"
    );
    finds_nothing(&["test", "rules", &file("tests/fronts/alerts_test.yml")], "");
}

/// Which alerts the cases show to fire, and which to be silent.
pub(crate) fn each_alert_has_its_cases() {
    let rules = include_str!("../../systemd/prometheus-alerts.yml");
    let cases = include_str!("alerts_test.yml");
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let silent = format!("alertname: {alert}, exp_alerts: []}}");
        assert!(cases.contains(&silent), "{alert}: no case in which it is silent");
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        assert!(cases.contains(&fires), "{alert}: no case in which it fires");
    }
}

/// The dashboard's expressions, as rules: the tool reads no dashboard.
pub(crate) fn expressions_are_right(test: &str) {
    if !is_there(test) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let rules = |expressions: &[String], path: &Path| {
        let mut text = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
        for (at, expression) in expressions.iter().enumerate() {
            let quoted = serde_json::Value::from(expression.as_str());
            text.push_str(&format!("      - record: panel:{at}\n        expr: {quoted}\n"));
        }
        std::fs::write(path, text).unwrap();
    };
    let path = place.path().join("rules.yml");
    let mut all = expressions::of_dashboard();
    rules(&all, &path);
    let said = finds_nothing(&["check", "rules", path.to_str().unwrap()], "");
    assert!(said.contains(&format!("{} rules found", all.len())), "{said}");
    all.push("sum by (le (panvault_tokens)".to_owned());
    rules(&all, &path);
    assert!(
        !promtool(&["check", "rules", path.to_str().unwrap()], "")
            .status
            .success()
    );
}

/// What the daemon exposes is as Prometheus wants it: names, units, help.
pub(crate) fn metrics_are_right(test: &str, metrics: &str) {
    if !is_there(test) {
        return;
    }
    finds_nothing(&["check", "metrics"], metrics);
    let spoilt = metrics.replace("panvault_tampered_total", "panvault_tampered");
    assert!(!promtool(&["check", "metrics"], &spoilt).status.success());
}
