//! The Stripe connector against localstripe, an emulator of Stripe that is not of our making, behind the TLS of Python's own
//! library (OpenSSL).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::pki::{Pki, skipped};
use super::stripe_failing::shop;
use super::*;
use TokenKind::{MultiUse, SingleUse};

/// Version by version what the test was made with.
const PACKAGES: [&str; 3] = [
    "localstripe==1.15.10",
    "aiohttp==3.14.5",
    "python-dateutil==2.9.0.post0",
];

/// The emulator as it is, on a port of its own; it only keeps what it is sent in memory, and ends with its test.
const SERVER: &str = r#"
import os, socket, ssl, sys, threading
from aiohttp import web
from localstripe.resources import store
from localstripe.server import app
store.dump_to_disk = lambda: None
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(listener.getsockname()[1], flush=True)
web.run_app(app, sock=listener, ssl_context=context, print=None)
"#;

/// Another client's look at what the emulator has.
const LOOK: &str = r#"
import ssl, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer sk_test_panvault"}, method=sys.argv[3])
print(urllib.request.urlopen(request, context=ssl.create_default_context(cafile=sys.argv[2])).read().decode())
"#;

struct Emulator {
    packages: PathBuf,
    ca: PathBuf,
    base: String,
    child: Child,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulator {
    fn start(pki: &Pki, packages: PathBuf) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .args([pki.certificate(), pki.key()])
            .env("PYTHONPATH", &packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        assert!(!port.trim().is_empty(), "localstripe did not start");
        Self {
            packages,
            ca: pki.ca(),
            base: format!("https://127.0.0.1:{}", port.trim()),
            child,
        }
    }

    fn call(&self, method: &str, path: &str) -> Value {
        let output = Command::new("python3")
            .args(["-c", LOOK, &format!("{}{path}", self.base)])
            .arg(&self.ca)
            .arg(method)
            .env("PYTHONPATH", &self.packages)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Where the emulator's packages are, installed at the first time beside this program.
fn packages() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(install).clone()
}

fn install() -> Result<PathBuf, String> {
    let program = std::env::current_exe().unwrap();
    let beside = program.parent().and_then(Path::parent).unwrap();
    let place = beside.join(PACKAGES.join("+").replace("==", "-"));
    if place.exists() {
        return Ok(place);
    }
    let making = tempfile::tempdir_in(beside).unwrap();
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ])
        .arg(making.path())
        .args(PACKAGES)
        .output()
        .map_err(|_| "there is no python3 here".to_owned())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("pip does not install {}: {last}", PACKAGES[0]));
    }
    // another run may have been first
    match std::fs::rename(making.path(), &place) {
        Err(error) if !place.exists() => panic!("{error}"),
        Ok(()) | Err(_) => Ok(place),
    }
}

async fn start(test: &str) -> Option<(Emulator, Shop)> {
    let pki = Pki::get(test)?;
    let packages = match packages() {
        Ok(packages) => packages,
        Err(why) => {
            skipped(test, &why);
            return None;
        }
    };
    let emulator = Emulator::start(pki, packages);
    let (shop, _key) = shop(&emulator.base, Some(pki.ca()), 20_000).await;
    Some((emulator, shop))
}

fn ask(kind: TokenKind, pan: &str) -> PspTokenize {
    let text = |text: &str| Some(Zeroizing::new(text.to_owned()));
    PspTokenize {
        billing: Billing {
            email: text("ada@example.com"),
            line1: text("12 St James's Square"),
            city: text("Zürich & London"),
            country: text("GB"),
            ..Billing::default()
        },
        ..card("mca_stripe", kind, pan, GOOD, Some("123"))
    }
}

