//! Requests that go on while something happens to the service.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::machine::Machine;
use crate::support::http;
use crate::usage::{Shop, as_before};

const CALLERS: usize = 8;

/// Runs `event` while callers ask for views of a token over new connections. None of them may be refused or left without
/// an answer: while no daemon is there, they wait in the socket that systemd holds.
pub(crate) fn under_load(machine: &Machine, shop: &Shop, event: impl FnOnce()) {
    let server = machine.show("MainPID");
    let socket = machine.file("/run/panvault/api.sock");
    let key = format!("Bearer {}", shop.key);
    let path = format!("/v1/tokens/{}", shop.token);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let pause = || std::thread::sleep(Duration::from_millis(700));
    let (before, after) = std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = http::request(&socket, "GET", &path, &[("Authorization", &key)], b"");
                    match answer {
                        Ok(answer) if answer.status == 200 => served.fetch_add(1, Ordering::Relaxed),
                        Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                        Err(error) => panic!("a connection came to nothing: {error}"),
                    };
                }
            });
        }
        pause();
        let before = served.load(Ordering::Relaxed);
        event();
        let during = served.load(Ordering::Relaxed);
        pause();
        stop.store(true, Ordering::Relaxed);
        (before, served.load(Ordering::Relaxed) - during)
    });
    assert!(before > 100 && after > 100, "load before and after: {before}, {after}");
    assert_ne!(machine.show("MainPID"), server, "another process serves now");
    as_before(machine, shop);
}
