//! A card number that goes through everything and is found nowhere afterwards.

use std::path::{Path, PathBuf};

use super::gateway::{CODE, Field, MONTH, NUMBER, Reply, SOURCE, Shop, WIRES, YEAR, card, form};
use super::support::daemon::Daemon;
use super::support::http;
use super::tokens::fresh;

/// A published test card that no other test uses.
const CANARY: &str = "4000056655665556";
const HIDDEN: &str = "400005xxxxxx5556";

pub(crate) fn nowhere() {
    let mut daemon = Daemon::start_with("log.filter = \"trace\"\nstore.audit_window = 10");
    for wire in WIRES {
        let shop = Shop::random(&daemon, wire);
        everything(&shop);
        let supplied = Shop::dev(&daemon, wire, "UNIQUE_TOKEN", "MERCHANT_PROVIDED");
        let refused = supplied.call("TOKENIZE", &[card(CANARY, "5", "31"), vec![("token", CANARY)]].concat());
        silent(&refused);
        let preserve = Shop::dev(&daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
        silent(&preserve.call("TOKENIZE", &card(CANARY, "5", "31")));
    }
    let shop_name = Shop::random(&daemon, WIRES[0]).merchant;
    broken(&Shop::random(&daemon, WIRES[0]), &Shop::random(&daemon, WIRES[1]));

    let metrics = http::request(&daemon.admin(), "GET", "/metrics", &[], b"")
        .unwrap()
        .text();
    assert!(metrics.contains("panvault_") && !metrics.contains(CANARY));
    let tail = daemon.run(&["audit", "tail", "--lines", "1000"], 0);
    assert!(tail.contains("tokenize") && !tail.contains(CANARY), "{tail}");
    daemon.run(&["audit", "verify"], 0);
    daemon.stop();
    assert!(
        holding(&daemon.dir().join("state"), shop_name.as_bytes()).is_some(),
        "what is stored is found"
    );
    for form in forms() {
        assert_eq!(holding(daemon.dir(), &form), None, "a file holds the card number");
    }
    let log = daemon.log();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log tells all that it can"
    );
    assert!(!log.contains("panicked"), "{log}");
    let mut segments = std::fs::read_dir(daemon.dir().join("state/audit")).unwrap();
    assert!(segments.next().is_some(), "segments are there");
}