#[tokio::test]
async fn tokens_are_made_and_attached_at_an_emulator_of_stripe() {
    let Some((emulator, shop)) = start("tokens_are_made_and_attached_at_an_emulator_of_stripe").await else {
        return;
    };

    let single = shop.ask(ask(SingleUse, VISA)).await.unwrap();
    assert_eq!(
        (single.status, &single.connector_customer_id),
        (TokenStatus::Active, &None)
    );
    let method = emulator.call("GET", &format!("/v1/payment_methods/{}", single.token));
    assert_eq!(method["customer"], Value::Null);
    assert_eq!(method["card"]["last4"], "4242");
    assert_eq!(
        (&method["card"]["exp_month"], &method["card"]["exp_year"]),
        (&12.into(), &2040.into())
    );
    assert_eq!(method["billing_details"]["name"], "Ada Lovelace");
    assert_eq!(method["billing_details"]["email"], "ada@example.com");
    assert_eq!(method["billing_details"]["address"]["line1"], "12 St James's Square");
    assert_eq!(method["billing_details"]["address"]["city"], "Zürich & London");

    let first = shop.ask(ask(MultiUse, VISA)).await.unwrap();
    let customer = first.connector_customer_id.clone().unwrap();
    let method = emulator.call("GET", &format!("/v1/payment_methods/{}", first.token));
    assert_eq!(method["customer"], customer.as_str());
    let made = emulator.call("GET", &format!("/v1/customers/{customer}"));
    assert_eq!(
        (&made["name"], &made["email"]),
        (&"Ada Lovelace".into(), &"ada@example.com".into())
    );

    // the next card of the same person
    let next = |customer: PspReference| PspTokenize {
        customer: Some(customer),
        ..ask(MultiUse, "5555555555554444")
    };
    let second = shop.ask(next(customer.clone())).await.unwrap();
    assert_eq!(second.connector_customer_id.as_ref(), Some(&customer));
    let cards = emulator.call("GET", &format!("/v1/payment_methods?type=card&customer={customer}"));
    let mut listed: Vec<_> = cards["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["id"].clone())
        .collect();
    let mut expected = [Value::from(first.token.as_str()), Value::from(second.token.as_str())];
    listed.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert_eq!(listed, expected);

    // the provider does not know the customer any more
    emulator.call("DELETE", &format!("/v1/customers/{customer}"));
    let third = shop.ask(next(customer.clone())).await.unwrap();
    let replaced = third.connector_customer_id.unwrap();
    assert_ne!(replaced, customer);
    let method = emulator.call("GET", &format!("/v1/payment_methods/{}", third.token));
    assert_eq!(method["customer"], replaced.as_str());
}

#[tokio::test]
async fn an_emulator_of_stripe_refuses_and_is_understood() {
    let Some((_emulator, shop)) = start("an_emulator_of_stripe_refuses_and_is_understood").await else {
        return;
    };
    // the emulator declines this one when it is attached
    let declined = failure(shop.ask(ask(MultiUse, "4000000000000002")).await);
    let Failure::Card(refusal) = &declined else {
        panic!("{declined:?}")
    };
    assert_eq!(refusal.code(), Some("card_declined"));
    assert_eq!(refusal.message(), Some("Your card was declined."));
    let past = failure(
        shop.ask(card("mca_stripe", SingleUse, VISA, "10/18", Some("123")))
            .await,
    );
    let Failure::Card(refusal) = &past else {
        panic!("{past:?}")
    };
    assert_eq!(refusal.code(), Some("invalid_expiry_year"));
    // the emulator takes no card without a code
    let without = failure(shop.ask(card("mca_stripe", SingleUse, VISA, GOOD, None)).await);
    assert!(matches!(without, Failure::Request(_)), "{without:?}");
    let events = shop.events().await;
    let outcomes: Vec<_> = events.iter().map(|event| event.split(':').next().unwrap()).collect();
    assert_eq!(outcomes, ["sent", "refused", "sent", "refused", "sent", "rejected"]);
    for text in ["Ada", "4000", "4242", "sk_test"] {
        assert!(!events.concat().contains(text), "{text}");
    }
}
