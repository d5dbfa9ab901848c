//! The Stripe connector where the provider, or the way to it, fails.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::pki::Pki;
use super::provider::{Provider, Reply};
use super::*;
use TokenKind::{MultiUse, SingleUse};

/// A shop with the connector `mca_stripe`, and the file with its key.
pub(super) async fn shop(base: &str, ca: Option<std::path::PathBuf>, timeout_ms: u64) -> (Shop, NamedTempFile) {
    let key = NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "sk_test_panvault\n").unwrap();
    std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = PspConfig {
        connector_id: id("mca_stripe"),
        owner: Owner::Merchant(MerchantId::parse("SHOP").unwrap()),
        kind: PspKind::Stripe,
        base_url: BaseUrl::parse(base).unwrap(),
        api_key_file: key.path().to_owned(),
        ca_file: ca,
        timeout: Duration::from_millis(timeout_ms),
    };
    let connectors = Connectors::open(&[config]).unwrap();
    (Shop::open("SHOP", connectors).await, key)
}

/// The shop, beside the provider that replies so.
async fn beside(
    test: &str,
    timeout_ms: u64,
    reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
) -> Option<(Shop, Provider)> {
    let pki = Pki::get(test)?;
    let provider = Provider::start(pki, reply).await;
    let base = format!("https://127.0.0.1:{}", provider.port);
    Some((shop(&base, Some(pki.ca()), timeout_ms).await.0, provider))
}

fn ask(kind: TokenKind) -> PspTokenize {
    card("mca_stripe", kind, VISA, GOOD, Some("123"))
}

