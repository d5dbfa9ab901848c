//! A vault that starts sealed: custodians' shares give the PIN to the keeper, and the keeper to the workers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "ceremony/place.rs"]
mod place;
#[path = "ceremony/refused.rs"]
mod refused;
mod support;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use place::{Sealed, holds, root, said};
use serde_json::json;
use support::daemon::{Daemon, VISA, card, signal};
use support::http;
use support::skip::skipped;

fn soon(sealed: &Sealed, what: &str, condition: impl Fn() -> bool) {
    sealed.daemon.wait(Duration::from_secs(30), what, condition);
}

#[test]
fn enough_shares_unseal_and_fewer_do_nothing() {
    let mut sealed = Sealed::new(3, 5, "");
    let place = tempfile::tempdir().unwrap();
    let systemd = UnixDatagram::bind(place.path().join("notify")).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let address = place.path().join("notify").display().to_string();
    sealed.daemon.environment = vec![("NOTIFY_SOCKET".to_owned(), address)];
    let told = |text: &str| {
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| {
            systemd
                .recv(&mut buffer)
                .ok()
                .map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned())
        })
        .any(|said| said.contains(text))
    };
    sealed.daemon.up_sealed();
    sealed.wait_door();
    soon(&sealed, "the reason", || sealed.readyz().1.contains("0 of 3"));
    let daemon = &sealed.daemon;
    let create = || daemon.call("POST", "/v1/tokens", &json!({"card": card(VISA)}));
    for given in 0..3_u8 {
        let reason = format!("sealed: {given} of 3 shares given");
        soon(&sealed, &reason, || {
            sealed.readyz() == (503, json!({"ready": false, "reasons": [reason]}).to_string())
        });
        soon(&sealed, "the status", || told(&format!("STATUS={reason}")));
        assert_eq!(
            http::request(&daemon.admin(), "GET", "/healthz", &[], b"")
                .unwrap()
                .status,
            200
        );
        let answer = create();
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (503, &json!("hsm_unavailable")),
            "{}",
            answer.text()
        );
        assert!(answer.header("retry-after").is_some());
        assert!(sealed.workers().is_empty());
        let figures = ["panvault_sealed", "panvault_shares_given", "panvault_shares_needed"];
        assert_eq!(figures.map(|name| daemon.metric(name)), [1.0, f64::from(given), 3.0]);
        let text = sealed.given(usize::from(given), "first", [4, 1, 5][usize::from(given)], 5);
        let expected = match given {
            2 => "unsealed".to_owned(),
            _ => format!("sealed: {} of 3 shares given\n{} of the 5 shares", given + 1, 2 - given),
        };
        assert!(text.contains(&expected), "{text}");
    }
    daemon.wait_ready();
    assert_eq!(create().status, 201);
    assert_eq!(daemon.metric("panvault_sealed"), 0.0);
    let text = said(&sealed.give(3, &sealed.share("first", 2, 5)));
    assert!(text.contains("unsealed"), "{text}");

    // the trail tells who unsealed
    let trail = daemon.run(&["audit", "tail", "--lines", "40"], 0);
    let told = |outcome: &str| {
        trail
            .lines()
            .filter(|line| line.contains("\"seal-state\"") && line.contains(outcome))
            .count()
    };
    assert_eq!(
        (told("\"sealed\""), told("\"share-given\""), told("\"unsealed\"")),
        (1, 2, 1),
        "{trail}"
    );
    let by = |uid: u32| {
        trail
            .lines()
            .any(|line| line.contains("seal-state") && line.contains(&format!("\"uid\":{uid},")))
    };
    if root() {
        assert!(place::CUSTODIANS[..3].iter().all(|uid| by(*uid)), "{trail}");
    }
    assert!(trail.contains("share 4 of set"), "{trail}");
    sealed.daemon.stop();
    sealed.daemon.run(&["audit", "verify"], 0);

    // a restart is sealed again
    sealed.daemon.up_sealed();
    sealed.wait_door();
    soon(&sealed, "sealed again", || sealed.readyz().0 == 503);
    assert_eq!(sealed.daemon.metric("panvault_sealed"), 1.0);
}

