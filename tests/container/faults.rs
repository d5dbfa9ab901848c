//! What goes wrong, and who mends it.

use std::process::Command;

use crate::machine::Machine;
use crate::usage::{Shop, as_before, tokenize};

const CONFIG: &str = "/etc/panvault/panvault.toml";
/// The test's module hangs while this is there.
const HANG: &str = "/var/lib/panvault/hang";

fn workers(machine: &Machine) -> Vec<String> {
    let server = machine.show("MainPID");
    let found = machine.run(&format!("cat /proc/{server}/task/*/children"));
    found.split_whitespace().map(str::to_owned).collect()
}

/// One that still starts would be waited for longer than a job.
fn all_up(machine: &Machine) {
    machine.wait("all workers", 20, || {
        let status = machine.show("StatusText");
        let counts: Vec<&str> = status.split(' ').filter(|word| word.parse::<u32>().is_ok()).collect();
        matches!(counts.as_slice(), [up, all] if up == all)
    });
}

fn ready(machine: &Machine) -> bool {
    machine.succeeds("curl --silent --fail http://127.0.0.1:9420/readyz")
}

/// Replaced by the server; the service does not notice.
pub(crate) fn a_worker_is_killed(machine: &Machine, shop: &Shop) {
    let (server, before) = (machine.show("MainPID"), workers(machine));
    machine.run(&format!("kill -KILL {}", before.join(" ")));
    machine.wait("other workers", 20, || {
        let now = workers(machine);
        now.len() == before.len() && now.iter().all(|pid| !before.contains(pid)) && ready(machine)
    });
    as_before(machine, shop);
    assert_eq!(machine.show("MainPID"), server);
}

/// Restarted by systemd; who comes meanwhile waits.
pub(crate) fn the_server_is_killed(machine: &Machine, shop: &Shop) {
    let (server, restarts) = (machine.show("MainPID"), restarts(machine));
    machine.run(&format!("kill -KILL {server}"));
    let (body, status) = tokenize(machine, "shop", shop);
    assert!(status == 201 || status == 503, "{status} {body}");
    as_before(machine, shop);
    assert_eq!(self::restarts(machine), restarts + 1);
    assert_ne!(machine.show("MainPID"), server);
}

fn restarts(machine: &Machine) -> u32 {
    machine.show("NRestarts").parse().unwrap()
}

/// Its workers are killed and replaced, `/readyz` says 503, and the service goes on.
pub(crate) fn the_module_hangs(machine: &Machine, shop: &Shop) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/container/module.c");
    let built = Command::new("cc")
        .args([
            "-shared",
            "-fPIC",
            "-Wall",
            "-Werror",
            &format!("-DHANG_FILE=\"{HANG}\""),
            source,
            "-ldl",
            "-o",
        ])
        .arg(machine.file("/usr/lib/hanging-module.so"))
        .status();
    assert!(built.unwrap().success());
    let config = machine.read(CONFIG);
    let hanging = config
        .replace("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/hanging-module.so")
        .replace("[hsm]\n", "[hsm]\ndeadline_ms = 1000\n");
    machine.write(CONFIG, &hanging);
    machine.run("systemctl restart panvault.service");
    all_up(machine);
    let (server, before, restarts) = (machine.show("MainPID"), workers(machine), restarts(machine));

    machine.run(&format!("touch {HANG}"));
    let (body, status) = tokenize(machine, "shop", shop);
    assert!(status == 503 || status == 504, "{status} {body}");
    machine.wait("not ready", 30, || {
        let code = "curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:9420/readyz";
        machine.run(code) == "503"
    });
    machine.wait("the workers that hang are gone", 60, || {
        let now = workers(machine);
        before.iter().all(|pid| !now.contains(pid))
    });
    machine.wait("told", 10, || machine.show("StatusText").contains("without the HSM"));
    machine.run(&format!("rm {HANG}"));
    as_before(machine, shop);
    assert_eq!(
        (machine.show("MainPID"), self::restarts(machine)),
        (server, restarts),
        "no restart"
    );
    machine.write(CONFIG, &config);
    machine.run("systemctl restart panvault.service");
}