fn method(id: &str, customer: &str) -> String {
    format!(r#"{{"object":"payment_method","id":"{id}","customer":{customer}}}"#)
}

fn made() -> Reply {
    Reply::Answer(200, &[("request-id", "req_1")], method("pm_1", "null"))
}

fn refused(status: u16, error: &str) -> Reply {
    Reply::Answer(status, &[], format!(r#"{{"error":{{{error}}}}}"#))
}

#[tokio::test]
async fn a_failure_on_the_way_is_asked_again_as_the_same_wish() {
    let reply = |number, _: &str| match number {
        0 => Reply::Answer(500, &[], "<html>".to_owned()),
        1 => Reply::Hangup,
        _ => made(),
    };
    let Some((shop, provider)) = beside("a_failure_on_the_way", 10_000, reply).await else {
        return;
    };
    let token = shop.ask(ask(SingleUse)).await.unwrap();
    assert_eq!((token.token.as_str(), token.provider.as_str()), ("pm_1", "stripe"));
    assert_eq!(token.request_reference_id.unwrap().as_str(), "req_1");
    let seen = provider.seen();
    assert_eq!(seen.len(), 3);
    for one in &seen {
        assert_eq!(one.path, "/v1/payment_methods");
        assert_eq!(one.header("authorization"), "Bearer sk_test_panvault");
        assert_eq!(one.header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(one.header("stripe-version"), "2024-06-20");
        assert_eq!(one.header("idempotency-key"), seen[0].header("idempotency-key"));
        assert_eq!(one.body, seen[0].body);
    }
    assert_eq!(
        seen[0].body,
        "type=card&card%5Bnumber%5D=4242424242424242&card%5Bexp_month%5D=12&card%5Bexp_year%5D=2040&\
         card%5Bcvc%5D=123&billing_details%5Bname%5D=Ada+Lovelace"
    );
    shop.ask(ask(SingleUse)).await.unwrap();
    assert_ne!(
        provider.seen()[3].header("idempotency-key"),
        seen[0].header("idempotency-key")
    );
}

#[tokio::test]
async fn a_provider_that_stays_down_is_asked_three_times_or_as_often_as_it_says() {
    let reply = |_, _: &str| Reply::Answer(503, &[], String::new());
    let Some((shop, provider)) = beside("a_provider_that_stays_down", 10_000, reply).await else {
        return;
    };
    assert_eq!(failure(shop.ask(ask(SingleUse)).await), Failure::Unavailable);
    assert_eq!(provider.seen().len(), 3);

    let reply = |_, _: &str| Reply::Answer(500, &[("stripe-should-retry", "false")], String::new());
    let Some((shop, provider)) = beside("a_provider_that_stays_down", 10_000, reply).await else {
        return;
    };
    assert_eq!(failure(shop.ask(ask(SingleUse)).await), Failure::Unavailable);
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_waited_for_so_long_and_no_longer() {
    let Some((shop, provider)) = beside("a_provider_that_says_nothing", 600, |_, _| Reply::Silence).await else {
        return;
    };
    let began = Instant::now();
    assert_eq!(failure(shop.ask(ask(SingleUse)).await), Failure::Unreachable);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert!(!provider.seen().is_empty());
    let last = shop.events().await.pop().unwrap();
    assert_eq!(last, "unreachable: connector mca_stripe (stripe), single_use");
}

#[tokio::test]
async fn answers_that_are_not_the_interfaces_are_not_taken() {
    for (name, reply) in [
        (
            "too long",
            Reply::Answer(200, &[], " ".repeat(65 << 10) + &method("pm_1", "null")),
        ),
        (
            "a card number",
            Reply::Answer(200, &[], method("pm_4242424242424242", "null")),
        ),
        (
            "another object",
            Reply::Answer(200, &[], r#"{"object":"token","id":"tok_1"}"#.to_owned()),
        ),
        ("no JSON", Reply::Answer(200, &[], "<html>".to_owned())),
        (
            "a redirect",
            Reply::Answer(302, &[("location", "https://127.0.0.1:1/")], String::new()),
        ),
    ] {
        let reply = Mutex::new(Some(reply));
        let once = move |_, _: &str| reply.lock().unwrap().take().unwrap_or_else(made);
        let Some((shop, provider)) = beside("answers_that_are_not", 10_000, once).await else {
            return;
        };
        assert_eq!(failure(shop.ask(ask(SingleUse)).await), Failure::Answer, "{name}");
        assert_eq!(provider.seen().len(), 1, "{name}");
        assert!(!shop.events().await.concat().contains("4242"), "{name}");
    }
}

#[tokio::test]
async fn refusals_have_their_class_and_nothing_of_the_card() {
    let echo = r#""type":"card_error","code":"incorrect_number","message":"4242424242424242 (code 123) is no card""#;
    type Fits = fn(&Failure) -> bool;
    let cases: [(u16, &'static str, Fits); 5] = [
        (402, echo, |failure| {
            failure
                .refusal()
                .is_some_and(|said| said.code() == Some("incorrect_number") && said.message().is_none())
        }),
        (
            401,
            r#""message":"Invalid API Key provided: sk_test_panvault""#,
            |failure| *failure == Failure::Account,
        ),
        (
            400,
            r#""type":"invalid_request_error","code":"email_invalid""#,
            |failure| matches!(failure, Failure::Request(_)),
        ),
        (429, r#""code":"rate_limit""#, |failure| {
            *failure == Failure::Busy { retry_after_s: None }
        }),
        (
            402,
            r#""message":"Sending credit card numbers directly is unsafe""#,
            |failure| *failure == Failure::Account,
        ),
    ];
    for (status, error, fits) in cases {
        let reply = move |_, _: &str| refused(status, error);
        let Some((shop, provider)) = beside("refusals_have_their_class", 10_000, reply).await else {
            return;
        };
        let found = failure(shop.ask(ask(SingleUse)).await);
        assert!(fits(&found), "{status} {error}: {found:?}");
        assert!(!format!("{found:?}{found}").contains("4242"));
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_customer_that_is_gone_is_replaced_and_a_wrong_one_is_not_taken() {
    let reply = |_, path: &str| match path {
        "/v1/payment_methods" => made(),
        "/v1/customers" => Reply::Answer(200, &[], r#"{"object":"customer","id":"cus_new"}"#.to_owned()),
        _ => refused(404, r#""code":"resource_missing""#),
    };
    let Some((shop, provider)) = beside("a_customer_that_is_gone", 10_000, reply).await else {
        return;
    };
    let with_customer = || PspTokenize {
        customer: PspReference::parse("cus_old").ok(),
        ..ask(MultiUse)
    };
    let token = shop.ask(with_customer()).await.unwrap();
    assert_eq!(token.connector_customer_id.unwrap().as_str(), "cus_new");
    let seen = provider.seen();
    let paths: Vec<_> = seen.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/v1/payment_methods",
            "/v1/payment_methods/pm_1/attach",
            "/v1/customers"
        ]
    );
    assert_eq!(seen[1].body, "customer=cus_old");
    assert_eq!(seen[2].body, "payment_method=pm_1&name=Ada+Lovelace");
    let keys: std::collections::BTreeSet<_> = seen.iter().map(|one| one.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 3, "each request is a wish of its own");

    let reply = |_, path: &str| match path {
        "/v1/payment_methods" => made(),
        _ => Reply::Answer(200, &[], method("pm_1", "\"cus_other\"")),
    };
    let Some((shop, _)) = beside("a_customer_that_is_gone", 10_000, reply).await else {
        return;
    };
    assert_eq!(failure(shop.ask(with_customer()).await), Failure::Answer);
}

#[tokio::test]
async fn connections_are_used_again() {
    let Some((shop, provider)) = beside("connections_are_used_again", 10_000, |_, _| made()).await else {
        return;
    };
    for _ in 0..3 {
        shop.ask(ask(SingleUse)).await.unwrap();
    }
    let connections: Vec<_> = provider.seen().iter().map(|one| one.connection).collect();
    assert_eq!(connections, [0, 0, 0]);
}

#[tokio::test]
async fn nothing_is_sent_to_who_cannot_prove_to_be_the_provider() {
    let Some(pki) = Pki::get("nothing_is_sent_to_who_cannot_prove") else {
        return;
    };
    let provider = Provider::start(pki, |_, _| made()).await;
    let right = format!("https://127.0.0.1:{}", provider.port);
    let other_name = format!("https://localhost:{}", provider.port);
    for (base, ca) in [(&right, None), (&other_name, Some(pki.ca()))] {
        let (shop, _key) = shop(base, ca, 5_000).await;
        assert_eq!(failure(shop.ask(ask(SingleUse)).await), Failure::Unreachable, "{base}");
    }
    let (nobody, _key) = shop("https://127.0.0.1:1", Some(pki.ca()), 2_000).await;
    assert_eq!(failure(nobody.ask(ask(SingleUse)).await), Failure::Unreachable);
    assert!(provider.seen().is_empty());
}
