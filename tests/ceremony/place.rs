//! A vault that starts sealed, and its custodians.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{Daemon, PROGRAM};
use crate::support::http;

/// Users that every system has and that are nobody here: bin, daemon, games, mail, man.
pub(crate) const CUSTODIANS: [u32; 5] = [2, 1, 5, 8, 6];

pub(crate) struct Sealed {
    pub(crate) daemon: Daemon,
    /// The PIN, which is in no file of the vault any more.
    pub(crate) pin: String,
    /// The program and shares, where custodians can read them.
    hall: TempDir,
}

impl Sealed {
    /// A vault whose PIN was shared out and taken away; it does not serve yet.
    pub(crate) fn new(threshold: u8, shares: u8, settings: &str) -> Self {
        let mut daemon = Daemon::start();
        daemon.tokenize(crate::support::daemon::VISA);
        daemon.stop();
        let hall = tempfile::Builder::new().prefix("pvhall").tempdir_in("/tmp").unwrap();
        for open in [hall.path(), daemon.dir()] {
            fs::set_permissions(open, Permissions::from_mode(0o755)).unwrap();
        }
        let program = hall.path().join("panvault");
        fs::copy(PROGRAM, &program).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let pin_file = daemon.dir().join("user-pin");
        let pin = fs::read_to_string(&pin_file).unwrap().trim().to_owned();
        let file = daemon.dir().join("panvault.toml");
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("pin_file = \"user-pin\"", "unseal = \"custodians\"");
        fs::write(&file, text).unwrap();
        daemon.configure("listen.unseal = \"unseal.sock\"\nlisten.unseal_mode = \"0666\"\nhsm.workers = 1");
        if !root() {
            daemon.configure("custodians.one_share_each = false");
        }
        daemon.configure(settings);
        let this = Self { daemon, pin, hall };
        let said = this.split("first", threshold, shares, this.pin.clone(), 0);
        assert!(said.contains("the token took the PIN"), "{said}");
        fs::remove_file(&pin_file).unwrap();
        this
    }

    /// Splits a PIN into shares under `name`; what was said.
    pub(crate) fn split(&self, name: &str, threshold: u8, shares: u8, pin: String, code: i32) -> String {
        let file = self.daemon.dir().join("pin-to-be-shared");
        fs::write(&file, pin).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
        let output = self.set(
            &["split", "--pin-file", file.to_str().unwrap()],
            name,
            threshold,
            shares,
        );
        fs::remove_file(&file).unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        said(&output)
    }

    /// A command that makes a set of shares.
    pub(crate) fn set(&self, command: &[&str], name: &str, threshold: u8, shares: u8) -> Output {
        let out = self.hall.path().join(name);
        let mut arguments = vec!["shares"];
        arguments.extend_from_slice(command);
        let (threshold, shares) = (threshold.to_string(), shares.to_string());
        arguments.extend_from_slice(&[
            "--threshold",
            &threshold,
            "--shares",
            &shares,
            "--out",
            out.to_str().unwrap(),
        ]);
        self.daemon.try_run(&arguments)
    }

    /// A share's file, from 1.
    pub(crate) fn share(&self, name: &str, index: u8, of: u8) -> PathBuf {
        self.hall.path().join(name).join(format!("share-{index}-of-{of}.txt"))
    }

    /// A file with this text that custodians can read.
    pub(crate) fn paper(&self, name: &str, text: &str) -> PathBuf {
        let path = self.hall.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The program, where custodians can run it.
    pub(crate) fn program(&self) -> PathBuf {
        self.hall.path().join("panvault")
    }

    pub(crate) fn door(&self) -> PathBuf {
        self.daemon.dir().join("unseal.sock")
    }

    /// A custodian gives a share.
    pub(crate) fn give(&self, custodian: usize, share: &Path) -> Output {
        // a copy of the custodian's own
        let own = self.hall.path().join(format!("share-of-{custodian}"));
        let _ = fs::remove_file(&own);
        fs::copy(share, &own).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(0o444)).unwrap();
        self.ask(CUSTODIANS[custodian], &["--share", own.to_str().unwrap()])
    }

    /// `unseal` as this user, where the tests run as root.
    pub(crate) fn ask(&self, uid: u32, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.program());
        command.arg("unseal").arg("--socket").arg(self.door()).args(arguments);
        if root() {
            command.uid(uid).gid(uid);
        }
        command.output().unwrap()
    }

    /// A share is taken; what was said.
    pub(crate) fn given(&self, custodian: usize, name: &str, index: u8, of: u8) -> String {
        let output = self.give(custodian, &self.share(name, index, of));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    }

    /// A share is refused, with these words; how the vault is sealed is as before.
    pub(crate) fn refused(&self, custodian: usize, share: &Path, words: &[&str]) {
        let before = self.seal();
        let output = self.give(custodian, share);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(self.seal(), before, "{text}");
    }

    /// How the vault is sealed, by the keeper's word.
    pub(crate) fn seal(&self) -> Value {
        let output = self.ask(CUSTODIANS[4], &["--status", "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut seal = answer["seal"].clone();
        // it moves
        seal.as_object_mut().unwrap().remove("until");
        seal
    }

    /// Waits until the keeper answers.
    pub(crate) fn wait_door(&self) {
        self.daemon.wait(Duration::from_secs(20), "the keeper", || {
            self.ask(CUSTODIANS[4], &["--status"]).status.success()
        });
    }

    /// What `/readyz` says.
    pub(crate) fn readyz(&self) -> (u16, String) {
        let answer = http::request(&self.daemon.admin(), "GET", "/readyz", &[], b"").unwrap();
        (answer.status, answer.text())
    }

    /// The keeper's process.
    pub(crate) fn keeper(&self) -> Option<u32> {
        self.daemon.workers().into_iter().find(|pid| is(*pid, "pin-keeper"))
    }

    /// Processes of workers.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let mut all = self.daemon.workers();
        all.retain(|pid| is(*pid, "hsm-worker"));
        all
    }
}

fn is(pid: u32, command: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(command))
}

pub(crate) fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether these bytes stand anywhere in a process's memory; `None` where it may not be read.
pub(crate) fn holds(pid: u32, needle: &[u8]) -> Option<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut read = 0;
    let zeros = vec![0; (1 << 16) + needle.len()];
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut at = from;
        while at < to {
            let size = usize::try_from((to - at).min(1 << 16)).unwrap();
            let mut block = vec![0; size + needle.len()];
            memory.seek(SeekFrom::Start(at)).ok()?;
            if let Ok(n) = memory.read(&mut block) {
                read += n;
                // most of it was never written
                if block[..n] == zeros[..n] {
                    at += u64::try_from(size).unwrap();
                    continue;
                }
                if block[..n].windows(needle.len()).any(|bytes| bytes == needle) {
                    return Some(true);
                }
            }
            at += u64::try_from(size).unwrap();
        }
    }
    (read > 0).then_some(false)
}
