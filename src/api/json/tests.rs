use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Outer {
    #[allow(dead_code, reason = "read by serde only")]
    inner: Inner,
    #[serde(default)]
    items: Vec<Inner>,
    free: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Inner {
    #[allow(dead_code, reason = "read by serde only")]
    number: String,
    #[allow(dead_code, reason = "read by serde only")]
    month: Option<u8>,
    #[allow(dead_code, reason = "read by serde only")]
    kind: Option<Sort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    One,
    Two,
}

fn field(text: &str) -> (String, String) {
    match parse::<Outer>(text.as_bytes()) {
        Err(Fault::Field { path, why }) => (path, why.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fault_is_told_by_place_and_kind() {
    let said = |path: &str, why: &str| (path.to_owned(), why.to_owned());
    assert_eq!(field(r#"{"inner":{}}"#), said("inner.number", "is missing"));
    assert_eq!(field("{}"), said("inner", "is missing"));
    assert_eq!(
        field(r#"{"inner":{"number":5}}"#),
        said("inner.number", "must be a string")
    );
    assert_eq!(field(r#"{"inner":[]}"#), said("inner", "must be an object"));
    assert_eq!(field("[]"), said("", "must be an object"));
    assert_eq!(field("17"), said("", "must be an object"));
    assert_eq!(
        field(r#"{"inner":{"number":"1","month":300}}"#),
        said("inner.month", "must be a whole number within its range")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1","cvc":"123"}}"#),
        said("inner.cvc", "is not a known member")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1","kind":"three"}}"#),
        said("inner.kind", "must be one of: one, two")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1","kind":{}}}"#),
        said("inner.kind", "must be a string")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1"},"items":[{"number":"1"},{}]}"#),
        said("items[1].number", "is missing")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1","number":"2"}}"#),
        said("inner.number", "is given twice")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1"},"free":1,"free":2}"#),
        said("free", "is given twice")
    );
    assert_eq!(
        field(r#"{"inner":{"number":"1"},"items":[{"number":"1","month":1,"month":1}]}"#),
        said("items[0].month", "is given twice")
    );
}

#[test]
fn free_json_beside_a_fault_is_no_fault() {
    let (path, why) = field(r#"{"free":{"a":[1.50,{}]},"inner":{"number":"1"},"x":1}"#);
    assert_eq!((path.as_str(), why.as_str()), ("x", "is not a known member"));
    let good: Outer = parse(br#"{"free":{"a": [1.50,{}]},"inner":{"number":"1"}}"#).unwrap();
    assert_eq!(good.free.unwrap().get(), r#"{"a": [1.50,{}]}"#);
    assert!(good.items.is_empty());
}

#[test]
fn json_nested_very_deep_is_still_json() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let said = |text: &str| field(text).0;
    assert_eq!(said(&format!(r#"{{"free":{deep},"inner":{{}}}}"#)), "inner.number");
    assert_eq!(said(&format!(r#"{{"inner":{{"number":{deep}}}}}"#)), "inner.number");
    let good: Outer = parse(format!(r#"{{"free":{deep},"inner":{{"number":"1"}}}}"#).as_bytes()).unwrap();
    assert_eq!(good.free.unwrap().get(), deep);
}

#[test]
fn what_is_not_json_is_told_by_line_and_column() {
    assert_eq!(
        parse::<Outer>(b"{\n  nope").unwrap_err(),
        Fault::Syntax { line: 2, column: 3 }
    );
    assert!(matches!(parse::<Outer>(b""), Err(Fault::Syntax { .. })));
    assert!(matches!(
        parse::<Outer>(b"{} x"),
        Err(Fault::Field { .. } | Fault::Syntax { .. })
    ));
    assert!(matches!(parse::<Outer>(b"\xff"), Err(Fault::Syntax { .. })));
    let deep = "[".repeat(100_000);
    assert!(matches!(parse::<Outer>(deep.as_bytes()), Err(Fault::Syntax { .. })));
}

#[test]
fn names_that_may_hold_data_are_not_shown() {
    for name in [
        "4111111111111111",
        "pan4111111111111111",
        "4111-1111-1111-1111",
        "pan_4111_1111_1111_1111",
        "a name",
        "",
        "a_name_that_is_longer_than_any_we_have",
    ] {
        let (path, _) = field(&format!(r#"{{"inner":{{"number":"1"}},"{name}":1}}"#));
        assert_eq!(path, "(name not shown)", "{name}");
    }
}

proptest! {
    #[test]
    fn no_fault_repeats_a_card_number(shape in 0..6usize, key in "[a-z]{0,8}") {
        let pan = "4111111111111111";
        let text = match shape {
            0 => format!(r#"{{"{key}{pan}":1}}"#),
            1 => format!(r#"{{"inner":"{pan}"}}"#),
            2 => format!(r#"{{"inner":{{"number":{pan}}}}}"#),
            3 => format!(r#"{{"inner":{{"number":"1","kind":"{pan}"}}}}"#),
            4 => format!(r#"{{"inner":{{"number":"1","month":{pan}}}}}"#),
            _ => format!(r#"{{"inner" {pan}"#),
        };
        let fault = format!("{:?}", parse::<Outer>(text.as_bytes()).unwrap_err());
        prop_assert!(!fault.contains("41111"), "{}", fault);
    }
}
