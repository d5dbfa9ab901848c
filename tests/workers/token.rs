//! A token with the vault's keys. The keys are made once, by a process of their own, because this one stands for the
//! server, which never loads the module; each test works on a copy.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use panvault::hsm::officer::{Officer, Plan};
use panvault::hsm::{Config, KekMode, Keyset, PinSource};
use secrecy::SecretString;

use crate::softhsm::{self, SoftHsm};

const CEREMONY: &str = "PANVAULT_TEST_CEREMONY";

/// A copy of the token, removed when dropped.
pub(crate) struct Token {
    dir: tempfile::TempDir,
}

impl Token {
    pub(crate) fn new() -> Self {
        static KEYS: OnceLock<Kept> = OnceLock::new();
        let dir = tempfile::tempdir().unwrap();
        KEYS.get_or_init(make_keys).write(dir.path());
        softhsm::configure(dir.path());
        Self { dir }
    }

    /// In a directory that a test has.
    pub(crate) fn config_in(dir: &Path, workers: usize) -> Config {
        Config {
            module: softhsm::module(),
            environment: BTreeMap::from([(
                "SOFTHSM2_CONF".to_owned(),
                dir.join("softhsm2.conf").to_str().unwrap().to_owned(),
            )]),
            token_label: SoftHsm::LABEL.to_owned(),
            token_serial: None,
            pin: PinSource::File(dir.join("user-pin")),
            workers,
            sessions: 1,
            queue: 1024,
            deadline: Duration::from_secs(10),
            recycle_after: 0,
            strict: true,
            pregenerate: 0,
            deferred_destroy: false,
            address_families: Vec::new(),
            open_rate: 0,
            state_dir: dir.join("state"),
            program: env!("CARGO_BIN_EXE_panvault").into(),
        }
    }

    pub(crate) fn keyset_in(dir: &Path) -> Keyset {
        serde_json::from_slice(&fs::read(dir.join("keyset.json")).unwrap()).unwrap()
    }

    pub(crate) fn config(&self, workers: usize) -> Config {
        Self::config_in(self.dir.path(), workers)
    }

    pub(crate) fn keyset(&self) -> Keyset {
        Self::keyset_in(self.dir.path())
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

/// Starts this test program again for one of its ignored tests, which is a role.
pub(crate) fn role(name: &str, variable: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(variable, dir)
        .env("SOFTHSM2_CONF", dir.join("softhsm2.conf"));
    command
}

fn make_keys() -> Kept {
    let token = SoftHsm::new();
    let made = role("token::ceremony", CEREMONY, &token.path("")).output().unwrap();
    assert!(
        made.status.success() && token.path("keyset.json").exists(),
        "{}{}",
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr)
    );
    Kept::read(&token.path(""))
}

#[test]
#[ignore = "a role: makes the keys for the tests here"]
fn ceremony() {
    let Some(dir) = std::env::var_os(CEREMONY) else {
        return;
    };
    let dir = Path::new(&dir);
    let (so_pin, user_pin) = (
        SecretString::from(SoftHsm::SO_PIN),
        SecretString::from(SoftHsm::USER_PIN),
    );
    let config = Token::config_in(dir, 1);
    let mut officer = Officer::open(&config, Some(&so_pin), &user_pin).unwrap();
    let plan = Plan {
        mode: KekMode::SessionSource,
        keks: 1,
        locker: false,
        platform: false,
        next: std::collections::BTreeSet::new(),
        existing: None,
    };
    let made = officer.provision(&plan).unwrap();
    officer.close();
    fs::write(dir.join("keyset.json"), serde_json::to_vec(&made.keyset).unwrap()).unwrap();
}

/// A file or directory in memory: on disk it would outlive this program, which drops no statics.
enum Kept {
    Directory(Vec<(OsString, Self)>),
    File(Vec<u8>),
}

impl Kept {
    fn read(path: &Path) -> Self {
        if !path.is_dir() {
            return Self::File(fs::read(path).unwrap());
        }
        let entries = fs::read_dir(path).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), Self::read(&entry.path()))
        });
        Self::Directory(entries.collect())
    }

    fn write(&self, path: &Path) {
        match self {
            Self::Directory(entries) => {
                fs::create_dir_all(path).unwrap();
                for (name, entry) in entries {
                    entry.write(&path.join(name));
                }
            }
            // The PIN is among them.
            Self::File(bytes) => softhsm::secret_file(path, bytes),
        }
    }
}
