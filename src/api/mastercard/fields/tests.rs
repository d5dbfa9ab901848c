use proptest::prelude::*;

use super::*;

const PAN: &str = "4111111111111111";

fn json(text: &str) -> Result<Vec<(String, String)>, String> {
    all(|fields| fields.read_json(text.as_bytes()))
}

fn form(text: &str) -> Result<Vec<(String, String)>, String> {
    all(|fields| fields.read_form(text.as_bytes()))
}

fn all(read: impl FnOnce(&mut Fields) -> Result<(), Refusal>) -> Result<Vec<(String, String)>, String> {
    let mut fields = Fields::default();
    read(&mut fields).map_err(|refusal| String::from_utf8(refusal.tree(None).to_json()).unwrap())?;
    Ok(fields
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    Ok(pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect())
}

#[test]
fn json_is_flattened_and_numbers_stay_as_they_are_written() {
    let text = r#" {"order":{"amount":1.00,"item":[{"name":"a"},null,{"name":"\u00e9"}],"custom":"x"},
        "billing":{},"list":[],"none":null,"empty":"","flag":true,"deep":{"a":{"b":{}}},"big":12345678901234567890.10} "#;
    assert_eq!(
        json(text),
        pairs(&[
            ("big", "12345678901234567890.10"),
            ("flag", "true"),
            ("order.amount", "1.00"),
            ("order.custom", "x"),
            ("order.item[0].name", "a"),
            ("order.item[2].name", "é"),
        ])
    );
    assert_eq!(json("{}"), pairs(&[]));
}

#[test]
fn forms_are_decoded_and_empty_pairs_skipped() {
    assert_eq!(
        form("&&apiOperation=PAY&a.b=1+2%2b3&empty=&bare&c[0]=%C3%a9&eq=a=b&="),
        pairs(&[("a.b", "1 2+3"), ("apiOperation", "PAY"), ("c[0]", "é"), ("eq", "a=b")])
    );
    assert_eq!(form(""), pairs(&[]));
    for broken in ["a=%", "a=%2", "a=%zz", "a=%+1", "%=1", "a=%ff", "a=%C3"] {
        assert!(form(broken).unwrap_err().contains("not encoded as a form"), "{broken}");
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    for text in [r#"{"a":"1","a":"2"}"#, r#"{"a":{"b":1},"a":{"b":1}}"#] {
        let told = json(text).unwrap_err();
        assert!(told.contains("given twice"), "{told}");
    }
    assert!(form("a=1&a=1").unwrap_err().contains("given twice"));
    assert_eq!(form("a=&a=1"), pairs(&[("a", "1")]));
}

#[test]
fn what_is_not_an_object_is_told_by_place_only() {
    for text in [
        "",
        "[]",
        "1",
        "null",
        "{",
        r#"{"a":1}x"#,
        r#"{"a" 1}"#,
        r#"{"a":01}"#,
        &format!("\"{PAN}\""),
        &format!("{{{PAN}}}"),
    ] {
        let told = json(text).unwrap_err();
        assert!(
            told.contains("not a JSON object: reading stopped at line"),
            "{text}: {told}"
        );
        assert!(!told.contains(PAN));
    }
    assert!(json("{\"a\":\"\\ud800\"}").unwrap_err().contains("well-formed"));
    assert!(all(|fields| fields.read_json(b"{\"a\":\"\xff\"}")).is_err());
}

#[test]
fn a_name_that_could_be_another_fields_path_is_unsupported() {
    for name in ["a.b", "a[0]", "", "a b", "é", PAN] {
        let told = json(&format!(r#"{{"{name}":1}}"#));
        if name == PAN {
            // a name like any other, until it is found to be no field
            assert!(told.is_ok());
        } else {
            assert!(told.unwrap_err().contains("UNSUPPORTED"), "{name}");
        }
    }
}

#[test]
fn everything_is_bounded() {
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert!(json(&nested(MAX_DEPTH)).is_ok());
    assert!(json(&nested(MAX_DEPTH + 1)).unwrap_err().contains("levels deep"));
    assert!(json(&format!("{{\"a\":{}", "[".repeat(20_000))).is_err());
    assert!(json(&format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000))).is_err());

    let list = |count: usize| format!("{{\"a\":[{}]}}", vec!["1"; count].join(","));
    assert_eq!(json(&list(MAX_FIELDS)).unwrap().len(), MAX_FIELDS);
    assert!(json(&list(MAX_FIELDS + 1)).unwrap_err().contains("500 fields"));

    let named = |length: usize| format!("{{\"{}\":1}}", "a".repeat(length));
    assert!(json(&named(MAX_NAME)).is_ok());
    assert!(json(&named(MAX_NAME + 1)).unwrap_err().contains("UNSUPPORTED"));
    let apart = format!("{{\"{0}\":{{\"{0}\":1}}}}", "a".repeat(MAX_NAME / 2));
    assert!(json(&apart).unwrap_err().contains("UNSUPPORTED"));

    for (name, length, good) in [
        ("a", MAX_VALUE, true),
        ("a", MAX_VALUE + 1, false),
        ("query", MAX_VALUE + 1, true),
    ] {
        assert_eq!(
            json(&format!("{{\"{name}\":\"{}\"}}", "é".repeat(length))).is_ok(),
            good
        );
        assert_eq!(form(&format!("{name}={}", "é".repeat(length))).is_ok(), good);
    }
}

const MAX_DEPTH: usize = 10;

/// Nested JSON and a form that say the same.
fn both() -> impl Strategy<Value = (String, String)> {
    let values = prop::collection::btree_map("[a-c]\\.[d-f]{1,2}\\.[g-i]", "\\PC{0,12}", 0..12);
    values.prop_map(|values| {
        let mut tree = serde_json::Map::new();
        let mut pairs = Vec::new();
        for (path, value) in values {
            let names: Vec<_> = path.split('.').collect();
            let mut at = &mut tree;
            for name in &names[..names.len() - 1] {
                at = at
                    .entry(*name)
                    .or_insert_with(|| serde_json::json!({}))
                    .as_object_mut()
                    .unwrap();
            }
            at.insert(names[names.len() - 1].to_owned(), value.clone().into());
            let encoded: String = value.bytes().map(|b| format!("%{b:02x}")).collect();
            pairs.push(format!("{path}={encoded}"));
        }
        pairs.reverse();
        (serde_json::Value::Object(tree).to_string(), pairs.join("&"))
    })
}

proptest! {
    #[test]
    fn both_wires_give_the_same_fields((from_json, from_form) in both()) {
        prop_assert_eq!(json(&from_json), form(&from_form));
    }

    #[test]
    fn nothing_makes_the_parser_fail_or_repeat_a_card_number(
        pieces in prop::collection::vec(prop_oneof![
            Just(PAN.to_owned()), Just(format!("\"{PAN}\"")), "[\\[\\]{}:,\"a-z0-9 %&=+\\\\]{0,6}", "(null|true|1\\.0|\\{\"a\":|\\}|\\])",
        ], 0..12),
    ) {
        let text = pieces.concat();
        for told in [json(&text), form(&text)] {
            if let Err(told) = told {
                prop_assert!(!told.contains(PAN), "{}", told);
            }
        }
    }
}
