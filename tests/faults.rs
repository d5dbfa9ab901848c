//! What happens when something breaks: processes killed, the HSM gone, a wrong PIN, two daemons on one directory.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{AMEX, Daemon, MASTERCARD, PROGRAM, Running, VISA, card, signal};
use support::http;

fn rounds(short: u64) -> u64 {
    if std::env::var_os("PANVAULT_LONG").is_some() {
        50
    } else {
        short
    }
}

/// kill -9 of the server while its workers start: SoftHSM writes its token file anew at every login, and a worker that died
/// with the server in the middle of that left a token that nothing opened any more.
#[test]
fn a_server_killed_while_it_starts_leaves_the_token_whole() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    for round in 0..rounds(12) {
        let mut command = Command::new(PROGRAM);
        command.args(["dev", "--dir"]).arg(daemon.dir()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + 7 * (round % 24)));
        server.kill().unwrap();
        server.wait().unwrap();
    }
    daemon.up();
    assert_eq!(daemon.reveal(&token).status, 200);
}

/// kill -9 of the server while eight clients create and delete: all that was acknowledged is there, and only that.
#[test]
fn no_acknowledged_token_is_lost_when_the_server_is_killed() {
    let mut daemon = Daemon::start();
    let acknowledged: Mutex<HashMap<String, &str>> = Mutex::new(HashMap::new());
    let deleted: Mutex<Vec<String>> = Mutex::new(Vec::new());
    for round in 0..rounds(4) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (daemon, stop, acknowledged, deleted) = (&daemon, &stop, &acknowledged, &deleted);
                scope.spawn(move || {
                    let number = [VISA, MASTERCARD, AMEX][client % 3];
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(answer) = daemon.try_call("POST", "/v1/tokens", &json!({"card": card(number)})) else {
                            break;
                        };
                        if answer.status != 201 {
                            continue;
                        }
                        let token = answer.json()["token"].as_str().unwrap().to_owned();
                        count += 1;
                        if count % 5 == 0 {
                            // Until the answer comes the deletion may or may not have happened: not to be judged.
                            if let Ok(gone) = daemon.try_call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null)
                                && gone.status == 200
                            {
                                deleted.lock().unwrap().push(token);
                            }
                        } else {
                            acknowledged.lock().unwrap().insert(token, number);
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(150 + 97 * (round % 9)));
            signal(daemon.pid(), "KILL");
            stop.store(true, Ordering::Relaxed);
        });
        daemon.kill();
        daemon.up();
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let deleted = deleted.into_inner().unwrap();
    assert!(acknowledged.len() > 20, "only {} tokens were made", acknowledged.len());
    let every = acknowledged.len().div_ceil(400);
    for (token, number) in acknowledged.iter().step_by(every) {
        let answer = daemon.reveal(token);
        assert_eq!(answer.json()["card"]["number"], *number, "{token}: {}", answer.text());
    }
    for token in acknowledged.keys() {
        assert_eq!(
            daemon.call("GET", &format!("/v1/tokens/{token}"), &Value::Null).status,
            200,
            "{token} is lost"
        );
    }
    for token in deleted.iter().take(200) {
        assert_eq!(daemon.reveal(token).status, 404, "{token} came back");
    }
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    daemon.run(&["check", "store"], 0);
    daemon.run(&["audit", "verify"], 0);
}

/// kill -9 of workers under load: they are replaced and no request fails.
#[test]
fn workers_die_and_no_request_fails() {
    let daemon = Daemon::start();
    daemon.wait_all_workers();
    let stop = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let made = daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)}));
                    if made.status != 201 {
                        failures.lock().unwrap().push(made.text());
                        continue;
                    }
                    let revealed = daemon.reveal(made.json()["token"].as_str().unwrap());
                    if revealed.status != 200 {
                        failures.lock().unwrap().push(revealed.text());
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..rounds(3) {
            std::thread::sleep(Duration::from_millis(300));
            let workers = daemon.workers();
            let Some(worker) = workers.first() else { continue };
            signal(*worker, "KILL");
            daemon.wait(Duration::from_secs(20), "a new worker", || {
                let now = daemon.workers();
                now.len() == workers.len() && !now.contains(worker)
            });
            // The next one dies only when its successor works: with no worker at all a request may fail.
            daemon.wait(Duration::from_secs(20), "all workers up", || {
                daemon.metric("panvault_hsm_workers{state=\"up\"}") >= f64::from(u32::try_from(workers.len()).unwrap())
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(done.load(Ordering::Relaxed) > 10);
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} requests failed, first: {}",
        failures.len(),
        failures[0]
    );
    assert!(daemon.metric("panvault_hsm_worker_ends_total{reason=\"crashed\"}") >= 1.0);
}

/// A hung module: the worker is killed at the deadline and the job is done by another.
#[test]
fn a_stuck_worker_is_killed_and_its_jobs_are_done() {
    let daemon = Daemon::start_with("hsm.deadline_ms = 1500");
    daemon.wait_all_workers();
    for worker in daemon.workers() {
        signal(worker, "STOP");
    }
    let answer = daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)}));
    assert!(matches!(answer.status, 201 | 503), "{}", answer.text());
    daemon.wait(Duration::from_secs(20), "recovery", || {
        daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)})).status == 201
    });
    assert!(daemon.metric("panvault_hsm_worker_ends_total{reason=\"stuck\"}") >= 1.0);
}

