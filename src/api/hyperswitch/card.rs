//! A card as clients give it.

use super::refusal::Refusal;
use super::wire;
use crate::card::{BadExpiry, BadPan, Expiry, Pan};
use crate::payment::SecurityCode;
use crate::payment::wallet::{NewCard, Text};

/// The card that is given.
///
/// # Errors
/// A number or code that is none; an expiry that is none.
pub(super) fn read(card: wire::Card) -> Result<NewCard, Refusal> {
    let pan = Pan::parse(card.card_number.expose()).map_err(|bad| {
        Refusal::json(match bad {
            BadPan::Character => "invalid character found in card number",
            BadPan::Length => "invalid card number length",
            BadPan::Luhn => "card number invalid",
        })
    })?;
    Ok(NewCard {
        pan,
        expiry: expiry(card.card_exp_month.expose(), card.card_exp_year.expose())?,
        holder: given(card.card_holder_name),
        nick_name: given(card.nick_name),
        issuing_country: card.card_issuing_country.map(|country| country.0),
        network: card.card_network.map(|network| network.0),
        issuer: card.card_issuer,
        card_type: card.card_type.map(|kind| kind.as_str().to_owned()),
        code: code(card.card_cvc)?,
    })
}

/// A text that says something.
pub(super) fn given(text: Option<Text>) -> Option<Text> {
    text.filter(|text| !text.expose().trim().is_empty())
}

pub(super) fn code(text: Option<Text>) -> Result<Option<SecurityCode>, Refusal> {
    let code = |text: Text| SecurityCode::parse(text.expose()).ok_or_else(|| Refusal::value("card_cvc"));
    text.map(code).transpose()
}

fn expiry(month: &str, year: &str) -> Result<Expiry, Refusal> {
    for (name, text) in [("card_exp_month", month), ("card_exp_year", year)] {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::value(name));
        }
    }
    Expiry::parse(month, year).map_err(|bad| {
        Refusal::condition(match bad {
            BadExpiry::Month => "Invalid Expiry Month",
            BadExpiry::Year => "Invalid Expiry Year",
        })
    })
}