/// Each operation with the canary, well formed.
fn everything(shop: &Shop<'_>) {
    let made = shop.call("TOKENIZE", &[card(CANARY, "5", "31"), vec![(CODE, "100")]].concat());
    made.succeeded(201);
    made.has(&[(NUMBER, HIDDEN)]);
    let token = made.at("token").to_owned();
    silent(&made);
    let (order, declined) = (fresh("canary"), fresh("canary"));
    let money = vec![("order.amount", "5.00"), ("order.currency", "EUR")];
    let more = vec![("transaction.amount", "5.00"), ("transaction.currency", "EUR")];
    let session = shop.call("CREATE_SESSION", &[]).at("session.id").to_owned();
    let named = vec![("session.id", session.as_str())];
    let query = format!(r#"{{"EQ":["{NUMBER}","{CANARY}"]}}"#);
    let own = vec![("token", token.as_str())];
    let by = |strategy| vec![("verificationStrategy", strategy), ("transaction.currency", "EUR")];
    let ids = |transaction| vec![("order.id", order.as_str()), ("transaction.id", transaction)];
    let apart = vec![("order.id", declined.as_str()), ("transaction.id", "1")];
    let steps: [(&str, Vec<Field<'_>>); 15] = [
        ("TOKENIZE", [card(CANARY, "6", "31"), own.clone()].concat()),
        ("TOKENIZE", [card(CANARY, "1", "39"), by("ACQUIRER")].concat()),
        ("TOKENIZE", [card(CANARY, "5", "39"), by("ACQUIRER")].concat()),
        ("TOKENIZE", [card(CANARY, "6", "38"), by("ACCOUNT_UPDATER")].concat()),
        ("RETRIEVE_TOKEN", own.clone()),
        ("SEARCH_TOKENS", vec![("query", &query), ("limit", "1")]),
        (
            "UPDATE_SESSION",
            [named.clone(), card(CANARY, "5", "31"), vec![(CODE, "100")]].concat(),
        ),
        ("RETRIEVE_SESSION", named.clone()),
        ("AUTHORIZE", [ids("1"), money.clone(), named].concat()),
        ("CAPTURE", [ids("2"), more.clone()].concat()),
        ("REFUND", [ids("3"), more].concat()),
        ("RETRIEVE_ORDER", ids("1")[..1].to_vec()),
        ("RETRIEVE_TRANSACTION", ids("1")),
        (
            "PAY",
            [apart, money, vec![(SOURCE, &token), (MONTH, "5"), (YEAR, "39")]].concat(),
        ),
        ("DELETE_TOKEN", own),
    ];
    for (operation, fields) in steps {
        let reply = shop.call(operation, &fields);
        assert!(matches!(reply.status, 200 | 201), "{operation}: {}", reply.text);
        silent(&reply);
    }
}

/// The canary where it does not belong, and requests that cannot be read.
fn broken(rest: &Shop<'_>, nvp: &Shop<'_>) {
    let spaced = "4000 0566 5566 5556";
    let grown = format!("{CANARY}0");
    for shop in [rest, nvp] {
        for (field, value) in [
            (NUMBER, grown.as_str()),
            (NUMBER, spaced),
            (NUMBER, &format!("{CANARY}x")),
            (MONTH, CANARY),
            (YEAR, CANARY),
            (CODE, CANARY),
            (SOURCE, CANARY),
            ("session.id", CANARY),
            ("verificationStrategy", CANARY),
            ("transaction.currency", CANARY),
            ("sourceOfFunds.type", CANARY),
            ("correlationId", CANARY),
            ("billing.address.city", CANARY),
            (CANARY, "1"),
            ("nonsense", CANARY),
            ("responseControls.sensitiveData", CANARY),
        ] {
            let mut fields = card("5123450000000008", "5", "31");
            fields.retain(|(name, _)| *name != field);
            fields.push((field, value));
            silent(&shop.call("TOKENIZE", &fields));
        }
        for operation in ["RETRIEVE_TOKEN", "DELETE_TOKEN"] {
            silent(&shop.call(operation, &[("token", CANARY)]));
        }
        for query in [
            CANARY.to_owned(),
            format!(r#"{{"EQ":["token","{CANARY}"]}}"#),
            format!(r#"{{"EQ":["{CANARY}","1"]}}"#),
            format!(r#"{{"EQ":["{NUMBER}","{grown}"]}}"#),
            format!(r#"{{"LE":["{NUMBER}","{CANARY}"]}}"#),
        ] {
            silent(&shop.call("SEARCH_TOKENS", &[("query", &query)]));
        }
        silent(&shop.call("SEARCH_TOKENS", &[("nextPage", CANARY)]));
        for (order, transaction, field) in [
            (CANARY, "1", "order.reference"),
            ("o", CANARY, "order.reference"),
            ("o", "1", "order.reference"),
            ("o", "1", "order.description"),
            ("o", "1", "transaction.reference"),
            ("o", "1", "order.amount"),
            ("o", "1", "customer.firstName"),
            ("o", "1", "transaction.targetTransactionId"),
        ] {
            let mut fields = vec![
                ("order.id", order),
                ("transaction.id", transaction),
                ("order.amount", "1.00"),
                ("order.currency", "EUR"),
            ];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, CANARY));
            silent(&shop.call("PAY", &[fields, card(CANARY, "5", "31")].concat()));
        }
        let mut stranger = shop.clone();
        stranger.password = CANARY.to_owned();
        silent(&stranger.call("RETRIEVE_TOKEN", &[("token", CANARY)]));
    }
    for body in [
        format!("{{\"sourceOfFunds\":{CANARY}"),
        format!("{{\"{CANARY}\":{{}}}}"),
        format!("[{CANARY}]"),
        format!("{{\"sourceOfFunds\":{{\"provided\":{{\"card\":{{\"number\":{CANARY}}}}}}}}}"),
    ] {
        silent(&rest.json("POST", "token", &body).unwrap());
    }
    for path in [
        format!("token/{CANARY}/x"),
        CANARY.to_owned(),
        format!("token?number={CANARY}"),
        format!("order/{CANARY}"),
    ] {
        for method in ["GET", "PUT", "POST", "PATCH"] {
            silent(&rest.json(method, &path, "{}").unwrap());
        }
    }
    let login = form(&[
        ("merchant", &nvp.merchant),
        ("apiUsername", &format!("merchant.{}", nvp.merchant)),
        ("apiPassword", &nvp.password),
    ]);
    for body in [
        format!("{login}&apiOperation={CANARY}"),
        format!("{CANARY}=%"),
        format!("merchant={CANARY}&apiOperation=PAY"),
    ] {
        silent(&nvp.form(&body).unwrap());
    }
}

fn silent(reply: &Reply) {
    let said = format!("{:?} {}", reply.headers, reply.text);
    let digits: String = said.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    assert!(!digits.contains(CANARY), "{said}");
}

/// How the number could stand in a file.
fn forms() -> Vec<Vec<u8>> {
    let bcd: Vec<u8> = CANARY
        .as_bytes()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
        .collect();
    let number: u64 = CANARY.parse().unwrap();
    vec![
        CANARY.as_bytes().to_vec(),
        data_encoding::HEXLOWER.encode(CANARY.as_bytes()).into_bytes(),
        bcd,
        number.to_be_bytes()[1..].to_vec(),
        number.to_le_bytes()[..7].to_vec(),
    ]
}

/// A file below `path` that holds these bytes.
fn holding(path: &Path, bytes: &[u8]) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter_map(|path| match path.symlink_metadata().unwrap() {
            kind if kind.is_dir() => holding(&path, bytes),
            kind if kind.is_file() => {
                let content = std::fs::read(&path).unwrap();
                content
                    .windows(bytes.len())
                    .any(|window| window == bytes)
                    .then_some(path)
            }
            _ => None,
        })
        .next()
}
