//! A backup that was cut goes on, and is right: kill -9 of the command and of the daemon, and changes in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{audit_key, backup, copy, files, filled, lose_state, random_time, restore, rounds, said, text};
use crate::support::daemon::{Daemon, MASTERCARD, PROGRAM, VISA, card, signal};

/// The command, whose files may not be longer than so many KiB: the kernel ends it in the middle of a write.
fn cut_at(daemon: &Daemon, place: &Path, kib: u64) -> Output {
    let script = format!("ulimit -c 0; ulimit -f {kib}; exec \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", PROGRAM, "backup", text(place), "--dir"]);
    command.arg(daemon.dir()).output().unwrap()
}

fn start(daemon: &Daemon, place: &Path) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(["backup", text(place), "--dir"]).arg(daemon.dir());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Bytes of entries and trail that are there.
fn written(place: &Path) -> u64 {
    let all = files(&place.join("store"))
        .into_iter()
        .chain(files(&place.join("audit")));
    all.map(|(_, bytes)| u64::try_from(bytes.len()).unwrap()).sum()
}

/// Cuts the command off from a daemon that is killed while it backs up. `false`: it had ended before.
fn killed_daemon(daemon: &mut Daemon, place: &Path, after: Duration) -> bool {
    daemon.wait_all_workers();
    let before = written(place);
    let child = start(daemon, place);
    let until = Instant::now() + Duration::from_secs(20);
    // it is at work: there is more, or it was asked
    while written(place) <= before && !place.join("manifest.json").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(child.id(), "STOP");
    std::thread::sleep(after);
    daemon.kill();
    signal(child.id(), "CONT");
    let output = child.wait_with_output().unwrap();
    if place.join("manifest.json").exists() {
        return false;
    }
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    true
}

/// What callers were told.
#[derive(Default)]
struct Told {
    /// Tokens, their cards, and the years in which these end.
    there: BTreeMap<String, (&'static str, u64)>,
    gone: Vec<String>,
}

impl Told {
    fn make(&mut self, daemon: &Daemon, number: &'static str) {
        let token = daemon.tokenize(number)["token"].as_str().unwrap().to_owned();
        self.there.insert(token, (number, 2030));
    }

    /// New tokens, changed ones, deleted ones.
    fn write(&mut self, daemon: &Daemon) {
        for number in [VISA, MASTERCARD, VISA, MASTERCARD] {
            self.make(daemon, number);
        }
        let mut some = self.there.keys().cloned().collect::<Vec<_>>();
        let mut raw = [0; 8];
        panvault::id::fill_random(&mut raw).unwrap();
        let at = usize::from_le_bytes(raw) % some.len();
        some.rotate_left(at);
        let (going, changing) = (&some[..2], &some[2..5]);
        for token in going {
            let answer = daemon.call("DELETE", &format!("/v1/tokens/{token}"), &Value::Null);
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.there.remove(token);
            self.gone.push(token.clone());
        }
        for token in changing {
            let (_, year) = self.there.get_mut(token).unwrap();
            let body = json!({"expiry": {"month": 7, "year": *year + 1}});
            let answer = daemon.call("PATCH", &format!("/v1/tokens/{token}"), &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            *year += 1;
        }
    }

    fn holds(&self, daemon: &Daemon) {
        for (token, (number, year)) in &self.there {
            let card = &daemon.reveal(token).json()["card"];
            assert_eq!(
                (&card["number"], &card["expiry"]["year"]),
                (&json!(number), &json!(year))
            );
        }
        for token in &self.gone {
            assert_eq!(daemon.reveal(token).status, 404, "{token} came back");
        }
    }
}

#[test]
fn a_backup_that_is_cut_goes_on_and_is_right() {
    let (mut daemon, _) = filled();
    let mut told = Told::default();
    for _ in 0..15 {
        told.make(&daemon, VISA);
    }
    let whole = daemon.dir().join("whole");
    daemon.run(&["backup", text(&whole)], 0);
    let bytes = fs::metadata(whole.join("store/00000001.entries")).unwrap().len();
    let (mut cuts, mut kept) = (0, 0);
    for round in 0..rounds() {
        let place = daemon.dir().join(format!("backup-{round}"));
        // at a random place of the first file; on Linux the rest of the run may end in any way but well
        let share = random_time(Duration::from_secs(1)).as_secs_f64() * 0.8 + 0.1;
        let kib = Duration::from_secs(bytes / 1024).mul_f64(share).as_secs();
        let output = cut_at(&daemon, &place, kib);
        assert!(
            !output.status.success() && !place.join("manifest.json").exists(),
            "round {round}"
        );
        told.write(&daemon);
        if killed_daemon(&mut daemon, &place, random_time(Duration::from_millis(50))) {
            cuts += 1;
        }
        daemon.up();
        told.write(&daemon);
        if place.join("manifest.json").exists() {
            continue;
        }
        let output = restore(&daemon, &place, &["--accept-returning"]);
        assert_ne!(output.status.code(), Some(0), "half a backup was restored");
        // to its end, while others write
        let (stop, meanwhile) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let figures = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
                    meanwhile.lock().unwrap().push(token);
                }
            });
            let figures = backup(&daemon, &place);
            stop.store(true, Ordering::Relaxed);
            figures
        });
        let now_kept = figures["kept_bytes"].as_u64().unwrap();
        assert!(now_kept > 0, "round {round}: {figures}");
        kept += now_kept;
        daemon.stop();
        let key = audit_key(&daemon);
        lose_state(&daemon, &format!("lost-{round}"));
        let output = restore(&daemon, &place, &["--accept-returning", "--key", &key]);
        assert_eq!(output.status.code(), Some(0), "round {round}: {}", said(&output));
        daemon.run(&["check", "store"], 0);
        let head = figures["audit_head"].as_str().unwrap();
        daemon.run(&["audit", "verify", "--expect", head], 0);
        daemon.up();
        told.holds(&daemon);
        for token in meanwhile.into_inner().unwrap() {
            match daemon.reveal(&token).status {
                200 => drop(told.there.insert(token, (VISA, 2030))),
                404 => {}
                status => panic!("{token} is neither whole nor absent: {status}"),
            }
        }
        fs::remove_dir_all(place).unwrap();
        fs::remove_dir_all(daemon.dir().join(format!("lost-{round}"))).unwrap();
    }
    assert!(
        cuts > 0 && kept > 0,
        "{cuts} daemons were killed at work, {kept} bytes kept"
    );
    told.holds(&daemon);
}

