//! Bodies, rates, logs, and the pages of payers.

use std::time::Instant;

use serde_json::json;

use crate::asking::{Shop, fresh};
use crate::dialects::{login, signed};
use crate::site::{PAY, Site, by_nginx};
use crate::support::daemon::VISA;
use crate::support::http::Answer;

const TOKEN: &str = "/api/rest/version/70/merchant/TESTRANDOM/token";

/// A file of so many bytes, as an argument of curl's.
fn file(site: &Site, bytes: usize) -> String {
    let path = site.certificates().path(&format!("body-{bytes}"));
    std::fs::write(&path, "a".repeat(bytes)).unwrap();
    format!("@{}", path.display())
}

/// Once, and as it should be.
fn has_hsts(answer: &Answer) -> bool {
    let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("strict-transport-security");
    let all: Vec<_> = answer.headers.iter().filter(named).collect();
    all.len() == 1 && all[0].1 == "max-age=31536000"
}

pub(crate) fn bodies(site: &Site) {
    let login = login(site);
    let post = |bytes: usize, more: &[&str]| {
        let body = file(site, bytes);
        let own = [
            "-H",
            &login,
            "-H",
            "Content-Type: application/json",
            "--data-binary",
            &body,
        ];
        site.ask(10, TOKEN, &[&own[..], more].concat())
    };
    let chunked = ["-H", "Transfer-Encoding: chunked"];
    for more in [&[][..], &chunked] {
        let answer = post(1024 * 1024 + 1, more);
        assert!(answer.status == 413 && by_nginx(&answer), "{}", answer.text());
        // the dialect's own limit, in its own form: what was sent is let in, and the daemon does not take it
        let answer = post(1024 * 1024 - 1, more);
        assert!(answer.status == 413 && !by_nginx(&answer), "{}", answer.text());
        assert_eq!(answer.json()["result"], "ERROR");
        // within it, and not JSON
        let answer = post(60 * 1024, more);
        assert!(answer.status == 400 && !by_nginx(&answer), "{}", answer.text());
    }
}

/// One client's flood is turned away, and no other client's requests are.
pub(crate) fn rates(site: &Site) {
    let asked: u16 = 400;
    let url = format!("https://{}:{}/", crate::site::VAULT, site.port);
    let mut command = site.curl(11);
    command.args(["--parallel", "--parallel-max", "8", "-w", "%{http_code}\n"]);
    for _ in 0..asked {
        command.args(["-o", "/dev/null", &url]);
    }
    let began = Instant::now();
    let output = command.output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    let count = |status: &str| f64::from(u16::try_from(text.lines().filter(|line| *line == status).count()).unwrap());
    let (served, refused) = (count("200"), count("429"));
    assert_eq!(served + refused, f64::from(asked), "{text}");
    // 100 at once and one, and 50 in a second
    assert!(
        served >= 101.0 && served <= 101.0 + 50.0 * seconds + 1.0,
        "{served} in {seconds} s"
    );
    assert!(refused >= 1.0, "{served} in {seconds} s");
    let answer = site.ask(12, "/", &[]);
    assert_eq!(answer.status, 200, "another client");
}

pub(crate) fn answers_say_https_only(site: &Site) {
    let big = file(site, 2 * 1024 * 1024);
    let asked: [(u16, &str, &[&str]); 4] = [
        (200, "/", &[]),
        (401, TOKEN, &["-d", "{}"]),
        (404, "/v1/tokens", &[]),
        (413, "/tokens", &["--data-binary", &big]),
    ];
    for (status, path, more) in asked {
        let answer = site.ask(13, path, more);
        assert!(
            answer.status == status && has_hsts(&answer),
            "{path}: {:?}",
            answer.headers
        );
        assert_eq!(answer.header("server"), Some("nginx"), "no version");
    }
    let answer = site.ask_at(PAY, 13, "/", &[]);
    assert!(answer.status == 404 && has_hsts(&answer));
}

