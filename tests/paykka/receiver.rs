//! A merchant's own server, in Python: it keeps what it is told, and answers as it is set.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The server; it ends when dropped.
pub(crate) struct Receiver {
    child: Child,
    pub(crate) port: u16,
    dir: PathBuf,
}

impl Receiver {
    /// Starts one with a certificate of an authority of its own, `ca.pem` in `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paykka/receiver.py");
        let made = Command::new("sh")
            .current_dir(dir)
            .args([
                "-ec",
                "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca \
                 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
                 openssl req -newkey rsa:2048 -nodes -keyout shop.key -out shop.csr -subj /CN=localhost
                 printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > shop.ext
                 openssl x509 -req -in shop.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile shop.ext -out shop.pem",
            ])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "openssl made no certificates");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            port: line.trim().parse().unwrap(),
            dir: dir.to_owned(),
        }
    }

    /// How it answers from now on.
    pub(crate) fn answers(&self, status: u16) {
        std::fs::write(self.dir.join("status"), status.to_string()).unwrap();
    }

    /// What it was told so far: `path`, `headers`, `body` as text.
    pub(crate) fn told(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("told")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
