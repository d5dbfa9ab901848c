//! Many connections at once: the daemon goes on serving, and so does its HSM.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic fails the test"
)]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;
use support::daemon::{Daemon, VISA, card, signal};

/// What one user may have of the 1,024 connections that are the default.
const SHARE: u32 = 512;

#[test]
fn idle_connections_stop_nothing_where_few_files_may_be_open() {
    let daemon = Daemon::start_with_files(64, 256);
    daemon.wait_all_workers();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = files.split_whitespace().nth(3);
    assert_eq!(soft, Some("256"), "the soft limit is raised: {files}");
    assert!(daemon.log().contains("the limit on open files allows fewer"));
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();

    // The kernel's queue for a socket is 1,024 long: all of these connect, whatever the daemon does.
    let connect = |socket: std::path::PathBuf, count| -> Vec<UnixStream> {
        (0..count).map(|_| UnixStream::connect(&socket).unwrap()).collect()
    };
    let mut idle = connect(daemon.api(), 300);
    idle.extend(connect(daemon.admin(), 100));
    for stream in idle.iter_mut().step_by(2) {
        // Half of them begin a head; some are closed already.
        let _ = stream.write_all(b"POST /v1/tokens HTT");
    }

    let begun = Instant::now();
    assert_eq!(daemon.reveal(&token).status, 200);
    daemon.tokenize(VISA);
    assert!(daemon.ready(), "admin.sock");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let open = daemon.metric("panvault_connections{listener=\"api\"}");
    assert!((1.0..=128.0).contains(&open), "{open} connections");

    let old = daemon.workers();
    signal(old[0], "KILL");
    daemon.wait(Duration::from_secs(10), "the worker's successor", || {
        let now = daemon.workers();
        now.len() == old.len() && !now.contains(&old[0])
    });
    daemon.wait_all_workers();
    assert_eq!(daemon.reveal(&token).status, 200);
    assert!(!daemon.log().contains("accept failed"), "{}", daemon.log());
    drop(idle);
}

#[test]
fn a_user_whose_share_is_in_use_is_refused_and_operators_are_served() {
    let daemon = Daemon::start();
    let body = json!({"card": card(VISA)}).to_string();
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        daemon.key,
        body.len()
    );
    // Requests under way: their bodies do not come.
    let mut held: Vec<UnixStream> = Vec::new();
    let begun = Instant::now();
    for _ in 0..SHARE {
        let mut stream = UnixStream::connect(daemon.api()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        held.push(stream);
    }
    daemon.wait(Duration::from_secs(10), "the connections", || {
        daemon.metric("panvault_connections{listener=\"api\"}") == f64::from(SHARE)
    });
    // A head that has not been read yet would make its connection an idle one.
    std::thread::sleep(Duration::from_millis(300));
    let mut refused = String::new();
    let mut one_more = UnixStream::connect(daemon.api()).unwrap();
    one_more.read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(daemon.ready(), "admin.sock");
    assert!(begun.elapsed() < Duration::from_secs(15), "the bodies' time is over");

    let mut first = held.remove(0);
    first.write_all(body.as_bytes()).unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201", "a request under way is not cut");
    // Now that connection is idle, and makes room for the same user.
    assert_eq!(daemon.call("POST", "/v1/tokens/search", &json!({})).status, 200);
}
