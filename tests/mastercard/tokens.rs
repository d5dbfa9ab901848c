//! Tokens by the strategies of their repositories, and what changes them.

use std::collections::BTreeSet;

use super::gateway::{AMEX, Field, MASTERCARD, MASTERCARD_2, MONTH, NUMBER, SOURCE, Shop, VISA, Wire, YEAR, card};
use super::support::daemon::Daemon;

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            if at % 2 == 0 {
                digit
            } else {
                digit * 2 / 10 + digit * 2 % 10
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A name that no other scenario has.
pub(crate) fn fresh(prefix: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!("{prefix}{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

pub(crate) fn every_strategy(daemon: &Daemon, wire: Wire) {
    for (management, generation) in [
        ("UNIQUE_TOKEN", "RANDOM_WITH_LUHN"),
        ("UNIQUE_TOKEN", "PRESERVE_6_4"),
        ("UNIQUE_TOKEN", "MERCHANT_PROVIDED"),
        ("UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN"),
    ] {
        for (number, brand, masked) in [
            (MASTERCARD, "MASTERCARD", "512345xxxxxx0008"),
            (VISA, "VISA", "450875xxxxxx1019"),
            (AMEX, "AMEX", "371449xxxxx8431"),
        ] {
            let shop = Shop::dev(daemon, wire, management, generation);
            let own = fresh("own");
            let mut fields = card(number, "5", "31");
            if generation == "MERCHANT_PROVIDED" {
                fields.push(("token", &own));
            }
            let made = shop.call("TOKENIZE", &fields);
            made.succeeded(201);
            let expected = [
                ("status", "VALID"),
                ("repositoryId", shop.repository.as_str()),
                ("response.gatewayCode", "BASIC_VERIFICATION_SUCCESSFUL"),
                ("verificationStrategy", "BASIC"),
                ("sourceOfFunds.type", "CARD"),
                (NUMBER, masked),
                ("sourceOfFunds.provided.card.expiry", "0531"),
                ("sourceOfFunds.provided.card.brand", brand),
                ("sourceOfFunds.provided.card.scheme", brand),
            ];
            made.has(&expected);
            assert!(shop.repository.starts_with("TEST"), "a TEST merchant acts in the twin");
            let token = made.at("token");
            match generation {
                "RANDOM_WITH_LUHN" => assert!(token.len() == 16 && token.starts_with('9') && luhn(token), "{token}"),
                "PRESERVE_6_4" => {
                    assert_eq!(token.len(), number.len());
                    assert!(token.starts_with(&number[..6]) && token.ends_with(&number[number.len() - 4..]));
                    assert!(!luhn(token) && token != number, "{token}");
                }
                _ => assert_eq!(token, own),
            }

            let kept = shop.call("RETRIEVE_TOKEN", &[("token", token)]);
            kept.succeeded(200);
            kept.has(&[&expected[..2], &expected[3..]].concat());
            assert_eq!(kept.get("response.gatewayCode"), None);

            // the token itself as the source, and a new expiry beside it
            let update = [("token", token), (SOURCE, token), (MONTH, "01"), (YEAR, "39")];
            let updated = shop.call("TOKENIZE", &update);
            updated.succeeded(201);
            updated.has(&[
                ("token", token),
                ("sourceOfFunds.provided.card.expiry", "0139"),
                (NUMBER, masked),
            ]);

            let gone = shop.call("DELETE_TOKEN", &[("token", token)]);
            gone.succeeded(200);
            for operation in ["RETRIEVE_TOKEN", "DELETE_TOKEN"] {
                shop.call(operation, &[("token", token)]).refused("token", "INVALID");
            }
        }
    }
}

pub(crate) fn how_many_tokens_a_card_has(daemon: &Daemon, wire: Wire) {
    let many = Shop::random(daemon, wire);
    let tokens: BTreeSet<_> = (0..3).map(|_| many.token(MASTERCARD, "5", "31")).collect();
    assert_eq!(tokens.len(), 3);

    let one = Shop::dev(daemon, wire, "UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN");
    let token = one.token(MASTERCARD, "5", "31");
    assert_eq!(
        one.token(MASTERCARD, "6", "32"),
        token,
        "another expiry is the same account"
    );
    let other = one.token(VISA, "5", "31");
    assert_ne!(other, token);
    // the account belongs to another token
    one.call(
        "TOKENIZE",
        &[card(MASTERCARD, "5", "31"), vec![("token", &other)]].concat(),
    )
    .refused(NUMBER, "INVALID");
    one.call("RETRIEVE_TOKEN", &[("token", &other)])
        .has(&[(NUMBER, "450875xxxxxx1019")]);
    for token in [token, other] {
        one.call("DELETE_TOKEN", &[("token", &token)]).succeeded(200);
    }

    // names are given in the URL alone
    let supplied = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "MERCHANT_PROVIDED");
    let nameless = supplied.call("TOKENIZE", &card(MASTERCARD, "5", "31"));
    assert_eq!(
        (nameless.status, nameless.at("error.cause")),
        (400, "INVALID_REQUEST"),
        "{}",
        nameless.text
    );
    let own = fresh("name");
    let named = [card(MASTERCARD, "5", "31"), vec![("token", own.as_str())]].concat();
    supplied.call("TOKENIZE", &named).succeeded(201);
    supplied.call("TOKENIZE", &named).succeeded(201);
    let bad: [Field<'_>; 3] = [("token", VISA), ("token", "with-dash"), ("token", &"a".repeat(41))];
    for name in bad {
        let refused = supplied.call("TOKENIZE", &[card(MASTERCARD, "5", "31"), vec![name]].concat());
        refused.refused("token", "INVALID");
        assert!(!refused.text.contains(VISA), "{}", refused.text);
    }
}

pub(crate) fn what_an_update_may_change(daemon: &Daemon, wire: Wire) {
    let random = Shop::random(daemon, wire);
    let preserve = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
    let unique = Shop::dev(daemon, wire, "UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN");
    for shop in [&random, &preserve, &unique] {
        let put = [card(VISA, "5", "31"), vec![("token", "9102370788509763")]].concat();
        shop.call("TOKENIZE", &put).refused("token", "INVALID");
    }

    let token = random.token(MASTERCARD, "5", "31");
    let replaced = random.call("TOKENIZE", &[card(VISA, "6", "32"), vec![("token", &token)]].concat());
    replaced.succeeded(201);
    replaced.has(&[
        ("token", &token),
        (NUMBER, "450875xxxxxx1019"),
        ("sourceOfFunds.provided.card.expiry", "0632"),
    ]);

    let token = preserve.token(MASTERCARD, "5", "31");
    let other = [card(MASTERCARD_2, "6", "32"), vec![("token", token.as_str())]].concat();
    preserve.call("TOKENIZE", &other).refused(NUMBER, "INVALID");
    let same = [card(MASTERCARD, "6", "32"), vec![("token", token.as_str())]].concat();
    preserve
        .call("TOKENIZE", &same)
        .has(&[("sourceOfFunds.provided.card.expiry", "0632")]);

    // a copy from another token, with an expiry of its own
    let source = random.token(AMEX, "5", "31");
    let copy = random.call("TOKENIZE", &[(SOURCE, &source), (MONTH, "7"), (YEAR, "33")]);
    copy.succeeded(201);
    copy.has(&[
        (NUMBER, "371449xxxxx8431"),
        ("sourceOfFunds.provided.card.expiry", "0733"),
    ]);
    assert_ne!(copy.at("token"), source);
}

pub(crate) fn answers_by_version(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    let time = |text: &str| {
        assert!(
            text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.',
            "{text}"
        );
        text.parse::<jiff::Timestamp>().unwrap();
    };
    for version in [30, 51, 64] {
        let flat = shop.version(version).call("RETRIEVE_TOKEN", &[("token", &token)]);
        flat.has(&[("usage.lastUpdatedBy", &shop.merchant)]);
        time(flat.at("usage.lastUpdated"));
        assert_eq!(flat.get("usage.lastUpdated.time"), None);
    }
    for version in [70, 79, 100] {
        let nested = shop.version(version).call("RETRIEVE_TOKEN", &[("token", &token)]);
        nested.has(&[("usage.lastUpdated.merchantId", &shop.merchant)]);
        time(nested.at("usage.lastUpdated.time"));
        assert_eq!(
            (nested.get("usage.lastUpdated"), nested.get("usage.lastUpdatedBy")),
            (None, None)
        );
    }
}

pub(crate) fn one_token_under_load(daemon: &Daemon, wire: Wire) {
    let shop = Shop::dev(daemon, wire, "UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN");
    let tokens: BTreeSet<String> = std::thread::scope(|scope| {
        let create = || scope.spawn(|| shop.token("2223000000000007", "5", "31"));
        let running: Vec<_> = (0..64).map(|_| create()).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    let query = r#"{"EQ":["sourceOfFunds.provided.card.number","2223000000000007"]}"#;
    assert_eq!(shop.search(query, 10).0, Vec::from_iter(tokens));
}
