//! A merchant's server: requests that openssl signs, and answers that openssl checks.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::http::{self, Answer};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The dev instance's merchant.
pub(crate) struct Shop<'a> {
    pub(crate) daemon: &'a Daemon,
    pub(crate) merchant: String,
    key: PathBuf,
    platform: PathBuf,
}

/// A request before it is sent; each part may be wrong.
pub(crate) struct Signed {
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) appid: String,
    pub(crate) timestamp: String,
    pub(crate) nonce: String,
    pub(crate) sign: String,
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An id that no other test has.
pub(crate) fn fresh(what: &str) -> String {
    format!(
        "{what}-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

impl<'a> Shop<'a> {
    pub(crate) fn of(daemon: &'a Daemon) -> Self {
        let dev = daemon.dev_json();
        let path = |name: &str| daemon.dir().join(dev["paykka"][name].as_str().unwrap());
        Self {
            daemon,
            merchant: dev["paykka"]["merchant_id"].as_str().unwrap().to_owned(),
            key: path("private_key"),
            platform: path("platform_public_key"),
        }
    }

    /// Another merchant of the daemon's, with the same key.
    pub(crate) fn another(&self, name: &str, more: &[&str]) -> Self {
        let add = ["merchant", "add", name, "--dialect", "paykka"];
        self.daemon.run(&[&add[..], more].concat(), 0);
        let key = self.daemon.dir().join("paykka-merchant-public.pem");
        let add = [
            "credential",
            "add",
            "--merchant",
            name,
            "--dialect",
            "paykka",
            "--public-key",
        ];
        self.daemon.run(&[&add[..], &[key.to_str().unwrap()]].concat(), 0);
        Self {
            daemon: self.daemon,
            merchant: name.to_owned(),
            key: self.key.clone(),
            platform: self.platform.clone(),
        }
    }

    /// The same merchant, signing with another key.
    pub(crate) fn signing_with(&self, key: &str) -> Self {
        Self {
            daemon: self.daemon,
            merchant: self.merchant.clone(),
            key: self.daemon.dir().join(key),
            platform: self.platform.clone(),
        }
    }

    /// Signs a request as version 3 has it.
    pub(crate) fn sign(&self, path: &str, body: &Value) -> Signed {
        self.sign_text(path, body.to_string(), now_ms().to_string(), fresh("nonce-0123456789"))
    }

    pub(crate) fn sign_text(&self, path: &str, body: String, timestamp: String, nonce: String) -> Signed {
        let text = format!(
            "POST\n{path}\n{timestamp}\n{nonce}\n{}",
            if body.is_empty() { " " } else { &body }
        );
        Signed {
            path: path.to_owned(),
            appid: self.merchant.clone(),
            sign: self.signature(text.as_bytes()),
            body,
            timestamp,
            nonce,
        }
    }

    /// By openssl, in Base64, percent-encoded.
    pub(crate) fn signature(&self, text: &[u8]) -> String {
        let base64 = openssl(&["dgst", "-sha256", "-sign", self.key.to_str().unwrap()], text);
        let base64 = openssl(&["base64", "-A"], &base64);
        String::from_utf8(base64)
            .unwrap()
            .trim()
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D")
    }

    pub(crate) fn send(&self, signed: &Signed) -> Answer {
        let headers = [
            ("Content-Type", "application/json"),
            ("x-paykka-appid", signed.appid.as_str()),
            ("x-paykka-timestamp", &signed.timestamp),
            ("x-paykka-nonce", &signed.nonce),
            ("x-paykka-sign-alg", "SHA256_WITH_RSA"),
            ("x-paykka-sign", &signed.sign),
        ];
        http::request(
            &self.daemon.api(),
            "POST",
            &signed.path,
            &headers,
            signed.body.as_bytes(),
        )
        .unwrap()
    }

    /// A signed request; the answer's signature is checked.
    pub(crate) fn ask(&self, path: &str, body: Value) -> Answer {
        let mut body = body;
        body["merchant_id"] = json!(self.merchant);
        let answer = self.send(&self.sign(path, &body));
        self.check(path, &answer);
        answer
    }

    /// The `data` of an answer that is a success.
    pub(crate) fn data(&self, path: &str, body: Value) -> Value {
        let answer = self.ask(path, body);
        let said = answer.json();
        assert_eq!(
            (answer.status, &said["ret_code"]),
            (200, &json!("000000")),
            "{path}: {said}"
        );
        said["data"].clone()
    }

    /// Status and code of an answer that is a refusal.
    pub(crate) fn refused(&self, path: &str, body: Value) -> (u16, String) {
        let answer = self.ask(path, body);
        let said = answer.json();
        assert!(said["ret_msg"].is_string() && said["data"].is_null(), "{said}");
        (answer.status, said["ret_code"].as_str().unwrap().to_owned())
    }

    /// Holds an answer's signature against the platform's public key.
    pub(crate) fn check(&self, path: &str, answer: &Answer) {
        let header = |name: &str| {
            answer
                .header(name)
                .unwrap_or_else(|| panic!("{path}: no {name}"))
                .to_owned()
        };
        let body = String::from_utf8(answer.body.clone()).unwrap();
        let text = format!(
            "POST\n{path}\n{}\n{}\n{body}",
            header("x-paykka-timestamp"),
            header("x-paykka-nonce")
        );
        assert!(
            self.is_platforms(&text, &header("x-paykka-sign")),
            "{path}: the answer is not the platform's"
        );
        assert!(
            !self.is_platforms(&format!("{text} "), &header("x-paykka-sign")),
            "the check checks nothing"
        );
    }

    /// Whether the platform signed it.
    pub(crate) fn is_platforms(&self, text: &str, sign: &str) -> bool {
        let base64 = sign.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let signature = openssl(&["base64", "-d", "-A"], base64.as_bytes());
        let file = self.daemon.dir().join(fresh("signature"));
        std::fs::write(&file, signature).unwrap();
        let verified = run(
            &[
                "dgst",
                "-sha256",
                "-verify",
                self.platform.to_str().unwrap(),
                "-signature",
                file.to_str().unwrap(),
            ],
            text.as_bytes(),
        );
        verified.status.success()
    }

    /// A first payment that stores its card, by the merchant's server.
    pub(crate) fn subscribe(&self, shopper: &str, card: &str) -> Value {
        self.data(
            "/v3/payment/acq",
            json!({
                "payment_type": "RECURRING", "mit": false, "trans_id": fresh("trans"), "currency": "EUR", "amount": "8715",
                "payment": {"payment_method": "BANKCARD", "store_payment_method": true, "token_usage": "SUBSCRIPTION",
                    "shopper_reference": shopper, "card_no": card, "exp_month": "08", "exp_year": "2035", "cvv": "100",
                    "holder_name": "JOHN DOE"},
            }),
        )
    }

    /// The same for payments with the shopper.
    pub(crate) fn store(&self, shopper: &str, card: &str) -> Value {
        self.data(
            "/v3/payment/acq",
            json!({
                "payment_type": "PURCHASE", "trans_id": fresh("trans"), "currency": "HKD", "amount": "800",
                "payment": {"payment_method": "BANKCARD", "store_payment_method": true, "token_usage": "CARD_ON_FILE",
                    "shopper_reference": shopper, "card_no": card, "exp_month": "08", "exp_year": "2035", "cvv": "100"},
            }),
        )
    }

    pub(crate) fn tokens(&self, shopper: &str) -> Vec<Value> {
        let data = self.data("/v3/payment/acq/token/query", json!({"shopper_reference": shopper}));
        data["tokens"].as_array().unwrap().clone()
    }
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(arguments, input);
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn run(arguments: &[&str], input: &[u8]) -> std::process::Output {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}
