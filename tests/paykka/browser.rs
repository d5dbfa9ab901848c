//! The hosted page in a real browser: Debian's chromium, driven by its own driver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::asking::{Shop, fresh};
use crate::support::daemon::{Daemon, VISA};
use crate::support::skip::skipped;

/// A browser; it ends when dropped.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// None: there is no chromium here.
    fn start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Command::new("chromium")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()?;
        let out = BufReader::new(driver.stdout.take().unwrap());
        let port = out.lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("started successfully on port ")?;
            rest.trim_end_matches('.').parse().ok()
        })?;
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        let user = format!("--user-data-dir={}", browser._profile.path().display());
        let started = browser.drive(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": ["--headless=new", "--no-sandbox",
                "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", user],
                // the page has to work without
                "prefs": {"profile.managed_default_content_settings.javascript": 2}}}}}),
        );
        browser.session = started["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("{started}"))
            .to_owned();
        Some(browser)
    }

    fn drive(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut raw = Vec::new();
        let mut chunk = [0; 4096];
        // the driver keeps connections: its answer's length says where it ends
        loop {
            let count = stream.read(&mut chunk).unwrap();
            raw.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&raw);
            let Some((head, rest)) = text.split_once("\r\n\r\n") else {
                assert!(count > 0, "the driver ended");
                continue;
            };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap())
            });
            if count == 0 || length.is_some_and(|length| rest.len() >= length) {
                let answer: Value = serde_json::from_str(rest).unwrap();
                return answer["value"].clone();
            }
        }
    }

    fn at(&self, method: &str, path: &str, body: &Value) -> Value {
        self.drive(method, &format!("/session/{}{path}", self.session), body)
    }

    fn open(&self, url: &str) {
        self.at("POST", "/url", &json!({"url": url}));
    }

    fn find(&self, selector: &str) -> Option<String> {
        let found = self.at("POST", "/element", &json!({"using": "css selector", "value": selector}));
        found
            .as_object()?
            .values()
            .next()?
            .as_str()
            .filter(|_| found.get("error").is_none())
            .map(str::to_owned)
    }

    fn click(&self, selector: &str) {
        let element = self
            .find(selector)
            .unwrap_or_else(|| panic!("no {selector}: {}", self.source()));
        let clicked = self.at("POST", &format!("/element/{element}/click"), &json!({}));
        assert!(clicked.is_null(), "{selector}: {clicked}");
    }

    fn write(&self, selector: &str, text: &str) {
        let element = self
            .find(selector)
            .unwrap_or_else(|| panic!("no {selector}: {}", self.source()));
        self.at("POST", &format!("/element/{element}/value"), &json!({"text": text}));
    }

    fn text(&self, selector: &str) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(element) = self.find(selector) {
                let text = self.at("GET", &format!("/element/{element}/text"), &json!({}));
                return text.as_str().unwrap_or_default().to_owned();
            }
            assert!(Instant::now() < until, "no {selector}: {}", self.source());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn source(&self) -> String {
        self.at("GET", "/source", &json!({})).to_string()
    }

    fn card(&self, number: &str) {
        self.write("#number", number);
        self.write("#month", "08");
        self.write("#year", "2035");
        self.write("#cvv", "100");
        self.write("#holder", "JOHN DOE");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            self.at("DELETE", "", &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Store on file with a tick, pay again with the stored card, subscribe; the server charges by the agreement.
pub(crate) fn payers_pay() {
    let Some(browser) = Browser::start() else {
        skipped("payers_pay_in_a_browser: needs chromium and chromedriver (Debian packages chromium, chromium-driver)");
        return;
    };
    let daemon = Daemon::start_listening();
    let shop = Shop::of(&daemon);
    let shopper = fresh("shopper");
    let open = |payment_type: &str, payment: Value| {
        let data = shop.data(
            "/v3/payment/acq/session",
            json!({"trans_id": fresh("trans"), "payment_type": payment_type, "session_mode": "HOSTED", "currency": "HKD",
                "amount": "800", "return_url": "https://shop.example/thanks", "payment": payment}),
        );
        browser.open(data["session_url"].as_str().unwrap());
        data["session_id"].clone()
    };
    let paid = |session: &Value| {
        assert_eq!(browser.text("#result"), "Thank you: the payment was successful.");
        let data = shop.data("/v3/payment/acq/query", json!({"session_id": session}));
        assert_eq!(data["status"], "SUCCESS");
        data
    };

    let storing = json!({"store_payment_method": true, "token_usage": "CARD_ON_FILE", "shopper_reference": shopper});
    let session = open("PURCHASE", storing);
    assert_eq!(browser.text("h1"), "HKD 8.00");
    assert!(browser.text(".test").contains("simulated"));
    browser.card(VISA);
    browser.click("#consent");
    browser.click("#pay");
    let token = paid(&session)["token"].clone();
    assert!(token.is_string());

    let session = open("PURCHASE", json!({"shopper_reference": shopper}));
    assert!(browser.source().contains("ending in 1111"));
    browser.write("#cvv", "100");
    browser.click("#pay");
    assert_eq!(paid(&session)["token"], token);

    let subscribing =
        json!({"store_payment_method": true, "token_usage": "SUBSCRIPTION", "shopper_reference": shopper});
    let session = open("RECURRING", subscribing);
    assert!(browser.text("#agreement").contains("subscription"));
    browser.card(VISA);
    browser.click("#pay");
    let first = paid(&session);
    let charged = shop.data(
        "/v3/payment/acq",
        json!({"payment_type": "RECURRING", "mit": true, "trans_id": fresh("trans"), "currency": "HKD", "amount": "800",
            "recurring_agreement_id": first["recurring_agreement_id"],
            "payment": {"payment_method": "BANKCARD", "token": first["token"], "shopper_reference": shopper}}),
    );
    assert_eq!(charged["status"], "SUCCESS");
}