/// The watchdog restarts it.
pub(crate) fn the_server_hangs(machine: &Machine, shop: &Shop) {
    machine.run("mkdir -p /run/systemd/system/panvault.service.d");
    machine.write(
        "/run/systemd/system/panvault.service.d/watchdog.conf",
        "[Service]\nWatchdogSec=3s\n",
    );
    machine.run("systemctl daemon-reload; systemctl restart panvault.service");
    let (server, restarts) = (machine.show("MainPID"), restarts(machine));
    machine.run(&format!("kill -STOP {server}"));
    machine.wait("another server", 20, || {
        let now = machine.show("MainPID");
        now != server && now != "0" && machine.show("ActiveState") == "active"
    });
    assert_eq!(self::restarts(machine), restarts + 1);
    as_before(machine, shop);
    machine.run(
        "rm -r /run/systemd/system/panvault.service.d; systemctl daemon-reload; systemctl restart panvault.service",
    );
}

/// Ends with the code that says so, and is not tried again: only people mend it.
pub(crate) fn a_wrong_configuration(machine: &Machine, shop: &Shop) {
    let config = machine.read(CONFIG);
    machine.write(CONFIG, &config.replace("version = 1", "version = 1\nlisten = 7"));
    assert!(!machine.succeeds("systemctl restart panvault.service"));
    machine.wait("failed", 10, || machine.show("ActiveState") == "failed");
    assert_eq!((machine.show("ExecMainStatus").as_str(), restarts(machine)), ("78", 0));
    machine.write(CONFIG, &config);
    machine.run("systemctl reset-failed panvault.service; systemctl start panvault.service");
    as_before(machine, shop);
}

/// Ready as a service, not ready for cards, and told.
pub(crate) fn an_hsm_that_is_away(machine: &Machine, shop: &Shop) {
    let tokens = "/var/lib/panvault/softhsm";
    machine.run(&format!(
        "systemctl stop panvault.service; mv {tokens} {tokens}.away; systemctl start panvault.service"
    ));
    assert_eq!(machine.show("ActiveState"), "active");
    machine.wait("told", 30, || machine.show("StatusText").contains("without the HSM"));
    assert!(!ready(machine));
    let screen = machine.try_run("panvault status").unwrap();
    assert_eq!(screen.status.code(), Some(69));
    assert!(
        String::from_utf8_lossy(&screen.stdout).contains("NOT READY"),
        "{screen:?}"
    );
    machine.run(&format!("mv {tokens}.away {tokens}"));
    as_before(machine, shop);
    assert_eq!(restarts(machine), 0);
}

/// What only people can mend and what is waited out: some keys missing ends the service with a code of its own and without
/// another try; no key at all, or a PIN that the token refuses, is served without the HSM and told.
pub(crate) fn keys_and_pins_that_are_wrong(machine: &Machine, shop: &Shop) {
    let objects = "cd /var/lib/panvault/softhsm/*/; mkdir -p /root/keys";
    let all = format!("{objects}; mv $(ls *.object | grep -v '^token') /root/keys/");
    machine.run(&format!(
        "systemctl stop panvault.service; {all}; systemctl start panvault.service"
    ));
    told_of(machine, "vault");

    // the first half of them: a KEK is among those that are not there
    let half = format!("{objects}; mv $(ls /root/keys/*.object | awk 'NR % 2') .");
    machine.run(&format!("systemctl stop panvault.service; {half}"));
    machine.run("systemctl start panvault.service || true");
    machine.wait("given up", 30, || machine.show("ActiveState") == "failed");
    assert_eq!((machine.show("ExecMainStatus").as_str(), restarts(machine)), ("77", 0));
    machine.run(&format!(
        "{objects}; mv /root/keys/*.object .; systemctl reset-failed panvault.service"
    ));

    let pin = |pin: &str| {
        machine.run(&format!(
            "printf {pin} | systemd-creds encrypt --name=hsm-pin - /etc/credstore.encrypted/hsm-pin
             systemctl restart panvault.service"
        ));
    };
    pin("111111111");
    told_of(machine, "PIN");
    pin("987654321");
    as_before(machine, shop);
}

fn told_of(machine: &Machine, what: &str) {
    machine.wait(what, 30, || {
        let status = machine.show("StatusText");
        status.contains("without the HSM") && status.contains(what)
    });
    assert_eq!(
        (machine.show("ActiveState").as_str(), ready(machine)),
        ("active", false)
    );
}
