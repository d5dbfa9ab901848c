//! A daemon under dual control and people with users of their own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::support::daemon::{Daemon, PROGRAM};

pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
}

pub(crate) const ALICE: Person = Person {
    name: "alice",
    uid: 23_001,
};
pub(crate) const BOB: Person = Person {
    name: "bob",
    uid: 23_002,
};
/// No operator at first.
pub(crate) const CAROL: Person = Person {
    name: "carol",
    uid: 23_003,
};

pub(crate) struct Office {
    pub(crate) daemon: Daemon,
}

impl Office {
    /// With two operators who have no credentials yet.
    pub(crate) fn open(operations: &str) -> Self {
        let mut daemon = Daemon::start();
        daemon.stop();
        let people = [&ALICE, &BOB].map(|person| format!("{}={}", person.name, person.uid));
        daemon.run(&["init", "--operator", &people[0], "--operator", &people[1]], 0);
        daemon.configure(&format!(
            "dual_control.operations = {operations}\nlisten.admin_mode = \"0666\"\nexport.enabled = true"
        ));
        let dir = daemon.dir();
        fs::copy(PROGRAM, dir.join("panvault")).unwrap();
        for (name, mode) in [("", 0o755), ("panvault", 0o755), ("panvault.toml", 0o644)] {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        for person in [&ALICE, &BOB, &CAROL] {
            let home = dir.join(person.name);
            fs::create_dir(&home).unwrap();
            chown(&home, Some(person.uid), Some(person.uid)).unwrap();
        }
        daemon.up();
        Self { daemon }
    }

    pub(crate) fn up(&mut self) {
        self.daemon.up();
    }

    /// What the daemon says when it refuses to start.
    pub(crate) fn refused(&self) -> String {
        let ended = self.daemon.try_run(&["dev"]);
        assert_eq!(ended.status.code(), Some(77), "{ended:?}");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    }

    /// A person's command: all it prints. It must end with `code`.
    pub(crate) fn by(&self, person: Person, arguments: &[&str], code: i32) -> String {
        let output = self.command(person.uid, &self.credential(&person), arguments);
        said(&output, code)
    }

    /// A person's command with the credential of another.
    pub(crate) fn with_credential_of(&self, person: Person, other: Person, arguments: &[&str]) -> String {
        let copy = self.daemon.dir().join(person.name).join("copy");
        fs::copy(self.credential(&other), &copy).unwrap();
        chown(&copy, Some(person.uid), Some(person.uid)).unwrap();
        said(&self.command(person.uid, &copy, arguments), 1)
    }

    /// Both agree and the first does it: what came of it.
    pub(crate) fn both(&self, first: Person, second: Person, arguments: &[&str]) -> String {
        let credential = self.credential(&first);
        said(&self.command(first.uid, &credential, arguments), 75);
        self.by(second, &["ceremony", "approve", &self.waiting()], 0);
        let output = self.command(first.uid, &credential, arguments);
        all(&output)
    }

    /// Anew, where the person had a credential.
    pub(crate) fn enroll(&self, person: Person) {
        let _ = fs::remove_file(self.credential(&person));
        self.by(person, &["operator", "enroll", "--accept"], 0);
    }

    pub(crate) fn try_enroll(&self, person: Person) -> String {
        let place = self.daemon.dir().join(person.name).join("another");
        let told = said(
            &self.command(person.uid, &place, &["operator", "enroll", "--accept"]),
            1,
        );
        assert!(!place.exists(), "no credential, no file");
        told
    }

    pub(crate) fn ceremonies(&self) -> Vec<Value> {
        let list = self.daemon.run(&["ceremony", "list", "--json"], 0);
        let list: Value = serde_json::from_str(&list).unwrap();
        list["ceremonies"].as_array().unwrap().clone()
    }

    /// The one ceremony that waits for a second operator.
    pub(crate) fn waiting(&self) -> String {
        let all = self.ceremonies();
        let open: Vec<&Value> = all.iter().filter(|one| one["state"] == "open").collect();
        assert_eq!(open.len(), 1, "{all:?}");
        open[0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn epoch(&self) -> u64 {
        let status: Value = serde_json::from_str(&self.daemon.run(&["key", "status", "--json"], 0)).unwrap();
        let epochs = status["epochs"].as_array().unwrap();
        let active = epochs.iter().find(|epoch| epoch["state"] == "active").unwrap();
        active["epoch"].as_u64().unwrap()
    }

    /// A file that everyone may read.
    pub(crate) fn public_file(&self, name: &str, text: &str) -> String {
        let path = self.daemon.dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A backup, and a copy of its manifest that everyone may read.
    pub(crate) fn backup(&self, name: &str) -> (String, String) {
        let place = self.daemon.dir().join(name);
        self.daemon.run(&["backup", place.to_str().unwrap()], 0);
        let shown = self.daemon.dir().join(format!("{name}-shown"));
        fs::create_dir(&shown).unwrap();
        fs::set_permissions(&shown, fs::Permissions::from_mode(0o755)).unwrap();
        let manifest = shown.join("manifest.json");
        fs::copy(place.join("manifest.json"), &manifest).unwrap();
        fs::set_permissions(&manifest, fs::Permissions::from_mode(0o644)).unwrap();
        (place.to_str().unwrap().to_owned(), shown.to_str().unwrap().to_owned())
    }

    /// A recipient's public key.
    pub(crate) fn recipient(&self) -> String {
        let (private, public) = (
            self.daemon.dir().join("recipient.pem"),
            self.daemon.dir().join("recipient-public.pem"),
        );
        let openssl = |arguments: &[&std::ffi::OsStr]| {
            let made = Command::new("openssl").args(arguments).output().unwrap();
            assert!(made.status.success(), "{made:?}");
        };
        openssl(&["genrsa".as_ref(), "-out".as_ref(), private.as_os_str(), "3072".as_ref()]);
        let public_half = ["rsa", "-pubout", "-in"].map(std::ffi::OsStr::new);
        openssl(
            &[
                &public_half[..],
                &[private.as_os_str(), "-out".as_ref(), public.as_os_str()],
            ]
            .concat(),
        );
        fs::set_permissions(&public, fs::Permissions::from_mode(0o644)).unwrap();
        public.to_str().unwrap().to_owned()
    }

    /// Of a stopped daemon.
    pub(crate) fn lose_state(&self) {
        fs::rename(self.daemon.dir().join("state"), self.daemon.dir().join("lost")).unwrap();
    }

    fn credential(&self, person: &Person) -> PathBuf {
        self.daemon.dir().join(person.name).join("operator")
    }

    fn command(&self, uid: u32, credential: &Path, arguments: &[&str]) -> Output {
        let dir = self.daemon.dir();
        let mut command = Command::new(dir.join("panvault"));
        command.args(arguments).arg("--config").arg(dir.join("panvault.toml"));
        if credential.exists() || arguments.contains(&"enroll") {
            command.arg("--operator-file").arg(credential);
        }
        command
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", credential.parent().unwrap())
            .uid(uid)
            .gid(uid)
            .output()
            .unwrap()
    }
}

fn said(output: &Output, code: i32) -> String {
    let text = all(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn all(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
