//! A billing address.

use serde::Serialize;
use zeroize::Zeroizing;

use super::read::{Reading, Text, Value};
use crate::card::contains_pan;

/// A billing address, in the order of the contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Address<'a> {
    address1: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address2: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address3: Option<&'a str>,
    postal_code: &'a str,
    city: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    country_code: &'a str,
}

/// A billing address, as JSON text.
pub(super) fn read(r: &mut Reading, value: Value<'_>) -> Option<Zeroizing<String>> {
    let object = r.object(value)?;
    let line = |r: &mut Reading, name: &str, needed: bool, label: &'static str, min: usize, max: usize| {
        let value = match needed {
            true => r.required(&object, name, label),
            false => r.optional(&object, name),
        };
        let rule = Text {
            label,
            min,
            max,
            allowed: |_| true,
        };
        let text = r.text(value, &rule);
        if text.is_some_and(contains_pan) {
            let path = object.member(name);
            r.fault(
                "billingAddressMightContainCardNumber",
                &path,
                "Address might contain a card number",
            );
        }
        text
    };
    let address1 = line(r, "address1", true, "Address line 1", 1, 80);
    let address2 = line(r, "address2", false, "Address line 2", 0, 80);
    let address3 = line(r, "address3", false, "Address line 3", 0, 80);
    let postal_code = line(r, "postalCode", true, "Postal code", 1, 15);
    let city = line(r, "city", true, "City", 1, 50);
    let state = line(r, "state", false, "State", 1, 30);
    let country = Text {
        label: "Country code",
        min: 2,
        max: 2,
        allowed: |c| c.is_ascii_uppercase(),
    };
    let value = r.required(&object, "countryCode", "Country code");
    let address = Address {
        country_code: r.text(value, &country)?,
        address1: address1?,
        address2,
        address3,
        postal_code: postal_code?,
        city: city?,
        state,
    };
    serde_json::to_string(&address).ok().map(Zeroizing::new)
}
