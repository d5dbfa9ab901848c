//! How cards are checked before they are stored: the simulated acquirer's and updater's tables, and what comes of them.

use super::gateway::{AMEX, CODE, MASTERCARD, MONTH, NUMBER, SOURCE, Shop, VISA, Wire, YEAR, card};
use super::support::daemon::Daemon;

const EXPIRY: &str = "sourceOfFunds.provided.card.expiry";
const BY_ACQUIRER: [(&str, &str); 2] = [("verificationStrategy", "ACQUIRER"), ("transaction.currency", "EUR")];
const BY_UPDATER: [(&str, &str); 2] = [
    ("verificationStrategy", "ACCOUNT_UPDATER"),
    ("transaction.currency", "EUR"),
];

pub(crate) fn acquirer(daemon: &Daemon, wire: Wire) {
    // a card that no other scenario stores here
    let visa = "4012000033330026";
    let shop = Shop::random(daemon, wire);
    let query = format!(r#"{{"EQ":["{NUMBER}","{visa}"]}}"#);
    let stored = || shop.search(&query, 1000).0.len();
    for (month, year, code, expected) in [
        ("05", "39", "", "EXTERNAL_VERIFICATION_DECLINED"),
        ("04", "27", "", "EXTERNAL_VERIFICATION_DECLINED_EXPIRED_CARD"),
        ("1", "20", "", "EXTERNAL_VERIFICATION_DECLINED_EXPIRED_CARD"),
        ("08", "28", "", "EXTERNAL_VERIFICATION_PROCESSING_ERROR"),
        ("01", "37", "", "EXTERNAL_VERIFICATION_PROCESSING_ERROR"),
        ("02", "37", "", "EXTERNAL_VERIFICATION_PROCESSING_ERROR"),
        ("05", "37", "", "EXTERNAL_VERIFICATION_PROCESSING_ERROR"),
        ("01", "39", "102", "EXTERNAL_VERIFICATION_DECLINED_INVALID_CSC"),
        ("01", "39", "100", "EXTERNAL_VERIFICATION_SUCCESSFUL"),
        ("01", "39", "101", "EXTERNAL_VERIFICATION_SUCCESSFUL"),
        ("01", "39", "", "EXTERNAL_VERIFICATION_SUCCESSFUL"),
    ] {
        let before = stored();
        let mut fields = [card(visa, month, year), BY_ACQUIRER.to_vec()].concat();
        if !code.is_empty() {
            fields.push((CODE, code));
        }
        let reply = shop.call("TOKENIZE", &fields);
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.has(&[
            ("response.gatewayCode", expected),
            ("verificationStrategy", "ACQUIRER"),
            (NUMBER, "401200xxxxxx0026"),
        ]);
        let good = expected == "EXTERNAL_VERIFICATION_SUCCESSFUL";
        reply.has(&[("result", if good { "SUCCESS" } else { "FAILURE" })]);
        assert_eq!(reply.get("token").is_some(), good, "{}", reply.text);
        assert_eq!(stored() - before, usize::from(good), "{month}/{year}: {}", reply.text);
        assert_eq!(reply.get(CODE), None);
    }
    let amex = [card(AMEX, "01", "39"), BY_ACQUIRER.to_vec(), vec![(CODE, "1020")]].concat();
    shop.call("TOKENIZE", &amex)
        .has(&[("response.gatewayCode", "EXTERNAL_VERIFICATION_DECLINED_INVALID_CSC")]);

    // a refused update leaves what is stored
    let token = shop.token(VISA, "01", "39");
    let update = [
        card(MASTERCARD, "05", "39"),
        BY_ACQUIRER.to_vec(),
        vec![("token", token.as_str())],
    ]
    .concat();
    shop.call("TOKENIZE", &update).has(&[("result", "FAILURE")]);
    shop.call("RETRIEVE_TOKEN", &[("token", &token)]).has(&[
        (NUMBER, "450875xxxxxx1019"),
        (EXPIRY, "0139"),
        ("status", "VALID"),
    ]);

    for strategy in ["ACQUIRER", "ACCOUNT_UPDATER"] {
        let no_currency = [card(visa, "01", "39"), vec![("verificationStrategy", strategy)]].concat();
        shop.call("TOKENIZE", &no_currency)
            .refused("transaction.currency", "MISSING");
    }
    let unknown = [card(visa, "01", "39"), vec![("verificationStrategy", "MAGIC")]].concat();
    shop.call("TOKENIZE", &unknown)
        .refused("verificationStrategy", "INVALID");
}

pub(crate) fn none_and_basic(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let none = [card(MASTERCARD, "05", "39"), vec![("verificationStrategy", "NONE")]].concat();
    let reply = shop.call("TOKENIZE", &none);
    reply.succeeded(201);
    reply.has(&[
        ("response.gatewayCode", "NO_VERIFICATION_PERFORMED"),
        ("verificationStrategy", "NONE"),
    ]);
    shop.call("RETRIEVE_TOKEN", &[("token", reply.at("token"))])
        .has(&[("verificationStrategy", "NONE")]);

    shop.call("TOKENIZE", &card("5123450000000009", "05", "39"))
        .refused(NUMBER, "INVALID");
    shop.call("TOKENIZE", &card("51234500", "05", "39"))
        .refused(NUMBER, "INVALID");
    let mut no_year = card(MASTERCARD, "05", "39");
    no_year.pop();
    shop.call("TOKENIZE", &no_year).refused(YEAR, "MISSING");
    shop.call(
        "TOKENIZE",
        &[("sourceOfFunds.type", "CARD"), (MONTH, "05"), (YEAR, "39")],
    )
    .refused(NUMBER, "MISSING");
}

pub(crate) fn account_updater(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let since = jiff::Timestamp::now().to_string();
    let token = shop.token(MASTERCARD, "6", "38");
    let ask = |token: &str| {
        shop.call(
            "TOKENIZE",
            &[&BY_UPDATER[..], &[("token", token), (SOURCE, token)]].concat(),
        )
    };

    let renewed = ask(&token);
    renewed.succeeded(201);
    renewed.has(&[(EXPIRY, "0641"), ("verificationStrategy", "ACCOUNT_UPDATER")]);
    let shown = shop.version(64).call("RETRIEVE_TOKEN", &[("token", &token)]);
    shown.has(&[(EXPIRY, "0641"), ("status", "VALID")]);
    assert_eq!(
        shown.get("usage.lastUpdatedBy").unwrap_or_default(),
        "",
        "the updater is no merchant"
    );
    let (found, _) = shop.search(&format!(r#"{{"GT":["usage.lastUpdated","{since}"]}}"#), 1000);
    assert!(found.contains(&token));

    // a new number under the same token, where that keeps no digits of the old one
    let token = shop.token(MASTERCARD, "7", "38");
    let moved = ask(&token);
    moved.succeeded(201);
    moved.has(&[("token", &token), (NUMBER, "511111xxxxxx1118"), (EXPIRY, "0741")]);
    assert_eq!(moved.get("replacementToken"), None);

    let token = shop.token(MASTERCARD, "9", "38");
    let silent = ask(&token);
    silent.succeeded(201);
    silent.has(&[(EXPIRY, "0938"), ("response.gatewayCode", "NO_VERIFICATION_PERFORMED")]);
}

pub(crate) fn closed_account(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(VISA, "8", "38");
    let own = [("token", token.as_str()), (SOURCE, token.as_str())];
    let closed = shop.call("TOKENIZE", &[&BY_UPDATER[..], &own].concat());
    assert_eq!(closed.status, 201, "{}", closed.text);
    closed.has(&[
        ("result", "FAILURE"),
        ("response.gatewayCode", "EXTERNAL_VERIFICATION_DECLINED"),
    ]);
    shop.call("RETRIEVE_TOKEN", &[("token", &token)])
        .has(&[("status", "INVALID"), ("result", "SUCCESS")]);
    // new details make it good again
    let update = [card(VISA, "1", "39"), vec![("token", token.as_str())]].concat();
    let cleared = shop.call("TOKENIZE", &update);
    cleared.succeeded(201);
    cleared.has(&[("status", "VALID"), (EXPIRY, "0139")]);
}

pub(crate) fn replacement(daemon: &Daemon, wire: Wire) {
    let shop = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
    let token = shop.token(VISA, "7", "38");
    let own = [("token", token.as_str()), (SOURCE, token.as_str())];
    let moved = shop.call("TOKENIZE", &[&BY_UPDATER[..], &own].concat());
    moved.succeeded(201);
    let old = shop.version(69).call("RETRIEVE_TOKEN", &[("token", &token)]);
    old.has(&[("status", "VALID"), (EXPIRY, "0741"), (NUMBER, "401200xxxxxx0026")]);
    let new = old.at("replacementToken").to_owned();
    assert!(new.starts_with("401200") && new.ends_with("0026"), "{new}");
    let before = shop.version(68).call("RETRIEVE_TOKEN", &[("token", &token)]);
    assert_eq!(before.get("replacementToken"), None);
    shop.call("RETRIEVE_TOKEN", &[("token", &new)]).has(&[
        ("status", "VALID"),
        (EXPIRY, "0741"),
        (NUMBER, "401200xxxxxx0026"),
    ]);
    // the old one can no longer be updated, only deleted
    let itself = [
        ("token", token.as_str()),
        (SOURCE, token.as_str()),
        (MONTH, "1"),
        (YEAR, "39"),
    ];
    shop.call("TOKENIZE", &itself).refused(SOURCE, "INVALID");
    let update = [card("4012000033330026", "1", "39"), vec![("token", token.as_str())]].concat();
    shop.call("TOKENIZE", &update).refused("token", "INVALID");
    shop.call("DELETE_TOKEN", &[("token", &token)]).succeeded(200);
    shop.call("RETRIEVE_TOKEN", &[("token", &new)]).succeeded(200);
}
