//! A certificate authority of the tests' own, made by openssl, and one server's certificate.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// For `127.0.0.1` by number only.
pub(super) struct Pki {
    place: TempDir,
}

impl Pki {
    /// The one of this process; none where there is no openssl, which is then said of `test`.
    pub(super) fn get(test: &str) -> Option<&'static Self> {
        static MADE: OnceLock<Option<Pki>> = OnceLock::new();
        let made = MADE.get_or_init(Self::make).as_ref();
        if made.is_none() {
            skipped(test, "there is no openssl command here");
        }
        made
    }

    fn make() -> Option<Self> {
        Command::new("openssl").arg("version").output().ok()?;
        let place = tempfile::tempdir().unwrap();
        std::fs::write(
            place.path().join("server.cnf"),
            "basicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        )
        .unwrap();
        for arguments in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tests \
             -keyout ca.key -out ca.pem",
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=provider -keyout server.key -out server.csr",
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.cnf -out server.pem",
        ] {
            let output = Command::new("openssl")
                .args(arguments.split_whitespace())
                .current_dir(place.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Some(Self { place })
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.place.path().join("ca.pem")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.place.path().join("server.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.place.path().join("server.key")
    }
}

/// On the terminal: the test runner keeps back what the print macros write.
pub(super) fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
