//! `panvault export`: cards of a repository, encrypted to a recipient who opens them without panvault, and imported again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};
use support::daemon::{AMEX, Daemon, MASTERCARD, PROGRAM, VISA, card};
use support::skip::skipped;

const ENABLED: &str = "export.enabled = true";

/// Who gets the cards.
struct Recipient(tempfile::TempDir);

impl Recipient {
    fn new(bits: u32) -> Self {
        let recipient = Self(tempfile::tempdir().unwrap());
        let bits = format!("rsa_keygen_bits:{bits}");
        recipient.openssl(
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits, "-out", "private.pem"],
            b"",
        );
        recipient.openssl(&["pkey", "-in", "private.pem", "-pubout", "-out", "public.pem"], b"");
        recipient
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn openssl(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// The same key as a JWK.
    fn jwk(&self) -> Value {
        let text = String::from_utf8(self.openssl(&["rsa", "-pubin", "-in", "public.pem", "-modulus", "-noout"], b""))
            .unwrap();
        let n = data_encoding::HEXUPPER
            .decode(text.trim().strip_prefix("Modulus=").unwrap().as_bytes())
            .unwrap();
        json!({"kty": "RSA", "n": BASE64URL_NOPAD.encode(&n), "e": "AQAB"})
    }

    /// Opens a compact JWE with openssl: header and text. `None`: it does not open.
    fn open(&self, compact: &str) -> Option<(Value, Vec<u8>)> {
        let parts: Vec<&str> = compact.split('.').collect();
        let [header, rest @ ..] = &parts[..] else {
            panic!("{compact}")
        };
        let [key, iv, text, tag] = [0, 1, 2, 3].map(|at| BASE64URL_NOPAD.decode(rest[at].as_bytes()).unwrap());
        let arguments = [
            "pkeyutl",
            "-decrypt",
            "-inkey",
            "private.pem",
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            "rsa_oaep_md:sha256",
            "-pkeyopt",
            "rsa_mgf1_md:sha256",
        ];
        let key = self.openssl(&arguments, &key);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let mut sealed = [text, tag].concat();
        let nonce = Nonce::try_assume_unique_for_key(&iv).unwrap();
        let opened = key
            .open_in_place(nonce, Aad::from(header.as_bytes()), &mut sealed)
            .ok()?
            .to_vec();
        let header = BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
        Some((serde_json::from_slice(&header).unwrap(), opened))
    }

    /// All cards of an export, its chunks checked as a recipient would.
    fn cards(&self, file: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let (last, chunks) = lines.split_last().unwrap();
        let manifest: Value = serde_json::from_str(last).unwrap();
        let mut cards = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let (header, text) = self.open(chunk).unwrap();
            assert_eq!(
                header,
                json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": manifest["recipient"], "cty": "application/jsonl",
                       "export": manifest["export"], "chunk": at + 1, "last": at + 1 == chunks.len()})
            );
            cards.extend(
                text.split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| serde_json::from_slice::<Value>(line).unwrap()),
            );
        }
        assert_eq!(json!(cards.len()), manifest["cards"]);
        cards
    }
}

