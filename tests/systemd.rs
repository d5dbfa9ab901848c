//! The units, the sockets that systemd opens, and what it is told. Where systemd's tools are missing, a test says that it is
//! left out.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::daemon::{Daemon, PROGRAM, Running, VISA, signal};
use support::http;
use support::skip::skipped;

fn there(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// The units with the program that was built in the place of the installed one.
fn units() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("/usr/bin/panvault ", &format!("{PROGRAM} "));
            std::fs::write(place.path().join(path.file_name().unwrap()), text).unwrap();
        }
    }
    place
}

#[test]
fn the_units_are_right_and_tight() {
    if !there("systemd-analyze") {
        return skipped("the_units_are_right_and_tight: needs systemd-analyze (Debian package systemd)");
    }
    let place = units();
    let named = |suffix: &str| -> Vec<PathBuf> {
        let all = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        all.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
    };
    let (services, sockets) = (named(".service"), named(".socket"));
    assert_eq!((services.len(), sockets.len()), (2, 5));
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(services.iter().chain(&sockets))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("panvault")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
    for service in &services {
        // 5: an exposure of 0.5 of 10
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=5", "--no-pager"])
            .arg(service)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&rated.stdout);
        assert!(rated.status.success(), "{}: {said}", service.display());
        assert!(said.contains("exposure level"), "{said}");
    }
}

