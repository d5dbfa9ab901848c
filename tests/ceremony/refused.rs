//! What is refused says what to do next and changes nothing.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::place::{CUSTODIANS, Sealed, root, said};
use crate::support::daemon::VISA;
use crate::support::skip::skipped;

#[test]
fn shares_that_do_not_count_are_refused_with_what_to_do() {
    let mut sealed = Sealed::new(2, 3, "custodians.users = [\"bin\", \"daemon\", \"games\"]");
    if !root() {
        return skipped("shares_that_do_not_count_are_refused_with_what_to_do: needs root, to be several custodians");
    }
    // shares of a set that was replaced, and of another vault
    let stale = sealed.paper("stale", &fs::read_to_string(sealed.share("first", 1, 3)).unwrap());
    let text = sealed.split("second", 2, 3, sealed.pin.clone(), 0);
    assert!(text.contains("are stale now"), "{text}");
    let pin = secrecy::SecretString::from(sealed.pin.as_str());
    let (_, foreign) = panvault::hsm::share::split(&pin, 2, 3).unwrap();
    let foreign = sealed.paper("foreign", &foreign[0].to_text());
    sealed.daemon.up_sealed();
    sealed.wait_door();
    sealed.given(0, "second", 1, 3);

    sealed.refused(
        1,
        &stale,
        &["stale", "was replaced on 20", "give your share of that set"],
    );
    sealed.refused(
        1,
        &foreign,
        &["another set of shares", "look for the share of that set"],
    );
    // one letter typed wrong
    let own = fs::read_to_string(sealed.share("second", 2, 3)).unwrap();
    let line = own.lines().find(|line| line.starts_with("3:")).unwrap();
    let letter = if line.chars().nth(10) == Some('A') { "B" } else { "A" };
    let wrong = own.replace(line, &format!("{}{letter}{}", &line[..10], &line[11..]));
    let wrong = sealed.paper("wrong", &wrong);
    sealed.refused(
        1,
        &wrong,
        &["line 3 was copied wrong", "letter by letter", "nothing was changed"],
    );
    let short = sealed.paper("short", own.rsplit_once("4:").unwrap().0);
    sealed.refused(1, &short, &["a share has 4 lines, this has 3"]);
    // the same share, the same custodian, no custodian
    sealed.refused(1, &sealed.share("second", 1, 3), &["share 1 was given already: 1 more"]);
    sealed.refused(
        0,
        &sealed.share("second", 2, 3),
        &["user 2 gave a share already", "other custodians"],
    );
    sealed.refused(
        3,
        &sealed.share("second", 2, 3),
        &["user 8 is no custodian", "custodians.users"],
    );
    let as_root = sealed.ask(0, &["--share", sealed.share("second", 2, 3).to_str().unwrap()]);
    assert!(said(&as_root).contains("root gives no share"), "{}", said(&as_root));
    assert_eq!(sealed.seal()["given"], serde_json::json!([1]));

    sealed.given(1, "second", 3, 3);
    sealed.daemon.wait_ready();
    sealed.daemon.tokenize(VISA);
    let trail = sealed.daemon.run(&["audit", "tail", "--lines", "40"], 0);
    let refused = trail
        .lines()
        .filter(|line| line.contains("\"seal-state\",\"outcome\":\"refused\""))
        .count();
    // two of them the command refused itself
    assert_eq!(refused, 6, "{trail}");
}

#[test]
fn nonsense_on_the_socket_is_answered_and_changes_nothing() {
    let mut sealed = Sealed::new(2, 2, "");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    sealed.given(0, "first", 1, 2);
    let before = sealed.seal();
    let ask = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(sealed.door()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let mut share = vec![0, 111, 1];
    share.extend_from_slice(&[7; 110]);
    for (bytes, words) in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "longer than a share"),
        (vec![0xFF; 70_000], "longer than a share"),
        (vec![0, 1, 9], "what `panvault unseal` sends"),
        (vec![0, 0], "what `panvault unseal` sends"),
        (share, if root() { "root gives no share" } else { "damaged" }),
        (vec![0, 9, 1], ""),
        (vec![], ""),
    ] {
        let answer = ask(&bytes);
        assert!(answer.contains(words), "{words}: {answer}");
        assert_eq!(answer.is_empty(), words.is_empty(), "{answer}");
    }
    // connections that say nothing keep nobody out
    let idle: Vec<_> = (0..100).map(|_| UnixStream::connect(sealed.door()).unwrap()).collect();
    if root() {
        assert_eq!(sealed.seal(), before);
    }
    drop(idle);
    sealed.wait_door();
    assert_eq!(sealed.seal(), before);
    sealed.given(1, "first", 2, 2);
    sealed.daemon.wait_ready();
}

