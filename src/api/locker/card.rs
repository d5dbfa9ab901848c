//! A card between the form of the contract and what the core keeps.

use zeroize::Zeroizing;

use super::context::Answer;
use super::refusal::Refusal;
use super::wire::{self, Done, Kept, KeptCard, Retrieved, Secret, ShownCard};
use crate::card::{Expiry, Pan};
use crate::id::{Token, UnixMillis};
use crate::vault::types::{Format, NewToken, Profile, Reuse, RevealedRecord, Terms, Uses};

pub(super) fn new_token(
    reference: Option<Token>,
    card: wire::Card,
    expires_at: Option<UnixMillis>,
) -> Result<NewToken, Refusal> {
    let pan = pan(&card.card_number)?;
    let expiry = match (&card.card_exp_month, &card.card_exp_year) {
        // anything is taken for an expiry; what is none is kept as it is and not shown as one
        (Some(month), Some(year)) => Expiry::parse(month.as_str(), year.as_str()).ok(),
        _ => None,
    };
    // an empty name is a name here, and no holder elsewhere
    let (holder, name_on_card) = match card.name_on_card {
        Some(name) if name.as_str().trim().is_empty() => (None, Some(name)),
        name => (name.map(|Secret(text)| text), None),
    };
    let kept = Kept {
        card: KeptCard {
            name_on_card,
            card_exp_month: card.card_exp_month,
            card_exp_year: card.card_exp_year,
            card_brand: card.card_brand,
            card_isin: card.card_isin,
            nick_name: card.nick_name,
        },
    };
    Ok(NewToken {
        pan,
        expiry,
        profile: Profile {
            holder,
            extra: Some(kept.text()?),
        },
        format: reference.map_or(Format::Opaque, Format::Supplied),
        reuse: Reuse::Never,
        namespace: None,
        metadata: None,
        expires_at,
        uses: Uses::Multi,
        idempotency: None,
        verification: None,
        terms: Terms::default(),
    })
}

/// The number without blanks. The same card is the same card however it is written.
fn pan(sent: &Secret) -> Result<Pan, Refusal> {
    let text = sent.as_str();
    if text.contains('-') {
        return Err(number_invalid());
    }
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    digits.extend(text.chars().filter(|c| !c.is_whitespace()));
    Pan::parse(&digits).map_err(|_| number_invalid())
}

fn number_invalid() -> Refusal {
    Refusal::invalid("card number invalid")
}

/// A card in the form of the contract. A token that another dialect made has what that knows.
pub(super) fn show(revealed: &RevealedRecord) -> Result<Answer, Refusal> {
    let profile = &revealed.record.profile;
    let kept = match &profile.extra {
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
        None => Kept::default(),
    };
    let text = |secret: &'_ Option<Secret>| secret.as_ref().map(|secret| Zeroizing::new(secret.as_str().to_owned()));
    let name = text(&kept.card.name_on_card).or_else(|| profile.holder.clone());
    let length = profile.extra.as_ref().map_or(0, |text| text.len()) + 6 * name.as_ref().map_or(0, |name| name.len());
    let Kept { card } = &kept;
    let shown = ShownCard {
        card_number: revealed.pan.expose(),
        name_on_card: name.as_ref().map(|name| name.as_str()),
        card_exp_month: card.card_exp_month.as_ref().map(Secret::as_str),
        card_exp_year: card.card_exp_year.as_ref().map(Secret::as_str),
        card_brand: card.card_brand.as_ref().map(Secret::as_str),
        card_isin: card.card_isin.as_ref().map(Secret::as_str),
        nick_name: card.nick_name.as_ref().map(Secret::as_str),
    };
    let payload = Retrieved {
        card: Some(shown),
        enc_card_data: None,
    };
    Answer::of(&Done::with(payload), length + 300)
}

impl Kept {
    fn text(&self) -> Result<Zeroizing<String>, Refusal> {
        let KeptCard {
            name_on_card,
            card_exp_month,
            card_exp_year,
            card_brand,
            card_isin,
            nick_name,
        } = &self.card;
        let texts = [
            name_on_card,
            card_exp_month,
            card_exp_year,
            card_brand,
            card_isin,
            nick_name,
        ];
        // an escaped character takes up to 6 bytes
        let lengths = texts
            .iter()
            .map(|text| text.as_ref().map_or(0, |text| 6 * text.as_str().len()));
        let mut bytes = Zeroizing::new(Vec::with_capacity(lengths.sum::<usize>() + 200));
        serde_json::to_writer(&mut *bytes, self).map_err(Refusal::failed)?;
        let text = std::str::from_utf8(&bytes).map_err(Refusal::failed)?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}
