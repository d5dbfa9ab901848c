//! What a move is refused for. Nothing is changed by it.

use crate::place::{Place, said};
use crate::support::daemon::{Daemon, VISA};

#[test]
fn a_move_is_refused_and_changes_nothing() {
    let mut daemon = Daemon::start();
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let served = Place::token(&daemon, "other");
    let refused = said(&served.moves(&daemon, &[]), 69);
    assert!(
        refused.contains("another process"),
        "not while a daemon serves: {refused}"
    );
    let place = {
        daemon.stop();
        daemon.run(&["backup", &served.path("backup-other")], 0);
        served
    };
    let before = place.everything();
    let configuration = place.configuration();
    let to = ["--to", configuration.to_str().unwrap()];
    let so = place.path("so-pin");
    let officers = ["--so-pin-file", &so, "--to-so-pin-file", &so];
    let backup = place.path("backup-other");
    let wrong = place.path("wrong");
    std::fs::copy(&so, &wrong).unwrap();
    std::fs::write(&wrong, "99999999").unwrap();
    let try_with = |arguments: &[&[&str]], code: i32, because: &str| {
        let output = place.bare(&arguments.concat()).output().unwrap();
        let told = said(&output, code);
        assert!(told.contains(because), "{because}: {told}");
        assert_eq!(place.everything(), before, "{because}");
    };
    let serial = ["--serial", &place.serial];
    let own = place.serial_in_use(&daemon);
    try_with(&[&to, &serial, &officers], 1, "a backup from right before is wanted");
    try_with(
        &[&to, &["--serial", &own], &["--backup", &backup], &officers],
        0,
        "already",
    );
    try_with(
        &[
            &to,
            &["--serial", "0123456789abcdef"],
            &["--backup", &backup],
            &officers,
        ],
        69,
        "no token is labelled",
    );
    for (one, other) in [(&wrong, &so), (&so, &wrong)] {
        try_with(
            &[
                &to,
                &serial,
                &["--backup", &backup, "--so-pin-file", one, "--to-so-pin-file", other],
            ],
            69,
            "refused the security officer's PIN",
        );
    }
    try_with(
        &[&to, &serial, &["--backup", &backup, "--to-pin-file", &wrong], &officers],
        69,
        "refused the user PIN",
    );
    let other_vault = Daemon::start();
    other_vault.run(&["backup", &place.path("of-another")], 0);
    try_with(
        &[&to, &serial, &["--backup", &place.path("of-another")], &officers],
        3,
        "another vault's",
    );
    // another vault's configuration
    let elsewhere = other_vault.dir().join("panvault.toml");
    try_with(
        &[
            &["--to", elsewhere.to_str().unwrap()],
            &serial,
            &["--backup", &backup],
            &officers,
        ],
        78,
        "not of one vault",
    );

    // two environments that one process cannot have
    let text = std::fs::read_to_string(&configuration).unwrap();
    let other = place.path("environment.toml");
    std::fs::write(&other, text.replace("softhsm2.conf\"", "other.conf\"")).unwrap();
    try_with(
        &[&["--to", &other], &serial, &["--backup", &backup], &officers],
        78,
        "SOFTHSM2_CONF differs",
    );

    // a token with keys of another vault
    let taken = Place::token(&daemon, "taken");
    let text = std::fs::read_to_string(taken.configuration()).unwrap();
    let theirs = text.replace("state_dir = \"state\"", "state_dir = \"theirs\"");
    let file = place.path("theirs.toml");
    std::fs::write(&file, theirs).unwrap();
    std::fs::create_dir(place.path("theirs")).unwrap();
    let made = std::process::Command::new(crate::support::daemon::PROGRAM)
        .args(["init", "--config", &file, "--mode", "no-trusted"])
        .output()
        .unwrap();
    said(&made, 0);
    let before = place.everything();
    let configuration = taken.configuration();
    let output = taken
        .bare(
            &[
                &[
                    "--to",
                    configuration.to_str().unwrap(),
                    "--serial",
                    &taken.serial,
                    "--backup",
                    &backup,
                ],
                &officers[..],
            ]
            .concat(),
        )
        .output()
        .unwrap();
    let told = said(&output, 77);
    assert!(told.contains("keys that the keyring does not name"), "{told}");
    assert_eq!(place.everything(), before);

    // whose fingerprint key cannot leave
    let program = || std::process::Command::new(crate::support::daemon::PROGRAM);
    let of_theirs = place.path("of-theirs");
    said(
        &program()
            .args(["backup", &of_theirs, "--config", &file])
            .output()
            .unwrap(),
        0,
    );
    let elsewhere = place.path("theirs-to.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(
        &elsewhere,
        text.replace("state_dir = \"state\"", "state_dir = \"theirs\"")
            .replace("token-taken", "token-other"),
    )
    .unwrap();
    let stays = program()
        .args([
            "key",
            "move",
            "--config",
            &file,
            "--to",
            &elsewhere,
            "--serial",
            &place.serial,
            "--backup",
            &of_theirs,
        ])
        .args(officers)
        .output()
        .unwrap();
    let stays = said(&stays, 77);
    assert!(
        stays.contains("mode no-trusted cannot be moved") && stays.contains("key adopt"),
        "{stays}"
    );
    assert_eq!(place.everything(), before);

    daemon.up();
    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
    let trail = daemon.run(&["audit", "tail", "--lines", "1000"], 0);
    assert!(!trail.contains("\"key-move\""), "{trail}");
}