/// A directory with a backup that was cut.
fn cut_one(daemon: &Daemon) -> std::path::PathBuf {
    let place = daemon.dir().join("backup");
    let output = cut_at(daemon, &place, 512);
    assert!(!output.status.success() && place.join("BACKUP-UNFINISHED").exists());
    place
}

#[test]
fn what_was_kept_is_told_and_what_was_changed_is_copied_again() {
    let (daemon, _) = filled();
    let place = cut_one(&daemon);
    // a byte of what is there, in the middle of it: just that chunk does not fit
    let path = place.join("store/00000001.entries");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let said_so = daemon.run(&["backup", text(&place)], 0);
    assert!(said_so.contains("of which the run before had written"), "{said_so}");
    assert!(fs::read(&path).unwrap() != bytes);
    assert!(!place.join("BACKUP-UNFINISHED").exists());

    // as an earlier version left it: nothing of it is used
    fs::remove_file(place.join("manifest.json")).unwrap();
    fs::write(place.join("BACKUP-UNFINISHED"), "").unwrap();
    fs::write(place.join("store/00000009.entries"), "old").unwrap();
    assert_eq!(backup(&daemon, &place)["kept_bytes"], 0);
    assert!(!place.join("store/00000009.entries").exists());

    // one that was whole but for its manifest: the file on record that was changed is named
    let vault = backup_vault(&place);
    fs::remove_file(place.join("manifest.json")).unwrap();
    let bytes = fs::read(&path).unwrap();
    let record = json!({"name": "store/00000001.entries", "bytes": bytes.len(), "sha256": "A".repeat(43)});
    let mark = format!("{{\"format\":2,\"vault\":\"{vault}\"}}\n{record}\n");
    fs::write(place.join("BACKUP-UNFINISHED"), &mark).unwrap();
    let output = daemon.try_run(&["backup", text(&place)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("store/00000001.entries is not as it was written: it is copied again"),
        "{}",
        said(&output)
    );
}

fn backup_vault(place: &Path) -> String {
    let manifest: Value = serde_json::from_slice(&fs::read(place.join("manifest.json")).unwrap()).unwrap();
    manifest["vault"].as_str().unwrap().to_owned()
}

#[test]
fn a_cut_backup_of_another_vault_or_format_is_refused() {
    let (daemon, _) = filled();
    let place = cut_one(&daemon);
    let other = Daemon::start();
    let before = files(&place);
    for stopped in [false, true] {
        let mut other = Daemon::start();
        if stopped {
            other.stop();
        }
        let output = other.try_run(&["backup", text(&place)]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(
            said(&output).contains("name another directory") && said(&output).contains("nothing was changed"),
            "{}",
            said(&output)
        );
        assert!(files(&place) == before);
    }
    for mark in ["{\"format\":3}\n", "my notes\n"] {
        let strange = other.dir().join("strange");
        let _ = fs::remove_dir_all(&strange);
        copy(&place, &strange);
        fs::write(strange.join("BACKUP-UNFINISHED"), mark).unwrap();
        let before = files(&strange);
        let output = daemon.try_run(&["backup", text(&strange)]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("name another directory"), "{}", said(&output));
        assert!(files(&strange) == before);
    }
    // and its own goes on, also while the daemon is stopped
    let mut daemon = daemon;
    daemon.stop();
    assert!(backup(&daemon, &place)["kept_bytes"].as_u64().unwrap() > 0);
    let card = json!({"card": card(VISA)});
    daemon.up();
    assert_eq!(daemon.call("POST", "/v1/tokens", &card).status, 201);
}
