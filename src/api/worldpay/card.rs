//! A card as `POST /tokens` and the verified tokens are given it.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::address;
use super::config::Config;
use super::read::{Object, Reading, Text, Value};
use super::refusal::Refusal;
use crate::api::json::Tree;
use crate::card::{Expiry, Pan, luhn_ok};
use crate::id::UnixMillis;
use crate::vault::Vault;
use crate::vault::types::Verification;

/// What makes a token.
pub(super) struct Given {
    pub(super) pan: Pan,
    pub(super) expiry: Expiry,
    pub(super) holder: Zeroizing<String>,
    /// JSON text.
    pub(super) address: Option<Zeroizing<String>>,
    pub(super) description: Option<String>,
    pub(super) expires_at: Option<UnixMillis>,
    pub(super) namespace: Option<Zeroizing<String>>,
    pub(super) reference: Option<String>,
    /// How the card was checked, if it was.
    pub(super) verification: Option<Verification>,
}

/// What is asked of a body.
pub(super) struct Form {
    /// The type of the payment instrument.
    pub(super) instrument: &'static str,
    /// `merchant.entity` must be there.
    pub(super) entity: bool,
}

pub(super) const DESCRIPTION: Text = Text {
    label: "Token description",
    min: 1,
    max: 255,
    allowed: |c| c != '&' && c != '<',
};
pub(super) const HOLDER: Text = Text {
    label: "Card holder name",
    min: 1,
    max: 255,
    allowed: |c| !c.is_control(),
};
pub(super) const REFERENCE: Text = Text {
    label: "Scheme transaction reference",
    min: 1,
    max: 56,
    allowed: |c| c.is_ascii_alphanumeric() || c == ' ',
};
const NUMBER: Text = Text {
    label: "Card number is",
    min: 10,
    max: 19,
    allowed: |c| c.is_ascii_digit(),
};
pub(super) const NAMESPACE: Text = Text {
    label: "Namespace",
    min: 1,
    max: 64,
    allowed: |c| !matches!(c, ' ' | '&' | '<') && !c.is_control(),
};
const DATE: Text = Text {
    label: "Date",
    min: 0,
    max: 64,
    allowed: |_| true,
};
const ENTITY: Text = Text {
    label: "Merchant entity",
    min: 1,
    max: 255,
    allowed: |_| true,
};

/// Reads all of a body that makes a token. Faults go to `reading`; `more` reads what else the body has.
///
/// # Errors
/// All faults together; a time that is too far; a brand that is not known.
pub(super) fn read<T>(
    vault: &Vault,
    config: &Config,
    form: &Form,
    tree: &Tree,
    more: impl FnOnce(&mut Reading, &Object<'_>, Option<&Object<'_>>) -> T,
) -> Result<(Given, T), Refusal> {
    let mut reading = Reading::new();
    let r = &mut reading;
    let Some(body) = r.root(tree) else {
        return Err(fail(reading));
    };
    let description = text(r, &body, "description", &DESCRIPTION);
    shows_no_card(r, vault, &body, "description", description);
    let value = r.optional(&body, "tokenExpiryDateTime");
    let expires_at = time(r, value);
    let namespace = text(r, &body, "namespace", &NAMESPACE);
    if namespace.is_some_and(|name| name.starts_with('_')) {
        let path = body.member("namespace");
        r.fault(
            "stringFailedRegexCheck",
            &path,
            "Namespace must not start with an underscore",
        );
    }
    shows_no_card(r, vault, &body, "namespace", namespace);
    let reference = text(r, &body, "schemeTransactionReference", &REFERENCE);
    if form.entity {
        entity(r, &body);
    }
    let instrument = r.required(&body, "paymentInstrument", "Payment instrument");
    let instrument = instrument.and_then(|value| r.object(value));
    let card = instrument
        .as_ref()
        .and_then(|instrument| card(r, vault, config, form.instrument, instrument));
    let more = more(r, &body, instrument.as_ref());
    let (description, namespace, reference) = (
        description.map(str::to_owned),
        namespace.map(|text| Zeroizing::new(text.to_owned())),
        reference.map(str::to_owned),
    );
    reading.finish()?;
    let (pan, expiry, holder, address) = card.ok_or_else(|| Refusal::failed("a card without faults was not read"))?;
    let longest = u64::try_from(config.longest_life.as_millis()).unwrap_or(u64::MAX);
    if expires_at.is_some_and(|at| at > UnixMillis::now().plus(longest)) {
        return Err(Refusal::new(
            axum::http::StatusCode::BAD_REQUEST,
            "tokenExpiryDateExceededMaximum",
            "Token expiry exceeds maximum time range",
        ));
    }
    if vault.look(&pan).1.brand.is_none() {
        return Err(Refusal::new(
            axum::http::StatusCode::UNPROCESSABLE_ENTITY,
            "unrecognizedCardBrand",
            "The card brand is not recognized",
        ));
    }
    let given = Given {
        pan,
        expiry,
        holder,
        address,
        description,
        expires_at,
        namespace,
        reference,
        verification: None,
    };
    Ok((given, more))
}

/// Who the merchant is to the vendor's bookkeeping: it must be there, and nothing here asks for it.
pub(super) fn entity(r: &mut Reading, body: &Object<'_>) {
    if let Some(merchant) = r.required(body, "merchant", "Merchant")
        && let Some(merchant) = r.object(merchant)
    {
        let entity = r.required(&merchant, "entity", "Merchant entity");
        r.text(entity, &ENTITY);
    }
}