/// A payer opens a page, and pays; nothing else is at that name.
pub(crate) fn pages(site: &Site) {
    let shop = Shop::of(&site.daemon);
    let session = json!({"trans_id": fresh("trans"), "payment_type": "PURCHASE", "session_mode": "HOSTED",
        "currency": "EUR", "amount": "800", "return_url": "https://shop.example/thanks", "payment": {}});
    let made = signed(site, &shop, "/v3/payment/acq/session", session);
    assert_eq!(made.status, 200, "{}", made.text());
    let url = made.json()["data"]["session_url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("https://{PAY}")).unwrap();
    let get = |path: &str| site.ask_at(PAY, 14, path, &[]);
    let page = get(path);
    assert!(page.status == 200 && has_hsts(&page), "{}", page.text());
    assert!(page.text().contains("EUR 8.00"), "{}", page.text());
    assert_eq!(get("/checkout/style.css").status, 200);
    for other in [
        "/",
        "/checkout",
        "/Checkout/style.css",
        "/checkout/../metrics",
        "/checkout/%2e%2e/v1/tokens",
        "/tokens",
        "/v3/payment/acq",
        "/v1/tokens",
        "/metrics",
        "/cards/add",
    ] {
        // `/checkout` is led to `/checkout/`, which is nothing
        let answer = get(other);
        assert!(
            matches!(answer.status, 301 | 404) && by_nginx(&answer),
            "{other}: {}",
            answer.text()
        );
        assert_eq!(answer.status == 301, other == "/checkout");
    }
    let fill = |form: &str| site.ask_at(PAY, 14, path, &["--data-binary", form]);
    // a form that nginx would put on a disk, had it to keep it
    let long = fill(&file(site, 12 * 1024));
    assert!(
        long.status == 400 && !by_nginx(&long),
        "{} {}",
        long.status,
        long.text()
    );
    let longer = fill(&file(site, 17 * 1024));
    assert!(longer.status == 413 && by_nginx(&longer), "{}", longer.text());
    let paid = fill(&format!("number={VISA}&month=8&year=35&cvv=100"));
    assert_eq!(paid.status, 303, "{}", paid.text());
    assert!(get(path).text().contains("successful"));
}

/// Whatever goes wrong, no request line is in a log: last of all, because the daemon ends.
pub(crate) fn logs_hold_no_cards(site: &mut Site) {
    let search = format!("{TOKEN}Search?query={VISA}");
    let login = login(site);
    let headers = ["-H", &login];
    let served = site.ask(15, &search, &headers);
    assert!(!by_nginx(&served));
    // too many requests
    let url = format!("https://{}:{}{search}", crate::site::VAULT, site.port);
    let mut command = site.curl(15);
    command.args(["--parallel", "-w", "%{http_code}\n"]);
    for _ in 0..300 {
        command.args(["-o", "/dev/null", &url]);
    }
    let flood = command.output().unwrap();
    assert!(String::from_utf8_lossy(&flood.stdout).contains("429"));
    // a body that is too long, a path that is not listed, a name that is not its own
    let big = file(site, 2 * 1024 * 1024);
    assert_eq!(site.ask(16, &search, &["--data-binary", &big]).status, 413);
    assert_eq!(site.ask(16, &format!("/v1/tokens/{VISA}"), &[]).status, 404);
    assert_eq!(site.ask_at(PAY, 16, &format!("/checkout/{VISA}"), &[]).status, 404);
    // a certificate of another authority
    let certificates = site.certificates();
    certificates.authority("unknown");
    let (pem, key) = (certificates.path("unknown.pem"), certificates.path("unknown.key"));
    let shown = ["--cert", pem.to_str().unwrap(), "--key", key.to_str().unwrap()];
    assert_eq!(site.ask(16, &search, &shown).status, 400);
    // no daemon
    site.daemon.stop();
    let gone = site.ask(17, &search, &headers);
    assert!(
        gone.status == 502 && by_nginx(&gone) && has_hsts(&gone),
        "{}",
        gone.text()
    );
    assert_eq!(site.ask_at(PAY, 17, &format!("/checkout/{VISA}"), &[]).status, 502);
    let log = site.log();
    assert!(!log.contains(VISA) && !log.contains("tokenSearch"), "{log}");
}
