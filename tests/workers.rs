//! Worker processes as the kernel sees them, and the pool over real ones on a real SoftHSM token.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "workers/pool.rs"]
mod pool;
#[path = "support/softhsm.rs"]
mod softhsm;
#[path = "workers/token.rs"]
mod token;

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PANVAULT: &str = env!("CARGO_BIN_EXE_panvault");

/// A worker that was not greeted yet, started as the server does it.
fn worker() -> (UnixStream, Child) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(PANVAULT)
        .arg("hsm-worker")
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    (ours, child)
}

fn until<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(begun.elapsed() < limit, "not in {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Waits until a worker has confined itself: SIGHUP, SIGINT and SIGTERM are blocked.
fn confined(pid: u32) {
    until("signals blocked", Duration::from_secs(10), || {
        let blocked = u64::from_str_radix(&status(pid, "SigBlk")?, 16).ok()?;
        (blocked & 0x4003 == 0x4003).then_some(())
    });
}

#[test]
fn a_worker_started_by_hand_says_who_starts_it() {
    let output = Command::new(PANVAULT)
        .arg("hsm-worker")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("panvault serve starts this command"), "{said}");
}

#[test]
fn a_worker_that_is_not_its_server_s_child_does_not_start() {
    let (_ours, theirs) = UnixStream::pair().unwrap();
    // The shell stays between the two.
    let output = Command::new("/bin/sh")
        .args(["-c", "\"$0\" hsm-worker; exit $?", PANVAULT])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the server is gone"), "{said}");
}

#[test]
fn signals_of_the_terminal_do_not_end_a_worker_but_the_end_of_the_stream_does() {
    let (ours, mut child) = worker();
    confined(child.id());
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        kill(pid, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(child.try_wait().unwrap(), None);
    drop(ours);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nonsense_from_the_server_ends_a_worker_with_a_failure() {
    let (mut ours, mut child) = worker();
    ours.write_all(&[0xFF; 16]).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_worker_holds_no_descriptor_it_was_not_meant_to_and_leaves_no_core() {
    // Without close-on-exec, as a careless library in the server would leave it.
    let secret = tempfile::tempfile().unwrap();
    let leaked = nix::unistd::dup(&secret).unwrap();
    let (_ours, mut child) = worker();
    let pid = child.id();
    confined(pid);
    let open = || -> Vec<(i32, String)> {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let target = std::fs::read_link(entry.path()).ok()?;
                Some((
                    entry.file_name().to_str()?.parse().ok()?,
                    target.to_string_lossy().into_owned(),
                ))
            })
            .collect()
    };
    let inherited = std::fs::read_link(format!("/proc/self/fd/{}", leaked.as_raw_fd()))
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let open = until("descriptors closed", Duration::from_secs(5), || {
        let open = open();
        open.iter().all(|(_, target)| *target != inherited).then_some(open)
    });
    let beyond: Vec<_> = open.iter().filter(|(fd, _)| *fd > 2).collect();
    assert!(
        beyond.iter().all(|(_, target)| target.starts_with("socket:")) && beyond.len() <= 1,
        "{open:?}"
    );
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert!(
        core.split_whitespace().filter(|word| *word == "0").count() == 2,
        "{core}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
