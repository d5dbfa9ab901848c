//! What operators do for merchants of the Mastercard gateway: repositories with rules, passwords, certificates.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::support::daemon::Daemon;

const ADD: &[&str] = &[
    "repository",
    "add",
    "EU",
    "--management",
    "UNIQUE_TOKEN",
    "--generation",
    "PRESERVE_6_4",
    "--verification",
    "BASIC",
];

/// A command that prints JSON.
fn asked(daemon: &Daemon, command: &[&str]) -> Value {
    let text = daemon.run(&[command, &["--json"]].concat(), 0);
    serde_json::from_str(&text).unwrap()
}

/// What is said of a command that is refused.
fn refusal(daemon: &Daemon, command: &[&str]) -> String {
    let output = daemon.try_run(command);
    assert!(!output.status.success(), "{command:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The repository as it is listed.
fn listed(daemon: &Daemon, name: &str) -> Value {
    let list = asked(daemon, &["repository", "list"]);
    let mut rows = list["repositories"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name).unwrap().clone()
}

#[test]
fn repositories_with_rules_come_in_pairs() {
    let daemon = Daemon::start();
    let some = refusal(&daemon, &ADD[..5]);
    assert!(some.contains("--verification"), "{some}");
    daemon.run(ADD, 0);
    assert_eq!(listed(&daemon, "TESTEU")["twin"], "EU");
    let table = daemon.run(&["repository", "list"], 0);
    let row = table.lines().find(|line| line.starts_with("EU ")).unwrap();
    for cell in ["TESTEU", "UNIQUE_TOKEN", "PRESERVE_6_4", "BASIC"] {
        assert!(row.contains(cell), "{table}");
    }
    daemon.run(&["repository", "set", "EU", "--verification", "ACQUIRER"], 0);
    assert_eq!(listed(&daemon, "TESTEU")["rules"]["verification"], "ACQUIRER");

    let merchant =
        |id: &'static str, more: &[&'static str]| [&["merchant", "add", id, "--dialect", "mastercard"], more].concat();
    let homeless = refusal(&daemon, &merchant("SHOP", &[]));
    assert!(homeless.contains("with rules"), "{homeless}");
    refusal(&daemon, &merchant("SHOP", &["--repository", "EU", "--test"]));
    refusal(&daemon, &merchant("TESTSHOP", &["--repository", "EU"]));
    let test = asked(&daemon, &merchant("TESTSHOP", &["--repository", "EU", "--test"]));
    assert_eq!(test["repository"], "TESTEU");
    refusal(&daemon, &["repository", "remove", "EU"]);
    daemon.run(&["merchant", "remove", "TESTSHOP"], 0);
    daemon.run(&["repository", "remove", "EU"], 0);
    assert!(!daemon.run(&["repository", "list"], 0).contains("EU "));
    daemon.run(&["audit", "verify"], 0);
}

#[test]
fn passwords_and_certificates_are_made_by_command() {
    let mut daemon = Daemon::start();
    daemon.run(ADD, 0);
    daemon.run(
        &[
            "merchant",
            "add",
            "SHOP",
            "--dialect",
            "mastercard",
            "--repository",
            "EU",
        ],
        0,
    );
    let add = ["credential", "add", "--merchant", "SHOP", "--dialect", "mastercard"];
    let made = asked(&daemon, &add);
    let password = made["secret"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 32);
    assert!(password.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
    daemon.run(&add, 0);
    let third = refusal(&daemon, &add);
    assert!(third.contains(made["id"].as_str().unwrap()), "{third}");

    let file = daemon.dir().join("client.pem");
    let path = file.to_str().unwrap().to_owned();
    let pem = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, pem).unwrap();
    let with_file = [&add[..], &["--certificate", &path]].concat();
    let certificate = asked(&daemon, &with_file);
    assert_eq!(certificate["credential"]["kind"], "certificate");
    assert!(certificate["secret"].is_null());
    // printf '\x30\x03\x02\x01\x05' | sha256sum
    let sha256 = "417c7763c4e320a6b747b3cb0c6d22f93741b29a32b48594b8eb4c144fe6d729";
    assert_eq!(certificate["credential"]["certificate"], sha256);
    std::fs::write(
        &file,
        format!("{pem}-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"),
    )
    .unwrap();
    assert!(refusal(&daemon, &with_file).contains("private key"));
    refusal(&daemon, &[&add[..], &["--kind", "api-key"]].concat());
    refusal(
        &daemon,
        &[
            "credential",
            "add",
            "--merchant",
            "TEST_native",
            "--dialect",
            "native",
            "--kind",
            "password",
        ],
    );

    let list = daemon.run(&["credential", "list", "--merchant", "SHOP"], 0);
    assert!(list.contains(sha256) && !list.contains(&password), "{list}");
    daemon.stop();
    assert!(holds(&daemon.dir().join("state"), b"SHOP"), "what is stored is found");
    for entry in ["state", "log"] {
        assert!(!holds(&daemon.dir().join(entry), password.as_bytes()), "{entry}");
    }
}

#[test]
fn dev_has_a_merchant_for_each_strategy_and_keeps_it() {
    let mut daemon = Daemon::start();
    let before = daemon.dev_json()["mastercard"].clone();
    let entries = before.as_array().unwrap();
    let strategies: Vec<_> = entries
        .iter()
        .map(|entry| {
            [&entry["management"], &entry["generation"], &entry["verification"]].map(|name| name.as_str().unwrap())
        })
        .collect();
    assert_eq!(
        strategies,
        [
            ["UNIQUE_TOKEN", "RANDOM_WITH_LUHN", "BASIC"],
            ["UNIQUE_TOKEN", "PRESERVE_6_4", "BASIC"],
            ["UNIQUE_TOKEN", "MERCHANT_PROVIDED", "BASIC"],
            ["UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN", "BASIC"],
        ]
    );
    for entry in entries {
        assert!(entry["merchant"].as_str().unwrap().starts_with("TEST"));
        assert!(entry["repository"].as_str().unwrap().starts_with("TEST"));
    }
    let id = entries[1]["merchant"].as_str().unwrap();
    let credentials = asked(&daemon, &["credential", "list", "--merchant", id]);
    daemon.run(
        &[
            "credential",
            "remove",
            credentials["credentials"][0]["id"].as_str().unwrap(),
        ],
        0,
    );
    daemon.run(&["repository", "set", "RANDOM", "--verification", "NONE"], 0);
    daemon.stop();
    daemon.up();
    let after = daemon.dev_json()["mastercard"].clone();
    assert_ne!(
        after[1]["password"], before[1]["password"],
        "the removed one works no more"
    );
    for at in [0, 2, 3] {
        assert_eq!(after[at]["password"], before[at]["password"]);
    }
    assert_eq!(after[0]["verification"], "NONE", "as it is now");
}

#[test]
fn token_maintenance_runs_by_command() {
    let daemon = Daemon::start();
    // one with random tokens, one whose tokens keep digits of the number
    let shops = daemon.dev_json()["mastercard"].clone();
    let call = |shop: &Value, method: &str, path: &str, body: &Value| {
        let id = shop["merchant"].as_str().unwrap();
        let login = format!("merchant.{id}:{}", shop["password"].as_str().unwrap());
        let basic = format!("Basic {}", BASE64.encode(login.as_bytes()));
        let path = format!("/api/rest/version/70/merchant/{id}/{path}");
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let headers = [("Authorization", basic.as_str())];
        let answer = daemon.raw(method, &path, &headers, body.as_bytes()).unwrap();
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        answer.json()
    };
    // the simulated updater answers by the expiry: a new expiry, a new number, closed, no answer, nothing newer
    let charged = |shop: &Value, month: u8, year: u8, frequency: &str| {
        let expiry = json!({"month": format!("{month:02}"), "year": year.to_string()});
        let card = json!({"number": "5123450000000008", "expiry": expiry});
        let source = json!({"type": "CARD", "provided": {"card": card}});
        let made = call(shop, "POST", "token", &json!({"sourceOfFunds": source}));
        let token = made["token"].as_str().unwrap().to_owned();
        let pay = json!({
            "apiOperation": "PAY", "order": {"amount": 10, "currency": "EUR"},
            "sourceOfFunds": {"type": "CARD", "token": token}, "transaction": {"frequency": frequency},
        });
        let paid = call(shop, "PUT", &format!("order/{token}/transaction/1"), &pay);
        assert_eq!(paid["result"], "SUCCESS", "{paid}");
        token
    };
    let renewed = charged(&shops[0], 6, 38, "RECURRING");
    let renumbered = charged(&shops[0], 7, 38, "RECURRING");
    let closed = charged(&shops[0], 8, 38, "RECURRING");
    charged(&shops[0], 9, 38, "RECURRING");
    charged(&shops[0], 1, 39, "RECURRING");
    let single = charged(&shops[0], 6, 38, "SINGLE");
    charged(&shops[1], 7, 38, "RECURRING");

    let first = asked(&daemon, &["maintenance", "run"]);
    let expected = json!({
        "looked_at": 6, "current": 1, "updated": 2, "replaced": 1, "closed": 1, "unavailable": 1, "failed": 0,
    });
    assert_eq!(first, expected);
    let shown = |token: &str| call(&shops[0], "GET", &format!("token/{token}"), &Value::Null);
    let card = |token: &str| shown(token)["sourceOfFunds"]["provided"]["card"].clone();
    assert_eq!(card(&renewed)["expiry"], "0641");
    assert_eq!(card(&single)["expiry"], "0638", "nobody said that it is charged again");
    assert!(card(&renumbered)["number"].as_str().unwrap().ends_with("1118"));
    assert_eq!(shown(&closed)["status"], "INVALID");

    let second = daemon.run(&["maintenance", "run"], 0);
    let counts: Vec<_> = second.split_whitespace().collect();
    let pairs: Vec<_> = counts.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    assert!(
        pairs.contains(&("looked_at", "6")) && pairs.contains(&("updated", "0")),
        "{second}"
    );
    let trail = daemon.run(&["audit", "tail", "--lines", "40"], 0);
    for event in ["\"maintenance-run\"", "\"replaced\"", "\"unavailable\""] {
        assert!(trail.contains(event), "{trail}");
    }
    daemon.run(&["audit", "verify"], 0);
}

/// Whether a file, or one below a directory, holds these bytes.
fn holds(path: &std::path::Path, bytes: &[u8]) -> bool {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path).unwrap();
        return entries.any(|entry| holds(&entry.unwrap().path(), bytes));
    }
    let content = std::fs::read(path).unwrap();
    content.windows(bytes.len()).any(|window| window == bytes)
}