fn fail(reading: Reading) -> Refusal {
    match reading.finish() {
        Err(refusal) => refusal,
        Ok(()) => Refusal::failed("a body that could not be read had no fault"),
    }
}

type Card = (Pan, Expiry, Zeroizing<String>, Option<Zeroizing<String>>);

fn card(r: &mut Reading, vault: &Vault, config: &Config, kind: &str, instrument: &Object<'_>) -> Option<Card> {
    let any = Text {
        label: "Type",
        min: 0,
        max: usize::MAX,
        allowed: |_| true,
    };
    let value = r.required(instrument, "type", "Type");
    if r.text(value, &any).is_some_and(|given| given != kind) {
        let path = instrument.member("type");
        r.fault(
            "fieldHasInvalidValue",
            &path,
            format!("The type of the payment instrument must be {kind}"),
        );
        // what another instrument must have, nobody here can say
        return None;
    }
    let holder = holder(r, vault, instrument);
    let pan = number(r, instrument);
    let expiry = r.required(instrument, "cardExpiryDate", "Card expiry date");
    let expiry = expiry.and_then(|value| month(r, value));
    if let Some(expiry) = expiry
        && !config.past_card_expiry
        && expiry.expired_at(UnixMillis::now().0)
    {
        let path = instrument.member("cardExpiryDate");
        r.fault("fieldHasInvalidValue", &path, PAST);
    }
    let address = r.optional(instrument, "billingAddress");
    let address = address.and_then(|value| address::read(r, value));
    Some((pan?, expiry?, Zeroizing::new(holder?.to_owned()), address))
}

/// What is said of a card that is past its expiry.
pub(super) const PAST: &str = "Card expiry date must not be in the past";

/// What is said of a holder's name that is none.
pub(super) const BLANK: &str = "Card holder name must not be blank";

/// The holder's name.
pub(super) fn holder<'a>(r: &mut Reading, vault: &Vault, instrument: &Object<'a>) -> Option<&'a str> {
    let value = r.required(instrument, "cardHolderName", "Card holder name");
    let holder = r.text(value, &HOLDER);
    if holder.is_some_and(|name| name.trim().is_empty()) {
        let path = instrument.member("cardHolderName");
        r.fault("fieldHasInvalidValue", &path, BLANK);
    }
    shows_no_card(r, vault, instrument, "cardHolderName", holder);
    holder
}

/// The card number.
pub(super) fn number(r: &mut Reading, instrument: &Object<'_>) -> Option<Pan> {
    let value = r.required(instrument, "cardNumber", "Card number");
    let digits = r.text(value, &NUMBER)?;
    let path = instrument.member("cardNumber");
    if !luhn_ok(digits) {
        r.fault("panFailedLuhnCheck", &path, "Card number is not valid");
        return None;
    }
    let pan = Pan::parse(digits).ok();
    if pan.is_none() {
        r.fault(
            "fieldHasInvalidValue",
            &path,
            "Card number has a length that no card has",
        );
    }
    pan
}

/// An expiry.
pub(super) fn month(r: &mut Reading, value: Value<'_>) -> Option<Expiry> {
    let object = r.object(value)?;
    let month = r.required(&object, "month", "Card expiry month");
    let month = r.integer(month, "Card expiry month", 1, 12);
    let year = r.required(&object, "year", "Card expiry year");
    let year = r.integer(year, "Card expiry year", 1, 9_999);
    let (month, year) = (u8::try_from(month?).ok()?, u16::try_from(year?).ok()?);
    // a year of two digits is the year 35, not 2035
    let expiry = Some(year)
        .filter(|year| *year >= 100)
        .and_then(|year| Expiry::new(month, year).ok());
    if expiry.is_none() {
        let path = object.member("year");
        r.fault(
            "fieldHasInvalidValue",
            &path,
            "Card expiry year must be between 2000 & 2099",
        );
    }
    expiry
}

fn time(r: &mut Reading, value: Option<Value<'_>>) -> Option<UnixMillis> {
    let text = r.text(value, &DATE)?;
    const PATH: &str = "$.tokenExpiryDateTime";
    let Ok(at) = text.parse::<Timestamp>() else {
        r.fault(
            "dateHasInvalidFormat",
            PATH,
            "The identified field must be an ISO 8601 date and time",
        );
        return None;
    };
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    if UnixMillis(millis) <= UnixMillis::now() {
        r.fault("fieldHasInvalidValue", PATH, "Token expiry must be in the future");
        return None;
    }
    Some(UnixMillis(millis))
}

fn text<'a>(r: &mut Reading, object: &Object<'a>, name: &str, rule: &Text) -> Option<&'a str> {
    let value = r.optional(object, name);
    r.text(value, rule)
}

/// What is shown with a masked number must not hold one.
fn shows_no_card(r: &mut Reading, vault: &Vault, object: &Object<'_>, name: &str, text: Option<&str>) {
    if text.is_some_and(|text| vault.holds_card_number(text)) {
        let path = object.member(name);
        r.fault(
            "fieldHasInvalidValue",
            &path,
            "The identified field might contain a card number",
        );
    }
}
