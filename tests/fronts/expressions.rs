//! The expressions of alert rules and dashboard, and which metrics they ask for.

use serde_json::Value;

/// The alert rules' expressions.
pub(crate) fn of_alerts() -> Vec<String> {
    let text = include_str!("../../systemd/prometheus-alerts.yml");
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let all: Vec<String> = lines.map(str::to_owned).collect();
    assert_eq!(all.len(), text.matches("- alert: ").count());
    assert!(all.len() >= 12);
    all
}

/// The dashboard.
pub(crate) fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../systemd/grafana-panvault.json")).unwrap()
}

/// Its expressions, with what Grafana puts in for its variables.
pub(crate) fn of_dashboard() -> Vec<String> {
    let dashboard = dashboard();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = target["expr"].as_str().unwrap();
            let text = text.replace("$instance", ".+").replace("$__rate_interval", "1m");
            assert!(!text.contains('$'), "a variable that nobody sets: {text}");
            all.push(text);
        }
    }
    assert!(all.len() >= 30);
    all
}

/// The daemon's metrics in an expression, each with its labels.
pub(crate) fn selectors(expression: &str) -> Vec<String> {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("panvault_") {
        let text = &rest[at..];
        let end = text.find(|c| !name(c)).unwrap_or(text.len());
        let end = match text[end..].starts_with('{') {
            true => end + text[end..].find('}').unwrap() + 1,
            false => end,
        };
        found.push(text[..end].to_owned());
        rest = &text[end..];
    }
    found
}

/// Those of them that no sample of this text has, by name.
pub(crate) fn unknown(metrics: &str, expression: &str) -> Vec<String> {
    let name = |text: &str| text.split(['{', ' ']).next().unwrap().to_owned();
    let samples: Vec<String> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(name)
        .collect();
    let asked = selectors(expression);
    asked
        .into_iter()
        .filter(|asked| !samples.contains(&name(asked)))
        .collect()
}

#[test]
fn selectors_are_found() {
    let found = selectors("sum by (x) (rate(panvault_a_total{op=~\"b|c\", d!=\"\"}[5m])) / panvault_e > 0");
    assert_eq!(found, ["panvault_a_total{op=~\"b|c\", d!=\"\"}", "panvault_e"]);
    let metrics = "# TYPE panvault_e gauge\npanvault_e 1\npanvault_a_total{op=\"b\"} 1\n# panvault_f 1\n";
    assert_eq!(unknown(metrics, "panvault_e + panvault_a_total"), Vec::<String>::new());
    assert_eq!(
        unknown(metrics, "panvault_f + panvault_a + panvault_e"),
        ["panvault_f", "panvault_a"]
    );
}
