//! JSON that has one meaning and one form: what is signed, whatever whitespace and order it travels in.
//!
//! No member twice, no number but integers of 64 bits: other programs read those in more than one way. The one form
//! has members sorted by their names' bytes, no whitespace, and only the escapes that JSON demands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON object.
///
/// # Errors
/// Where and why it is not one, without its text.
pub(crate) fn read(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(format!(
            "it is not JSON with each member once and whole numbers only, at line {} column {}",
            error.line(),
            error.column()
        )),
    }
}

/// The one form of these members.
pub(crate) fn form(members: &Map<String, Value>) -> String {
    // serde_json's map is sorted as long as nobody enables its `preserve_order`; a test below would tell
    Value::Object(members.clone()).to_string()
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON without fractions")
            }

            fn visit_unit<E: Error>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::Array(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut members = Map::new();
                while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
                    if members.insert(name, value).is_some() {
                        return Err(Error::custom("a member stands twice"));
                    }
                }
                Ok(Value::Object(members))
            }
        }

        deserializer.deserialize_any(Any).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn order_and_whitespace_do_not_matter() {
        let members =
            read(b" {\"b\" : [1, -2, null, true], \"a\\u0041\":{\"z\":\"\\u00fc\\/\\n\",\"y\":\"\"} }\n").unwrap();
        assert_eq!(form(&members), r#"{"aA":{"y":"","z":"ü/\n"},"b":[1,-2,null,true]}"#);
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"\u0062":2}}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e2}"#,
            r#"{"a":-0}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":1}x"#,
            r#"["a"]"#,
            "",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn the_form_reads_as_itself(names in proptest::collection::vec(any::<String>(), 0..6), number in any::<i64>()) {
            let members: Map<String, Value> = names.into_iter().map(|name| (name.clone(), name.into()))
                .chain([("n".to_owned(), number.into())]).collect();
            let form = form(&members);
            let read = read(form.as_bytes()).unwrap();
            prop_assert_eq!(&read, &members);
            prop_assert_eq!(super::form(&read), form);
        }
    }
}
