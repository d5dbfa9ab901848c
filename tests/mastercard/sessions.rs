//! Sessions. That one ends after 15 minutes is held by the unit tests, where the clock can be moved.

use super::gateway::{CODE, Field, MASTERCARD, MONTH, NUMBER, Reply, SOURCE, Shop, VISA, Wire, YEAR, card};
use super::support::daemon::Daemon;
use super::tokens::fresh;

fn open(shop: &Shop<'_>) -> String {
    let made = shop.call("CREATE_SESSION", &[]);
    made.succeeded(201);
    let id = made.at("session.id").to_owned();
    assert!((31..=35).contains(&id.len()) && id.starts_with("SESSION"), "{id}");
    id
}

fn update(shop: &Shop<'_>, session: &str, fields: &[Field<'_>]) -> Reply {
    shop.call("UPDATE_SESSION", &[&[("session.id", session)][..], fields].concat())
}

fn pay(shop: &Shop<'_>, fields: &[Field<'_>]) -> Reply {
    let order = fresh("session order ");
    let ids = [("order.id", order.as_str()), ("transaction.id", "1")];
    shop.call("PAY", &[&ids[..], fields].concat())
}

const MONEY: [Field<'static>; 2] = [("order.amount", "2.00"), ("order.currency", "EUR")];

pub(crate) fn life(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let made = shop.call("CREATE_SESSION", &[("correlationId", "s1")]);
    made.succeeded(201);
    made.has(&[
        ("merchant", &shop.merchant),
        ("session.updateStatus", "NO_UPDATE"),
        ("correlationId", "s1"),
    ]);
    assert!(made.get("session.aes256Key").is_some() && made.get("session.authenticationLimit").is_some());
    let (id, first) = (made.at("session.id"), made.at("session.version"));

    let more = vec![
        (CODE, "100"),
        ("order.amount", "9.00"),
        ("order.currency", "EUR"),
        ("customer.email", "a@example.com"),
    ];
    let updated = update(&shop, id, &[card(MASTERCARD, "5", "31"), more].concat());
    updated.has(&[
        ("session.id", id),
        ("session.updateStatus", "SUCCESS"),
        ("merchant", &shop.merchant),
    ]);
    let second = updated.at("session.version");
    assert_ne!(second, first);
    let shown = shop.call("RETRIEVE_SESSION", &[("session.id", id)]);
    assert_eq!(shown.status, 200, "{}", shown.text);
    shown.has(&[
        ("session.id", id),
        ("session.version", second),
        (NUMBER, "512345xxxxxx0008"),
        (MONTH, "5"),
        (YEAR, "31"),
        ("order.currency", "EUR"),
        ("customer.email", "a@example.com"),
    ]);
    assert!(shown.get(CODE).is_none_or(|code| code != "100"), "{}", shown.text);
    assert!(!shown.text.contains(MASTERCARD));

    // an older version of the session, another version of the API, another merchant
    update(&shop, id, &[("session.version", first), (MONTH, "6")]).refused("session.version", "INVALID");
    let other = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
    for (shop, fields) in [(&shop.version(69), &[(MONTH, "6")]), (&other, &[(MONTH, "6")])] {
        assert_eq!(update(shop, id, fields).status, 400);
    }
    update(&shop, "SESSION0002AAAAAAAAAAAAAAAAAAAA", &[(MONTH, "6")]).refused("session.id", "INVALID");

    // its token, then a payment with all that it holds
    let stored = shop.call("TOKENIZE", &[("session.id", id)]);
    stored.succeeded(201);
    stored.has(&[
        (NUMBER, "512345xxxxxx0008"),
        ("sourceOfFunds.provided.card.expiry", "0531"),
    ]);
    let paid = pay(&shop, &[("session.id", id), ("session.version", second)]);
    paid.succeeded(201);
    assert_eq!(paid.amount("order.amount"), 9.0);
    paid.has(&[(NUMBER, "512345xxxxxx0008"), ("customer.email", "a@example.com")]);
}

pub(crate) fn precedence(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(VISA, "1", "31");
    let expiry = "sourceOfFunds.provided.card.expiry";
    let session = open(&shop);
    update(
        &shop,
        &session,
        &[(SOURCE, &token), (MONTH, "2"), ("sourceOfFunds.type", "CARD")],
    );
    // the number and the year are the token's, the month the session's, unless the request has one
    let mixed = shop.call("TOKENIZE", &[("session.id", &session)]);
    mixed.has(&[(NUMBER, "450875xxxxxx1019"), (expiry, "0231"), ("result", "SUCCESS")]);
    let mixed = shop.call("TOKENIZE", &[("session.id", &session), (MONTH, "3"), (YEAR, "33")]);
    mixed.has(&[(NUMBER, "450875xxxxxx1019"), (expiry, "0333")]);
    let mixed = shop.call(
        "TOKENIZE",
        &[
            ("session.id", &session),
            (NUMBER, MASTERCARD),
            ("sourceOfFunds.type", "CARD"),
        ],
    );
    mixed.has(&[(NUMBER, "512345xxxxxx0008"), (expiry, "0231")]);
    // the request's token before the session's
    let other = shop.token(MASTERCARD, "4", "34");
    let mixed = shop.call("TOKENIZE", &[("session.id", &session), (SOURCE, &other)]);
    mixed.has(&[(NUMBER, "512345xxxxxx0008"), (expiry, "0234")]);

    // in a payment: the declining expiry of the request counts, not that of token or session
    let source = [("session.id", session.as_str())];
    let good = pay(&shop, &[&source[..], &MONEY].concat());
    good.has(&[("result", "SUCCESS"), (MONTH, "2"), (YEAR, "31")]);
    let bad = pay(&shop, &[&source[..], &MONEY, &[(MONTH, "5"), (YEAR, "39")]].concat());
    bad.has(&[("response.gatewayCode", "DECLINED"), (MONTH, "5"), (YEAR, "39")]);
    // the amount of the request before that of the session
    update(&shop, &session, &[("order.amount", "7.00"), ("order.currency", "EUR")]);
    assert_eq!(pay(&shop, &source).amount("order.amount"), 7.0);
    assert_eq!(pay(&shop, &[&source[..], &MONEY].concat()).amount("order.amount"), 2.0);
}

pub(crate) fn codes_are_used_once(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(VISA, "1", "31");
    let session = open(&shop);
    update(&shop, &session, &[(CODE, "100")]);
    let source = [("session.id", session.as_str()), (SOURCE, token.as_str())];
    let said = "response.cardSecurityCode.gatewayCode";
    let first = pay(&shop, &[&source[..], &MONEY].concat());
    first.has(&[("result", "SUCCESS"), (said, "MATCH")]);
    let second = pay(&shop, &[&source[..], &MONEY].concat());
    second.succeeded(201);
    assert_eq!(second.get(said), None, "{}", second.text);
}