/// The token vanishes and comes back: 503 with Retry-After, readiness off, recovery without a restart.
#[test]
fn the_hsm_goes_away_and_comes_back() {
    let daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    // one killed while it logs in could leave SoftHSM's file half written
    daemon.wait_all_workers();
    let (tokens, hidden) = (daemon.dir().join("tokens"), daemon.dir().join("hidden"));
    std::fs::rename(&tokens, &hidden).unwrap();
    for worker in daemon.workers() {
        signal(worker, "KILL");
    }
    daemon.wait(Duration::from_secs(20), "readiness to go", || !daemon.ready());
    daemon.serves_views_only(&token, "hsm_unavailable");
    std::fs::rename(&hidden, &tokens).unwrap();
    daemon.wait_ready();
    assert_eq!(daemon.reveal(&token).status, 200);
    assert_eq!(
        daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)})).status,
        201
    );
}

#[test]
fn a_second_instance_on_the_directory_is_refused() {
    let daemon = Daemon::start();
    let second = std::process::Command::new(PROGRAM)
        .args(["dev", "--dir"])
        .arg(daemon.dir())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains("another") || text.contains("in use"), "{text}");
    assert_eq!(
        daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)})).status,
        201
    );
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let pin = daemon.dir().join("user-pin");
    let right = std::fs::read(&pin).unwrap();
    std::fs::write(&pin, "000000").unwrap();
    let log = std::fs::File::create(daemon.dir().join("log2")).unwrap();
    let mut serving = Running::start(
        std::process::Command::new(PROGRAM)
            .args(["serve", "--allow-root", "--config"])
            .arg(daemon.dir().join("panvault.toml"))
            .stderr(log),
    );
    let readyz = || http::request(&daemon.admin(), "GET", "/readyz", &[], b"");
    daemon.wait(Duration::from_secs(20), "an answer", || readyz().is_ok());
    daemon.wait(Duration::from_secs(20), "the refusal", || {
        readyz().is_ok_and(|a| a.text().contains("PIN"))
    });
    assert_eq!(readyz().unwrap().status, 503);
    signal(serving.0.id(), "TERM");
    assert!(serving.0.wait().unwrap().success());
    std::fs::write(&pin, right).unwrap();
    daemon.up();
    daemon.tokenize(VISA);
}

/// Secrets stand neither in the command lines nor in the environments of the processes, and the process that parses
/// HTTP has not loaded the module.
#[test]
fn processes_keep_their_secrets() {
    let daemon = Daemon::start();
    daemon.wait_all_workers();
    daemon.tokenize(VISA);
    let pins: Vec<String> = ["user-pin", "so-pin"]
        .iter()
        .map(|name| std::fs::read_to_string(daemon.dir().join(name)).unwrap())
        .collect();
    let mut all = daemon.workers();
    assert!(!all.is_empty());
    all.push(daemon.pid());
    for pid in all {
        for file in ["cmdline", "environ"] {
            let Ok(text) = std::fs::read(format!("/proc/{pid}/{file}")) else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            assert!(
                pins.iter().all(|pin| !text.contains(pin.trim())),
                "a PIN in {file} of {pid}"
            );
        }
    }
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    assert!(!maps.contains("softhsm"), "the server has the module mapped");
    let log = daemon.log();
    assert!(!log.contains("4111") && !log.contains("JANE"), "{log}");
}

/// Every file the vault writes, searched for the number and the name that were stored.
#[test]
fn nothing_on_disk_is_in_the_clear() {
    let mut daemon = Daemon::start_with("store.audit_window = 10");
    let mut tokens = Vec::new();
    for _ in 0..40 {
        let made = daemon.call(
            "POST",
            "/v1/tokens",
            &json!({"card": card(VISA), "profile": {"email": "jane@example.org"}}),
        );
        tokens.push(made.json()["token"].as_str().unwrap().to_owned());
    }
    daemon.call("POST", "/v1/tokens", &json!({"card": {"number": "4111111111111112"}}));
    for token in &tokens {
        assert_eq!(daemon.reveal(token).status, 200);
    }
    daemon.stop();
    let mut files = 0;
    let mut waiting = vec![daemon.dir().to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
                continue;
            }
            files += 1;
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            for needle in [
                VISA,
                "4111111111111112",
                "JANE DOE",
                "jane@example.org",
                "NDExMTExMTExMTExMTExMQ",
            ] {
                let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                assert!(!found, "{needle} stands in {}", entry.path().display());
            }
        }
    }
    assert!(files > 8);
}
