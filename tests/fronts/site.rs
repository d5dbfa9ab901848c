//! nginx with the site as it is shipped, before a daemon; only paths and ports are others. curl asks.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::support::daemon::{Daemon, signal};
use crate::support::http::Answer;
use crate::support::skip::skipped;

pub(crate) const VAULT: &str = "vault.example.com";
pub(crate) const PAY: &str = "pay.example.com";

/// A daemon with nginx before it.
pub(crate) struct Site {
    nginx: Child,
    pub(crate) daemon: Daemon,
    pub(crate) port: u16,
    place: TempDir,
}

/// nginx; users other than root may not have it in their path.
fn nginx() -> Option<&'static str> {
    let programs = ["nginx", "/usr/sbin/nginx"];
    programs.into_iter().find(|program| runs(program, "-v"))
}

pub(crate) fn runs(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Site {
    /// Starts one, or says that `test` is left out.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::start_with(test, |site| site)
    }

    /// Starts one whose site is changed as an operator would.
    pub(crate) fn start_with(test: &str, change: impl Fn(String) -> String) -> Option<Self> {
        let nginx = nginx();
        let missing = [
            (nginx.is_some(), "nginx (Debian package nginx-light)"),
            (runs("curl", "--version"), "curl"),
            (runs("openssl", "version"), "openssl"),
        ];
        if let Some((_, what)) = missing.iter().find(|(there, _)| !there) {
            skipped(&format!("{test}: needs {what}"));
            return None;
        }
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap();
        let daemon = Daemon::start_with(&format!(
            "listen.checkout = \"checkout.sock\"\nlisten.front_user = {:?}\n\
             worldpay.base_url = \"https://{VAULT}\"\npaykka.checkout_url = \"https://{PAY}\"",
            user.name
        ));
        let place = tempfile::Builder::new().prefix("pvn").tempdir_in("/tmp").unwrap();
        let certificates = Certificates(place.path());
        certificates.authority("clients");
        certificates.authority("servers");
        for name in ["vault", "pay"] {
            certificates.issue(name, "server", "servers");
        }
        // the port may be another's by the time it is wanted
        for _ in 0..5 {
            let port = free_port();
            write(place.path(), &daemon, port, &user.name, &change);
            if let Some(nginx) = up(nginx.unwrap(), place.path(), port) {
                return Some(Self {
                    nginx,
                    daemon,
                    port,
                    place,
                });
            }
        }
        panic!("nginx did not come up:\n{}", log(place.path()));
    }

    pub(crate) fn certificates(&self) -> Certificates<'_> {
        Certificates(self.place.path())
    }

    /// What nginx wrote to its logs.
    pub(crate) fn log(&self) -> String {
        log(self.place.path())
    }

    /// A request to the vault's own name, from a client's address of its own: `client` is the last number of it.
    pub(crate) fn ask(&self, client: u8, path: &str, arguments: &[&str]) -> Answer {
        self.ask_at(VAULT, client, path, arguments)
    }

    pub(crate) fn ask_at(&self, host: &str, client: u8, path: &str, arguments: &[&str]) -> Answer {
        let url = format!("https://{host}:{}{path}", self.port);
        let output = self.curl(client).arg("-i").args(arguments).arg(url).output().unwrap();
        answer(&output.stdout).unwrap_or_else(|| panic!("{path}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// curl on its way to the site: only the URL is missing.
    pub(crate) fn curl(&self, client: u8) -> Command {
        let mut command = Command::new("curl");
        command.args([
            "-q",
            "-sS",
            "--path-as-is",
            "--globoff",
            "--noproxy",
            "*",
            "--max-time",
            "60",
        ]);
        command.arg("--interface").arg(format!("127.0.0.{client}"));
        command.arg("--cacert").arg(self.certificates().path("servers.pem"));
        for host in [VAULT, PAY] {
            command.arg("--resolve").arg(format!("{host}:{}:127.0.0.1", self.port));
        }
        command.env_remove("SSLKEYLOGFILE");
        command
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // in order: a master that is killed leaves its workers behind
        signal(self.nginx.id(), "TERM");
        let _ = self.nginx.wait();
        if std::thread::panicking() {
            eprintln!("nginx's log:\n{}", self.log());
        }
    }
}

fn log(place: &Path) -> String {
    let text = |file: &str| std::fs::read_to_string(place.join(file)).unwrap_or_default();
    text("stderr") + &text("error.log") + &text("access.log")
}

/// The main configuration, as small as it can be, and the site.
fn write(place: &Path, daemon: &Daemon, port: u16, user: &str, change: &impl Fn(String) -> String) {
    let shipped = include_str!("../../systemd/nginx-panvault.conf");
    let tls = format!("{}/", place.display());
    let site = change(shipped.to_owned())
        .replace("/run/panvault/", &format!("{}/", daemon.dir().display()))
        .replace("/etc/panvault/tls/", &tls)
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"));
    assert!(!site.contains("/etc/") && !site.contains("/run/") && !site.contains(" 443"));
    std::fs::write(place.join("site.conf"), site).unwrap();
    let user = match nix::unistd::getuid().is_root() {
        true => format!("user {user};\n"),
        false => String::new(),
    };
    let mut paths = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        paths.push_str(&format!("{kind}_temp_path {tls}temp_{kind};\n"));
    }
    // with logs, as distributions have them: what the site keeps out of them must not get there
    let main = format!(
        "{user}daemon off;\nworker_processes 2;\npid {tls}pid;\nerror_log {tls}error.log info;\n\
         events {{ worker_connections 512; }}\n\
         http {{\naccess_log {tls}access.log;\n{paths}include {tls}site.conf;\n}}\n"
    );
    std::fs::write(place.join("nginx.conf"), main).unwrap();
}

/// Starts it; nothing where the port is taken.
fn up(program: &str, place: &Path, port: u16) -> Option<Child> {
    let mut command = Command::new(program);
    command.arg("-p").arg(place).arg("-c").arg(place.join("nginx.conf"));
    let stderr = std::fs::File::create(place.join("stderr")).unwrap();
    let mut child = command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = child.try_wait().unwrap() {
            let log = log(place);
            assert!(
                log.contains("Address already in use"),
                "nginx ended with {status}:\n{log}"
            );
            return None;
        }
        assert!(Instant::now() < until, "nginx does not listen:\n{}", log(place));
        std::thread::sleep(Duration::from_millis(10));
    }
    // without these directories a request fails that would have been put on a disk
    let temporary: Vec<PathBuf> = ["temp_client_body", "temp_proxy"].map(|name| place.join(name)).into();
    for directory in temporary {
        std::fs::remove_dir(directory).unwrap();
    }
    Some(child)
}

/// What curl printed with `-i`; nothing where it heard no answer.
fn answer(raw: &[u8]) -> Option<Answer> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (String::from_utf8_lossy(&raw[..end]), &raw[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if status < 200 {
        return answer(body);
    }
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Some(Answer {
        status,
        headers,
        body: body.to_vec(),
    })
}

/// Whether nginx answered by itself: what the daemon says has a request id.
pub(crate) fn by_nginx(answer: &Answer) -> bool {
    answer.header("x-request-id").is_none() && answer.text().contains("<center>nginx</center>")
}
