//! Cards as they are.

use serde::Serialize;

use super::method::{network_of, written};
use crate::card::Expiry;
use crate::payment::network_token::Provisioned;
use crate::payment::wallet::{Method, RawCard, Text};

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Raw<'a> {
    Card(RawDetails<'a>),
    CardWithNT {
        card_details: RawDetails<'a>,
        network_token_details: RawDetails<'a>,
    },
}

#[derive(Serialize)]
pub(super) struct RawDetails<'a> {
    card_number: &'a str,
    card_exp_month: String,
    card_exp_year: String,
    card_holder_name: Option<&'a Text>,
    nick_name: Option<&'a Text>,
    card_issuing_country: Option<&'a str>,
    card_network: Option<&'a str>,
    card_issuer: Option<&'a str>,
    card_type: Option<&'a str>,
    card_cvc: Option<&'a str>,
}

impl<'a> Raw<'a> {
    /// A network token goes with its card.
    pub(super) fn of(method: &'a Method, raw: &'a RawCard) -> Self {
        let code = raw.code.as_ref().map(|code| code.expose());
        let card = raw_details(method, raw.pan.expose(), raw.expiry, code);
        match &raw.network {
            None => Self::Card(card),
            Some(Provisioned { number, expiry, .. }) => Self::CardWithNT {
                card_details: card,
                network_token_details: raw_details(method, number.expose(), *expiry, None),
            },
        }
    }
}

fn raw_details<'a>(method: &'a Method, number: &'a str, expiry: Expiry, code: Option<&'a str>) -> RawDetails<'a> {
    let card = &method.card;
    let (card_exp_month, card_exp_year) = written(expiry);
    RawDetails {
        card_number: number,
        card_exp_month,
        card_exp_year,
        card_holder_name: card.holder.as_ref(),
        nick_name: card.nick_name.as_ref(),
        card_issuing_country: card.issuing_country.as_deref(),
        card_network: network_of(method),
        card_issuer: card.issuer.as_deref(),
        card_type: card.card_type.as_deref(),
        card_cvc: code,
    }
}
