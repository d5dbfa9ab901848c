//! The dashboard as Grafana reads it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::expressions;

/// Fields that Grafana needs, and what makes it a good one: units, words for the operator, no two panels in one place.
pub(crate) fn is_well_made() {
    let dashboard = expressions::dashboard();
    assert_eq!(
        (&dashboard["title"], &dashboard["uid"]),
        (&json!("panvault"), &json!("panvault"))
    );
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let named = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!(
        (&named("datasource")["type"], &named("datasource")["query"]),
        (&json!("datasource"), &json!("prometheus"))
    );
    assert_eq!(named("instance")["type"], "query");
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    assert_eq!(named("instance")["datasource"], source);

    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let titles: BTreeSet<&str> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    assert_eq!(titles.len(), panels.len());
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Service", "HSM", "Store", "Security", "Notifications"]);

    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for y in place("y")..place("y") + place("h") {
            for x in place("x")..place("x") + place("w") {
                assert!(
                    x < 24 && taken.insert((x, y)),
                    "{}: over another, or over the edge",
                    panel["title"]
                );
            }
        }
        if panel["type"] != "row" {
            is_for_operators(panel, &source);
        }
    }
}

fn is_for_operators(panel: &Value, source: &Value) {
    let title = &panel["title"];
    assert!(
        panel["description"].as_str().is_some_and(|text| text.len() > 20),
        "{title}"
    );
    assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
    assert_eq!(&panel["datasource"], source, "{title}");
    let targets = panel["targets"].as_array().unwrap();
    let ids: BTreeSet<&str> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
    assert!(!targets.is_empty() && ids.len() == targets.len(), "{title}");
    for target in targets {
        assert_eq!(&target["datasource"], source, "{title}");
        let text = target["expr"].as_str().unwrap();
        assert!(
            target["legendFormat"].as_str().is_some_and(|legend| !legend.is_empty()),
            "{title}"
        );
        for selector in expressions::selectors(text) {
            assert!(
                selector.contains("instance=~\"$instance\""),
                "{title}: of all instances: {selector}"
            );
        }
    }
}