fn export(daemon: &Daemon, recipient: &Recipient, key: &str, out: &str, more: &[&str]) -> Output {
    let (key, out) = (recipient.path(key), recipient.path(out));
    let arguments = [
        "export",
        "--repository",
        "TEST_native",
        "--recipient",
        &key,
        "--out",
        &out,
    ];
    daemon.try_run(&[&arguments[..], more].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn events(daemon: &Daemon, action: &str) -> Vec<Value> {
    let tail = daemon.run(&["audit", "tail", "--lines", "100000"], 0);
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    tail.lines()
        .map(line)
        .filter(|event| event["action"] == action)
        .collect()
}

fn made(daemon: &Daemon, body: &Value) -> String {
    let answer = daemon.call("POST", "/v1/tokens", body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_exported_is_opened_elsewhere_and_imported_again() {
    let daemon = Daemon::start_with(ENABLED);
    let mut tokens: Vec<String> = (0..120)
        .map(|at| {
            daemon.tokenize([VISA, MASTERCARD, AMEX][at % 3])["token"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let full = json!({"card": card(VISA), "namespace": "c1", "format": "supplied", "token": "mine-1",
                      "profile": {"email": "ada@example.com", "é": [1, null]}, "metadata": {"order": "7"},
                      "expires_at": "2090-01-01T00:00:00Z"});
    tokens.push(made(&daemon, &full));
    let numeric = made(&daemon, &json!({"card": card(VISA), "format": "random_luhn"}));
    tokens.push(numeric.clone());
    // what a reveal would not give, or would use up
    let single = made(&daemon, &json!({"card": card(VISA), "uses": "single"}));
    let spent = made(&daemon, &json!({"card": card(VISA), "uses": "single"}));
    daemon.reveal(&spent);
    let inactive = made(&daemon, &json!({"card": card(VISA)}));
    let patched = daemon.call(
        "PATCH",
        &format!("/v1/tokens/{inactive}"),
        &json!({"status": "inactive"}),
    );
    assert_eq!(patched.status, 200, "{}", patched.text());
    // offboarding: nothing comes in meanwhile
    daemon.run(&["repository", "suspend", "TEST_native"], 0);

    let recipient = Recipient::new(3072);
    let output = export(&daemon, &recipient, "public.pem", "cards", &["--yes", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&manifest["cards"], &manifest["chunks"]), (&json!(122), &json!(3)));
    assert_eq!(
        manifest["left_out"],
        json!({"inactive": 1, "single_use": 1, "spent": 1, "expired": 0, "destroyed": 0, "unreadable": 0})
    );
    let verified = daemon.run(&["receipt", "verify", "--export", &recipient.path("cards")], 0);
    assert!(
        verified.contains("3 chunks") && verified.contains("authentic"),
        "{verified}"
    );
    // each card that went out is on record, with who asked and to which key
    let trail = events(&daemon, "export");
    let each: Vec<&Value> = trail.iter().filter(|event| event["outcome"] == "ok").collect();
    assert_eq!(each.len(), 122);
    assert!(
        each.iter()
            .all(|event| event["peer"].is_object() && event["token"].is_string())
    );
    let kid = manifest["recipient"].as_str().unwrap();
    for (at, outcome) in [(0, "begun"), (trail.len() - 1, "ended")] {
        assert_eq!(trail[at]["outcome"], outcome);
        assert!(trail[at]["detail"].as_str().unwrap().contains(kid), "{}", trail[at]);
    }
    assert_eq!(trail.last().unwrap()["count"], 122);

    let cards = recipient.cards(&recipient.at("cards"));
    let mut named: Vec<&str> = cards.iter().map(|card| card["ref"].as_str().unwrap()).collect();
    named.sort_unstable();
    tokens.sort();
    assert_eq!(named, tokens);
    assert!(!named.contains(&single.as_str()));
    let of = |token: &str| cards.iter().find(|card| card["ref"] == token).unwrap();
    let mut expected = full;
    expected["ref"] = json!("mine-1");
    expected["expires_at"] = json!("2090-01-01T00:00:00.000Z");
    assert_eq!(of("mine-1"), &expected);
    assert!(
        of(&numeric).get("token").is_none(),
        "one in a card's form is not taken elsewhere"
    );
    // on this side nothing is in clear
    let text = std::fs::read_to_string(recipient.at("cards")).unwrap() + &said(&output) + &daemon.log();
    assert!(
        ![VISA, MASTERCARD, AMEX, "JANE DOE"]
            .iter()
            .any(|secret| text.contains(secret))
    );

    let other = Daemon::start();
    let lines: String = cards.iter().map(|card| format!("{card}\n")).collect();
    std::fs::write(recipient.at("opened.jsonl"), lines).unwrap();
    let imported = Command::new(PROGRAM)
        .arg("import")
        .arg(recipient.at("opened.jsonl"))
        .arg("--out")
        .arg(recipient.at("imported"))
        .arg("--dir")
        .arg(other.dir())
        .output()
        .unwrap();
    assert!(imported.status.success(), "{}", said(&imported));
    let text = std::fs::read_to_string(recipient.at("imported").join("tokens.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 122);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let reference = line["ref"].as_str().unwrap();
        assert_eq!(
            line["token"] == line["ref"],
            reference != numeric,
            "tokens stay as they are: {line}"
        );
        let path = format!("/v1/tokens/{}/reveal", line["token"].as_str().unwrap());
        let there = other.call("POST", &path, &json!({"with": ["profile"]})).json();
        assert_eq!(there["card"], of(reference)["card"]);
        assert_eq!(there.get("profile"), of(reference).get("profile"));
    }
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn an_export_that_was_tampered_with_is_found() {
    let daemon = Daemon::start_with(ENABLED);
    for _ in 0..120 {
        daemon.tokenize(VISA);
    }
    let recipient = Recipient::new(4096);
    std::fs::write(recipient.at("key.jwk"), recipient.jwk().to_string()).unwrap();
    for (key, out) in [("public.pem", "one"), ("key.jwk", "two")] {
        let output = export(&daemon, &recipient, key, out, &["--yes"]);
        assert!(
            output.status.success() && said(&output).contains("120 cards in 3 chunks"),
            "{}",
            said(&output)
        );
        assert_eq!(recipient.cards(&recipient.at(out)).len(), 120);
    }
    let read = |name: &str| std::fs::read_to_string(recipient.at(name)).unwrap();
    let (one, two) = (read("one"), read("two"));
    let lines: Vec<&str> = one.lines().collect();
    let theirs: Vec<&str> = two.lines().collect();
    let with = |lines: &[&str]| lines.join("\n") + "\n";
    for (what, text, told) in [
        (
            "dropped",
            with(&[lines[0], lines[2], lines[3]]),
            "covers 3 lines, here are 2",
        ),
        (
            "swapped",
            with(&[lines[1], lines[0], lines[2], lines[3]]),
            "other lines",
        ),
        (
            "of another export",
            with(&[lines[0], theirs[1], lines[2], lines[3]]),
            "other lines",
        ),
        ("no manifest", with(&lines[..3]), "no manifest"),
        ("cut", one[..one.len() - 5].to_owned(), "cut off"),
        (
            "manifest",
            one.replace("\"cards\":120", "\"cards\":119"),
            "signature is wrong",
        ),
    ] {
        std::fs::write(recipient.at("forged"), text).unwrap();
        let output = daemon.try_run(&["receipt", "verify", "--export", &recipient.path("forged")]);
        assert_eq!(output.status.code(), Some(3), "{what}: {}", said(&output));
        assert!(said(&output).contains(told), "{what}: {}", said(&output));
    }
    // a header that was changed opens no more
    let (header, rest) = lines[0].split_once('.').unwrap();
    let header = BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
    let header = String::from_utf8(header)
        .unwrap()
        .replace("\"last\":false", "\"last\":true");
    assert!(
        recipient
            .open(&format!("{}.{rest}", BASE64URL_NOPAD.encode(header.as_bytes())))
            .is_none()
    );
    by_jwcrypto(&recipient, &one, &with(&[lines[0], lines[2], lines[3]]));
}

/// The program that the README shows, with a JOSE library of another maker.
fn by_jwcrypto(recipient: &Recipient, whole: &str, cut: &str) {
    let has_library = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import jwcrypto"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_library) else {
        skipped("opening an export with another maker's JOSE: it needs python3 with the jwcrypto library");
        return;
    };
    let readme = include_str!("../README.md");
    let (_, program) = readme.split_once("```python\n").unwrap();
    let (program, _) = program.split_once("```\n").unwrap();
    std::fs::write(recipient.at("open.py"), program).unwrap();
    let open = |text: &str| {
        std::fs::write(recipient.at("export"), text).unwrap();
        Command::new(python)
            .arg(recipient.at("open.py"))
            .arg(recipient.at("private.pem"))
            .arg(recipient.at("export"))
            .output()
            .unwrap()
    };
    let opened = open(whole);
    assert!(opened.status.success(), "{}", said(&opened));
    assert_eq!(String::from_utf8(opened.stdout).unwrap().matches(VISA).count(), 120);
    assert!(!open(cut).status.success());
}

#[test]
fn what_cannot_be_an_export_gives_nothing() {
    let mut daemon = Daemon::start();
    daemon.tokenize(VISA);
    let recipient = Recipient::new(3072);
    let refused = |daemon: &Daemon, key: &str, out: &str, more: &[&str], told: &str| {
        let output = export(daemon, &recipient, key, out, more);
        assert!(
            !output.status.success() && said(&output).contains(told),
            "{told}: {}",
            said(&output)
        );
    };
    // off unless the configuration says otherwise
    refused(&daemon, "public.pem", "off", &["--yes"], "[export] enabled = true");
    daemon.stop();
    daemon.configure(ENABLED);
    daemon.up();
    std::fs::write(recipient.at("there"), "mine").unwrap();
    std::fs::write(recipient.at("text"), "hello").unwrap();
    let mut private = recipient.jwk();
    private["d"] = json!("AQAB");
    std::fs::write(recipient.at("private.jwk"), private.to_string()).unwrap();
    std::fs::write(
        recipient.at("ec.jwk"),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}).to_string(),
    )
    .unwrap();
    let mut signing = recipient.jwk();
    signing["use"] = json!("sig");
    std::fs::write(recipient.at("sig.jwk"), signing.to_string()).unwrap();
    let weak = Recipient::new(2048);
    std::fs::copy(weak.at("public.pem"), recipient.at("weak.pem")).unwrap();
    for (key, told) in [
        ("weak.pem", "has 2048 bits"),
        ("private.pem", "private key"),
        ("private.jwk", "private key"),
        ("ec.jwk", "no RSA public key"),
        ("sig.jwk", "no RSA public key"),
        ("text", "no RSA public key"),
        ("missing", "cannot read"),
    ] {
        refused(&daemon, key, "out", &["--yes"], told);
    }
    refused(&daemon, "public.pem", "out", &[], "--yes");
    refused(&daemon, "public.pem", "there", &["--yes"], "must be a new file");
    let output = daemon.try_run(&[
        "export",
        "--repository",
        "nobody",
        "--yes",
        "--recipient",
        &recipient.path("public.pem"),
        "--out",
        &recipient.path("out"),
    ]);
    assert!(said(&output).contains("no such repository"), "{}", said(&output));
    // the daemon does not take the command's word
    let weak = std::fs::read_to_string(weak.at("public.pem")).unwrap();
    for (body, status) in [
        (json!({"recipient": weak}), 422),
        (json!({"recipient": "x"}), 422),
        (json!({}), 422),
    ] {
        let path = "/admin/repositories/TEST_native/export";
        let answer = support::http::request(&daemon.admin(), "POST", path, &[], body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert!(!recipient.at("out").exists() && !recipient.at("off").exists());
    assert!(
        events(&daemon, "export")
            .iter()
            .all(|event| event["outcome"] == "denied"),
        "nothing went out"
    );
}

#[test]
fn an_export_keeps_to_its_caps_and_one_that_is_cut_off_has_no_manifest() {
    let mut daemon = Daemon::start_with(&format!(
        "{ENABLED}\ncaps.export_per_second = 20\ncaps.export_per_day = 150"
    ));
    for _ in 0..100 {
        daemon.tokenize(VISA);
    }
    let recipient = Recipient::new(3072);
    let begun = std::time::Instant::now();
    let output = export(&daemon, &recipient, "public.pem", "whole", &["--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "100 at 20 a second, 40 of them at once: {:?}",
        begun.elapsed()
    );
    let output = export(&daemon, &recipient, "public.pem", "more", &["--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("cap"), "{}", said(&output));
    let stopped = events(&daemon, "export").pop().unwrap();
    assert_eq!(stopped["outcome"], "stopped", "{stopped}");
    assert!(
        daemon.metric("panvault_cap_refusals_total{op=\"export\"}") >= 1.0,
        "what alarms watch"
    );

    daemon.stop();
    daemon.configure("caps.export_per_day = 0");
    daemon.up();
    let mut child = Command::new(PROGRAM)
        .args(["export", "--repository", "TEST_native", "--yes", "--recipient"])
        .arg(recipient.at("public.pem"))
        .arg("--out")
        .arg(recipient.at("cut"))
        .arg("--dir")
        .arg(daemon.dir())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = |daemon: &Daemon| {
        events(daemon, "export")
            .iter()
            .filter(|event| event["outcome"] == "ok")
            .count()
    };
    let before = out(&daemon);
    daemon.wait(Duration::from_secs(20), "some of it", || out(&daemon) > before + 10);
    daemon.kill();
    assert_eq!(child.wait().unwrap().code(), Some(69));
    daemon.up();
    let verified = daemon.try_run(&["receipt", "verify", "--export", &recipient.path("cut")]);
    assert!(!verified.status.success());
    daemon.run(&["audit", "verify"], 0);
}
