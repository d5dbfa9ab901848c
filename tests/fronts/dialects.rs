//! What goes through: every route of the dialects, and each dialect's own calls.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::asking::Shop;
use crate::routes::{self, Route};
use crate::site::{Site, VAULT, by_nginx};
use crate::support::http;

/// Requests counted by dialect and route, as labels.
fn counts(site: &Site) -> BTreeMap<String, f64> {
    let metrics = http::request(&site.daemon.admin(), "GET", "/metrics", &[], b"").unwrap();
    let mut counts = BTreeMap::new();
    for line in metrics.text().lines() {
        let Some(rest) = line.strip_prefix("panvault_request_seconds_count{") else {
            continue;
        };
        let (labels, count) = rest.split_once("} ").unwrap();
        let labels: Vec<&str> = labels
            .split("\",")
            .filter(|label| !label.starts_with("outcome="))
            .collect();
        *counts.entry(labels.join("\",")).or_default() += count.parse::<f64>().unwrap();
    }
    counts
}

/// Each gets to its route of its dialect.
fn arrive(site: &Site, client: u8, all: &[Route]) {
    for (dialect, pattern, path) in all {
        let before = counts(site);
        let answer = site.ask(client, path, &[]);
        assert!(!by_nginx(&answer), "{path}: {}", answer.text());
        assert!(answer.header("x-request-id").is_some(), "{path}");
        let label = format!("dialect=\"{dialect}\",route=\"{pattern}\"");
        let named = |counts: &BTreeMap<String, f64>| -> f64 {
            let own = counts
                .iter()
                .filter(|(labels, _)| labels.trim_end_matches('"') == label.trim_end_matches('"'));
            own.map(|(_, count)| count).sum()
        };
        assert_eq!(
            named(&counts(site)),
            named(&before) + 1.0,
            "{label}: {:?}",
            counts(site)
        );
    }
}

/// Each route, with and without a query.
pub(crate) fn all_arrive(site: &Site) {
    let mut all = routes::through();
    assert!(all.len() > 100);
    for path in ["/", "/tokens", "/v2/customers/list", "/payments"] {
        let (dialect, pattern, _) = all.iter().find(|(.., of)| of == path).unwrap().clone();
        all.push((dialect, pattern, format!("{path}?a=b%2Fc&d=/v1/tokens")));
    }
    // what is escaped in a segment stays so
    let order = "/api/rest/version/{version}/merchant/{merchant}/order/{order}".to_owned();
    let path = "/api/rest/version/70/merchant/TESTRANDOM/order/2024%2F7%20a";
    all.push(("mastercard", order, path.to_owned()));
    arrive(site, 2, &all);
}

/// Where the operator says so, the locker's too.
pub(crate) fn lockers_arrive(site: &Site) {
    arrive(site, 2, &routes::locker());
    let tenant = site.daemon.dev_json()["hyperswitch"]["locker"]["tenant_id"].clone();
    let tenant = format!("x-tenant-id: {}", tenant.as_str().unwrap());
    let answer = site.ask(2, "/health/diagnostics", &["-H", &tenant]);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn post<'a>(header: &'a [&'a str], body: &'a str) -> Vec<&'a str> {
    let headers = header.iter().flat_map(|header| ["-H", header]);
    headers.chain(["--data-binary", body]).collect()
}

pub(crate) fn mastercard(site: &Site) {
    let login = login(site);
    let body = json!({"sourceOfFunds": {"type": "CARD", "provided": {"card":
        {"number": "5123450000000008", "expiry": {"month": "05", "year": "30"}}}}})
    .to_string();
    let path = "/api/rest/version/70/merchant/TESTRANDOM/token";
    let made = site.ask(3, path, &post(&[&login, "Content-Type: application/json"], &body));
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let path = format!("{path}/{token}");
    let shown = site.ask(3, &path, &["-H", &login]).json();
    assert_eq!(shown["sourceOfFunds"]["provided"]["card"]["number"], "512345xxxxxx0008");
    // challenged in its own form
    let challenged = site.ask(3, &path, &[]);
    assert_eq!(challenged.status, 401);
    assert_eq!(challenged.json()["result"], "ERROR");
    let nvp = format!(
        "apiOperation=RETRIEVE_TOKEN&merchant=TESTRANDOM&token={token}&apiUsername=merchant.TESTRANDOM&apiPassword={}",
        password(site)
    );
    let nvp = site.ask(3, "/api/nvp/version/70", &["--data-binary", &nvp]);
    assert!(nvp.text().contains("result=SUCCESS"), "{}", nvp.text());
}

