//! Authorities and certificates, made with openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What openssl's own configuration file, which differs between systems, would say.
const EXTENSIONS: &str = "[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
subjectAltName = DNS:vault.example.com, DNS:pay.example.com
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
";

/// A directory of certificates, `NAME.pem` with its key in `NAME.key`.
pub(crate) struct Certificates<'a>(pub(crate) &'a Path);

impl Certificates<'_> {
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// An authority of that name.
    pub(crate) fn authority(&self, name: &str) {
        std::fs::write(self.path("extensions"), EXTENSIONS).unwrap();
        let (config, key) = (self.path("extensions"), self.key(name));
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-new",
            "-days",
            "2",
            "-extensions",
            "authority",
            "-subj",
        ]);
        command.arg(format!("/CN={name}")).arg("-config").arg(config);
        done(
            command
                .arg("-key")
                .arg(key)
                .arg("-out")
                .arg(self.path(&format!("{name}.pem"))),
        );
    }

    /// A certificate for a `server` or a `client`, given out by that authority.
    pub(crate) fn issue(&self, name: &str, purpose: &str, authority: &str) {
        let (key, request) = (self.key(name), self.path("request"));
        let mut command = Command::new("openssl");
        command.args(["req", "-new", "-subj"]).arg(format!("/CN={name}"));
        command.arg("-config").arg(self.path("extensions"));
        done(command.arg("-key").arg(key).arg("-out").arg(&request));
        let mut command = Command::new("openssl");
        command.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-extensions", purpose]);
        command.arg("-extfile").arg(self.path("extensions"));
        command.arg("-CA").arg(self.path(&format!("{authority}.pem")));
        command.arg("-CAkey").arg(self.path(&format!("{authority}.key")));
        done(
            command
                .arg("-in")
                .arg(request)
                .arg("-out")
                .arg(self.path(&format!("{name}.pem"))),
        );
    }

    fn key(&self, name: &str) -> PathBuf {
        let key = self.path(&format!("{name}.key"));
        let mut command = Command::new("openssl");
        command.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]);
        done(command.arg(&key));
        key
    }
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
