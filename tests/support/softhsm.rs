//! A private SoftHSM token in a directory of its own.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions put the module.
const MODULES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A token with its PINs; removed when dropped.
pub(crate) struct SoftHsm {
    dir: tempfile::TempDir,
}

impl SoftHsm {
    /// The token's label.
    pub(crate) const LABEL: &str = "panvault-test";
    /// The security officer's PIN.
    pub(crate) const SO_PIN: &str = "87654321";
    /// The user PIN.
    pub(crate) const USER_PIN: &str = "12345678";

    /// Makes it.
    ///
    /// # Panics
    /// No SoftHSM is installed.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let this = Self { dir };
        for sub in ["tokens", "state"] {
            fs::create_dir(this.path(sub)).expect("a directory for the token");
        }
        configure(this.dir.path());
        secret_file(&this.so_pin_file(), Self::SO_PIN);
        secret_file(&this.user_pin_file(), Self::USER_PIN);
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", Self::LABEL])
            .args(["--so-pin", Self::SO_PIN, "--pin", Self::USER_PIN])
            .arg("--module")
            .arg(module())
            .env("SOFTHSM2_CONF", this.conf())
            .output()
            .expect("softhsm2-util is needed: install the package softhsm2");
        assert!(
            made.status.success(),
            "softhsm2-util: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        this
    }

    /// What SOFTHSM2_CONF must name.
    pub(crate) fn conf(&self) -> PathBuf {
        self.path("softhsm2.conf")
    }

    /// The security officer's PIN, mode 0600.
    pub(crate) fn so_pin_file(&self) -> PathBuf {
        self.path("so-pin")
    }

    /// The user PIN, mode 0600.
    pub(crate) fn user_pin_file(&self) -> PathBuf {
        self.path("user-pin")
    }

    /// A file or directory beside the token; `state` is there and empty.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Writes the configuration for the tokens in this directory.
pub(crate) fn configure(dir: &Path) {
    let config = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        dir.join("tokens").display()
    );
    fs::write(dir.join("softhsm2.conf"), config).expect("the SoftHSM configuration");
}

/// The module: `$PANVAULT_TEST_MODULE`, or where distributions put it.
///
/// # Panics
/// There is none.
pub(crate) fn module() -> PathBuf {
    if let Some(path) = std::env::var_os("PANVAULT_TEST_MODULE") {
        return PathBuf::from(path);
    }
    let found = MODULES.iter().map(Path::new).find(|path| path.exists());
    found
        .expect("no SoftHSM module: install the package softhsm2, or name one in $PANVAULT_TEST_MODULE")
        .to_owned()
}

/// Writes a file that only its owner can read.
pub(crate) fn secret_file(path: &Path, text: impl AsRef<[u8]>) {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("a secret file");
    file.write_all(text.as_ref()).expect("writing a secret file");
}