#[test]
fn a_worker_that_is_replaced_gets_the_pin_and_the_keeper_takes_it_along() {
    let mut sealed = Sealed::new(2, 3, "");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    sealed.given(0, "first", 1, 3);
    sealed.given(1, "first", 3, 3);
    sealed.daemon.wait_ready();
    let daemon = &sealed.daemon;
    for _ in 0..2 {
        let before = sealed.workers();
        assert_eq!(before.len(), 1);
        signal(before[0], "KILL");
        soon(&sealed, "another worker", || {
            let now = sealed.workers();
            !now.is_empty() && now != before && daemon.ready()
        });
        daemon.tokenize(VISA);
    }
    // the keeper ends: who has the PIN goes on, and new workers get none
    let keeper = sealed.keeper().unwrap();
    signal(keeper, "KILL");
    soon(&sealed, "another keeper", || {
        sealed.keeper().is_some_and(|now| now != keeper)
    });
    sealed.wait_door();
    soon(&sealed, "sealed", || daemon.metric("panvault_sealed") == 1.0);
    daemon.tokenize(VISA);
    assert!(daemon.ready());
    soon(&sealed, "the status", || {
        let status = daemon.run(&["status", "--json"], 0);
        status.contains("the pin keeper ended: custodians must unseal again")
    });
    signal(sealed.workers()[0], "KILL");
    soon(&sealed, "the reason", || {
        sealed
            .readyz()
            .1
            .contains("sealed: 0 of 2 shares given; the pin keeper ended")
    });
    sealed.given(2, "first", 2, 3);
    sealed.given(0, "first", 1, 3);
    daemon.wait_ready();
    daemon.tokenize(VISA);
    let trail = daemon.run(&["audit", "tail", "--lines", "40"], 0);
    assert!(trail.contains("the pin keeper ended"), "{trail}");
    sealed.daemon.stop();
    assert!(!std::path::Path::new(&format!("/proc/{keeper}")).exists());
    assert!(!sealed.door().exists());
}

/// The server hands descriptors on; what goes over them it never has.
#[test]
fn the_process_that_parses_http_holds_neither_pin_nor_share() {
    let mut sealed = Sealed::new(2, 2, "");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    let text = std::fs::read_to_string(sealed.share("first", 1, 2)).unwrap();
    let share = panvault::hsm::share::Share::from_text(&text).unwrap().to_bytes();
    sealed.given(0, "first", 1, 2);
    let (server, keeper) = (sealed.daemon.pid(), sealed.keeper().unwrap());
    let some = &share[20..60];
    if holds(keeper, some).is_none() {
        return skipped(
            "the_process_that_parses_http_holds_neither_pin_nor_share: needs the right to read processes' memory",
        );
    }
    assert_eq!(holds(keeper, some), Some(true), "the test finds what is there");
    assert_eq!(holds(server, some), Some(false));
    sealed.given(1, "first", 2, 2);
    sealed.daemon.wait_ready();
    sealed.daemon.tokenize(VISA);
    let pin = sealed.pin.as_bytes();
    assert_eq!(holds(keeper, pin), Some(true), "the test finds what is there");
    assert_eq!(holds(keeper, some), Some(false), "shares are wiped");
    assert_eq!(holds(server, pin), Some(false));
    for pid in sealed.daemon.workers().into_iter().chain([server]) {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!bytes.windows(pin.len()).any(|bytes| bytes == pin), "{file} of {pid}");
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let has = |line: &str| {
            status
                .lines()
                .any(|found| found.split_whitespace().collect::<Vec<_>>().join(" ") == line)
        };
        assert!(pid == server || has("NoNewPrivs: 1") && has("Seccomp: 2"), "{status}");
    }
    let maps = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!maps(keeper).contains("softhsm") && !maps(server).contains("softhsm"));
    // nothing the vault wrote holds it
    sealed.daemon.stop();
    let mut waiting = vec![sealed.daemon.dir().to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            let found = bytes.windows(pin.len()).any(|bytes| bytes == pin);
            assert!(!found, "{}", entry.path().display());
        }
    }
}

