//! Every route that dialects have, and that the site has just these.

use std::path::Path;

/// The dialect that counts the request, the route, and a path there.
pub(crate) type Route = (&'static str, String, String);

const MASTERCARD: [&str; 10] = [
    "/api/keys",
    "/api/nvp/version/{version}",
    "/api/rest/version/{version}/information",
    "/api/rest/version/{version}/merchant/{merchant}/order/{order}",
    "/api/rest/version/{version}/merchant/{merchant}/order/{order}/transaction/{transaction}",
    "/api/rest/version/{version}/merchant/{merchant}/session",
    "/api/rest/version/{version}/merchant/{merchant}/session/{session}",
    "/api/rest/version/{version}/merchant/{merchant}/token",
    "/api/rest/version/{version}/merchant/{merchant}/token/{token}",
    "/api/rest/version/{version}/merchant/{merchant}/tokenSearch",
];

const WORLDPAY: [&str; 11] = [
    "/",
    "/tokens",
    "/tokens/network",
    "/tokens/network/cryptograms",
    "/tokens/network/{id}",
    "/tokens/{link}",
    "/verifiedTokens",
    "/verifiedTokens/cardOnFile",
    "/verifiedTokens/oneTime",
    "/rels/tokens/{rel}",
    "/rels/verifiedTokens/{rel}",
];

/// Each under no prefix, `/v1` and `/v2`.
const HYPERSWITCH: [&str; 25] = [
    "/customers",
    "/customers/list",
    "/customers/list_with_count",
    "/customers/total-payment-methods",
    "/customers/reference/{reference}",
    "/customers/{customer}",
    "/customers/{customer}/saved-payment-methods",
    "/customers/{customer}/saved_payment_methods",
    "/customers/{customer}/payment-methods/{method}/default",
    "/customers/{customer}/payment_methods/{method}/default",
    "/payment-methods",
    "/payment-methods/create-intent",
    "/payment-methods/{method}/confirm-intent",
    "/payment-methods/token/{token}/details",
    "/payment-methods/{method}",
    "/payment-methods/{method}/update-saved-payment-method",
    "/payment-methods/{method}/update_saved_payment_method",
    "/payment_methods",
    "/payment_methods/{method}",
    "/payment_methods/{method}/update_saved_payment_method",
    "/payment-method-sessions",
    "/payment-method-sessions/{session}",
    "/payment-method-sessions/{session}/confirm",
    "/payment-method-sessions/{session}/list-payment-methods",
    "/payment-method-sessions/{session}/update-saved-payment-method",
];

const PAYKKA: [&str; 19] = [
    "/v3/payment/acq",
    "/v3/payment/acq/session",
    "/v3/payment/acq/query",
    "/v3/payment/acq/token/remove",
    "/v3/payment/acq/token/query",
    "/v3/payment/acq/token/list",
    "/v3/payment/acq/recurring/cancel",
    "/v3/payment/acq/void",
    "/v3/payment/acq/capture",
    "/v3/payment/acq/refund",
    "/v3/payment/acq/refund/query",
    "/v3/payment/acq/apple-pay/create-session",
    "/apis/session",
    "/apis/payments",
    "/payments",
    "/payments/query",
    "/payments/token/remove",
    "/payments/token/query",
    "/payments/token/list",
];

const LOCKER: [&str; 15] = [
    "/cards/add",
    "/cards/retrieve",
    "/cards/delete",
    "/cards/fingerprint",
    "/data/add",
    "/data/retrieve",
    "/data/delete",
    "/data/fingerprint",
    "/api/v2/vault/add",
    "/api/v2/vault/retrieve",
    "/api/v2/vault/delete",
    "/api/v2/vault/fingerprint",
    "/entity",
    "/health",
    "/health/diagnostics",
];

/// What stands in the dialects' sources beside routes.
const NO_ROUTES: [(&str, &str, &str); 4] = [
    ("mastercard", "/api", "what is below it is answered there"),
    ("worldpay", "/verifications", "links lead there, and nothing is there"),
    ("hyperswitch", "/v1/", "a prefix"),
    ("hyperswitch", "/v2/", "a prefix"),
];

fn route(dialect: &'static str, pattern: &str) -> Route {
    let names = [("{version}", "70"), ("{merchant}", "TESTRANDOM")];
    let mut path = names
        .iter()
        .fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value));
    while let Some((before, rest)) = path.split_once('{') {
        let (_, after) = rest.split_once('}').unwrap();
        path = format!("{before}0a_x-1.~{after}");
    }
    (dialect, pattern.to_owned(), path)
}

/// What is served through the site.
pub(crate) fn through() -> Vec<Route> {
    let mut all = Vec::new();
    all.extend(MASTERCARD.map(|pattern| route("mastercard", pattern)));
    all.extend(WORLDPAY.map(|pattern| route("worldpay", pattern)));
    all.extend(PAYKKA.map(|pattern| route("paykka", pattern)));
    for prefix in ["", "/v1", "/v2"] {
        all.extend(HYPERSWITCH.map(|pattern| route("hyperswitch", &format!("{prefix}{pattern}"))));
    }
    all.push(route("hyperswitch", "/v1/{customer}/payment-methods/{method}/default"));
    all
}

/// What is served where the operator says so.
pub(crate) fn locker() -> Vec<Route> {
    LOCKER.map(|pattern| route("hyperswitch-locker", pattern)).into()
}

/// The lists above are whole: each route in the sources stands there.
pub(crate) fn are_all() {
    let (through, locker) = (through(), locker());
    for (dialect, least) in [
        ("mastercard", 10),
        ("worldpay", 11),
        ("paykka", 19),
        ("hyperswitch", 20),
        ("locker", 12),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/api/{dialect}/mod.rs"));
        let text = std::fs::read_to_string(file).unwrap();
        let known: Vec<&str> = match dialect {
            "locker" => locker.iter().map(|(_, pattern, _)| pattern.as_str()).collect(),
            dialect => {
                let own = through.iter().filter(|(of, ..)| *of == dialect);
                own.map(|(_, pattern, _)| pattern.as_str()).collect()
            }
        };
        let found: Vec<String> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split('"').skip(1).step_by(2))
            .filter(|literal| literal.contains('/') && literal.starts_with(['/', '{']))
            .map(plain)
            .collect();
        assert!(found.len() >= least, "{dialect}: {found:?}");
        for literal in found {
            let besides = |(of, other, _): &(&str, &str, &str)| *of == dialect && *other == literal;
            assert!(
                known.iter().any(|pattern| pattern.contains(&literal)) || NO_ROUTES.iter().any(besides),
                "{dialect}: {literal} is in no list of this file: does nginx let it through?"
            );
        }
    }
}

/// A literal of the sources as it is in a route: with names for what `format!` puts in, and without what that begins with.
fn plain(literal: &str) -> String {
    let mut text = literal.replace("{{", "\u{1}").replace("}}", "\u{2}");
    if text != literal || text.starts_with('{') || text.starts_with("/{") {
        for (name, value) in [
            ("{session}", ""),
            ("{path}", ""),
            ("/{segment}", "/payment-methods"),
            ("{update}", "update-saved-payment-method"),
            ("{saved}", "saved-payment-methods"),
        ] {
            text = text.replace(name, value);
        }
    }
    text.replace('\u{1}', "{").replace('\u{2}', "}").replace("{path}", "")
}
