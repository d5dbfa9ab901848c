use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::card::check_digit;

const HEADING: &str = "range,brand,funding,country,issuer\n";

fn pan(digits: &str) -> Pan {
    Pan::parse(digits).unwrap()
}

/// A number of `length` digits that starts with `start` and passes Luhn.
fn number(start: &str, length: usize) -> String {
    let body = format!("{start:0<width$}", width = length - 1);
    format!("{body}{}", check_digit(&body).unwrap())
}

fn brand(table: &BinTable, digits: &str) -> Option<String> {
    table.lookup(&pan(digits)).brand
}

fn error(text: &str) -> String {
    BinTable::extended(text).err().unwrap().to_string()
}

#[test]
fn schemes_are_told_by_range_and_length() {
    for (start, length, expected, bin_len) in [
        ("4111111111", 16, "visa", 8),
        ("4", 13, "visa", 0),
        ("4", 19, "visa", 6),
        ("5555555555", 16, "mastercard", 8),
        ("2221", 16, "mastercard", 8),
        ("272099", 16, "mastercard", 8),
        ("378282246", 15, "amex", 6),
        ("34", 15, "amex", 6),
        ("6011", 16, "discover", 8),
        ("6445", 16, "discover", 8),
        ("3056", 14, "diners", 6),
        ("36", 14, "diners", 6),
        ("3528", 16, "jcb", 8),
        ("3589", 19, "jcb", 6),
        ("2131", 15, "jcb", 6),
        ("6212345", 16, "unionpay", 8),
        ("622126", 19, "unionpay", 6),
        ("955880", 19, "unionpay", 6),
        ("5018", 12, "maestro", 0),
        ("6759", 18, "maestro", 6),
        ("67", 16, "maestro", 6),
        ("2200", 16, "mir", 6),
        ("2204", 19, "mir", 6),
        ("508", 16, "rupay", 6),
        ("401178", 16, "elo", 6),
        ("650031", 16, "elo", 6),
        ("606282", 16, "hipercard", 6),
        ("9792", 16, "troy", 6),
        ("65083701", 16, "troy", 6),
        ("9860", 16, "humo", 6),
        ("8600", 16, "uzcard", 6),
        ("9112", 16, "belkart", 6),
        ("5019", 16, "dankort", 6),
        ("506099", 16, "verve", 6),
        ("1", 15, "uatp", 6),
        ("9704", 19, "napas", 6),
    ] {
        let info = BinTable::built_in().lookup(&pan(&number(start, length)));
        assert_eq!(info.brand.as_deref(), Some(expected), "{start} {length}");
        assert_eq!(info.bin_len, bin_len, "{start} {length}");
        assert_eq!((info.funding, info.country, info.issuer), (None, None, None));
    }
}

#[test]
fn what_no_scheme_has_stays_unknown() {
    for (start, length) in [
        ("4", 14),
        ("34", 16),
        ("2721", 16),
        ("2220", 16),
        ("69", 16),
        ("0", 16),
        ("7", 16),
        ("9276", 16),
        ("9417", 16),
    ] {
        let info = BinTable::built_in().lookup(&pan(&number(start, length)));
        assert_eq!((info.brand, info.bin_len), (None, 6), "{start} {length}");
    }
}

#[test]
fn live_ranges_hold_the_schemes_and_the_countries() {
    let table = BinTable::built_in();
    for (start, length) in [
        ("9792", 16),
        ("9860", 16),
        ("9112", 16),
        ("9417", 16),
        ("9004", 19),
        ("955880", 19),
        ("9891", 16),
        ("9280", 18),
        ("991975", 16),
        ("949099", 16),
        ("943645", 16),
        ("9999", 16),
        ("4", 16),
    ] {
        assert!(table.is_live_range(&number(start, length)), "{start} {length}");
    }
    for text in [
        "9002111111111111",
        "9990111111111111",
        "9490111111111",
        "9792",
        "97921111111111111111",
        "4111x11111111111",
        "",
        "34111111111111111",
        "９７９２１１１１１１１１１１１１",
    ] {
        assert!(!table.is_live_range(text), "{text}");
    }
    let free = (9000..10_000)
        .filter(|start| !table.is_live_range(&format!("{start}500000000000")))
        .count();
    assert!(free > 600, "tokens that start with 9 have room: {free}");
    let own = BinTable::extended(&format!("mode,replace\n{HEADING}99901,house,,,\n")).unwrap();
    assert!(own.is_live_range("9990111111111111"));
    assert!(
        own.is_live_range("4111111111111111"),
        "replaced or not, a live card is a live card"
    );
}

#[test]
fn a_file_adds_what_it_knows() {
    let table = BinTable::extended(
        "\u{feff}# made by hand\r\n\r\nmode,extend\r\nrange,brand,funding,country,issuer\r\n\
         411111,,credit,us,\"Example \"\"First\"\" Bank, N.A.\"\r\n41111112-41111113, Visa ,PREPAID,DE,\r\n90,house,,,House Cards\r\n",
    )
    .unwrap();
    assert_eq!(table.rows_from_file(), 3);
    assert_eq!(
        table.lookup(&pan("4111111111111111")),
        BinInfo {
            brand: Some("visa".to_owned()),
            funding: Some("credit".to_owned()),
            country: Some("US".to_owned()),
            issuer: Some("Example \"First\" Bank, N.A.".to_owned()),
            bin_len: 8,
        }
    );
    let narrower = table.lookup(&pan(&number("41111113", 16)));
    assert_eq!(
        (narrower.funding.as_deref(), narrower.country.as_deref()),
        (Some("prepaid"), Some("DE"))
    );
    assert_eq!(narrower.issuer, None);
    assert_eq!(brand(&table, "5555555555554444").as_deref(), Some("mastercard"));
    assert_eq!(
        brand(&table, &number("9004", 16)).as_deref(),
        Some("house"),
        "a country's range has no brand to give"
    );
}

