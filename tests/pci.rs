//! `tests/pci.md` says of each rule which tests show it: they are there.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

use std::collections::BTreeSet;
use std::path::Path;

/// All functions of tests in `dir`: those behind a test's attribute or in a list of scenarios, and what these are made of.
fn functions(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let of_tests = path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let Some((_, rest)) = line.split_once("fn ") else {
                    continue;
                };
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let before = lines[at.saturating_sub(3)..at].join("\n");
                if of_tests || before.contains("test]") || rest.contains("(place)") || rest.contains(" in ") {
                    names.insert(name);
                }
            }
        }
    }
}

#[test]
fn every_rule_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    functions(&root.join("src"), &mut names);
    functions(&root.join("tests"), &mut names);
    let table = std::fs::read_to_string(root.join("tests/pci.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| rule "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 40, "{}", rows.len());
    let mut missing = Vec::new();
    for row in &rows {
        let [rule, behaviour, shown] = row[..] else {
            panic!("{row:?}")
        };
        assert!(!rule.is_empty() && !behaviour.is_empty(), "{row:?}");
        if let Some(tests) = shown.strip_prefix("test ") {
            missing.extend(tests.split(',').map(str::trim).filter(|name| !names.contains(*name)));
        } else {
            assert!(shown == "open" || shown.starts_with("out of scope because "), "{row:?}");
        }
    }
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}
