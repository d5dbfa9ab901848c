//! Fingerprints: an id for a text under a key of the caller's.
//!
//! What says a card is the same card however it is written: blanks in the number, one digit or two in the month, two digits
//! or four in the year.

use serde::Deserialize;

use super::context::{Answer, Context, parse};
use super::refusal::Refusal;
use super::wire::{self, Secret};
use crate::card::{Expiry, Pan};
use crate::vault::types::Person;

/// Characters of an id that a caller names.
const LENGTH: usize = 20;

/// What a text may be: one that says a card.
#[derive(Deserialize)]
enum Said {
    Card(SaidCard),
    CardNumber(Secret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidCard {
    card_number: Secret,
    card_exp_month: Secret,
    card_exp_year: Secret,
}

/// A record that holds a card, whatever else it holds.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "Card")]
    card: RecordCard,
}

#[derive(Deserialize)]
struct RecordCard {
    card_number: Secret,
    card_exp_month: Secret,
    card_exp_year: Secret,
}

/// `POST …/fingerprint`
pub(super) async fn id(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let wanted = context.parts.headers.get("x-fingerprint-id");
    let wanted = wanted.map(|value| value.to_str().ok().filter(|id| is_id(id)));
    if wanted == Some(None) {
        return Err(Refusal::invalid(
            "x-fingerprint-id must be exactly 20 alphanumeric characters",
        ));
    }
    let asked: wire::Fingerprint = parse(body)?;
    let what = what(asked.key.as_str(), asked.data.as_str());
    let id = context
        .vault
        .fingerprint_id(&context.actor, &what, wanted.flatten())
        .await?;
    Answer::of(&wire::FingerprintId { fingerprint_id: &id }, 60)
}

/// The fingerprints of the card in a record, under the name of whose it is: number and expiry together, and the number
/// alone.
pub(super) fn of_record(entity: &str, data: &str) -> Vec<Person> {
    match serde_json::from_str::<Record>(data) {
        Ok(Record { card }) => [
            with_expiry(entity, &card.card_number, &card.card_exp_month, &card.card_exp_year),
            number(entity, &card.card_number),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Err(_) => Vec::new(),
    }
}

/// What the HSM makes the fingerprint of. A text that says no card is taken as it is.
fn what(key: &str, data: &str) -> Person {
    let said = match serde_json::from_str(data) {
        Ok(Said::Card(card)) => with_expiry(key, &card.card_number, &card.card_exp_month, &card.card_exp_year),
        Ok(Said::CardNumber(pan)) => number(key, &pan),
        // the older API sends the number alone
        Err(_) => Pan::parse(data)
            .ok()
            .map(|pan| Person::new(&["fingerprint", "plain number", key, pan.expose()])),
    };
    said.unwrap_or_else(|| Person::new(&["fingerprint", "text", key, data]))
}

fn with_expiry(key: &str, pan: &Secret, month: &Secret, year: &Secret) -> Option<Person> {
    let pan = Pan::parse(pan.as_str()).ok()?;
    let expiry = Expiry::parse(month.as_str(), year.as_str()).ok()?;
    let expiry = format!("{:02}/{:04}", expiry.month(), expiry.year());
    Some(Person::new(&["fingerprint", "card", key, pan.expose(), &expiry]))
}

fn number(key: &str, pan: &Secret) -> Option<Person> {
    let pan = Pan::parse(pan.as_str()).ok()?;
    Some(Person::new(&["fingerprint", "number", key, pan.expose()]))
}

fn is_id(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
