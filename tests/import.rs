//! `panvault import`: cards of a predecessor, from a file. `PANVAULT_LONG=1` takes more of them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, MASTERCARD, PROGRAM, VISA};
use support::long;

fn command(daemon: &Daemon, file: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("import").arg(file).arg("--out").arg(out).args(more);
    command.arg("--dir").arg(daemon.dir()).stdin(Stdio::null());
    command
}

fn import(daemon: &Daemon, file: &Path, out: &Path, more: &[&str]) -> Output {
    command(daemon, file, out, more).output().unwrap()
}

fn list(out: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn each_form_of_file_gives_tokens_and_says_what_is_refused() {
    let daemon = Daemon::start();
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);

    let lines = [
        json!({"ref": "a", "card": {"number": VISA, "expiry": {"month": 12, "year": 2030}, "holder": "Ada"}, "namespace": "c1"}),
        json!({"ref": "b", "card": {"number": "4111111111111112", "expiry": {"month": 12, "year": 2030}}}),
        json!({"ref": "c", "card": {"number": MASTERCARD, "expiry": {"month": 1, "year": 2031}}, "format": "supplied", "token": "old_1"}),
    ];
    let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    text.push_str("{\"card\": 4111111111111111\n\n{\"ref\":7}\n");
    std::fs::write(at("cards.jsonl"), &text).unwrap();
    let dry = import(&daemon, &at("cards.jsonl"), &at("none"), &["--dry-run"]);
    assert_eq!(dry.status.code(), Some(1));
    assert!(
        said(&dry).contains("5 records, 3 cannot be sent; nothing was sent"),
        "{}",
        said(&dry)
    );
    assert!(!at("none").exists() && daemon.metric("panvault_tokens") == 0.0);

    let done = import(&daemon, &at("cards.jsonl"), &at("one"), &[]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(
        said(&done).contains("5 records: 2 tokens, 3 refused"),
        "{}",
        said(&done)
    );
    let tokens = list(&at("one"), "tokens.jsonl");
    assert_eq!((&tokens[0]["record"], &tokens[0]["ref"]), (&json!(1), &json!("a")));
    assert_eq!((&tokens[1]["ref"], &tokens[1]["token"]), (&json!("c"), &json!("old_1")));
    let card = daemon.reveal(tokens[0]["token"].as_str().unwrap()).json();
    assert_eq!(
        (&card["card"]["number"], &card["card"]["holder"]),
        (&json!(VISA), &json!("Ada"))
    );
    assert_eq!(daemon.reveal("old_1").json()["card"]["number"], MASTERCARD);
    let refused = list(&at("one"), "refused.jsonl");
    let records: Vec<&Value> = refused.iter().map(|line| &line["record"]).collect();
    assert_eq!(records, [2, 4, 5], "{refused:?}");
    for name in ["tokens.jsonl", "refused.jsonl", "progress.json"] {
        let text = std::fs::read_to_string(at("one").join(name)).unwrap();
        assert!(
            !text.contains("411111111111111") && !text.contains(MASTERCARD),
            "{name}: {text}"
        );
    }
    // again: there is nothing left to do
    let again = import(&daemon, &at("cards.jsonl"), &at("one"), &["--json"]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert_eq!(daemon.metric("panvault_tokens"), 2.0);

    let csv = format!(
        "ref,number,exp_month,exp_year,holder,token\nx,{VISA},09,31,\"Lovelace, Ada\",\ny,{VISA},13,2031,,\nz,{VISA},1,2031,,old_2,more\nv,{VISA},2,x,,\nw,{MASTERCARD},2,2032,,old_3\n"
    );
    std::fs::write(at("cards.csv"), csv).unwrap();
    let done = import(&daemon, &at("cards.csv"), &at("two"), &["--form", "csv"]);
    assert!(
        said(&done).contains("5 records: 2 tokens, 3 refused"),
        "{}",
        said(&done)
    );
    let tokens = list(&at("two"), "tokens.jsonl");
    let card = daemon.reveal(tokens[0]["token"].as_str().unwrap()).json();
    assert_eq!(card["card"]["holder"], "Lovelace, Ada");
    assert_eq!(card["card"]["expiry"], json!({"month": 9, "year": 2031}));
    assert_eq!(tokens[1], json!({"record": 5, "ref": "w", "token": "old_3"}));

    let card = json!({"card_number": VISA, "name_on_card": "Ada", "card_exp_month": "03", "card_exp_year": "2033", "nick_name": null});
    let answers = [
        json!({"status": "Ok", "card_reference": "card_1", "payload": {"card": card, "enc_card_data": null}}),
        json!({"status": "Ok", "payload": {"card": null, "enc_card_data": "x"}}),
    ];
    let text: String = answers.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(at("locker.jsonl"), text).unwrap();
    let done = import(&daemon, &at("locker.jsonl"), &at("three"), &["--form", "hyperswitch"]);
    assert!(
        said(&done).contains("2 records: 1 tokens, 1 refused"),
        "{}",
        said(&done)
    );
    assert_eq!(list(&at("three"), "tokens.jsonl")[0]["ref"], "card_1");
}

#[test]
fn what_cannot_be_an_import_changes_nothing() {
    let daemon = Daemon::start();
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let card = json!({"card": {"number": VISA, "expiry": {"month": 12, "year": 2030}}});
    std::fs::write(at("cards"), format!("{card}\n{card}\n")).unwrap();
    std::fs::create_dir(at("full")).unwrap();
    std::fs::write(at("full").join("x"), "x").unwrap();
    std::fs::write(at("key"), "pk_wrong").unwrap();
    std::fs::write(at("csv"), "number,cvv\n").unwrap();
    let key = at("key").display().to_string();
    for (file, out, more, told) in [
        ("cards", "full", vec![], "holds something else"),
        ("missing", "out", vec![], "cannot read"),
        (
            "cards",
            "refused",
            vec!["--api-key-file", key.as_str()],
            "refuses the import with 401",
        ),
        ("csv", "out", vec!["--form", "csv"], "a column \"cvv\""),
    ] {
        let output = import(&daemon, &at(file), &at(out), &more);
        assert!(
            !output.status.success() && said(&output).contains(told),
            "{told}: {}",
            said(&output)
        );
    }
    assert_eq!(daemon.metric("panvault_tokens"), 0.0);
    // the one that was refused goes on with the right key; a file that has changed does not
    assert!(import(&daemon, &at("cards"), &at("refused"), &[]).status.success());
    std::fs::write(at("cards"), format!("{card}\n")).unwrap();
    let output = import(&daemon, &at("cards"), &at("refused"), &[]);
    assert!(said(&output).contains("that file has changed"), "{}", said(&output));
    assert_eq!(daemon.metric("panvault_tokens"), 2.0);
}

#[test]
fn an_import_that_is_killed_goes_on_and_takes_no_card_twice() {
    let daemon = Daemon::start();
    let place = tempfile::tempdir().unwrap();
    let (file, out) = (place.path().join("cards"), place.path().join("out"));
    let (cards, rounds) = if long() { (1_000_000, 50) } else { (6_000, 5) };
    let lines: String = (1..=cards)
        .map(|number| {
            format!("{{\"ref\":\"r{number}\",\"card\":{{\"number\":\"{VISA}\",\"expiry\":{{\"month\":12,\"year\":2030}}}}}}\n")
        })
        .collect();
    std::fs::write(&file, lines).unwrap();
    for round in 0..rounds {
        let mut child = command(&daemon, &file, &out, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + round * 53 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = command(&daemon, &file, &out, &["--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.split_whitespace().next());
        most = peak.and_then(|kib| kib.parse().ok()).unwrap_or(most);
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&counts["records"], &counts["tokens"], &counts["refused"]),
        (&json!(cards), &json!(cards), &json!(0))
    );
    let tokens = list(&out, "tokens.jsonl");
    assert_eq!(tokens.len(), cards);
    for (at, token) in tokens.iter().enumerate() {
        assert_eq!(token["ref"], format!("r{}", at + 1));
    }
    assert_eq!(
        daemon.metric("panvault_tokens"),
        f64::from(u32::try_from(cards).unwrap()),
        "none was taken twice"
    );
    assert!(most > 0 && most < 64 * 1024, "bounded memory: {most} KiB");
    assert_eq!(
        daemon.reveal(tokens[cards - 1]["token"].as_str().unwrap()).json()["card"]["number"],
        VISA
    );
}