pub(crate) fn password(site: &Site) -> String {
    let shops = site.daemon.dev_json()["mastercard"].clone();
    let mut shops = shops.as_array().unwrap().iter();
    let shop = shops.find(|shop| shop["merchant"] == "TESTRANDOM").unwrap();
    shop["password"].as_str().unwrap().to_owned()
}

/// The header with which the gateway's merchant logs in.
pub(crate) fn login(site: &Site) -> String {
    let login = format!("merchant.TESTRANDOM:{}", password(site));
    format!("Authorization: Basic {}", BASE64.encode(login.as_bytes()))
}

pub(crate) fn worldpay(site: &Site) {
    let root = site.ask(4, "/", &[]);
    assert_eq!(root.status, 200, "{}", root.text());
    let href = format!("https://{VAULT}/tokens");
    assert_eq!(root.json()["_links"]["service:tokens"]["href"], json!(href));
    let dev = site.daemon.dev_json()["worldpay"].clone();
    let text = |name: &str| dev[name].as_str().unwrap().to_owned();
    let login = format!("{}:{}", text("username"), text("password"));
    let login = format!("Authorization: Basic {}", BASE64.encode(login.as_bytes()));
    let kind = "application/vnd.worldpay.tokens-v3.hal+json";
    let (sent, wanted) = (format!("Content-Type: {kind}"), format!("Accept: {kind}"));
    let body = json!({"merchant": {"entity": "default"}, "paymentInstrument": {"type": "card/front",
        "cardHolderName": "Sherlock Holmes", "cardNumber": "4444333322221111",
        "cardExpiryDate": {"month": 5, "year": 2035}}})
    .to_string();
    let made = site.ask(4, "/tokens", &post(&[&login, &sent, &wanted], &body));
    assert_eq!(made.status, 201, "{}", made.text());
    let link = made.json()["_links"]["tokens:token"]["href"]
        .as_str()
        .unwrap()
        .to_owned();
    // the link leads through the front
    let path = link.strip_prefix(&format!("https://{VAULT}")).unwrap();
    let shown = site.ask(4, path, &["-H", &login, "-H", &wanted]);
    assert_eq!(shown.status, 200, "{}", shown.text());
    let nothing = site.ask(4, "/tokens/nothing", &["-H", &login]).json();
    assert!(nothing["errorName"].is_string(), "{nothing}");
}

pub(crate) fn hyperswitch(site: &Site) {
    let dev = site.daemon.dev_json()["hyperswitch"].clone();
    let key = format!("Authorization: api-key={}", dev["api_key"].as_str().unwrap());
    let profile = format!("X-Profile-Id: {}", dev["profile_id"].as_str().unwrap());
    let body =
        json!({"merchant_reference_id": "shopper-1", "name": "Jane Doe", "email": "jane@example.com"}).to_string();
    let headers = [&key, &profile, "Content-Type: application/json"];
    let made = site.ask(5, "/v2/customers", &post(&headers, &body));
    assert_eq!(made.status, 200, "{}", made.text());
    let customer = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/customers/{customer}/saved-payment-methods");
    let saved = site.ask(5, &path, &["-H", &key, "-H", &profile]);
    assert_eq!(saved.status, 200, "{}", saved.text());
    let wrong = "Authorization: api-key=nobodys";
    let stranger = site.ask(5, &path, &["-H", wrong, "-H", &profile]);
    assert_eq!(stranger.status, 401);
    assert!(stranger.json()["error"]["code"].is_string(), "{}", stranger.text());
}

pub(crate) fn paykka(site: &Site) {
    let shop = Shop::of(&site.daemon);
    let path = "/v3/payment/acq/token/query";
    let answer = signed(site, &shop, path, json!({"shopper_reference": "shopper-1"}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    // the platform's signature is whole
    shop.check(path, &answer);
    let unsigned = site.ask(6, path, &["-d", "{}"]);
    assert_eq!(unsigned.status, 401, "{}", unsigned.text());
    assert!(unsigned.json()["ret_code"].is_string());
}

/// A request that the merchant signed, through the front.
pub(crate) fn signed(site: &Site, shop: &Shop<'_>, path: &str, mut body: Value) -> http::Answer {
    body["merchant_id"] = json!(shop.merchant);
    let signed = shop.sign(path, &body);
    let headers = [
        "Content-Type: application/json".to_owned(),
        "x-paykka-sign-alg: SHA256_WITH_RSA".to_owned(),
        format!("x-paykka-appid: {}", signed.appid),
        format!("x-paykka-timestamp: {}", signed.timestamp),
        format!("x-paykka-nonce: {}", signed.nonce),
        format!("x-paykka-sign: {}", signed.sign),
    ];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    site.ask(6, path, &post(&headers, &signed.body))
}
