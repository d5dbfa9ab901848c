//! JWE over JWS, spoken by a client in another language with a JOSE library of another maker.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::asking::{Locker, card, named, refusal};
use super::support::daemon::{AMEX, Daemon, MASTERCARD, VISA};
use super::support::skip::skipped;

/// The client's process.
pub(crate) struct Client {
    process: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

/// How a request was answered.
struct Said(Value);

impl Client {
    /// None where the library is not installed.
    pub(crate) fn of(daemon: &Daemon) -> Option<Self> {
        let has_library = |python: &&str| {
            let asked = Command::new(python).args(["-c", "import jwcrypto"]).output();
            asked.is_ok_and(|output| output.status.success())
        };
        let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_library) else {
            skipped("tests of JWE over JWS: they need python3 with the jwcrypto library");
            return None;
        };
        let dev = daemon.dev_json();
        let of = &dev["hyperswitch"]["locker"];
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/locker/client.py"))
            .arg(daemon.api())
            .arg(of["tenant_id"].as_str().unwrap())
            .arg(daemon.dir().join(of["locker_public_key"].as_str().unwrap()))
            .arg(daemon.dir().join(of["client_private_key"].as_str().unwrap()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipes = (
            process.stdin.take().unwrap(),
            BufReader::new(process.stdout.take().unwrap()),
        );
        Some(Self {
            process,
            pipes: RefCell::new(pipes),
        })
    }

    fn ask(&self, path: &str, body: &str, more: Value) -> Said {
        let mut asked = json!({"path": path, "body": body});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (to, from) = &mut *self.pipes.borrow_mut();
        writeln!(to, "{asked}").unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        Said(serde_json::from_str(&line).unwrap_or_else(|_| panic!("the client ended: {asked}")))
    }

    fn post(&self, path: &str, body: &Value) -> Said {
        self.ask(path, &body.to_string(), json!({}))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Said {
    /// The inside of an encrypted answer.
    fn inside(&self, status: u16) -> &str {
        assert_eq!(self.0["status"], status, "{}", self.0);
        assert_eq!(self.0["type"], "application/json");
        self.0["body"]
            .as_str()
            .unwrap_or_else(|| panic!("in plain: {}", self.0))
    }

    fn json(&self, status: u16) -> Value {
        serde_json::from_str(self.inside(status)).unwrap()
    }

    /// What an answer in plain says: the middleware's own.
    fn plain(&self, status: u16, code: &str) -> String {
        assert_eq!(self.0["status"], status, "{}", self.0);
        let text = self.0["plain"]
            .as_str()
            .unwrap_or_else(|| panic!("encrypted: {}", self.0));
        let body: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&body["code"], &body["data"]), (&json!(code), &Value::Null), "{body}");
        body["message"].as_str().unwrap().to_owned()
    }
}

fn added(customer: &str, number: &str) -> Value {
    json!({"merchant_id": "m", "merchant_customer_id": customer, "card": card(number)})
}

/// Requests and answers, and errors of what is inside.
pub(crate) fn speaks() {
    let daemon = Daemon::start();
    let Some(client) = Client::of(&daemon) else { return };
    let said = client.post("/cards/add", &added("c", VISA));
    let payload = &said.json(200)["payload"];
    assert_eq!(said.0["header"], json!({"alg": "RSA-OAEP", "enc": "A256GCM"}));
    let reference = payload["card_reference"].as_str().unwrap().to_owned();
    let found = client.post("/cards/retrieve", &named("m", "c", &reference)).json(200);
    assert_eq!(found["payload"]["card"], card(VISA));
    let again = client.post("/data/add", &added("c", VISA)).json(200);
    assert_eq!(again["payload"]["duplication_check"], "duplicated");

    // what is wrong inside is told inside
    let missing = client.post("/cards/retrieve", &named("m", "c", "none")).json(404);
    assert_eq!(
        missing,
        json!({"code": "TE_02", "message": "Requested resource not found", "data": null})
    );
    let invalid = client.post("/cards/add", &added("c", "4111111111111112")).json(400);
    assert_eq!(invalid["code"], "TE_03");
    let shape = client.post("/cards/add", &json!({"merchant_id": "m"}));
    assert!(shape.inside(422).contains("merchant_customer_id"));
    assert!(client.ask("/cards/add", "{", json!({})).inside(400).contains("JSON"));

    let record = json!({"entity_id": "e", "vault_id": "v", "data": {"CardNumber": AMEX, "n": 1}});
    assert_eq!(
        client.post("/api/v2/vault/add", &record).json(200),
        json!({"entity_id": "e", "vault_id": "v"})
    );
    assert_eq!(
        client.post("/api/v2/vault/retrieve", &record).json(200),
        json!({"data": record["data"]})
    );
    client.post("/api/v2/vault/delete", &record).json(200);
    assert_eq!(
        client.post("/api/v2/vault/retrieve", &record).json(404)["code"],
        "TE_02"
    );
    let fingerprint = json!({"key": "k", "data": VISA});
    let first = client.post("/cards/fingerprint", &fingerprint).json(200);
    assert_eq!(client.post("/api/v2/vault/fingerprint", &fingerprint).json(200), first);
    assert_eq!(
        client.post("/entity", &json!({"entity_id": "e"})).json(200)["entity_id"],
        "e"
    );
    let large = json!({"entity_id": "e", "vault_id": "large", "data": "x".repeat(400 << 10)});
    client.post("/api/v2/vault/add", &large).json(200);
    assert_eq!(
        client.post("/api/v2/vault/retrieve", &large).json(200)["data"],
        large["data"]
    );

    // dev takes plain requests beside
    let locker = Locker::of(&daemon);
    let found = locker.done("/cards/retrieve", &named("m", "c", &reference));
    assert_eq!(found["payload"]["card"], card(VISA));
    outsides(&daemon, &client);
    let check = daemon.run(&["check", "hsm"], 0);
    assert!(check.contains("locker-key") && check.contains("two uses"), "{check}");
    let shown = daemon.run(&["key", "show", "locker"], 0);
    let written = std::fs::read_to_string(daemon.dir().join("locker-public.pem")).unwrap();
    assert_eq!(shown.trim(), written.trim());
    daemon.run(&["audit", "verify"], 0);
}

/// What is wrong with the outside is told in plain, and nothing is done.
fn outsides(daemon: &Daemon, client: &Client) {
    let body = added("outsides", MASTERCARD).to_string();
    let with = |more: Value| client.ask("/cards/add", &body, more);
    for changed in [
        json!({"flip": ["encryptedKey"]}),
        json!({"flip": ["encryptedPayload"]}),
        json!({"flip": ["tag"]}),
        json!({"flip": ["iv"]}),
        json!({"flip": ["header"]}),
        json!({"flip_inside": ["payload"]}),
        json!({"flip_inside": ["signature"]}),
        json!({"jwe": {"alg": "RSA-OAEP", "enc": "A256GCM"}}),
        json!({"jwe": {"alg": "RSA-OAEP-256", "enc": "A128GCM"}}),
        json!({"jwe": {"alg": "RSA-OAEP-256", "enc": "A256CBC-HS512"}}),
        json!({"jwe": {"alg": "RSA-OAEP-256", "enc": "A256GCM", "zip": "DEF"}}),
        json!({"jws": {"alg": "PS256"}}),
        json!({"jws": {"alg": "RS512"}}),
        json!({"inside": {"merchant_id": "m"}}),
        json!({"inside": "text"}),
    ] {
        let message = with(changed.clone()).plain(400, "TE_03");
        assert!(
            message.starts_with("failed in request middleware: "),
            "{changed}: {message}"
        );
        assert!(!message.contains("5555"), "{message}");
    }
    let stranger = daemon.dir().join("stranger.pem");
    openssl(&["genrsa", "-out", stranger.to_str().unwrap(), "2048"]);
    let message = with(json!({"key": stranger})).plain(400, "TE_03");
    assert!(message.contains("not signed by the tenant"), "{message}");
    with(json!({"tenant": "nobody"})).plain(400, "TE_03");
    // one that has no key
    daemon.run(&["merchant", "add", "keyless", "--dialect", "hyperswitch-locker"], 0);
    let message = with(json!({"tenant": "keyless"})).plain(400, "TE_03");
    assert!(message.contains("no public key"), "{message}");
    let first = with(json!({})).json(200);
    assert_eq!(
        first["payload"]["duplication_check"],
        Value::Null,
        "nothing was stored before"
    );
    let counted = || daemon.metric("panvault_auth_failures_total{dialect=\"hyperswitch-locker\"}");
    assert!(counted() >= 3.0, "{}", counted());
}

/// All requests must be encrypted; answers as the router has it set; a request counts once.
pub(crate) fn required() {
    let mut daemon = Daemon::start_with(
        "locker.jwe = \"required\"\nlocker.answers = \"RSA-OAEP-256\"\nlocker.replay_window_s = 600",
    );
    let Some(client) = Client::of(&daemon) else { return };
    let locker = Locker::of(&daemon);
    refusal(&locker.post("/cards/add", &added("c", VISA)), 400, "TE_03");
    refusal(&locker.text("/cards/add", "{"), 400, "TE_03");
    let said = client.post("/cards/add", &added("c", VISA));
    said.json(200);
    assert_eq!(said.0["header"]["alg"], "RSA-OAEP-256");
    let message = client.ask("/cards/add", "", json!({"again": true})).plain(400, "TE_03");
    assert!(message.contains("came before"), "{message}");
    // who asks for the same once more encrypts anew, and that is another request
    let once_more = client.post("/cards/add", &added("c", VISA)).json(200);
    assert_eq!(once_more["payload"]["duplication_check"], "duplicated");
    // two keys may be live, and the answer is for the one that signed
    let path = |name: &str| daemon.dir().join(name).to_str().unwrap().to_owned();
    openssl(&["genrsa", "-out", &path("second.pem"), "3072"]);
    openssl(&[
        "rsa",
        "-in",
        &path("second.pem"),
        "-pubout",
        "-out",
        &path("second-public.pem"),
    ]);
    let add = |file: &str, code: i32| {
        let file = path(file);
        let tenant = locker.tenant.as_str();
        let arguments = [
            "credential",
            "add",
            "--merchant",
            tenant,
            "--dialect",
            "hyperswitch-locker",
        ];
        daemon.run(
            &[&arguments[..], &["--kind", "public-key", "--public-key", &file]].concat(),
            code,
        )
    };
    add("second.pem", 1);
    add("second-public.pem", 0);
    let by_second = client.ask(
        "/cards/add",
        &added("c2", VISA).to_string(),
        json!({"key": path("second.pem")}),
    );
    by_second.json(200);
    add("second-public.pem", 1);
    let listed = daemon.run(&["credential", "list", "--json"], 0);
    assert!(
        listed.contains("SHA256:") && !listed.contains("BEGIN PUBLIC"),
        "{listed}"
    );
    drop(client);
    // the key stays with the keyring, and so does the client's
    daemon.stop();
    daemon.up();
    let client = Client::of(&daemon).unwrap();
    let again = client.post("/cards/add", &added("c", VISA)).json(200);
    assert_eq!(again["payload"]["duplication_check"], "duplicated");
}

/// Without JWE a request that is one is a body of the wrong shape; not enabled, nothing is served; and the key is made when
/// it is wanted first.
pub(crate) fn settings() {
    let mut daemon = Daemon::start_with("locker.jwe = \"off\"");
    Locker::of(&daemon).add("m", "c", &card(VISA));
    let dev = daemon.dev_json();
    assert!(dev["hyperswitch"]["locker"].get("locker_public_key").is_none());
    let envelope = json!({"header": "", "iv": "", "encryptedPayload": "", "tag": "", "encryptedKey": ""});
    assert_eq!(Locker::of(&daemon).post("/cards/add", &envelope).status, 422);
    daemon.stop();
    daemon.configure("locker.enabled = false");
    daemon.up();
    assert!(daemon.dev_json()["hyperswitch"].get("locker").is_none());
    let answer = daemon
        .raw("POST", "/cards/add", &[("x-tenant-id", "TEST_locker")], b"{}")
        .unwrap();
    assert_eq!(answer.status, 404, "{}", answer.text());
    daemon.stop();
    daemon.configure("locker.enabled = true\nlocker.jwe = \"required\"");
    daemon.up();
    if let Some(client) = Client::of(&daemon) {
        let again = client.post("/cards/add", &added("c", VISA)).json(200);
        assert_eq!(again["payload"]["duplication_check"], "duplicated");
    }
}

fn openssl(arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