/// Connections that came before the daemon served are served, and callers are known through the sockets of others.
#[test]
fn sockets_of_systemd_are_served() {
    if !there("systemd-socket-activate") {
        return skipped("sockets_of_systemd_are_served: needs systemd-socket-activate (Debian package systemd)");
    }
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let listen = |address: &str| format!("--listen={address}");
    let start = |names: &str, addresses: &[String]| {
        let mut command = Command::new("systemd-socket-activate");
        command.arg(format!("--fdname={names}"));
        command.args(addresses.iter().map(|address| listen(address)));
        command.arg(PROGRAM).args(["dev", "--dir"]).arg(daemon.dir());
        Running::start(command.stderr(Stdio::null()))
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let addresses = [
        at("api.sock").display().to_string(),
        at("admin.sock").display().to_string(),
        at("checkout.sock").display().to_string(),
        free.to_string(),
    ];
    let running = start("api:admin:checkout:metrics", &addresses);
    let until = Instant::now() + Duration::from_secs(20);
    while !at("api.sock").exists() {
        assert!(Instant::now() < until, "no socket");
        std::thread::sleep(Duration::from_millis(10));
    }
    // the first one: nothing runs yet
    let key = format!("Bearer {}", daemon.key);
    let view = || {
        let headers = [("Authorization", key.as_str())];
        http::request(&at("api.sock"), "GET", &format!("/v1/tokens/{token}"), &headers, b"")
    };
    let answer = view().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ready = http::request(&at("admin.sock"), "GET", "/healthz", &[], b"").unwrap();
    assert_eq!(ready.status, 200);
    let pages = http::request(&at("checkout.sock"), "GET", "/checkout/style.css", &[], b"").unwrap();
    assert_eq!(pages.status, 200);
    assert_eq!(
        http::request(&at("checkout.sock"), "GET", "/v1/tokens/x", &[], b"")
            .unwrap()
            .status,
        404
    );
    let mut stream = std::net::TcpStream::connect(free).unwrap();
    let mut said = String::new();
    use std::io::{Read, Write};
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(!daemon.dir().join("api.sock").exists(), "its own socket was not needed");
    drop(running);
    assert!(at("api.sock").exists(), "a socket of systemd's stays");

    // a name that nothing here has
    let other = tempfile::tempdir().unwrap();
    let socket = other.path().join("x.sock");
    let mut command = Command::new("systemd-socket-activate");
    command.args([
        "--fdname=x",
        &listen(&socket.display().to_string()),
        PROGRAM,
        "dev",
        "--dir",
    ]);
    let mut child = command.arg(daemon.dir()).stderr(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = http::request(&socket, "GET", "/", &[], b"");
    assert_eq!(child.wait().unwrap().code(), Some(78));
}

/// What comes on systemd's own socket.
struct Ear(UnixDatagram);

impl Ear {
    fn hear(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Waits for a message with this in it.
    fn wait(&self, text: &str) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if let Some(said) = self.hear().filter(|said| said.contains(text)) {
                return said;
            }
        }
        panic!("systemd was not told {text}")
    }
}

#[test]
fn systemd_is_told_how_it_stands() {
    let place = tempfile::tempdir().unwrap();
    let ear = Ear(UnixDatagram::bind(place.path().join("notify")).unwrap());
    ear.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut daemon = Daemon::start();
    daemon.stop();
    daemon.environment = vec![
        (
            "NOTIFY_SOCKET".to_owned(),
            place.path().join("notify").display().to_string(),
        ),
        ("WATCHDOG_USEC".to_owned(), "900000".to_owned()),
    ];
    daemon.up();
    ear.wait("READY=1");
    let status = ear.wait("HSM workers up");
    assert!(status.contains("STATUS=serving"), "{status}");
    for _ in 0..3 {
        ear.wait("WATCHDOG=1");
    }
    signal(daemon.pid(), "HUP");
    assert!(ear.wait("RELOADING=1").contains("MONOTONIC_USEC="));
    ear.wait("READY=1");

    // a server that hangs says nothing
    signal(daemon.pid(), "STOP");
    while ear.hear().is_some() {}
    assert_eq!(ear.hear(), None);
    signal(daemon.pid(), "CONT");
    ear.wait("WATCHDOG=1");

    // the HSM's trouble is no reason for a restart: the watchdog is fed, and people are told
    let tokens = daemon.dir().join("softhsm2.conf");
    let away = daemon.dir().join("softhsm2.conf.away");
    daemon.wait_all_workers();
    std::fs::rename(&tokens, &away).unwrap();
    for worker in daemon.workers() {
        signal(worker, "KILL");
    }
    let status = ear.wait("without the HSM");
    assert!(status.contains("STATUS="), "{status}");
    for _ in 0..3 {
        ear.wait("WATCHDOG=1");
    }
    std::fs::rename(&away, &tokens).unwrap();
    daemon.stop();
    ear.wait("STOPPING=1");
}

/// Configuration and policy come into force together, or all that was in force stays and people are told.
#[test]
fn a_reload_is_whole_or_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let ear = Ear(UnixDatagram::bind(place.path().join("notify")).unwrap());
    ear.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    daemon.stop();
    let address = place.path().join("notify").display().to_string();
    daemon.environment = vec![("NOTIFY_SOCKET".to_owned(), address)];
    daemon.up();
    let path = |name: &str| daemon.dir().join(name);
    let [config, policy] = ["panvault.toml", "policy.toml"].map(|name| std::fs::read_to_string(path(name)).unwrap());
    let reload = |config: &str, policy: &str| {
        std::fs::write(path("panvault.toml"), config).unwrap();
        std::fs::write(path("policy.toml"), policy).unwrap();
        while ear.hear().is_some() {}
        signal(daemon.pid(), "HUP");
        ear.wait("RELOADING=1");
    };
    let revealed = || (0..3).map(|_| daemon.reveal(&token).status).collect::<Vec<_>>();
    let capped = config.replace("reveal_per_second = 0", "reveal_per_second = 1\nreveal_burst = 1");
    assert_ne!(capped, config);
    let denying = policy.replace("operations = [\"*\"]", "operations = [\"inspect\"]");
    assert_ne!(denying, policy);

    for (wrong, policy, fault) in [
        (capped.as_str(), "version = 1\n[[grant]]\nuser = 5\n", "policy"),
        ("version = 1\nlisten = 7\n", denying.as_str(), "must be a table"),
        (
            &format!("{config}\n[log]\nfilter = \"loud\"\n"),
            denying.as_str(),
            "log.filter",
        ),
    ] {
        reload(wrong, policy);
        let status = ear.wait("refused");
        assert!(
            status.contains("STATUS=serving; ") && status.contains(fault),
            "{status}"
        );
        assert_eq!(revealed(), [200; 3], "{fault}");
        std::fs::write(path("panvault.toml"), &config).unwrap();
        let trail = daemon.run(&["audit", "tail", "--lines", "30"], 0);
        let told = |line: &&str| line.contains("\"policy-reload\"") && line.contains("\"refused\"");
        assert!(trail.lines().rfind(told).unwrap().contains(fault), "{trail}");
    }
    reload(&capped, &policy);
    let status = ear.wait("STATUS=");
    assert!(!status.contains("refused"), "{status}");
    assert_eq!(revealed()[1..], [429, 429]);
    let trail = daemon.run(&["audit", "tail", "--lines", "30"], 0);
    assert!(trail.contains("configuration sha256"), "{trail}");
    reload(&capped, &denying);
    daemon.wait(Duration::from_secs(10), "less", || daemon.reveal(&token).status == 403);
}

/// Also without a unit's sandbox.
#[test]
fn workers_gain_no_privileges_and_are_filtered_in_the_servers_own_group() {
    let daemon = Daemon::start();
    daemon.wait_all_workers();
    let group = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let workers = daemon.workers();
    assert!(!workers.is_empty());
    for worker in workers {
        let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        let has = |field: &str, value: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            assert_eq!(line.split_whitespace().nth(1).unwrap(), value, "{line}");
        };
        has("NoNewPrivs:", "1");
        // 2: a filter of system calls
        has("Seccomp:", "2");
        assert_eq!(group(worker), group(daemon.pid()));
    }
}
