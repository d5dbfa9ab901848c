//! What was deleted after a backup, done again out of the audit trail that survived.

use std::fs;

use serde_json::{Value, json};

use crate::place::{audit_key, backup, lose_state, restore, said};
use crate::support::daemon::{Daemon, MASTERCARD, VISA, card};

fn single(daemon: &Daemon) -> String {
    let body = json!({"card": card(MASTERCARD), "uses": "single"});
    let answer = daemon.call("POST", "/v1/tokens", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn deletions_and_spends_after_the_backup_are_done_again() {
    let mut daemon = Daemon::start();
    let made = || daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let (kept, gone) = (made(), made());
    let (used, unused) = (single(&daemon), single(&daemon));
    let place = daemon.dir().join("backup");
    let figures = backup(&daemon, &place);
    let late = made();
    assert_eq!(
        daemon
            .call("DELETE", &format!("/v1/tokens/{gone}"), &Value::Null)
            .status,
        200
    );
    assert_eq!(daemon.reveal(&used).status, 200);
    assert_eq!(daemon.reveal(&kept).status, 200);
    daemon.run(&["merchant", "add", "later", "--dialect", "native"], 0);
    daemon.run(&["merchant", "suspend", "later"], 0);
    let head = daemon.run(&["audit", "verify", "--json"], 0);
    let head: Value = serde_json::from_str(&head).unwrap();
    // as an operator keeps them: the last lines of the trail
    let trail = daemon.dir().join("trail");
    fs::create_dir(&trail).unwrap();
    let lines = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    fs::write(trail.join("1.jsonl"), &lines).unwrap();
    daemon.stop();
    let key = audit_key(&daemon);
    lose_state(&daemon, "lost");

    let later = ["--key", &key, "--audit", trail.to_str().unwrap()];
    let output = restore(&daemon, &place, &later);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("0 deletions") && text.contains("1 accounts"), "{text}");
    assert!(!daemon.dir().join("state/keyring.json").exists());
    assert!(!daemon.dir().join("state/restoring").exists());

    // a trail that ends where the backup does says nothing of what came after it
    let short = daemon.dir().join("short");
    fs::create_dir(&short).unwrap();
    let (last, _) = figures["audit_head"].as_str().unwrap().split_once(':').unwrap();
    let up_to: Vec<&str> = lines.lines().take(last.parse().unwrap()).collect();
    fs::write(short.join("1.jsonl"), up_to.join("\n") + "\n").unwrap();
    let output = restore(&daemon, &place, &["--audit", short.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("nothing behind the backup's last record"),
        "{}",
        said(&output)
    );

    let accepted = [later.as_slice(), &["--accept-returning", "--json"]].concat();
    // a trail with a hole
    let holed = daemon.dir().join("holed");
    fs::create_dir(&holed).unwrap();
    let without: Vec<&str> = lines.lines().filter(|line| !line.contains("\"delete\"")).collect();
    fs::write(holed.join("1.jsonl"), without.join("\n") + "\n").unwrap();
    let output = restore(
        &daemon,
        &place,
        &["--accept-returning", "--audit", holed.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nothing was changed"), "{}", said(&output));

    let output = restore(&daemon, &place, &accepted);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["authentic"], true);
    assert_eq!(figures["records"], 3);
    let replayed = &figures["replayed"];
    assert_eq!(
        (&replayed["deleted"], &replayed["spent"], &replayed["lost"]),
        (&json!(1), &json!(1), &json!(1))
    );
    daemon.run(&["check", "store"], 0);
    // the trail goes on: a head that was noted after the backup is in it
    let head = head["head"].as_str().unwrap();
    daemon.run(&["audit", "verify", "--expect", head], 0);
    daemon.up();
    assert_eq!(daemon.reveal(&kept).status, 200);
    assert_eq!(daemon.reveal(&gone).status, 404);
    assert_eq!(daemon.reveal(&late).status, 404);
    assert_eq!(daemon.reveal(&used).status, 410);
    assert_eq!(daemon.reveal(&unused).status, 200);
    assert!(
        daemon
            .run(&["audit", "tail", "--lines", "200"], 0)
            .contains("\"outcome\":\"replayed\"")
    );
}

#[test]
fn the_runbook_works_as_it_stands() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let (_, section) = include_str!("../../README.md")
        .split_once("## Backup and restore")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<String> = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split_once("```").unwrap().0)
        .map(|block| block.replace("/tmp/vault", daemon.dir().to_str().unwrap()))
        .map(|block| block.replace("SHA256:…", &audit_key(&daemon)))
        .collect();
    let programs = std::path::Path::new(crate::support::daemon::PROGRAM).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let run = |block: &str| {
        let output = std::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}\n{}", said(&output));
    };
    assert_eq!(blocks.len(), 2);
    run(&blocks[0]);
    let gone = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    run(&blocks[1]);
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
    assert_eq!(daemon.reveal(&gone).status, 404);
}
