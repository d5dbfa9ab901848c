//! The names of members in a JSON text, wherever they stand, without reading the values: they may be nested to any depth,
//! and numbers may be larger than any type here.

use std::borrow::Cow;

/// Whether a member whose value is not `null` has a name that `is_meant`. `text` is valid JSON.
pub(super) fn has_member(text: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let mut rest = text;
    while let Some((string, behind)) = next_string(rest) {
        rest = behind;
        // outside strings a colon stands behind names only
        let Some(value) = behind.trim_start_matches(BLANKS).strip_prefix(':') else {
            continue;
        };
        let null = value.trim_start_matches(BLANKS).starts_with("null");
        if !null && is_meant(&decoded(string)) {
            return true;
        }
    }
    false
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The next string with its quotes, and what stands behind it.
fn next_string(text: &str) -> Option<(&str, &str)> {
    let (_, from) = text.split_at_checked(text.find('"')?)?;
    let mut escaped = true;
    let end = from.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    })?;
    from.split_at_checked(end + 1)
}

fn decoded(string: &str) -> Cow<'_, str> {
    // one that cannot be decoded, with half of a surrogate pair in it, is looked at as it is written
    serde_json::from_str::<String>(string).map_or(Cow::Borrowed(string), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn held(text: &str) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(text).unwrap();
        has_member(text, |name| name == "cvc")
    }

    #[test]
    fn names_are_found_at_any_depth() {
        let deep = format!("{}{{\"cvc\":1}}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [
            r#"{"cvc":"123"}"#,
            "{\"cvc\"\n:\t1e999}",
            r#"{"a":[{"b":{"\u0063vc":{}}}]}"#,
            r#"{"a":"\\","cvc":1}"#,
            r#"{"cvc":null,"cvc":1}"#,
            r#"[{},{"a":"\"","cvc":""}]"#,
        ] {
            assert!(held(text), "{text}");
        }
        assert!(has_member(&deep, |name| name == "cvc"));
        for text in [
            "{}",
            r#""cvc""#,
            r#"{"a":"cvc"}"#,
            r#"["cvc","cvc"]"#,
            r#"{"cvc":null}"#,
            r#"{"cvc" : null }"#,
            r#"{"a":"\"cvc\":1"}"#,
            r#"{"cvcs":1,"\"cvc":2}"#,
            "1e999",
        ] {
            assert!(!held(text), "{text}");
        }
    }

    /// Whether a tree has it.
    fn has(value: &Value) -> bool {
        match value {
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| (name == "cvc" && !value.is_null()) || has(value)),
            Value::Array(items) => items.iter().any(has),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "cvc|\\PC{0,6}|[\"\\\\:{}]{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = "cvc|[\"\\\\:{}a]{0,4}";
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(name, inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_tree_has(value in json(), pretty in proptest::bool::ANY) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            prop_assert_eq!(held(&text), has(&value), "{}", text);
        }
    }
}
