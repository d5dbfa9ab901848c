//! What is refused for who asks, and what cannot be read.

use std::time::Duration;

use serde_json::{Value, json};

use super::bodies::{VISA, bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply, request};
use super::support::daemon::{Daemon, signal};

#[track_caller]
fn challenged(reply: &Reply) {
    reply.refused(401, "unauthorized");
    let challenge = reply.header("WWW-Authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Basic realm=\""), "{challenge}");
}

pub(crate) fn logins(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let body = full(&card_number());
    let made = account.made(&body);
    let media = account.media();
    let typed = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
    for login in [
        None,
        Some("Bearer x"),
        Some("Basic !"),
        Some("Basic "),
        Some("Basic eA=="),
    ] {
        let mut headers = typed.to_vec();
        headers.extend(login.map(|login| ("Authorization", login)));
        let calls = [
            ("POST", "/tokens", body.to_string()),
            ("GET", &made.href(), String::new()),
            ("GET", "/tokens?namespace=x", String::new()),
            ("POST", "/tokens/network", json!({}).to_string()),
        ];
        // a failed login counts, one that is not tried does not
        let tried = if login.is_some() { 1 } else { calls.len() };
        for (method, place, body) in calls.into_iter().take(tried) {
            challenged(&request(daemon, method, place, &headers, &body));
        }
    }
    let place = "/verifiedTokens/cardOnFile";
    let media = "application/vnd.worldpay.verified-tokens-v3.hal+json";
    challenged(&request(
        daemon,
        "POST",
        place,
        &[("Accept", media), ("Content-Type", media)],
        "{}",
    ));
}

pub(crate) fn wrong_passwords(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let place = account.made(&full(&card_number())).href();
    let mut wrong = account.clone();
    wrong.password = Account::detokenizer(daemon).password;
    challenged(&wrong.get(&place));
    wrong.password = account.password.to_lowercase() + "x";
    challenged(&wrong.get(&place));
    wrong = account.clone();
    wrong.user = VISA.to_owned();
    let refused = wrong.get(&place);
    challenged(&refused);
    assert!(!refused.text.contains(VISA));
    account.get(&place).is(200);
    // a credential that was taken away for a while
    let second = Account::credential(daemon, &account.merchant, &[]);
    second.get(&place).is(200);
    daemon.run(&["credential", "suspend", &second.user], 0);
    challenged(&second.get(&place));
    daemon.run(&["credential", "resume", &second.user], 0);
    second.get(&place).is(200);
    daemon.run(&["credential", "remove", &second.user], 0);
    challenged(&second.get(&place));
    account.get(&place).is(200);
}

/// Another dialect's credentials are none here.
pub(crate) fn other_dialects(daemon: &Daemon) {
    let dev = daemon.dev_json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut stranger = Account::dev(daemon);
    let shop = &dev["mastercard"][0];
    stranger.user = format!("merchant.{}", text(&shop["merchant"]));
    stranger.password = text(&shop["password"]);
    challenged(&stranger.get("/tokens?namespace=x"));
    stranger.user = text(&dev["native"]["api_key"]);
    stranger.password = String::new();
    challenged(&stranger.get("/tokens?namespace=x"));
}

pub(crate) fn suspended(daemon: &Daemon) {
    let account = Account::added(daemon, &fresh("TESTwp"), true);
    let body = full(&card_number());
    let made = account.made(&body);
    daemon.run(&["merchant", "suspend", &account.merchant], 0);
    account.create(&body).refused(500, "tokenizationNotEnabled");
    account.get(&made.href()).refused(500, "tokenizationNotEnabled");
    account
        .put(&made.link("tokens:description"), &json!("new"))
        .refused(500, "tokenizationNotEnabled");
    account.delete(&made.href()).refused(500, "tokenizationNotEnabled");
    daemon.run(&["merchant", "resume", &account.merchant], 0);
    account.create(&body).is(200);
    // one that holds tokens is not removed by mistake
    assert!(
        !daemon
            .try_run(&["merchant", "remove", &account.merchant])
            .status
            .success()
    );
}

