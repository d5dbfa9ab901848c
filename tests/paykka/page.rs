//! The hosted page without a browser: what it shows, what it takes, and what is left of it.

use serde_json::{Value, json};

use crate::asking::{Shop, fresh};
use crate::support::daemon::{Daemon, MASTERCARD, VISA};
use crate::support::http::{self, Answer};

/// A page that was opened for a payer.
pub(crate) struct Page<'a> {
    daemon: &'a Daemon,
    pub(crate) session: String,
    pub(crate) path: String,
}

impl<'a> Page<'a> {
    pub(crate) fn open(shop: &Shop<'a>, payment_type: &str, payment: Value) -> Self {
        let data = shop.data(
            "/v3/payment/acq/session",
            json!({"trans_id": fresh("trans"), "payment_type": payment_type, "session_mode": "HOSTED", "currency": "HKD",
                "amount": "800", "return_url": "https://shop.example/thanks?a=1&b=2",
                "cancel_url": "https://shop.example/basket", "expire_time": "2099-01-01T00:00:00+0800",
                "bill": {"email": "payer@example.com"}, "payment": payment}),
        );
        let url = data["session_url"].as_str().unwrap();
        let path = url.split_once("://").unwrap().1;
        Self {
            daemon: shop.daemon,
            session: data["session_id"].as_str().unwrap().to_owned(),
            path: path[path.find('/').unwrap()..].to_owned(),
        }
    }

    pub(crate) fn show(&self) -> Answer {
        http::request(&self.daemon.api(), "GET", &self.path, &[], b"").unwrap()
    }

    pub(crate) fn fill(&self, form: &str) -> Answer {
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        http::request(&self.daemon.api(), "POST", &self.path, &kind, form.as_bytes()).unwrap()
    }
}

fn new_card(number: &str, more: &str) -> String {
    format!("card=new&number={number}&month=8&year=35&cvv=100&holder=J+Doe{more}")
}

/// Stored when the payer says so, used again with its code, listed only for its shopper.
pub(crate) fn card_on_file(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let storing = || json!({"store_payment_method": true, "token_usage": "CARD_ON_FILE", "shopper_reference": shopper});
    let query = |page: &Page<'_>| shop.data("/v3/payment/acq/query", json!({"session_id": page.session}));

    let unsaid = Page::open(shop, "PURCHASE", storing());
    let shown = unsaid.show();
    assert_eq!(shown.status, 200);
    let html = shown.text();
    assert!(
        html.contains("HKD 8.00") && html.contains("id=\"consent\"") && html.contains("simulated"),
        "{html}"
    );
    assert!(!html.contains("<script"), "{html}");
    let policy = shown.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(shown.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(query(&unsaid)["status"], "PROCESSING");
    assert_eq!(unsaid.fill(&new_card(VISA, "")).status, 303);
    let paid = query(&unsaid);
    assert_eq!(
        (&paid["status"], &paid["token"]),
        (&json!("SUCCESS"), &Value::Null),
        "no tick, no token"
    );
    assert!(shop.tokens(&shopper).is_empty());

    let said = Page::open(shop, "PURCHASE", storing());
    assert_eq!(said.fill(&new_card(VISA, "&consent=2026-11")).status, 303);
    let paid = query(&said);
    let token = paid["token"].as_str().unwrap();
    assert_eq!(shop.tokens(&shopper)[0]["token"], token);
    let over = said.show().text();
    assert!(
        over.contains("successful") && over.contains("https://shop.example/thanks?a=1&amp;b=2"),
        "{over}"
    );
    // paid once, whatever is sent again
    assert_eq!(said.fill(&new_card(MASTERCARD, "")).status, 303);
    assert_eq!(query(&said)["order_id"], paid["order_id"]);
    assert_eq!(query(&said)["balances"]["captured_amount"], 800);

    let again = Page::open(shop, "PURCHASE", json!({"shopper_reference": shopper}));
    let html = again.show().text();
    assert!(html.contains(token) && html.contains("ending in 1111"), "{html}");
    let uncoded = again.fill(&format!("card={token}"));
    assert_eq!(uncoded.status, 422);
    assert!(uncoded.text().contains("security code is missing"));
    assert_eq!(again.fill(&format!("card={token}&cvv=100")).status, 303);
    assert_eq!(
        (&query(&again)["status"], &query(&again)["token"]),
        (&json!("SUCCESS"), &json!(token))
    );

    let others = Page::open(shop, "PURCHASE", json!({"shopper_reference": fresh("shopper")}));
    assert!(!others.show().text().contains(token));
    assert_eq!(others.fill(&format!("card={token}&cvv=100")).status, 422);
    assert_eq!(query(&others)["status"], "PROCESSING");
}

/// Stored in any case, and charged again under its agreement.
pub(crate) fn subscription(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let payment = json!({"store_payment_method": true, "token_usage": "SUBSCRIPTION", "shopper_reference": shopper});
    let page = Page::open(shop, "RECURRING", payment);
    let html = page.show().text();
    assert!(
        html.contains("id=\"agreement\"") && !html.contains("id=\"consent\""),
        "{html}"
    );
    assert_eq!(page.fill(&new_card(MASTERCARD, "")).status, 422, "nobody was told");
    let on_file = shop.store(&shopper, VISA);
    let crafted = format!("card={}&cvv=100", on_file["token"].as_str().unwrap());
    assert_eq!(
        page.fill(&crafted).status,
        422,
        "a card for other payments begins no agreement"
    );
    assert_eq!(page.fill(&new_card(MASTERCARD, "&consent=2026-11")).status, 303);
    let paid = shop.data("/v3/payment/acq/query", json!({"session_id": page.session}));
    assert_eq!(paid["status"], "SUCCESS");
    let charged = shop.data(
        "/v3/payment/acq",
        json!({"payment_type": "RECURRING", "mit": true, "trans_id": fresh("trans"), "currency": "HKD", "amount": "800",
            "recurring_agreement_id": paid["recurring_agreement_id"],
            "payment": {"payment_method": "BANKCARD", "token": paid["token"], "shopper_reference": shopper}}),
    );
    assert_eq!(charged["status"], "SUCCESS");
}

/// A page opens to its key alone; what is wrong with a form is told, and another card may be tried.
pub(crate) fn refused(shop: &Shop<'_>) {
    let page = Page::open(shop, "PURCHASE", json!({}));
    let (head, key) = page.path.rsplit_once('/').unwrap();
    let get = |path: &str| http::request(&shop.daemon.api(), "GET", path, &[], b"").unwrap().status;
    assert_eq!(get(&format!("{head}/{}", "0".repeat(key.len()))), 404);
    assert_eq!(get(&page.path.replace(&shop.merchant, "TEST_native")), 404);
    assert_eq!(get(&page.path), 200, "its own key is good all the same");
    for (form, text) in [
        (new_card("4111111111111112", ""), "no card number"),
        (
            "card=new&number=&month=8&year=35&cvv=100".to_owned(),
            "number is missing",
        ),
        (format!("card=new&number={VISA}&month=8&year=35&cvv=1"), "3 or 4 digits"),
        (format!("card=new&number={VISA}&month=13&year=35&cvv=100"), "expiry"),
        (
            format!("card=new&number={VISA}&month=8&year=35"),
            "security code is missing",
        ),
        ("card=TK00000000000000000&cvv=100".to_owned(), "cannot be used"),
        ("%".to_owned(), "missing"),
    ] {
        let answer = page.fill(&form);
        assert_eq!(answer.status, 422, "{form}: {}", answer.text());
        assert!(answer.text().contains(text), "{form}: {}", answer.text());
        assert!(!answer.text().contains(VISA), "a number is never shown again");
    }
    assert_eq!(page.fill(&"x".repeat(9_000)).status, 400);
    let declined = page.fill(&format!("card=new&number={VISA}&month=5&year=2039&cvv=100"));
    assert_eq!(declined.status, 200);
    assert!(declined.text().contains("declined"), "{}", declined.text());
    assert_eq!(page.fill(&new_card(MASTERCARD, "")).status, 303, "another card");

    let gone = json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "1", "return_url": "https://shop.example/",
        "expire_time": "2020-01-01T00:00:00+08:00"});
    assert_eq!(shop.refused("/v3/payment/acq/session", gone).1, "010000");
}

