//! What is refused, and how it is told.

use super::gateway::{CODE, Field, MASTERCARD, MONTH, NUMBER, Reply, SOURCE, Shop, TYPE, Wire, YEAR, card, request};
use super::support::daemon::Daemon;

pub(crate) fn fields(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    for (operation, field) in [
        ("TOKENIZE", "sourceOfFunds.provided.giftCard.number"),
        ("TOKENIZE", "sourceOfFunds.provided.ach.routingNumber"),
        ("TOKENIZE", "sourceOfFunds.provided.card.track2"),
        ("TOKENIZE", "sourceOfFunds.provided.card.colour"),
        ("TOKENIZE", "nonsense"),
        ("RETRIEVE_TOKEN", NUMBER),
        ("DELETE_TOKEN", "query"),
        ("SEARCH_TOKENS", "order.id"),
    ] {
        let mut fields = match operation {
            "TOKENIZE" => card(MASTERCARD, "5", "31"),
            "SEARCH_TOKENS" => vec![("query", r#"{"EQ":["token","9"]}"#)],
            _ => vec![("token", token.as_str())],
        };
        fields.push((field, "1"));
        shop.call(operation, &fields).refused(field, "UNSUPPORTED");
    }
    shop.call("RETRIEVE_TOKEN", &[("token", &token)]).succeeded(200);
    for kind in ["GIFT_CARD", "ACH", "EBT_CARD", "SCHEME_TOKEN"] {
        let mut other = card(MASTERCARD, "5", "31");
        other[0] = (TYPE, kind);
        shop.call("TOKENIZE", &other).refused(TYPE, "INVALID");
    }
    shop.call("TOKENIZE", &card(MASTERCARD, "5", "31")[1..])
        .refused(TYPE, "MISSING");
    shop.call("SEARCH_TOKENS", &[]).refused("query", "MISSING");
    // fields that a client may send and nothing here needs; some come back
    let much = [
        card(MASTERCARD, "5", "31"),
        vec![
            ("billing.address.city", "Bern"),
            ("customer.email", "jane@example.com"),
            ("shipping.address.city", "Basel"),
        ],
    ];
    let made = shop.call("TOKENIZE", &much.concat());
    made.succeeded(201);
    made.has(&[("billing.address.city", "Bern"), ("customer.email", "jane@example.com")]);
    assert_eq!(made.get("shipping.address.city"), None);
}

pub(crate) fn values(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let bad: [(&str, &str, &str); 14] = [
        ("TOKENIZE", NUMBER, "4111111111111112"),
        ("TOKENIZE", NUMBER, "4111 1111 1111 1111"),
        ("TOKENIZE", NUMBER, "x"),
        ("TOKENIZE", MONTH, "13"),
        ("TOKENIZE", MONTH, "0"),
        ("TOKENIZE", YEAR, "2031"),
        ("TOKENIZE", YEAR, "1"),
        ("TOKENIZE", CODE, "12"),
        ("TOKENIZE", CODE, "12345"),
        ("TOKENIZE", SOURCE, "9102370788509763"),
        ("TOKENIZE", "session.id", "SESSION"),
        ("SEARCH_TOKENS", "limit", "0"),
        ("SEARCH_TOKENS", "limit", "1001"),
        ("SEARCH_TOKENS", "nextPage", "none-of-ours"),
    ];
    for (operation, field, value) in bad {
        let mut fields = match operation {
            "TOKENIZE" => card(MASTERCARD, "5", "31"),
            _ => vec![("query", r#"{"EQ":["token","9"]}"#)],
        };
        // a token's number is asked for only where the request gives none
        fields.retain(|(name, _)| *name != field && (field != SOURCE || *name != NUMBER));
        fields.push((field, value));
        shop.call(operation, &fields).refused(field, "INVALID");
    }
    let unmask = [
        ("token", "9102370788509763"),
        ("responseControls.sensitiveData", "UNMASK"),
    ];
    shop.call("RETRIEVE_TOKEN", &unmask)
        .refused("responseControls.sensitiveData", "INVALID");
}

pub(crate) fn envelopes(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let id = [("correlationId", "my 1. request/ü")];
    let good = shop.call("TOKENIZE", &[card(MASTERCARD, "5", "31"), id.to_vec()].concat());
    good.succeeded(201);
    good.has(&id);
    let token = [("token", good.at("token")), id[0]];
    shop.call("RETRIEVE_TOKEN", &token).has(&id);
    shop.call("DELETE_TOKEN", &token).has(&id);
    let bad = shop.call("RETRIEVE_TOKEN", &token);
    bad.refused("token", "INVALID");
    bad.has(&id);
    let long = "x".repeat(101);
    shop.call(
        "TOKENIZE",
        &[card(MASTERCARD, "5", "31"), vec![("correlationId", &long)]].concat(),
    )
    .refused("correlationId", "INVALID");

    for version in [0, 29, 80, 99, 101] {
        let reply = shop.version(version).call("RETRIEVE_TOKEN", &token);
        assert_eq!(
            (reply.status, reply.at("error.cause")),
            (400, "INVALID_REQUEST"),
            "{}",
            reply.text
        );
    }
    let large = "x".repeat(70_000);
    let reply = shop.call("TOKENIZE", &[("billing.address.city", large.as_str())]);
    assert_eq!(
        (reply.status, reply.at("error.cause")),
        (413, "INVALID_REQUEST"),
        "{}",
        reply.text
    );
    let long = "x".repeat(5_000);
    let fields = [card(MASTERCARD, "5", "31"), vec![("billing.address.city", &long)]].concat();
    shop.call("TOKENIZE", &fields)
        .refused("billing.address.city", "INVALID");
}

/// What was answered to somebody who is not let in.
fn challenged(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.at("error.cause")),
        (401, "INVALID_REQUEST"),
        "{}",
        reply.text
    );
    let challenge = reply
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    assert!(
        challenge.is_some_and(|(_, value)| value.starts_with("Basic realm=")),
        "{challenge:?}"
    );
}

pub(crate) fn logins(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    let ask = [("token", token.as_str())];
    match wire {
        Wire::Rest => {
            let path = format!("/api/rest/version/70/merchant/{}/token/{token}", shop.merchant);
            for headers in [
                &[][..],
                &[("Authorization", "Bearer x")],
                &[("Authorization", "Basic !")],
            ] {
                challenged(&request(daemon, "GET", &path, headers, "").unwrap());
            }
        }
        Wire::Nvp => {
            let body = format!("merchant={}&apiOperation=RETRIEVE_TOKEN&token={token}", shop.merchant);
            challenged(&shop.form(&body).unwrap());
        }
    }
    let mut stranger = shop.clone();
    stranger.password = "0123456789ABCDEF0123456789ABCDEF".to_owned();
    challenged(&stranger.call("RETRIEVE_TOKEN", &ask));
    // one merchant's password is no other's
    stranger.password = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4").password;
    challenged(&stranger.call("RETRIEVE_TOKEN", &ask));
    stranger = shop.clone();
    stranger.merchant = "NOBODY".to_owned();
    challenged(&stranger.call("RETRIEVE_TOKEN", &ask));
    shop.call("RETRIEVE_TOKEN", &ask).succeeded(200);

    let other = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
    other.call("RETRIEVE_TOKEN", &ask).refused("token", "INVALID");
}

/// What only one of the wires can say.
pub(crate) fn rest_only(daemon: &Daemon) {
    let shop = Shop::random(daemon, Wire::Rest);
    let numbers = r#"{"sourceOfFunds":{"type":"CARD","provided":{"card":{"number":"5123450000000008","expiry":{"month":5,"year":31}},"giftCard":{},"ach":null}},"billing":{},"order":{"item":[]},"correlationId":""}"#;
    let reply = shop.json("POST", "token", numbers).unwrap();
    reply.succeeded(201);
    reply.has(&[("sourceOfFunds.provided.card.expiry", "0531")]);
    let token = reply.at("token").to_owned();

    // on GET, fields stand in the query or in a body
    let reply = shop
        .json("GET", &format!("token/{token}"), r#"{"correlationId":"in a body"}"#)
        .unwrap();
    reply.succeeded(200);
    reply.has(&[("correlationId", "in a body")]);

    for broken in [
        "{",
        "[]",
        "\"text\"",
        "{\"a\":1,}",
        "\u{1}",
        &"[".repeat(40_000),
        &r#"{"a":"#.repeat(5_000),
    ] {
        let reply = shop.json("POST", "token", broken).unwrap();
        assert_eq!(
            (reply.status, reply.at("error.cause")),
            (400, "INVALID_REQUEST"),
            "{}",
            reply.text
        );
    }
    let twice = r#"{"sourceOfFunds":{"type":"CARD","type":"CARD"}}"#;
    assert_eq!(shop.json("POST", "token", twice).unwrap().status, 400);
    let in_url = shop.json("POST", "token?correlationId=1", "{}").unwrap();
    assert_eq!(in_url.status, 400, "{}", in_url.text);
    let field = r#"{"apiOperation":"DELETE_TOKEN"}"#;
    shop.json("GET", &format!("token/{token}"), field)
        .unwrap()
        .refused("apiOperation", "INVALID");

    let path = format!("/api/rest/version/70/merchant/{}/token", shop.merchant);
    let login = data_encoding::BASE64.encode(format!("merchant.{}:{}", shop.merchant, shop.password).as_bytes());
    let login = format!("Basic {login}");
    let typed: [Field<'_>; 2] = [("Authorization", &login), ("Content-Type", "text/plain")];
    for (status, method, path, headers) in [
        (415, "POST", path.as_str(), &typed[..]),
        (415, "POST", &path, &typed[..1]),
        (405, "PATCH", &path, &typed[..]),
        (405, "DELETE", &path, &typed[..]),
        (404, "GET", "/api/rest/version/70/merchant/M/nothing", &[]),
        (404, "GET", "/api/rest", &[]),
        (404, "POST", "/api/rest/", &[]),
        (404, "GET", "/api", &[]),
    ] {
        let reply = request(daemon, method, path, headers, "{}").unwrap();
        assert_eq!(
            (reply.status, reply.at("result")),
            (status, "ERROR"),
            "{method} {path}: {}",
            reply.text
        );
        assert!(!reply.at("error.explanation").is_empty());
    }

    for version in ["51", "70", "100"] {
        let path = format!("/api/rest/version/{version}/information");
        let reply = request(daemon, "GET", &path, &[], "").unwrap();
        assert_eq!(reply.status, 200);
        reply.has(&[("status", "OPERATING")]);
        assert_eq!(reply.get("gatewayVersion").is_some(), version == "51");
    }
}

/// The same for name-value pairs.
pub(crate) fn forms_only(daemon: &Daemon) {
    let shop = Shop::random(daemon, Wire::Nvp);
    let token = shop.token(MASTERCARD, "5", "31");
    let login = format!(
        "merchant={0}&apiUsername=merchant.{0}&apiPassword={1}",
        shop.merchant, shop.password
    );
    // names of older versions, empty pairs and values
    for name in ["RETRIEVE_TOKEN", "RETRIEVE_CARD"] {
        let body = format!("&&{login}&apiOperation={name}&billing.address.city=&token={token}&");
        shop.form(&body).unwrap().succeeded(200);
    }
    let query = "%7B%22EQ%22%3A%5B%22token%22%2C%22".to_owned() + &token + "%22%5D%7D";
    for name in ["SEARCH_TOKENS", "SEARCH_TOKEN"] {
        let reply = shop
            .form(&format!("{login}&apiOperation={name}&query={query}"))
            .unwrap();
        reply.succeeded(200);
        assert_eq!(reply.page(), [token.as_str()]);
    }
    for (body, field, validation) in [
        (
            format!("{login}&apiOperation=BALANCE_INQUIRY"),
            "apiOperation",
            "UNSUPPORTED",
        ),
        (login.clone(), "apiOperation", "MISSING"),
        (format!("{login}&apiOperation=DELETE_TOKEN"), "token", "MISSING"),
        ("apiOperation=DELETE_TOKEN".to_owned(), "merchant", "MISSING"),
        (
            format!("{login}&apiOperation=DELETE_TOKEN&token=1&token=2"),
            "token",
            "INVALID",
        ),
    ] {
        shop.form(&body).unwrap().refused(field, validation);
    }
    for broken in ["%", "a=%zz", "merchant=%ff"] {
        let reply = shop.form(broken).unwrap();
        assert_eq!(
            (reply.status, reply.at("error.cause")),
            (400, "INVALID_REQUEST"),
            "{}",
            reply.text
        );
    }
    let check = shop.form("apiOperation=CHECK_GATEWAY").unwrap();
    check.has(&[("status", "OPERATING")]);
    let lost = request(daemon, "POST", "/api/nvp", &[], "").unwrap();
    assert_eq!((lost.status, lost.at("result")), (404, "ERROR"));
}
