//! A machine with a systemd of its own: a container over a copy of a Debian system, booted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What the base system has beside a minimal Debian.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,procps,softhsm2,libsofthsm2,curl";

/// A booted container; it and its files go when this is dropped.
pub(crate) struct Machine {
    root: PathBuf,
    nspawn: Child,
}

/// Whether containers can be booted here; otherwise what is missing.
pub(crate) fn can_boot() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("the right of root to boot a container (it was started by another user)".to_owned());
    }
    for (tool, package) in [
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("nsenter", "util-linux"),
        ("cc", "build-essential"),
    ] {
        let found = Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(format!("the program {tool} (Debian package {package})"));
        }
    }
    Ok(())
}

/// The base system, made at the first use and kept: Debian of the release that this machine runs, because the package was
/// built here.
pub(crate) fn base() -> PathBuf {
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .expect("the machine tells its release");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("container-base-{codename}"));
    if !place.exists() {
        let making = place.with_extension("making");
        let _ = fs::remove_dir_all(&making);
        let made = Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={PACKAGES}"), codename])
            .arg(&making)
            .output()
            .unwrap();
        assert!(made.status.success(), "debootstrap: {}", told(&made));
        fs::rename(&making, &place).unwrap();
    }
    place
}

impl Machine {
    pub(crate) fn boot() -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("container-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let copied = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([base(), root.clone()])
            .status();
        assert!(copied.unwrap().success());
        let nspawn = spawn(&root);
        let mut machine = Self { root, nspawn };
        machine.up();
        machine
    }

    /// Waits for a systemd that has started all.
    fn up(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let state = self.try_run("systemctl is-system-running").map(|output| told(&output));
            let state = state.unwrap_or_default();
            if ["running", "degraded"].contains(&state.trim()) {
                return;
            }
            let ended = self.nspawn.try_wait().unwrap();
            if ended.is_some() || Instant::now() > until {
                let console = fs::read_to_string(self.root.join("console")).unwrap_or_default();
                panic!(
                    "no container boots here ({ended:?}, {state:?}): systemd-nspawn needs the capabilities of root on the \
                     machine (CAP_SYS_ADMIN to mount and to make namespaces) and control groups that it may write:\n{console}"
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its systemd shuts all down in order; what lies under its disk's files stays.
    pub(crate) fn reboot(&mut self) {
        self.run("systemctl reboot");
        // how systemd-nspawn asks for another start
        assert_eq!(self.nspawn.wait().unwrap().code(), Some(133));
        self.nspawn = spawn(&self.root);
        self.up();
    }

    fn try_leader(&self) -> Option<u32> {
        let nspawn = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// A file of the machine, as it sees it itself.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.try_leader().unwrap()))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.file(path), text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap()
    }

    /// Runs a shell script as root; `None` while there is nothing to run it in.
    pub(crate) fn try_run(&self, script: &str) -> Option<Output> {
        let output = Command::new("nsenter")
            .arg(format!("--target={}", self.try_leader()?))
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--", "/bin/sh", "-ec", script,
            ])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output();
        Some(output.unwrap())
    }

    /// As [`Self::try_run`]; a script that fails fails the test.
    pub(crate) fn run(&self, script: &str) -> String {
        let output = self.try_run(script).expect("the machine runs");
        assert!(output.status.success(), "{script}\n{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether it ends with 0.
    pub(crate) fn succeeds(&self, script: &str) -> bool {
        self.try_run(script).is_some_and(|output| output.status.success())
    }

    /// A property of the service.
    pub(crate) fn show(&self, property: &str) -> String {
        self.run(&format!(
            "systemctl show --value --property={property} panvault.service"
        ))
        .trim()
        .to_owned()
    }

    pub(crate) fn wait(&self, what: &str, seconds: u64, condition: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(seconds);
        while !condition() {
            assert!(Instant::now() < until, "not in {seconds} s: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn spawn(root: &Path) -> Child {
    let console = fs::File::create(root.join("console")).unwrap();
    Command::new("systemd-nspawn")
        // nothing of the host's systemd, which need not be there
        .args([
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--link-journal=no",
            "--settings=no",
        ])
        .args(["--private-network", "--console=pipe"])
        .arg(format!("--machine=panvault-{}", std::process::id()))
        .arg(format!("--directory={}", root.display()))
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap()
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(journal) =
                self.try_run("journalctl --no-pager --lines=400 --unit='panvault*' | grep -v '[.]cpp('; systemctl status --lines=0 panvault")
        {
            eprintln!("the journal of panvault in the container:\n{}", told(&journal));
        }
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
