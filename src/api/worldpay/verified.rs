//! Tokens of cards that are checked first. One that does not pass is stored all the same, and the answer says so.

use axum::http::StatusCode;
use serde::Serialize;

use super::card::{self, Form};
use super::context::{Answer, Context};
use super::links::Links;
use super::read::{self, Text};
use super::refusal::Refusal;
use super::{show, tokens, wire};
use crate::id::UnixMillis;
use crate::payment::SecurityCode;
use crate::payment::acquirer::{self, CodeCheck, Verdict};
use crate::payment::money::Currency;
use crate::payment::tokens::CheckedCard;
use crate::vault::types::{self as core, View};

/// What the card is going to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Later payments: the scheme gives a reference for them.
    CardOnFile,
    /// One payment.
    OneTime,
}

#[derive(Serialize)]
struct Verified<'a> {
    #[serde(rename = "_embedded")]
    embedded: Embedded<'a>,
}

#[derive(Serialize)]
struct Embedded<'a> {
    verification: Verification<'a>,
    token: wire::Token<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verification<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme_transaction_reference: Option<&'a str>,
    checked_at: String,
    risk_factors: Vec<Risk>,
    payment_instrument: Checked<'a>,
    #[serde(rename = "_links")]
    links: Links,
}

#[derive(Serialize)]
struct Risk {
    risk: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Checked<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    card: Card<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Card<'a> {
    number: Number<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<wire::Month>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<&'a str>,
    funding_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Number<'a> {
    bin: &'a str,
    last4_digits: &'a str,
}

const CODE: Text = Text {
    label: "Card security code",
    min: 3,
    max: 4,
    allowed: |c| c.is_ascii_digit(),
};
const CURRENCY: Text = Text {
    label: "Verification currency",
    min: 3,
    max: 3,
    allowed: |c| c.is_ascii_uppercase(),
};
const NARRATIVE: Text = Text {
    label: "Narrative",
    min: 1,
    max: 24,
    allowed: |_| true,
};

/// `POST /verifiedTokens/cardOnFile` and `POST /verifiedTokens/oneTime`
pub(super) async fn create(context: &Context<'_>, kind: Kind, body: &[u8]) -> Result<Answer, Refusal> {
    let form = Form {
        instrument: "card/plain",
        entity: true,
    };
    let tree = read::parse(body)?;
    let (vault, config) = (&context.services.vault, &context.services.worldpay);
    let (mut given, (code, currency)) = card::read(vault, config, &form, &tree, |r, body, instrument| {
        let value = r.required(body, "verificationCurrency", "Verification currency");
        let currency = r.text(value, &CURRENCY).map(Currency::parse);
        if let Some(None) = currency {
            let path = body.member("verificationCurrency");
            r.fault(
                "fieldHasInvalidValue",
                &path,
                "Verification currency is not one of ISO 4217",
            );
        }
        if let Some(value) = r.optional(body, "narrative")
            && let Some(narrative) = r.object(value)
        {
            let line = r.required(&narrative, "line1", "Narrative line 1");
            r.text(line, &NARRATIVE);
            let line = r.optional(&narrative, "line2");
            r.text(line, &NARRATIVE);
        }
        let code = instrument.and_then(|instrument| {
            let value = r.optional(instrument, "cvc");
            r.text(value, &CODE).and_then(SecurityCode::parse)
        });
        (code, currency.flatten())
    })?;
    let currency = currency.ok_or_else(|| Refusal::failed("a currency without faults was not read"))?;
    let checked_at = UnixMillis::now();
    let asked = CheckedCard {
        pan: &given.pan,
        expiry: given.expiry,
        security_code: code.as_ref(),
        currency,
        on_file: kind == Kind::CardOnFile,
    };
    let answer = context.services.payments.verify_card(&context.actor, asked).await?;
    drop(code);
    let verified = match answer.verdict {
        Verdict::Approved => true,
        Verdict::Declined | Verdict::ExpiredCard | Verdict::InsufficientFunds | Verdict::InvalidSecurityCode => false,
        // nobody has said no
        Verdict::SystemError | Verdict::TimedOut | Verdict::Unknown | Verdict::UnspecifiedFailure => {
            return Err(Refusal::not_now(5, &answer.message));
        }
    };
    given.reference.clone_from(&answer.network_reference);
    given.verification = verified.then_some(core::Verification::Acquirer);
    let compared = tokens::store(context, given).await?;
    let (status, there, conflict) = tokens::parts(&compared);
    let status = if verified { status } else { StatusCode::PARTIAL_CONTENT };
    let token = show::token(&context.base, context.media.version, there, None, conflict)?;
    let embedded = Embedded {
        verification: verification(context, &answer, &there.view, checked_at),
        token,
    };
    let location = context.base.token(&there.view.token);
    Ok(Answer::of(status, &Verified { embedded })?.at(location))
}

fn verification<'a>(
    context: &Context<'_>,
    answer: &'a acquirer::Answer,
    view: &'a View,
    checked_at: UnixMillis,
) -> Verification<'a> {
    let refused = answer.verdict != Verdict::Approved;
    let cvc = match answer.security_code {
        CodeCheck::Match => "matched",
        CodeCheck::NoMatch => "not_matched",
        CodeCheck::NotProcessed => "not_checked",
        CodeCheck::NotPresented => "not_supplied",
    };
    let mut links = Links::default();
    let reference = context
        .base
        .path(&format!("/verifications/accounts/{}", answer.reference));
    links.add("verifications:verification", reference);
    links.curie(&context.base, "verifications", "/rels/verifications/accounts/{rel}");
    Verification {
        outcome: if refused { "not verified" } else { "verified" },
        code: refused.then_some(answer.code.as_str()),
        description: refused.then_some(answer.message.as_str()),
        scheme_transaction_reference: answer.network_reference.as_deref(),
        checked_at: checked_at.to_string(),
        risk_factors: vec![Risk { risk: cvc, kind: "cvc" }],
        payment_instrument: Checked {
            kind: "card/plain",
            card: Card {
                number: Number {
                    bin: view.masked.get(..4).unwrap_or_default(),
                    last4_digits: &view.last4,
                },
                country_code: view.country.as_deref(),
                expiry_date: view.expiry.map(show::month),
                brand: view.brand.as_deref(),
                funding_type: show::funding(view.funding.as_deref()),
            },
        },
        links,
    }
}
