//! The real daemon on a private SoftHSM token in a temporary directory.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{self, Answer};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_panvault");

/// Published test numbers.
pub(crate) const VISA: &str = "4111111111111111";
pub(crate) const MASTERCARD: &str = "5555555555554444";
pub(crate) const AMEX: &str = "378282246310005";

/// A `panvault dev` of its own; killed with its directory when dropped.
pub(crate) struct Daemon {
    dir: PathBuf,
    /// Removes the directory in the end.
    _place: Option<TempDir>,
    child: Option<Child>,
    launch: Launch,
    pub(crate) key: String,
    /// Set in its environment at the next start.
    pub(crate) environment: Vec<(String, String)>,
}

/// What a daemon does not have from the tests.
enum Launch {
    Alike,
    /// Soft and hard limit on its open files.
    Files(u32, u32),
    /// Its user and group, and the program in a place that they can read.
    User(u32, PathBuf),
    /// Nothing; it listens on a free TCP port too.
    Listening,
}

impl Daemon {
    /// Starts one with everything at its default.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with settings changed: lines of `section.key = value`.
    pub(crate) fn start_with(settings: &str) -> Self {
        let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
        let dir = place.path().to_owned();
        Self::start_at(dir, Some(place), settings, Launch::Alike)
    }

    /// Starts one that may have few files open, by its soft and its hard limit.
    pub(crate) fn start_with_files(soft: u32, hard: u32) -> Self {
        let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
        let dir = place.path().to_owned();
        Self::start_at(dir, Some(place), "", Launch::Files(soft, hard))
    }

    /// Starts one that listens on a free TCP port too.
    pub(crate) fn start_listening() -> Self {
        let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
        let dir = place.path().to_owned();
        Self::start_at(dir, Some(place), "", Launch::Listening)
    }

    /// Starts one as a user other than root, and gives that user.
    pub(crate) fn start_unprivileged() -> (Self, u32) {
        let own = nix::unistd::getuid();
        if !own.is_root() {
            return (Self::start(), own.as_raw());
        }
        let uid = 12345;
        let place = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").unwrap();
        let dir = place.path().to_owned();
        let program = dir.join("panvault");
        std::fs::copy(PROGRAM, &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&dir, Some(uid), Some(uid)).unwrap();
        (Self::start_at(dir, Some(place), "", Launch::User(uid, program)), uid)
    }

    /// Starts one in a directory that outlives it.
    pub(crate) fn start_in(dir: &Path, settings: &str) -> Self {
        Self::start_at(dir.to_owned(), None, settings, Launch::Alike)
    }

