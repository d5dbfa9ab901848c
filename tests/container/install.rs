//! The package comes and goes.

use std::fs;

use crate::machine::Machine;

const UNITS: &str =
    "panvault.service panvault.socket panvault-admin.socket panvault-metrics.socket panvault-checkout.socket";

/// Installs it. Nothing is switched on by that, and its files are whole.
pub(crate) fn package(machine: &Machine, package: &str) {
    fs::copy(package, machine.file("/root/panvault.deb")).unwrap();
    let said = machine.run("dpkg --install /root/panvault.deb");
    assert!(said.contains("panvault.toml"), "what to do next: {said}");
    for unit in UNITS.split(' ') {
        let state = |verb: &str| machine.run(&format!("systemctl {verb} {unit} || true"));
        assert_eq!(
            (state("is-enabled").trim(), state("is-active").trim()),
            ("disabled", "inactive"),
            "{unit}"
        );
    }
    machine.run("id panvault; getent group panvault-clients panvault-operators");
    let good = machine.run("panvault check config");
    assert!(good.contains("/etc/panvault/panvault.toml: good"), "{good}");
    let pages = machine.run("mkdir /root/man; panvault man --dir /root/man; ls /root/man");
    assert!(pages.lines().count() > 20, "{pages}");
    // as they would be made today
    machine.run("for page in /root/man/*; do gzip -dc /usr/share/man/man8/$(basename $page).gz | cmp - $page; done");
    machine.run("panvault complete bash | cmp - /usr/share/bash-completion/completions/panvault");
    machine.run("systemd-analyze verify --man=no /usr/lib/systemd/system/panvault*");
    assert_eq!(
        machine.run(
            "find /usr/lib /usr/share /usr/bin /etc/panvault -newer /root/panvault.deb -name '*panvault*' ! -perm -a+r"
        ),
        "",
        "all that is installed may be read"
    );
}

/// As README has it: a token, credentials, keys, the first operators, and the trail in the journal.
pub(crate) fn token_and_keys(machine: &Machine) {
    machine.run(
        "for user in alice bob; do useradd --system --user-group --create-home $user; usermod -aG panvault-operators $user; done
         printf '[dual_control]\\nfirst_operators = [\"alice\", \"bob\"]\\n[audit]\\njournal = true\\n' >>/etc/panvault/panvault.toml
         mkdir -p /etc/systemd/system/panvault.service.d
         cp /usr/share/panvault/drop-in/audit-journal.conf /etc/systemd/system/panvault.service.d/ && systemctl daemon-reload",
    );
    machine.run(
        "install -d -o panvault -g panvault -m 0700 /var/lib/panvault /var/lib/panvault/softhsm
         setpriv --reuid=panvault --regid=panvault --clear-groups env SOFTHSM2_CONF=/etc/panvault/softhsm2.conf \
           softhsm2-util --init-token --free --label panvault --so-pin 123456789 --pin 987654321
         mkdir -p /etc/credstore.encrypted
         printf 987654321 | systemd-creds encrypt --name=hsm-pin - /etc/credstore.encrypted/hsm-pin
         printf 123456789 | systemd-creds encrypt --name=hsm-so-pin - /etc/credstore.encrypted/hsm-so-pin
         systemctl start panvault-init.service
         rm /etc/credstore.encrypted/hsm-so-pin",
    );
    let said = machine.run("journalctl --no-pager --output=cat --unit=panvault-init.service");
    assert!(
        said.contains("audit key") && said.contains("is operator bob"),
        "its fingerprint is to be written down: {said}"
    );
    assert_eq!(
        machine.run("stat -c '%U %a' /var/lib/panvault/keyring.json").trim(),
        "panvault 640"
    );
    assert!(!said.contains("987654321") && !said.contains("123456789"));
}

/// The same package again, as an upgrade is.
pub(crate) fn again(machine: &Machine) {
    machine.run("dpkg --install /root/panvault.deb");
}

/// Takes all away but what is no package's to take, asks nothing and says what it left.
pub(crate) fn purge(machine: &Machine) {
    let said = machine.run("dpkg --purge panvault 2>&1 </dev/null");
    for left in [
        "/var/lib/panvault",
        "/etc/credstore.encrypted/hsm-pin",
        "the user panvault",
        "keys in the HSM",
    ] {
        assert!(said.contains(left), "{left}: {said}");
    }
    machine.run("test -s /var/lib/panvault/keyring.json; test -e /etc/credstore.encrypted/hsm-pin; id panvault");
    for gone in [
        "/usr/bin/panvault",
        "/usr/lib/systemd/system/panvault.service",
        "/etc/panvault/panvault.toml",
    ] {
        assert!(!machine.file(gone).exists(), "{gone}");
    }
    assert!(!machine.succeeds("pgrep -x panvault"));
    let failed = machine.run("systemctl list-units --all --plain --no-legend 'panvault*'");
    assert!(!failed.contains("failed"), "{failed}");
}