#[test]
fn the_narrowest_holds_whichever_table_it_is_in() {
    let table = BinTable::extended(&format!("{HEADING}4,house,debit,FR,\n401178-401179,other,,,\n")).unwrap();
    assert_eq!(
        brand(&table, "4111111111111111").as_deref(),
        Some("house"),
        "as wide as the built-in one"
    );
    assert_eq!(brand(&table, &number("4571", 16)).as_deref(), Some("dankort"));
    assert_eq!(
        brand(&table, &number("401179", 16)).as_deref(),
        Some("other"),
        "as narrow as Elo's"
    );
}

#[test]
fn a_file_may_replace_the_built_in_table() {
    let table = BinTable::extended(&format!(
        "mode,replace\n{HEADING}41,mastercard,,,\n42,house,,,\n43,,,,\n"
    ))
    .unwrap();
    let known = table.lookup(&pan("4111111111111111"));
    assert_eq!(
        (known.brand.as_deref(), known.bin_len),
        (Some("mastercard"), 8),
        "a brand keeps its rule"
    );
    assert_eq!(table.lookup(&pan("4242424242424242")).bin_len, 6);
    assert_eq!(brand(&table, &number("43", 16)), None);
    assert_eq!(brand(&table, "5555555555554444"), None);
}

#[test]
fn errors_name_line_and_field() {
    let with = |row: &str| error(&format!("{HEADING}4,visa,,,\n# comment\n{row}\n"));
    assert_eq!(with("41111111111111,visa,,,").split(", ").next(), Some("line 4"));
    for (row, start) in [
        ("x,visa,,,", "line 4, range: "),
        ("5-4,visa,,,", "line 4, range: ends before it starts"),
        ("5-44,visa,,,", "line 4, range: "),
        ("5,vi sa,,,", "line 4, brand: "),
        ("5,visa,charge,,", "line 4, funding: "),
        ("5,visa,,USA,", "line 4, country: "),
        ("5,visa,,4 ,", "line 4, country: "),
        ("5,visa,,,\u{7}", "line 4, issuer: "),
        ("5,visa,,", "line 4: does not have 5 fields"),
        ("5,visa,,,,", "line 4: does not have 5 fields"),
        ("5,visa,,,\"open", "line 4: has a quote"),
        ("5,\"visa\"x,,,", "line 4: has something"),
        ("4,house,,,", "line 4, range: is that of line 2 again"),
    ] {
        let error = with(row);
        assert!(error.starts_with(start), "{row}: {error}");
    }
    let long = with(&format!("5,visa,,,{}", "x".repeat(129)));
    assert!(long.starts_with("line 4, issuer: "), "{long}");
    assert_eq!(error("mode,replaec\n"), "line 1, mode: is not extend or replace");
    for text in ["", "4,visa,,,\n", "mode,extend\n4,visa,,,\n", "range,brand\n"] {
        assert!(error(text).starts_with("has no heading"), "{text}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let text = format!("{HEADING}4,visa,,,\n5,mastercard,,,\n");
    let error = |bytes, rows| {
        file::parse(&text, &file::Limits { bytes, rows })
            .err()
            .map(|e| e.to_string())
    };
    assert_eq!(error(text.len(), 2), None);
    assert_eq!(error(text.len() - 1, 2).as_deref(), Some("is larger than 60 bytes"));
    assert_eq!(error(text.len(), 1).as_deref(), Some("has more than 1 rows"));
    assert!(BinTable::extended(&" ".repeat(file::LIMITS.bytes + 1)).is_err());
}

#[test]
fn a_file_is_read_from_disk() {
    let mut at = tempfile::NamedTempFile::new().unwrap();
    writeln!(at, "{HEADING}4,house,,,").unwrap();
    assert_eq!(
        brand(&BinTable::read(at.path()).unwrap(), "4111111111111111").as_deref(),
        Some("house")
    );
    at.write_all(b"\xff\xff").unwrap();
    assert!(matches!(BinTable::read(at.path()), Err(BadTable::Io(_))));
    assert!(matches!(BinTable::read(&at.path().join("none")), Err(BadTable::Io(_))));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}", row in "[0-9,\"a-z-]{0,40}") {
        let _ = BinTable::extended(&text);
        if let Ok(table) = BinTable::extended(&format!("{HEADING}{row}")) {
            prop_assert!(table.rows_from_file() <= 1);
        }
    }

    #[test]
    fn a_row_is_found_by_every_number_in_it(
        start in "[0-9]{1,11}", rest in "[0-9]{17}", length in 12usize..=19,
    ) {
        let table = BinTable::extended(&format!("mode,replace\n{HEADING}{start},house,,NL,\n")).unwrap();
        let digits = number(&format!("{start}{rest}")[..length - 1], length);
        let info = table.lookup(&pan(&digits));
        prop_assert_eq!(info.brand.as_deref(), Some("house"));
        prop_assert_eq!(info.country.as_deref(), Some("NL"));
        prop_assert!(table.is_live_range(&digits));
    }

    #[test]
    fn what_has_a_brand_is_live(body in "[0-9]{11,18}") {
        let digits = format!("{body}{}", check_digit(&body).unwrap());
        let table = BinTable::built_in();
        if table.lookup(&pan(&digits)).brand.is_some() {
            prop_assert!(table.is_live_range(&digits));
        }
    }
}