#[test]
fn shares_wait_for_others_only_so_long() {
    let mut sealed = Sealed::new(2, 2, "ceremony.window_s = 2");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    sealed.given(0, "first", 1, 2);
    sealed
        .daemon
        .wait(Duration::from_secs(20), "the end of the window", || {
            sealed.seal()["given"] == serde_json::json!([])
        });
    sealed.daemon.wait(Duration::from_secs(5), "the reason", || {
        sealed.readyz().1.contains("0 of 2")
    });
    sealed.given(1, "first", 2, 2);
    sealed.given(0, "first", 1, 2);
    sealed.daemon.wait_ready();
    let trail = sealed.daemon.run(&["audit", "tail", "--lines", "40"], 0);
    assert!(
        trail.contains("\"forgotten\"") && trail.contains("did not come in time"),
        "{trail}"
    );
}

#[test]
fn a_wrong_pin_in_shares_is_tried_once_and_the_vault_is_sealed_again() {
    let mut sealed = Sealed::new(2, 2, "");
    let split = sealed.split("wrong", 2, 2, "000000".to_owned(), 69);
    assert!(split.contains("no shares were made"), "{split}");
    assert!(!sealed.share("wrong", 1, 2).exists());
    // as if no token had been at hand when it was shared out
    let (tokens, away) = (sealed.daemon.dir().join("tokens"), sealed.daemon.dir().join("away"));
    fs::rename(&tokens, &away).unwrap();
    fs::create_dir(&tokens).unwrap();
    let split = sealed.split("wrong", 2, 2, "000000".to_owned(), 0);
    assert!(split.contains("the token was not asked"), "{split}");
    fs::remove_dir(&tokens).unwrap();
    fs::rename(&away, &tokens).unwrap();

    sealed.daemon.up_sealed();
    sealed.wait_door();
    for again in [false, true] {
        sealed.given(0, "wrong", 1, 2);
        sealed.given(1, "wrong", 2, 2);
        sealed.daemon.wait(Duration::from_secs(30), "the refusal", || {
            let (status, text) = sealed.readyz();
            let why = if again {
                "it refused this PIN before"
            } else {
                "the token refused the PIN that the shares gave"
            };
            status == 503 && text.contains("sealed: 0 of 2") && text.contains(why)
        });
        // and not once more by itself
        std::thread::sleep(Duration::from_secs(1));
        assert!(sealed.workers().is_empty());
        let refusals = sealed
            .daemon
            .metric("panvault_hsm_worker_ends_total{reason=\"refused\"}");
        assert_eq!(refusals, if again { 2.0 } else { 1.0 });
    }
    // shares of the right one, while it serves
    sealed.split("right", 2, 2, sealed.pin.clone(), 0);
    sealed.given(0, "right", 1, 2);
    sealed.given(1, "right", 2, 2);
    sealed.daemon.wait_ready();
    sealed.daemon.tokenize(VISA);
}

#[test]
fn custodians_make_new_shares_when_one_is_lost() {
    let mut sealed = Sealed::new(2, 3, "");
    let renew = |shares: &[(&str, u8)], name: &str| {
        let files: Vec<String> = shares
            .iter()
            .map(|(set, index)| sealed.share(set, *index, 3).display().to_string())
            .collect();
        let mut command = vec!["renew"];
        for file in &files {
            command.extend_from_slice(&["--share", file]);
        }
        let output = sealed.set(&command, name, 2, 3);
        assert!(!said(&output).contains(&sealed.pin));
        (output.status.code().unwrap(), said(&output))
    };
    let (code, text) = renew(&[("first", 1)], "none");
    assert!(
        code == 1 && text.contains("1 different shares are there, 2 are needed"),
        "{text}"
    );
    let (code, text) = renew(&[("first", 1), ("first", 3)], "second");
    assert!(
        code == 0 && text.contains("the token took the PIN") && text.contains("stale"),
        "{text}"
    );
    let (code, text) = renew(&[("first", 1), ("second", 3)], "none");
    assert!(code == 1 && text.contains("share is stale"), "{text}");
    let (code, text) = renew(&[("second", 1), ("second", 2)], "second");
    assert!(code == 1 && text.contains("is there already"), "{text}");
    assert!(!sealed.share("none", 1, 3).exists());
    // what is kept of the sets is lost too
    fs::remove_file(sealed.daemon.dir().join("state/shares.json")).unwrap();
    let (code, text) = renew(&[("second", 1), ("second", 2)], "third");
    assert!(code == 0, "{text}");
    sealed.daemon.up_sealed();
    sealed.wait_door();
    sealed.given(0, "third", 1, 3);
    sealed.given(1, "third", 2, 3);
    sealed.daemon.wait_ready();
    let trail = sealed.daemon.run(&["audit", "tail", "--lines", "40"], 0);
    assert!(trail.contains("\"pin-shares\",\"outcome\":\"renewed\""), "{trail}");
    assert_eq!(sealed.seal()["sealed"], serde_json::json!(false));
    assert!(said(&sealed.ask(CUSTODIANS[0], &["--status"])).contains("unsealed"));
}
