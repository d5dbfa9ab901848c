//! What is given back as it came, and kept until then: one flat JSON object of fields' paths and texts. What may be about a
//! person is kept apart, sealed.

use serde_json::Map;
use serde_json::value::Value;
use zeroize::Zeroizing;

use super::call::Call;
use super::fields::Fields;
use super::refusal::Refusal;
use super::tree::Tree;
use crate::vault::Vault;

/// A request's fields to be kept; none where there are none.
pub(super) struct Kept {
    /// In clear.
    pub(super) echo: Option<String>,
    /// Sealed.
    pub(super) personal: Option<Zeroizing<String>>,
}

/// What `call` gives back and so keeps.
///
/// # Errors
/// As [`refuse_cards`].
pub(super) fn kept(vault: &Vault, call: &Call) -> Result<Kept, Refusal> {
    refuse_cards(vault, call)?;
    let of = |personal: bool| {
        let fields = call.echoed().filter(move |(name, _)| is_personal(name) == personal);
        write(fields.collect())
    };
    Ok(Kept {
        echo: of(false).map(|text| text.to_string()),
        personal: of(true),
    })
}

/// Refuses card numbers where they do not belong: what is given back shows them, sealed or not before.
///
/// # Errors
/// A field that is given back, or the name on the card, holds what looks like a card number.
pub(super) fn refuse_cards(vault: &Vault, call: &Call) -> Result<(), Refusal> {
    let holder = call.fields.text(HOLDER).map(|value| (HOLDER, value));
    for (name, value) in call.echoed().chain(holder) {
        if vault.holds_card_number(value) {
            let reason = "It holds what looks like a card number.";
            return Err(Refusal::invalid(name.to_owned(), None, reason));
        }
    }
    Ok(())
}

/// Fields as an object's text; none for no fields.
pub(super) fn write(fields: Vec<(&str, &str)>) -> Option<Zeroizing<String>> {
    if fields.is_empty() {
        return None;
    }
    // an escaped character takes up to 6 bytes: with this room no growing leaves a copy behind
    let room: usize = fields
        .iter()
        .map(|(name, value)| name.len() + 6 * value.len() + 6)
        .sum();
    let mut text = Zeroizing::new(Vec::with_capacity(room + 2));
    for (name, value) in fields {
        let before = if text.is_empty() { b'{' } else { b',' };
        text.push(before);
        quote(name, &mut text);
        text.push(b':');
        quote(value, &mut text);
    }
    text.push(b'}');
    // JSON text is UTF-8
    String::from_utf8(std::mem::take(&mut *text)).ok().map(Zeroizing::new)
}

/// Fields from an object's text.
///
/// # Errors
/// Nothing that [`write()`] wrote.
pub(super) fn read(text: &str) -> Result<Fields, Refusal> {
    let damaged = || Refusal::failed("kept fields cannot be read");
    let members: Map<String, Value> = serde_json::from_str(text).map_err(|_| damaged())?;
    let mut fields = Fields::default();
    for (name, value) in members {
        let Value::String(value) = value else {
            return Err(damaged());
        };
        fields.add(&name, Zeroizing::new(value))?;
    }
    Ok(fields)
}

/// Gives kept fields back, those that `name` gives a name to.
///
/// # Errors
/// As [`read`].
pub(super) fn give_back<'a>(
    tree: &mut Tree,
    kept: impl IntoIterator<Item = &'a str>,
    name: impl Fn(&str) -> Option<&str>,
) -> Result<(), Refusal> {
    for text in kept {
        for (path, value) in read(text)?.iter() {
            if let Some(path) = name(path) {
                tree.echo(path, value);
            }
        }
    }
    Ok(())
}

/// Whether a field may be about a person: all that is not known to be about the business alone.
fn is_personal(name: &str) -> bool {
    const BUSINESS: [&str; 11] = [
        "order.certainty",
        "order.custom",
        "order.customerOrderDate",
        "order.description",
        "order.invoiceNumber",
        "order.merchantCategoryCode",
        "order.notificationUrl",
        "order.reference",
        "partnerSolutionId",
        "sourceOfFunds.provided.card.storedOnFile",
        "userId",
    ];
    !BUSINESS.contains(&name) && !name.starts_with("agreement.") && !name.starts_with("transaction.")
}

const HOLDER: &str = "sourceOfFunds.provided.card.nameOnCard";

fn quote(text: &str, out: &mut Vec<u8>) {
    // writing a text into memory does not fail
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_be_about_a_person_is_sealed() {
        for name in [
            "billing.address.street",
            "customer.email",
            "device.ipAddress",
            "order.customerNote",
            "order.requestorName",
            "shipping.contact.firstName",
        ] {
            assert!(is_personal(name), "{name}");
        }
        for name in ["order.reference", "transaction.merchantNote", "agreement.id"] {
            assert!(!is_personal(name), "{name}");
        }
    }

    #[test]
    fn no_fields_are_no_text_and_other_text_is_refused() {
        assert!(write(Vec::new()).is_none());
        for text in ["", "[]", "{\"a\":1}", "{\"a\":{}}", "{\"a\":null}"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_reads_back(values in prop::collection::btree_map("[a-z]{1,3}(\\.[a-z]{1,3}(\\[[0-9]\\])?){0,3}", any::<String>(), 1..9)) {
            let fields = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let text = write(fields).unwrap();
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            let read = read(&text).unwrap();
            // an empty text is as good as none
            let expected: Vec<_> = values.iter().filter(|(_, value)| !value.is_empty()).collect();
            let read: Vec<_> = read.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert!(read.iter().map(|(n, v)| (n, v)).eq(expected));
        }
    }
}
