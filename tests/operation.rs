//! What operators do: configuration, checks, accounts, policy, caps, audit, receipts, metrics, stopping.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "operation/gateway.rs"]
mod gateway;
mod support;

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, PROGRAM, Running, VISA, card, signal};
use support::http;

#[test]
fn receipts_verify_and_forgeries_do_not() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let receipt = daemon
        .call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null)
        .json();
    let file = daemon.dir().join("receipt.json");
    std::fs::write(&file, receipt.to_string()).unwrap();
    let name = file.to_str().unwrap();
    assert!(daemon.run(&["receipt", "verify", name], 0).contains("authentic"));
    // Without the pin of an instance the verdict is weaker, and says so.
    let unpinned = Command::new(PROGRAM)
        .args(["receipt", "verify", name])
        .output()
        .unwrap();
    assert!(unpinned.status.success());
    assert!(String::from_utf8_lossy(&unpinned.stdout).contains("consistent, not authenticated"));
    for (member, value) in receipt.as_object().unwrap() {
        if member == "signature" {
            continue;
        }
        let mut forged = receipt.clone();
        forged[member] = match value {
            Value::String(text) => json!(format!("{text}x")),
            Value::Number(_) => json!(7_777_777),
            _ => json!("x"),
        };
        std::fs::write(&file, forged.to_string()).unwrap();
        daemon.run(&["receipt", "verify", name], 3);
    }
    let mut added = receipt.clone();
    added["more"] = json!(1);
    std::fs::write(&file, added.to_string()).unwrap();
    daemon.run(&["receipt", "verify", name], 3);
    // Another vault's receipt is not this vault's.
    let other = Daemon::start();
    std::fs::write(&file, receipt.to_string()).unwrap();
    other.run(&["receipt", "verify", name], 3);
}

#[test]
fn the_audit_trail_tells_and_is_checked() {
    let mut daemon = Daemon::start_with("store.audit_window = 10");
    let mut token = String::new();
    for _ in 0..30 {
        token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
        assert_eq!(daemon.reveal(&token).status, 200);
    }
    let tail = daemon.run(&["audit", "tail", "--lines", "5"], 0);
    assert!(tail.contains("reveal") && tail.contains(&token), "{tail}");
    assert!(!tail.contains("411111"), "{tail}");
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    daemon.run(&["audit", "verify"], 0);
    // A changed byte in a segment file is found and named.
    let segments = daemon.dir().join("state/audit");
    let segment = std::fs::read_dir(&segments)
        .unwrap()
        .flatten()
        .next()
        .expect("a segment")
        .path();
    let text = std::fs::read_to_string(&segment).unwrap();
    assert!(text.contains("\"reveal\""));
    std::fs::write(&segment, text.replacen("\"reveal\"", "\"inspec\"", 1)).unwrap();
    daemon.run(&["audit", "verify"], 3);
}

#[test]
fn accounts_are_made_used_and_taken_away() {
    let daemon = Daemon::start();
    daemon.run(&["merchant", "add", "shop", "--dialect", "native"], 0);
    let made = daemon.run(
        &[
            "credential",
            "add",
            "--merchant",
            "shop",
            "--dialect",
            "native",
            "--json",
        ],
        0,
    );
    let made: Value = serde_json::from_str(&made).unwrap();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {secret}");
    let call = |bearer: &str| {
        daemon
            .raw(
                "POST",
                "/v1/tokens",
                &[("Authorization", bearer)],
                json!({"card": card(VISA)}).to_string().as_bytes(),
            )
            .unwrap()
    };
    let token = call(&bearer).json()["token"].as_str().unwrap().to_owned();
    // Another merchant's token does not exist.
    assert_eq!(daemon.reveal(&token).status, 404);
    let list = daemon.run(&["credential", "list", "--merchant", "shop"], 0);
    assert!(list.contains(&id) && !list.contains(&secret), "{list}");
    // Two live ones, for an overlap; not three.
    daemon.run(&["credential", "add", "--merchant", "shop", "--dialect", "native"], 0);
    let third = daemon.try_run(&["credential", "add", "--merchant", "shop", "--dialect", "native"]);
    assert!(!third.status.success());
    daemon.run(&["credential", "suspend", &id], 0);
    assert_eq!(call(&bearer).status, 401);
    daemon.run(&["credential", "resume", &id], 0);
    assert_eq!(call(&bearer).status, 201);
    daemon.run(&["merchant", "suspend", "shop"], 0);
    assert!(matches!(call(&bearer).status, 401 | 403));
    daemon.run(&["merchant", "resume", "shop"], 0);
    // A merchant that has tokens is not removed by mistake.
    assert!(!daemon.try_run(&["merchant", "remove", "shop"]).status.success());
    daemon.run(&["credential", "remove", &id], 0);
    assert_eq!(call(&bearer).status, 401);
    let repositories = daemon.run(&["repository", "list"], 0);
    assert!(repositories.contains("shop"), "{repositories}");
    let explained = daemon.run(&["policy", "explain", "--uid", "12345", "--op", "reveal"], 0);
    assert!(
        explained.contains("not granted") || explained.contains("denied"),
        "{explained}"
    );
}