#[test]
fn the_keeper_ends_with_its_server() {
    let mut sealed = Sealed::new(2, 2, "");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    let keeper = sealed.keeper().unwrap();
    sealed.daemon.kill();
    let there = || std::fs::read_to_string(format!("/proc/{keeper}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    soon(&sealed, "the keeper's end", || !there());
    let output = std::process::Command::new(support::daemon::PROGRAM)
        .arg("pin-keeper")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("panvault serve starts this command"),
        "{}",
        said(&output)
    );
}

/// The socket may be systemd's, and goes on to the keeper; for a vault that is not sealed it is a mistake.
#[test]
fn the_socket_of_custodians_may_be_systemds() {
    let there = std::process::Command::new("systemd-socket-activate")
        .arg("--version")
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        return skipped(
            "the_socket_of_custodians_may_be_systemds: needs systemd-socket-activate (Debian package systemd)",
        );
    }
    let sealed = Sealed::new(2, 2, "");
    let start = || {
        let mut command = std::process::Command::new("systemd-socket-activate");
        command
            .arg("--fdname=unseal")
            .arg(format!("--listen={}", sealed.door().display()))
            .arg(support::daemon::PROGRAM)
            .args(["dev", "--dir"])
            .arg(sealed.daemon.dir())
            .stderr(std::process::Stdio::null());
        let running = support::daemon::Running::start(&mut command);
        soon(&sealed, "the socket", || sealed.door().exists());
        std::fs::set_permissions(sealed.door(), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        running
    };
    let running = start();
    // the first who comes starts it
    sealed.wait_door();
    sealed.given(0, "first", 1, 2);
    sealed.given(1, "first", 2, 2);
    soon(&sealed, "readiness", || sealed.daemon.ready());
    sealed.daemon.tokenize(VISA);
    drop(running);
    std::fs::remove_file(sealed.door()).unwrap();
    std::fs::write(sealed.daemon.dir().join("user-pin"), &sealed.pin).unwrap();
    sealed
        .daemon
        .configure("hsm.unseal = \"pin\"\nhsm.pin_file = \"user-pin\"");
    let mut running = start();
    drop(std::os::unix::net::UnixStream::connect(sealed.door()));
    assert_eq!(running.0.wait().unwrap().code(), Some(78));
}

#[test]
fn an_operator_seals_and_commands_take_the_pin_from_a_file_meanwhile() {
    let mut sealed = Sealed::new(2, 2, "");
    let pin = sealed.daemon.dir().join("pin-of-the-officer");
    std::fs::write(&pin, &sealed.pin).unwrap();
    std::fs::set_permissions(&pin, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let pin = pin.to_str().unwrap();
    assert!(sealed.daemon.run(&["check", "config"], 0).contains("good"));
    let refused = sealed.daemon.try_run(&["check", "hsm"]);
    assert_eq!(refused.status.code(), Some(69));
    assert!(said(&refused).contains("--pin-file"), "{}", said(&refused));
    sealed.daemon.run(&["check", "hsm", "--pin-file", pin], 0);
    assert!(
        sealed
            .daemon
            .run(&["verify", "--full", "--pin-file", pin], 0)
            .contains("1 opened")
    );
    let refused = sealed.daemon.try_run(&["verify", "--full"]);
    assert_eq!(refused.status.code(), Some(69), "{}", said(&refused));

    sealed.daemon.up_sealed();
    sealed.wait_door();
    for round in 0..2 {
        sealed.given(0, "first", 1, 2);
        sealed.given(1, "first", 2, 2);
        sealed.daemon.wait_ready();
        sealed.daemon.tokenize(VISA);
        if round == 0 {
            sealed.daemon.run(&["seal"], 0);
            soon(&sealed, "the seal", || {
                sealed
                    .readyz()
                    .1
                    .contains("sealed: 0 of 2 shares given; sealed by an operator")
            });
            soon(&sealed, "the end of the workers", || sealed.workers().is_empty());
        }
    }
    let trail = sealed.daemon.run(&["audit", "tail", "--lines", "40"], 0);
    assert!(
        trail.contains("\"action\":\"seal\"") && trail.contains("sealed by an operator"),
        "{trail}"
    );
    sealed.daemon.stop();
    let plain = Daemon::start();
    let refused = plain.try_run(&["seal"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("does not start sealed"), "{}", said(&refused));
    let refused = plain.try_run(&["unseal", "--status"]);
    assert_eq!(refused.status.code(), Some(78));
}

/// On a terminal the lines are asked for one by one; nothing of them shows, and one that was typed wrong is asked for again.
#[test]
fn a_share_is_typed_without_echo() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return skipped("a_share_is_typed_without_echo: needs python3");
    }
    let mut sealed = Sealed::new(2, 3, "");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    let share = sealed.share("first", 2, 3);
    let typed = |uid: u32, shares: &[&std::path::Path], arguments: &[&str]| {
        let shares: Vec<String> = shares.iter().map(|share| share.display().to_string()).collect();
        std::process::Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ceremony/typing.py"))
            .args([uid.to_string(), shares.join(",")])
            .arg(sealed.program())
            .args(arguments)
            .output()
            .unwrap()
    };
    let door = sealed.door();
    let output = typed(
        place::CUSTODIANS[0],
        &[&share],
        &["unseal", "--socket", door.to_str().unwrap()],
    );
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("line 2 was copied wrong"), "{text}");
    assert!(text.contains("sealed: 1 of 2 shares given"), "{text}");
    let own = std::fs::read_to_string(&share).unwrap();
    for line in own.lines().filter(|line| !line.starts_with('#')) {
        let group = line.split_whitespace().nth(3).unwrap();
        assert!(!text.to_uppercase().contains(group), "{group} of {line} shows: {text}");
    }
    assert_eq!(sealed.seal()["given"], json!([2]));

    // new shares from those of custodians who type them in turn
    let (dir, out) = (sealed.daemon.dir().to_str().unwrap(), sealed.share("typed", 1, 2));
    let out = out.parent().unwrap().to_str().unwrap();
    let renew = [
        "shares",
        "renew",
        "--threshold",
        "2",
        "--shares",
        "2",
        "--out",
        out,
        "--dir",
        dir,
    ];
    let output = typed(0, &[&share, &sealed.share("first", 3, 3)], &renew);
    assert!(output.status.success(), "{}", said(&output));
    sealed.daemon.wait(Duration::from_secs(10), "the new set", || {
        sealed.seal()["given"] == json!([])
    });
    sealed.given(0, "typed", 1, 2);
    sealed.given(1, "typed", 2, 2);
    sealed.daemon.wait_ready();
    soon(&sealed, "the new set on record", || {
        sealed
            .daemon
            .run(&["audit", "tail", "--lines", "40"], 0)
            .contains("\"new-set\"")
    });
}
