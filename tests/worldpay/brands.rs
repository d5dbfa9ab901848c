//! What follows from a card's first digits.

use serde_json::{Value, json};

use super::bodies::{VISA, bare, each};
use super::gateway::Account;
use super::support::daemon::Daemon;

/// The vendor's test cards.
pub(crate) fn vendors_cards(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let cards = vec![
        ("4000000000002701", "VISA", "400000", "4000********2701"),
        ("4000000000001000", "VISA", "400000", "4000********1000"),
        ("5200000000002235", "MASTERCARD", "520000", "5200********2235"),
        ("5200000000001005", "MASTERCARD", "520000", "5200********1005"),
        ("340000000002708", "AMEX", "340000", "3400********2708"),
        ("340000000001007", "AMEX", "340000", "3400********1007"),
        ("6011000000002117", "DISCOVER", "601100", "6011********2117"),
        ("3338000000000296", "JCB", "333800", "3338********0296"),
        ("4000000000004970", "VISA", "400000", "4000********4970"),
    ];
    each(
        cards,
        |card| card.0.to_owned(),
        |(number, brand, bin, masked)| {
            let made = account.made(&bare(number));
            let shown = made.at("/paymentInstrument");
            assert_eq!(
                (&shown["brand"], &shown["bin"]),
                (&json!(brand), &json!(bin)),
                "{}",
                made.text
            );
            assert_eq!(shown["cardNumber"], masked);
        },
    );
}

/// What a shop's own table of card ranges says, in the vendor's letters.
pub(crate) fn own_table(daemon: &mut Daemon) {
    daemon.stop();
    let table =
        "range,brand,funding,country,issuer\n444433,visa,credit,GB,\n520000,mastercard,debit,US,\n400000,visa,,,\n";
    std::fs::write(daemon.dir().join("bins.csv"), table).unwrap();
    let file = daemon.dir().join("panvault.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("bin_table = \"bins.csv\"\n{config}")).unwrap();
    daemon.up();
    let account = Account::dev(daemon);
    for (number, brand, funding, country) in [
        (VISA, "VISA", "credit", json!("GB")),
        ("5200000000002235", "MASTERCARD", "debit", json!("US")),
        ("4000000000002701", "VISA", "unknown", Value::Null),
    ] {
        let made = account.made(&bare(number));
        let shown = made.at("/paymentInstrument");
        assert_eq!(shown["brand"], brand);
        assert_eq!(shown["fundingType"], funding);
        assert_eq!(shown["countryCode"], country);
        let last = if country.is_null() {
            "fundingType"
        } else {
            "countryCode"
        };
        assert_eq!(made.names("/paymentInstrument").last().unwrap(), last);
        let first = account.version(1).get(&made.href());
        for name in ["bin", "brand", "fundingType", "countryCode"] {
            assert!(first.at("/paymentInstrument").get(name).is_none(), "{}", first.text);
        }
    }
}
