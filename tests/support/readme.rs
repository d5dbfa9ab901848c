//! The README's commands, as they stand there.

use std::path::Path;
use std::process::Command;

use super::daemon::{Daemon, PROGRAM};
use super::skip::skipped;

/// Runs the first block of commands under `heading` on a dev instance of its own; all of `expected` must be in what is said.
pub(crate) fn shows(heading: &str, expected: &[&str]) {
    let curl = Command::new("curl").arg("--version").output();
    if !curl.is_ok_and(|output| output.status.success()) {
        skipped(&format!("the README's section {heading:?}: needs curl"));
        return;
    }
    let daemon = Daemon::start();
    let (_, section) = include_str!("../../README.md").split_once(heading).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (commands, _) = block.split_once("```").unwrap();
    assert!(commands.contains("/tmp/vault"));
    let script = commands.replace("/tmp/vault", daemon.dir().to_str().unwrap());
    let programs = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for expected in expected {
        assert!(said.contains(expected), "no {expected}: {said}");
    }
}