/// When, where and to what a payer agreed stands in the audit trail.
pub(crate) fn on_record(shop: &Shop<'_>) {
    let payment =
        json!({"store_payment_method": true, "token_usage": "CARD_ON_FILE", "shopper_reference": fresh("shopper")});
    let page = Page::open(shop, "PURCHASE", payment);
    assert_eq!(page.fill(&new_card(VISA, "&consent=2026-11")).status, 303);
    let order = shop.data("/v3/payment/acq/query", json!({"session_id": page.session}))["order_id"].clone();
    let trail = shop.daemon.run(&["audit", "tail", "--lines", "50"], 0);
    // in groups, because long numbers are masked there
    let of_it = |line: &&str| line.replace('.', "").contains(order.as_str().unwrap());
    let line = trail.lines().filter(of_it).find(|line| line.contains("consent"));
    assert!(
        line.is_some_and(|line| line.contains("consent to text 2026-11")),
        "{trail}"
    );
}

/// Neither number nor code nor a shopper's name is in any file, log or metric.
pub(crate) fn nothing_is_left() {
    const CANARY: &str = "5105105105105100";
    const CODE: &str = "1010";
    let mut daemon = Daemon::start();
    {
        let shop = Shop::of(&daemon);
        let payment =
            json!({"store_payment_method": true, "token_usage": "CARD_ON_FILE", "shopper_reference": "canary-shopper"});
        let page = Page::open(&shop, "PURCHASE", payment);
        let form = format!("card=new&number={CANARY}&month=8&year=35&cvv={CODE}&holder=CANARY+HOLDER&consent=2026-11");
        assert_eq!(page.fill(&form).status, 303);
        shop.store("canary-shopper", CANARY);
        let wrong = json!({"trans_id": CANARY, "currency": "EUR", "amount": "1", "payment": {"card_no": CANARY}});
        assert_eq!(shop.ask("/v3/payment/acq", wrong).status, 400);
    }
    let metrics = http::request(&daemon.admin(), "GET", "/metrics", &[], b"")
        .unwrap()
        .text();
    daemon.stop();
    let words = [CANARY, "canary-shopper", "CANARY HOLDER", "payer@example.com", "cvv="];
    let mut seen = 0;
    let mut look = |name: &str, bytes: &[u8]| {
        seen += 1;
        for word in words {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} is in {name}");
        }
    };
    look("the metrics", metrics.as_bytes());
    let mut left = vec![daemon.dir().to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                false => look(&path.display().to_string(), &std::fs::read(&path).unwrap_or_default()),
            }
        }
    }
    assert!(seen > 10, "{seen} files");
}
