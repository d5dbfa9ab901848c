//! The profile's rest by its members: one JSON object, whose members a dialect names and the core compares and changes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::types::{Error, IntegrityError};

/// Members by their names.
pub(super) type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The members of a text that was checked to be one JSON object; none of no text.
pub(super) fn of(extra: Option<&str>) -> Result<Members<'_>, IntegrityError> {
    extra.map_or(Ok(BTreeMap::new()), |text| {
        serde_json::from_str(text).map_err(|_| IntegrityError::Damaged)
    })
}

/// Whether two JSON texts mean the same. Members of objects have no order.
pub(super) fn same(one: &RawValue, other: &RawValue) -> bool {
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    one.get() == other.get() || value(one) == value(other)
}

/// `extra` with members set and removed; no text where nothing is left.
pub(super) fn changed(
    extra: Option<Zeroizing<String>>,
    changes: &BTreeMap<String, Option<Zeroizing<String>>>,
) -> Result<Option<Zeroizing<String>>, Error> {
    if changes.is_empty() {
        return Ok(extra);
    }
    let mut members = of(extra.as_deref().map(String::as_str))?;
    for (name, change) in changes {
        match change {
            Some(text) => {
                let raw = serde_json::from_str(text).map_err(|_| IntegrityError::Damaged)?;
                members.insert(Cow::Borrowed(name.as_str()), raw);
            }
            None => {
                members.remove(name.as_str());
            }
        }
    }
    written(&members).map_err(Error::from)
}

/// All members, each to be set.
pub(super) fn owned(extra: Option<&str>) -> Result<BTreeMap<String, Option<Zeroizing<String>>>, IntegrityError> {
    let text = |raw: &RawValue| Some(Zeroizing::new(raw.get().to_owned()));
    Ok(of(extra)?
        .into_iter()
        .map(|(name, raw)| (name.into_owned(), text(raw)))
        .collect())
}

/// The member of that name alone, to be set; nothing where it is not there.
pub(super) fn only(
    extra: Option<&Zeroizing<String>>,
    name: &str,
) -> Result<BTreeMap<String, Option<Zeroizing<String>>>, IntegrityError> {
    let members = of(extra.map(|text| text.as_str()))?;
    let text = |raw: &&RawValue| (name.to_owned(), Some(Zeroizing::new(raw.get().to_owned())));
    Ok(members.get(name).map(text).into_iter().collect())
}

/// An object of these members; no text for none.
pub(super) fn written(members: &Members<'_>) -> Result<Option<Zeroizing<String>>, IntegrityError> {
    if members.is_empty() {
        return Ok(None);
    }
    // a name with quotes, colon and comma; an escaped character takes up to 6 bytes: no growing leaves a copy behind
    let room: usize = members
        .iter()
        .map(|(name, raw)| 6 * name.len() + raw.get().len() + 4)
        .sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room + 2));
    serde_json::to_writer(&mut *bytes, members).map_err(|_| IntegrityError::Damaged)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| IntegrityError::Damaged)?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn members_are_set_and_removed_one_by_one() {
        let changes = BTreeMap::from([("b".to_owned(), Some(text("[1, 2]"))), ("c".to_owned(), None)]);
        let after = changed(Some(text(r#"{"a":"x","c":3}"#)), &changes).unwrap();
        assert_eq!(after.unwrap().as_str(), r#"{"a":"x","b":[1, 2]}"#);
        let from_nothing = changed(None, &BTreeMap::from([("b".to_owned(), Some(text("null")))])).unwrap();
        assert_eq!(from_nothing.unwrap().as_str(), r#"{"b":null}"#);
        let to_nothing = changed(Some(text(r#"{"c":3}"#)), &BTreeMap::from([("c".to_owned(), None)])).unwrap();
        assert!(to_nothing.is_none());
        let untouched = changed(Some(text("{ }")), &BTreeMap::new()).unwrap();
        assert_eq!(untouched.unwrap().as_str(), "{ }");
    }

    #[test]
    fn names_with_escapes_stay_as_they_are() {
        let changes = BTreeMap::from([("b".to_owned(), Some(text("1")))]);
        let after = changed(Some(text("{\"a\\\"\\u0062\":2}")), &changes).unwrap().unwrap();
        assert_eq!(after.as_str(), "{\"a\\\"b\":2,\"b\":1}");
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert!(same(&raw(r#"{"a":1,"b":"x"}"#), &raw("{ \"b\":\"\\u0078\", \"a\":1 }")));
        assert!(!same(&raw(r#"{"a":1}"#), &raw(r#"{"a":1,"b":null}"#)));
        assert!(!same(&raw("\"é\""), &raw("\"e\"")));
    }
}