#[test]
fn caps_answer_429_and_are_counted() {
    let daemon = Daemon::start_with("caps.reveal_per_second = 5\ncaps.reveal_per_day = 20");
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let answers: Vec<_> = (0..60).map(|_| daemon.reveal(&token)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|answer| answer.header("retry-after").is_some()));
    assert!(answers.iter().filter(|answer| answer.status == 200).count() <= 20);
    assert!(daemon.metric("panvault_cap_refusals_total{op=\"reveal\"}") >= 1.0);
    daemon.wait(Duration::from_secs(20), "the audit of the refusals", || {
        daemon.run(&["audit", "tail", "--lines", "50"], 0).contains("capped")
    });
}

#[test]
fn failed_logins_are_throttled_and_audited() {
    let daemon = Daemon::start();
    let wrong = format!("{}x", daemon.key);
    let bearer = format!("Bearer {wrong}");
    let mut last = 0;
    for _ in 0..30 {
        let answer = daemon
            .raw("GET", "/v1/tokens/tok_x", &[("Authorization", &bearer)], b"")
            .unwrap();
        last = answer.status;
        assert!(matches!(last, 401 | 429), "{}", answer.text());
        if last == 429 {
            assert!(answer.header("retry-after").is_some());
            break;
        }
    }
    assert_eq!(last, 429);
    assert!(daemon.metric("panvault_auth_failures_total{dialect=\"native\"}") >= 5.0);
    daemon.wait(Duration::from_secs(20), "the audit of the failures", || {
        daemon
            .run(&["audit", "tail", "--lines", "20"], 0)
            .contains("auth-failed")
    });
}

#[test]
fn a_caller_without_a_grant_gets_nothing() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    let uid = nix::unistd::getuid().as_raw();
    let policy = format!(
        "version = 1\n[[grant]]\nname = \"view\"\nuid = {uid}\ndialects = [\"native\"]\nrepositories = [\"*\"]\noperations = [\"inspect\"]\n"
    );
    std::fs::write(daemon.dir().join("strict.toml"), policy).unwrap();
    let config = std::fs::read_to_string(daemon.dir().join("panvault.toml")).unwrap();
    std::fs::write(
        daemon.dir().join("panvault.toml"),
        config.replace("policy = \"policy.toml\"", "policy = \"strict.toml\""),
    )
    .unwrap();
    daemon.up();
    assert_eq!(
        daemon.call("GET", &format!("/v1/tokens/{token}"), &Value::Null).status,
        200
    );
    for (method, path) in [
        ("POST", format!("/v1/tokens/{token}/reveal")),
        ("DELETE", format!("/v1/tokens/{token}")),
    ] {
        let answer = daemon.call(method, &path, &Value::Null);
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(answer.json()["code"], "denied");
    }
    assert_eq!(
        daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)})).status,
        403
    );
    assert_eq!(
        daemon.call("POST", "/v1/tokens/search", &json!({"pan": VISA})).status,
        403
    );
}

