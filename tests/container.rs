//! The package on a booted systemd, from its installation to its removal.
//!
//! Needs `PANVAULT_DEB`, the package, and the right to boot a container: `tests/run.sh` sees to the first. Without them the
//! test says that it is left out; with `PANVAULT_CONTAINER=required` it fails, and says what is missing.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "container/faults.rs"]
mod faults;
#[path = "container/install.rs"]
mod install;
#[path = "container/load.rs"]
mod load;
#[path = "container/machine.rs"]
mod machine;
mod support;
#[path = "container/use.rs"]
mod usage;

use machine::{Machine, can_boot};
use support::skip::skipped;

/// File by file, with the same content and rights, and what is the administrator's kept at an upgrade.
#[test]
fn the_rpm_holds_what_the_deb_holds() {
    let (Ok(deb), Ok(rpm)) = (std::env::var("PANVAULT_DEB"), std::env::var("PANVAULT_RPM")) else {
        return skipped(
            "the_rpm_holds_what_the_deb_holds: needs PANVAULT_DEB and PANVAULT_RPM, which tests/run.sh makes",
        );
    };
    let place = tempfile::tempdir().unwrap();
    let script = r#"
        cd "$1"; mkdir deb
        dpkg-deb --extract "$2" deb
        rm -r deb/usr/share/doc
        mv deb/usr/share/zsh/vendor-completions deb/usr/share/zsh/site-functions
        (cd deb; find . -type f | sort | while read -r file; do
          sum=$(sha256sum <"$file"); echo "${file#.} ${sum%% *} $(stat --format=%a "$file") root root"; done) >deb.list
        rpm --query --dump --package "$3" | awk '{ print $1, $4, substr($5, 5), $6, $7 }' | sort >rpm.list
        [ "$(grep --count usr/share/man deb.list)" -gt 20 ]
        grep --quiet etc/panvault/policy.toml deb.list
        diff <(sort deb.list) rpm.list
        diff <(dpkg-deb --info "$2" conffiles | sort) <(rpm --query --configfiles --package "$3" | sort)
        rpm --query --scripts --package "$3" | grep systemd-sysusers
    "#;
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .arg(place.path())
        .args([deb, rpm])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_life_on_systemd() {
    let required = std::env::var("PANVAULT_CONTAINER").is_ok_and(|value| value == "required");
    let package =
        std::env::var("PANVAULT_DEB").map_err(|_| "PANVAULT_DEB, the package that tests/run.sh makes".to_owned());
    let package = match can_boot().and(package) {
        Ok(package) => package,
        Err(missing) if required => panic!("the container test must run and cannot: missing is {missing}"),
        Err(missing) => return skipped(&format!("a_life_on_systemd: needs {missing}")),
    };
    let mut machine = Machine::boot();
    let step = |what: &str| eprintln!("container: {what}");

    step("install");
    install::package(&machine, &package);
    install::token_and_keys(&machine);
    step("use through sockets that systemd opened");
    let shop = usage::first_use(&machine);
    usage::two_users(&machine, &shop);
    usage::what_operators_see(&machine);
    usage::reload(&machine, &shop);
    usage::two_operators(&machine);
    step("restart and upgrade under load");
    load::under_load(&machine, &shop, || {
        machine.run("systemctl restart panvault.service").truncate(0)
    });
    load::under_load(&machine, &shop, || install::again(&machine));
    step("faults");
    faults::a_worker_is_killed(&machine, &shop);
    faults::the_server_is_killed(&machine, &shop);
    faults::the_module_hangs(&machine, &shop);
    faults::the_server_hangs(&machine, &shop);
    faults::a_wrong_configuration(&machine, &shop);
    faults::an_hsm_that_is_away(&machine, &shop);
    faults::keys_and_pins_that_are_wrong(&machine, &shop);
    step("reboot");
    machine.reboot();
    usage::as_before(&machine, &shop);
    usage::the_trail_in_the_journal(&machine);
    step("remove");
    install::purge(&machine);
}