pub(crate) fn unreadable_bodies(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for version in [1, 2, 3] {
        let media = account.version(version).media();
        let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
        let sent = |body: &str| account.with("POST", "/tokens", &headers, body);
        sent("").refused(400, "bodyIsEmpty");
        for text in [
            "{",
            "{]",
            "x",
            "{'description': 'x'}",
            "{\"description\": \"x\",}",
            "{} {}",
            "\u{1}",
            &format!("{{\"paymentInstrument\": {{\"cardNumber\": {VISA}x}}}}"),
        ] {
            let refused = sent(text);
            refused.refused(400, "bodyIsNotJson");
            assert!(!refused.text.contains(VISA), "{}", refused.text);
        }
        let deep = sent(&"[".repeat(40_000));
        assert!((400..500).contains(&deep.status), "{}", deep.text);
    }
    // a member that is there twice could mean either
    let media = account.media();
    let headers = [("Accept", media.as_str()), ("Content-Type", media.as_str())];
    let number = card_number();
    let once = format!("\"cardNumber\":\"{number}\"");
    let twice = bare(&number).to_string().replace(&once, &format!("{once},{once}"));
    let refused = account.with("POST", "/tokens", &headers, &twice);
    refused.faulty(&[("fieldIsNotAllowed", "$.paymentInstrument.cardNumber")]);
    let text = bare(&number).to_string();
    let twice = format!("{{\"description\":\"a\",\"description\":\"b\",{}", &text[1..]);
    let refused = account.with("POST", "/tokens", &headers, &twice);
    refused.faulty(&[("fieldIsNotAllowed", "$.description")]);
    account.made(&bare(&number));
}

/// More than a caller may take out, or try.
pub(crate) fn too_often() {
    let daemon = Daemon::start_with("caps.reveal_per_second = 5\ncaps.reveal_per_day = 20");
    let place = Account::dev(&daemon).made(&full(VISA)).href();
    let detokenizer = Account::detokenizer(&daemon);
    let replies: Vec<Reply> = (0..60).map(|_| detokenizer.detokenize(&place)).collect();
    let (shown, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert!((1..=20).contains(&shown.len()) && !refused.is_empty());
    for reply in refused {
        reply.refused(429, "apiRateLimitExceeded");
        assert!(reply.header("Retry-After").is_some());
        assert!(!reply.text.contains(VISA));
    }
    let mut stranger = Account::dev(&daemon);
    stranger.password.push('x');
    let mut last = stranger.get(&place);
    for _ in 0..30 {
        if last.status != 401 {
            break;
        }
        challenged(&last);
        last = stranger.get(&place);
    }
    last.refused(429, "apiRateLimitExceeded");
    assert!(last.header("Retry-After").is_some());
}

/// Without the HSM nothing is stored and nothing shown, and it is said when to come again.
pub(crate) fn without_the_hsm(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&full(&card_number()));
    // a worker that is killed while it logs in can leave a token of SoftHSM's that nothing opens any more
    daemon.wait_all_workers();
    let (tokens, hidden) = (daemon.dir().join("tokens"), daemon.dir().join("hidden"));
    std::fs::rename(&tokens, &hidden).unwrap();
    for worker in daemon.workers() {
        signal(worker, "KILL");
    }
    daemon.wait(Duration::from_secs(20), "readiness to go", || !daemon.ready());
    let create = account.create(&full(&card_number()));
    for reply in [create, Account::detokenizer(daemon).detokenize(&made.href())] {
        reply.refused(503, "internalErrorOccurred");
        assert!(reply.header("Retry-After").is_some());
    }
    std::fs::rename(&hidden, &tokens).unwrap();
    daemon.wait_ready();
    assert_eq!(account.get(&made.href()).body, made.body);
    account.made(&with(full(&card_number()), "/description", json!("after")));
}