#[test]
fn checks_say_what_is_wrong() {
    let daemon = Daemon::start();
    daemon.tokenize(VISA);
    daemon.run(&["check", "config"], 0);
    assert!(daemon.run(&["check", "store"], 0).contains(" 0 faults"));
    let hsm = daemon.run(&["check", "hsm"], 0);
    assert!(hsm.contains("session-source"), "{hsm}");
    daemon.run(&["check", "audit"], 0);
    let file = daemon.dir().join("panvault.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let broken = |text: String| {
        let path = daemon.dir().join("broken.toml");
        std::fs::write(&path, text).unwrap();
        let output = Command::new(PROGRAM)
            .args(["check", "config", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let unknown = broken(good.replace("[hsm]", "[hsm]\ncolour = 1"));
    assert!(unknown.contains("colour") && unknown.contains("line"), "{unknown}");
    let wrong = broken(good.replace("token = \"panvault-dev\"", "token = 7"));
    assert!(wrong.contains("token") && wrong.contains("line"), "{wrong}");
    let missing = broken(good.replace("policy = \"policy.toml\"", "policy = \"nowhere.toml\""));
    assert!(missing.contains("nowhere.toml"), "{missing}");
}

#[test]
fn status_and_metrics_show_it_working() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.reveal(&token);
    let status = daemon.run(&["status"], 0);
    assert!(status.contains("worker") && status.contains("tokens"), "{status}");
    let json: Value = serde_json::from_str(&daemon.run(&["status", "--json"], 0)).unwrap();
    assert!(json.is_object());
    let dev = daemon.dev_json();
    let address = dev["metrics"].as_str().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(
        &mut stream,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    for name in [
        "panvault_request_seconds_bucket{dialect=\"native\"",
        "panvault_hsm_job_seconds_count",
        "panvault_hsm_workers{state=\"up\"}",
        "panvault_store_sync_seconds_count",
        "panvault_store_commits_total{outcome=\"done\"}",
        "panvault_tokens 1",
        "panvault_audit_records_total",
        "panvault_operations_total{op=\"reveal\",outcome=\"ok\"} 1",
    ] {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
    assert!(!text.contains(&token));
    // The API is not on the operators' socket, nor the other way round.
    assert_eq!(
        http::request(&daemon.api(), "GET", "/metrics", &[], b"")
            .unwrap()
            .status,
        404
    );
}

#[test]
fn stopping_drains_what_is_under_way() {
    let mut daemon = Daemon::start();
    let outcome: Vec<Result<u16, std::io::ErrorKind>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let daemon = &daemon;
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    loop {
                        match daemon.try_call("POST", "/v1/tokens", &json!({"card": card(VISA)})) {
                            Ok(answer) => seen.push(Ok(answer.status)),
                            Err(error) => {
                                seen.push(Err(error.kind()));
                                return seen;
                            }
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(400));
        signal(daemon.pid(), "TERM");
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    // Each request that was taken was answered; the rest found nobody listening.
    assert!(
        outcome
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .all(|status| *status == 201),
        "{outcome:?}"
    );
    // A connection whose request the daemon had not read yet is closed; a request that it had read is answered, or the
    // counts below would differ.
    for kind in outcome.iter().filter_map(|one| one.as_ref().err()) {
        use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
        assert!(
            matches!(
                kind,
                BrokenPipe | ConnectionRefused | ConnectionReset | NotFound | UnexpectedEof
            ),
            "{kind:?}"
        );
    }
    daemon.stop();
    daemon.up();
    let made = outcome.iter().filter(|one| one.is_ok()).count();
    assert_eq!(
        daemon.metric("panvault_tokens"),
        f64::from(u32::try_from(made).unwrap())
    );
}

#[test]
fn init_can_be_run_again() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    let so = daemon.dir().join("so-pin");
    let pin = daemon.dir().join("user-pin");
    let arguments = [
        "init",
        "--so-pin-file",
        so.to_str().unwrap(),
        "--pin-file",
        pin.to_str().unwrap(),
    ];
    let first = daemon.run(&arguments, 0);
    let again = daemon.run(&arguments, 0);
    assert_eq!(first, again);
    assert!(first.contains("SHA256:"), "{first}");
    // the configured PIN file, and no security officer where nothing is missing
    assert_eq!(first, daemon.run(&["init"], 0));
    let verified = daemon.run(&["init", "--verify"], 0);
    assert!(verified.ends_with(&first), "{verified}");
    std::fs::rename(
        daemon.dir().join("state/keyring.json"),
        daemon.dir().join("keyring.json"),
    )
    .unwrap();
    daemon.run(&["init", "--verify"], 77);
    std::fs::rename(
        daemon.dir().join("keyring.json"),
        daemon.dir().join("state/keyring.json"),
    )
    .unwrap();
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
}

#[test]
fn other_processes_of_its_user_cannot_look_into_the_daemon() {
    let (daemon, uid) = Daemon::start_unprivileged();
    daemon.wait_all_workers();
    let workers = daemon.workers();
    assert!(!workers.is_empty());
    // The kernel gives these files to a process's own user, but not where the process is not dumpable.
    let owner = |pid: u32, file: &str| std::fs::metadata(format!("/proc/{pid}/{file}")).unwrap().uid();
    let ordinary = Running::start(Command::new("sleep").arg("60").uid(uid));
    for file in ["environ", "maps", "mem"] {
        assert_eq!(owner(ordinary.0.id(), file), uid, "{file}");
        for pid in workers.iter().chain([&daemon.pid()]) {
            assert_ne!(owner(*pid, file), uid, "{file} of {pid}");
        }
    }
    for pid in workers.iter().chain([&daemon.pid()]) {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        let core: Vec<_> = core.unwrap().split_whitespace().take(2).collect();
        assert_eq!(core, ["0", "0"], "core limits of {pid}");
    }
}

/// A start that ends early has opened the store already: it must leave it as an orderly stop does.
#[test]
fn a_start_that_fails_leaves_the_store_closed() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    let store = daemon.dir().join("state/store");
    let fails = |code: i32, why: &str| {
        let output = daemon.try_run(&["serve", "--allow-root"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(why), "{text}");
        assert!(store.join("CLEAN").exists() && !store.join("before-recovery").exists());
        assert!(!text.contains("not closed in order"), "{text}");
    };

    let listener = std::os::unix::net::UnixListener::bind(daemon.api()).unwrap();
    fails(1, "api.sock: another process listens there");
    drop(listener);
    std::fs::remove_file(daemon.api()).unwrap();

    let mut other = Daemon::start();
    other.stop();
    let keyring = daemon.dir().join("state/keyring.json");
    let own = std::fs::read(&keyring).unwrap();
    std::fs::copy(other.dir().join("state/keyring.json"), &keyring).unwrap();
    fails(77, "the store belongs to vault");
    std::fs::write(&keyring, own).unwrap();

    daemon.up();
    assert!(!daemon.log().contains("not closed in order"), "{}", daemon.log());
    assert_eq!(daemon.reveal(&token).status, 200);
}

/// The set-up dies after the token is made and before that is noted: the next start goes on with the token, and only
/// with one of its own.
#[test]
fn dev_goes_on_with_a_token_that_it_did_not_note() {
    let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
    let dir = place.path();
    // In the way of the note.
    let obstacle = dir.join("token-made.new");
    std::fs::create_dir(&obstacle).unwrap();
    let fails = |why: &str| {
        let output = Command::new(PROGRAM).args(["dev", "--dir"]).arg(dir).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(why), "{text}");
    };
    fails("token-made.new");
    let tokens = || std::fs::read_dir(dir.join("tokens")).unwrap().count();
    assert_eq!(tokens(), 1);
    std::fs::remove_dir(&obstacle).unwrap();

    for name in ["so-pin", "user-pin"] {
        let pin = dir.join(name);
        let own = std::fs::read(&pin).unwrap();
        std::fs::write(&pin, "not-this-token").unwrap();
        fails("already, and its PINs are others");
        std::fs::write(&pin, own).unwrap();
    }
    let daemon = Daemon::start_in(dir, "");
    daemon.tokenize(VISA);
    assert_eq!(tokens(), 1);
}
