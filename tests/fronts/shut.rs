//! What does not go through, however it is written.

use crate::dialects::login;
use crate::site::{PAY, Site, VAULT, by_nginx};
use crate::support::daemon::VISA;
use crate::support::http;

/// Requests of the native dialect that the daemon has counted.
fn native(site: &Site) -> f64 {
    let metrics = http::request(&site.daemon.admin(), "GET", "/metrics", &[], b"").unwrap();
    let text = metrics.text();
    let own = text
        .lines()
        .filter(|line| line.starts_with("panvault_request_seconds_count{dialect=\"native\""));
    own.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum()
}

/// `@` stands for a token that is there, and the key is right: only nginx is in the way.
const SHUT: [&str; 32] = [
    "/v1/tokens",
    "/v1/tokens/",
    "/v1/tokens/@",
    "/v1/tokens/@/reveal",
    "/v1/tokens/batch",
    "/v1/tokens/reveal-batch",
    "/v1/tokens/search",
    "/v1/openapi.json",
    "/v1",
    "/v2",
    "/status",
    "/metrics",
    "/healthz",
    "/readyz",
    "/admin/merchants",
    "/admin/credentials",
    "/admin/policy/reload",
    "/admin/audit/last/9",
    "/proxy",
    "/v1/proxy",
    "/v2/proxy",
    "/v2/tokenize",
    "/verifications/x",
    "/checkout/style.css",
    "/api",
    "/api/v2/vault/retrieve",
    "/cards/retrieve",
    "/data/retrieve",
    "/entity",
    "/health",
    "/health/diagnostics",
    "/nothing",
];

const TRICKS: [&str; 31] = [
    "//v1/tokens/@",
    "/v1//tokens/@",
    "/./v1/tokens/@",
    "/v1/./tokens/@",
    "/tokens/../v1/tokens/@",
    "/tokens/%2e%2e/v1/tokens/@",
    "/tokens/%2E%2E/v1/tokens/@",
    "/tokens/.%2e/v1/tokens/@",
    "/tokens/..%2fv1%2ftokens%2f@",
    "/tokens%2f..%2fv1/tokens/@",
    "/v1%2ftokens/@",
    "/%76%31/tokens/@",
    "/v1/%74okens/@/reveal",
    "/V1/tokens/@",
    "/v1/Tokens/@",
    "/TOKENS/@",
    "/tokens.",
    "/tokensx",
    "/paymentsx/query",
    "/v1/customers/../tokens/@",
    "/v1/customers/..%2ftokens/@",
    // here nginx sees a listed path, and the daemon would see its own
    "/v1/tokens/@/../../customers",
    "/v1/tokens/@%2f..%2f..%2f..%2ftokens/reveal",
    "/v1/tokens/..%2fcustomers/reveal",
    "/v1/tokens/%2e%2e%2fcustomers",
    "/v1/tokens/@%2f..%2f..%2f..%2ftokens%2fa%20%2ftokens/reveal",
    "/v1/tokens/@/reveal?/../tokens",
    "/v1/tokens/@/reveal#/../tokens",
    "/v1/tokens/payment-methods/x/default",
    "/v1/a%2f..%2ftokens/payment-methods/x/default",
    "/%2fv1/tokens/@",
];

pub(crate) fn nothing_else_goes_through(site: &Site) {
    let token = site.daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let key = format!("Authorization: Bearer {}", site.daemon.key);
    let before = native(site);
    for path in SHUT.iter().chain(&TRICKS) {
        let path = path.replace('@', &token);
        for more in [&[][..], &["--data-binary", "{}"]] {
            let answer = site.ask(7, &path, &[&["-H", &key], more].concat());
            assert!(answer.status == 404 && by_nginx(&answer), "{path}: {}", answer.text());
        }
    }
    // the whole address in the request's line: of this name, and of one that the handshake was not with
    for (host, status) in [(VAULT, 404), ("elsewhere.example.com", 421)] {
        let target = format!("https://{host}/v1/tokens/{token}");
        let answer = site.ask(7, "/tokens", &["-H", &key, "--request-target", &target]);
        assert!(
            answer.status == status && by_nginx(&answer),
            "{target}: {}",
            answer.text()
        );
    }
    // what means nothing is refused before it is anybody's
    for path in [
        "/tokens/%00/x",
        "/../v1/tokens",
        "/tokens/%zz",
        "/tokens/../../v1/tokens",
    ] {
        let answer = site.ask(7, path, &["-H", &key]);
        assert!(answer.status == 400 && by_nginx(&answer), "{path}: {}", answer.text());
    }
    assert_eq!(native(site), before, "the native dialect heard of something");
    // the key is right, and the token is there
    let direct = site.daemon.reveal(&token);
    assert!(direct.status == 200 && direct.text().contains(VISA));
    assert!(native(site) > before, "the count counts");
}

/// A name is served by its own site only.
pub(crate) fn names_are_kept_apart(site: &Site) {
    let login = login(site);
    let path = "/api/rest/version/70/merchant/TESTRANDOM/token/x";
    // the handshake was with the name that asks for no certificate
    let answer = site.ask_at(PAY, 7, path, &["-H", &login, "-H", &format!("Host: {VAULT}")]);
    assert!(answer.status == 421 && by_nginx(&answer), "{}", answer.text());
    let answer = site.ask_at(PAY, 7, path, &["-H", &login]);
    assert!(answer.status == 404 && by_nginx(&answer), "{}", answer.text());
}