    fn start_at(dir: PathBuf, place: Option<TempDir>, settings: &str, launch: Launch) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let mut daemon = Self {
            dir,
            _place: place,
            child: None,
            launch,
            key: String::new(),
            environment: Vec::new(),
        };
        daemon.up();
        if !settings.is_empty() {
            daemon.stop();
            daemon.configure(settings);
            daemon.up();
        }
        daemon
    }

    /// Changes settings of a stopped daemon: lines of `section.key = value`.
    pub(crate) fn configure(&self, settings: &str) {
        let path = self.dir().join("panvault.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for line in settings.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once('=').unwrap();
            let (section, key) = name.trim().split_once('.').unwrap();
            let header = format!("[{section}]");
            if !text.contains(&header) {
                text.push_str(&format!("\n{header}\n"));
            }
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let at = lines.iter().position(|line| line.trim() == header).unwrap();
            let end = lines[at + 1..]
                .iter()
                .position(|line| line.trim_start().starts_with('['))
                .map_or(lines.len(), |offset| at + 1 + offset);
            let setting = format!("{key} = {}", value.trim());
            let old = (at + 1..end).find(|&i| lines[i].split('=').next().is_some_and(|found| found.trim() == key));
            match old {
                Some(i) => lines[i] = setting,
                None => lines.insert(at + 1, setting),
            }
            text = lines.join("\n") + "\n";
        }
        std::fs::write(&path, text).unwrap();
    }

    /// Starts the stopped daemon again on its directory.
    pub(crate) fn up(&mut self) {
        self.up_sealed();
        self.wait_ready();
    }

    /// The same, where it is not ready by itself.
    pub(crate) fn up_sealed(&mut self) {
        let before = std::fs::metadata(self.dir().join("dev.json"))
            .and_then(|meta| meta.modified())
            .ok();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir().join("log"))
            .unwrap();
        let mut command = match &self.launch {
            Launch::Alike | Launch::Listening => Command::new(PROGRAM),
            Launch::User(uid, program) => {
                let mut other = Command::new(program);
                other.uid(*uid).gid(*uid);
                other
            }
            Launch::Files(soft, hard) => {
                let mut shell = Command::new("sh");
                let script = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$@\"");
                shell.args(["-c", &script, "sh", PROGRAM]);
                shell
            }
        };
        let child = command
            .arg("dev")
            .arg("--dir")
            .arg(self.dir())
            .args(match self.launch {
                Launch::Listening => &["--tcp", "127.0.0.1:0"][..],
                Launch::Alike | Launch::Files(..) | Launch::User(..) => &[],
            })
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let now = std::fs::metadata(self.dir().join("dev.json"))
                .and_then(|meta| meta.modified())
                .ok();
            if now.is_some() && now != before {
                break;
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < until, "the daemon did not come up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.key = self.dev_json()["native"]["api_key"].as_str().unwrap().to_owned();
    }

    /// Waits until `/readyz` says so.
    pub(crate) fn wait_ready(&self) {
        self.wait(Duration::from_secs(60), "readiness", || self.ready());
    }

    /// Waits until every worker is up: readiness needs only one.
    pub(crate) fn wait_all_workers(&self) {
        self.wait(Duration::from_secs(60), "all workers", || {
            self.metric("panvault_hsm_workers{state=\"down\"}") == 0.0
                && self.metric("panvault_hsm_workers{state=\"starting\"}") == 0.0
                && self.metric("panvault_hsm_workers{state=\"up\"}") >= 1.0
        });
    }

    pub(crate) fn ready(&self) -> bool {
        http::request(&self.admin(), "GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
    }

    /// Waits for a condition.
    pub(crate) fn wait(&self, limit: Duration, what: &str, condition: impl Fn() -> bool) {
        let until = Instant::now() + limit;
        while !condition() {
            assert!(Instant::now() < until, "waited in vain for {what}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as an operator would and checks that it ended well.
    pub(crate) fn stop(&mut self) {
        let child = self.child.as_mut().unwrap();
        signal(child.id(), "TERM");
        let status = child.wait().unwrap();
        assert!(status.success(), "the daemon ended with {status}:\n{}", self.log());
        self.child = None;
    }

    /// Ends it as a power cut would, workers included.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn api(&self) -> PathBuf {
        self.dir().join("api.sock")
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.dir().join("admin.sock")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    pub(crate) fn dev_json(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.dir().join("dev.json")).unwrap()).unwrap()
    }

    /// A command of the program on this directory: its standard output; it must end with `code`.
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> String {
        let output = self.try_run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "panvault {arguments:?}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// A command of the program on this directory, however it ends.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(PROGRAM)
            .args(arguments)
            .arg("--dir")
            .arg(self.dir())
            .output()
            .unwrap()
    }

    /// Has policy grant this user these operations in one dialect and repository, and nothing else. The policy of a dev instance
    /// is written anew at its start, so it is changed while it runs.
    pub(crate) fn grant(&self, dialect: &str, repository: &str, operations: &[&str]) {
        let uid = nix::unistd::getuid();
        let text = format!(
            "version = 1\n\n[[grant]]\nname = \"test\"\nuid = {uid}\ndialects = [{dialect:?}]\nrepositories = \
             [{repository:?}]\noperations = {operations:?}\n"
        );
        std::fs::write(self.dir().join("policy.toml"), text).unwrap();
        self.run(&["policy", "reload"], 0);
    }

    /// A request with the test merchant's key.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.try_call(method, path, body).unwrap()
    }

    /// The same, where the daemon may be gone.
    pub(crate) fn try_call(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
        let text = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        self.raw(method, path, &[], &text)
    }

    /// A request with the test merchant's key, more headers, and a body as it is.
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        all.extend_from_slice(headers);
        http::request(&self.api(), method, path, &all, body)
    }

    /// Tokenizes a card and gives the masked view.
    pub(crate) fn tokenize(&self, number: &str) -> Value {
        let answer = self.call("POST", "/v1/tokens", &json!({"card": card(number)}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// The number behind a token.
    pub(crate) fn reveal(&self, token: &str) -> Answer {
        self.call("POST", &format!("/v1/tokens/{token}/reveal"), &json!({}))
    }

    /// Checks what is served while cards can be neither stored nor opened: those are refused with 503, this problem code
    /// and Retry-After; the rest goes on; `/readyz` keeps new work away and `/healthz` does not ask for a restart.
    pub(crate) fn serves_views_only(&self, token: &str, code: &str) {
        let create = self.call("POST", "/v1/tokens", &json!({"card": card(VISA)}));
        for refused in [create, self.reveal(token)] {
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert_eq!(refused.json()["code"], code, "{}", refused.text());
            assert!(refused.header("retry-after").is_some());
        }
        let inspect = self.call("GET", &format!("/v1/tokens/{token}"), &Value::Null);
        assert_eq!(inspect.status, 200, "{}", inspect.text());
        let last4 = inspect.json()["last4"].clone();
        let search = self.call("POST", "/v1/tokens/search", &json!({"last4": last4}));
        assert_eq!(search.status, 200, "{}", search.text());
        assert!(search.text().contains(token), "{}", search.text());
        assert!(!self.ready());
        let health = http::request(&self.admin(), "GET", "/healthz", &[], b"").unwrap();
        assert_eq!(health.status, 200, "{}", health.text());
    }

    /// The value of a metric's sample, by its whole name with labels.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let answer = http::request(&self.admin(), "GET", "/metrics", &[], b"").unwrap();
        answer
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Process ids of the workers.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let list = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        list.flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|ids| {
                ids.split_whitespace()
                    .map(|id| id.parse().unwrap())
                    .collect::<Vec<u32>>()
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}

/// A process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A card as the native API takes it.
pub(crate) fn card(number: &str) -> Value {
    json!({"number": number, "expiry": {"month": 12, "year": 2030}, "holder": "JANE DOE"})
}

/// Sends a signal by name; a process that is gone already is no fault.
pub(crate) fn signal(pid: u32, name: &str) {
    let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().unwrap();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), signal);
}
