//! A daemon's second token, and the command that moves the vault there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::daemon::{Daemon, PROGRAM};

pub(crate) struct Place {
    /// The new token's label, which names its files too.
    label: String,
    pub(crate) serial: String,
    dir: PathBuf,
    softhsm: PathBuf,
}

impl Place {
    /// Stops the daemon, makes a backup, a token and a configuration that names it.
    pub(crate) fn beside(daemon: &mut Daemon, name: &str) -> Self {
        daemon.stop();
        let dir = daemon.dir().to_owned();
        let place = Self::token(daemon, name);
        daemon.run(&["backup", dir.join(format!("backup-{name}")).to_str().unwrap()], 0);
        place
    }

    /// A token without keys and a configuration that names it.
    pub(crate) fn token(daemon: &Daemon, name: &str) -> Self {
        let dir = daemon.dir().to_owned();
        let mut place = Self {
            label: format!("token-{name}"),
            serial: String::new(),
            softhsm: dir.join("softhsm2.conf"),
            dir,
        };
        let pin = |name: &str| fs::read_to_string(place.dir.join(name)).unwrap().trim().to_owned();
        let made = place.util(&[
            "--init-token",
            "--free",
            "--label",
            &place.label,
            "--so-pin",
            &pin("so-pin"),
            "--pin",
            &pin("user-pin"),
        ]);
        assert!(made.status.success(), "{made:?}");
        let shown = String::from_utf8(place.util(&["--show-slots"]).stdout).unwrap();
        // a slot's serial number stands before its label
        let mut serial = "";
        for line in shown.lines().map(str::trim) {
            if let Some(found) = line.strip_prefix("Serial number:") {
                serial = found.trim();
            }
            if line.strip_prefix("Label:").map(str::trim) == Some(place.label.as_str()) {
                place.serial = serial.to_owned();
            }
        }
        assert_eq!(place.serial.len(), 16, "{shown}");
        let text = fs::read_to_string(place.dir.join("panvault.toml")).unwrap();
        let old = text.lines().find(|line| line.starts_with("token = ")).unwrap();
        let text = text.replace(old, &format!("token = {:?}", place.label));
        fs::write(place.configuration(), text).unwrap();
        place
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.dir.join(format!("{}.toml", self.label))
    }

    pub(crate) fn take_into_use(&self, daemon: &Daemon) {
        fs::copy(self.configuration(), daemon.dir().join("panvault.toml")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    /// The command with all that it wants.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let name = self.label.strip_prefix("token-").unwrap();
        let (configuration, so) = (self.configuration(), self.path("so-pin"));
        let backup = self.path(&format!("backup-{name}"));
        self.bare(
            &[
                &[
                    "--to",
                    configuration.to_str().unwrap(),
                    "--serial",
                    &self.serial,
                    "--backup",
                    &backup,
                ],
                &["--so-pin-file", &so, "--to-so-pin-file", &so][..],
                more,
            ]
            .concat(),
        )
    }

    /// The command with these arguments.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(["key", "move", "--dir"])
            .arg(&self.dir)
            .args(arguments)
            // else it would start itself once more
            .env("SOFTHSM2_CONF", &self.softhsm)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn moves(&self, _stopped: &Daemon, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    /// A command of the program that knows no instance.
    pub(crate) fn alone(&self, arguments: &[&str], code: i32) -> String {
        said(&Command::new(PROGRAM).args(arguments).output().unwrap(), code)
    }

    /// As an operator has the vendor's tool erase a token.
    pub(crate) fn delete_token(&self, _stopped: &Daemon, serial: &str) {
        let deleted = self.util(&["--delete-token", "--serial", serial]);
        assert!(deleted.status.success(), "{deleted:?}");
    }

    pub(crate) fn serial_in_use(&self, daemon: &Daemon) -> String {
        keyring(daemon).keyset().token_serial.clone()
    }

    pub(crate) fn audit_key(&self, daemon: &Daemon) -> String {
        keyring(daemon).audit_fingerprint().unwrap().to_string()
    }

    /// All that a refusal must leave as it is: the keyring and what is beside it, and the objects of both tokens; by their SHA-256.
    pub(crate) fn everything(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        for dir in ["state", "tokens"] {
            files(&self.dir.join(dir), &mut found);
        }
        // the store notes what was tried; SoftHSM counts logins, and its locks and generations come and go
        let stays = |path: &PathBuf| {
            let text = path.to_string_lossy();
            let passing = ["/store/", "/audit/", "generation", ".lock", "refused", "token.object"];
            !passing.iter().any(|part| text.contains(part))
        };
        found.retain(|(path, _)| stays(path));
        found.sort();
        found
    }

    fn util(&self, arguments: &[&str]) -> Output {
        Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", &self.softhsm)
            .output()
            .unwrap()
    }
}

fn files(dir: &std::path::Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let digest = ring::digest::digest(&ring::digest::SHA256, &fs::read(&path).unwrap());
            found.push((path, data_encoding::HEXLOWER.encode(digest.as_ref())));
        }
    }
}

fn keyring(daemon: &Daemon) -> panvault::keys::Keyring {
    panvault::keys::Keyring::load(&daemon.dir().join("state/keyring.json")).unwrap()
}

/// All that a command printed; it must have ended with `code`.
pub(crate) fn said(output: &Output, code: i32) -> String {
    let all = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{all}");
    match code {
        0 => String::from_utf8_lossy(&output.stdout).into_owned() + &remarks(output),
        _ => all,
    }
}

/// Nothing of JSON is followed by remarks.
fn remarks(output: &Output) -> String {
    match output.stdout.first() {
        Some(b'{') => String::new(),
        _ => String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn status(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.run(&["key", "status", "--json"], 0)).unwrap()
}

pub(crate) fn inventory(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.run(&["inventory", "--json"], 0)).unwrap()
}
