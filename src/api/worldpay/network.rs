//! Network payment tokens: provisioning, looking up, cryptograms, deleting.

use axum::http::StatusCode;
use serde::Serialize;

use super::card::{self, PAST};
use super::context::{Answer, Context};
use super::links::{Links, Rel, Target};
use super::read::{self, Object, Reading, Text};
use super::refusal::Refusal;
use super::{show, wire};
use crate::card::Pan;
use crate::id::UnixMillis;
use crate::payment;
use crate::payment::network_token::ProvisionRefusal;
use crate::payment::network_tokens::{NetworkToken, NetworkTokenState, ProvisionFrom};

/// What provisioning and looking up answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Network<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_payment_instrument: Option<TokenInstrument<'a>>,
    payment_instrument: Instrument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioning_errors: Option<[Provisioning<'a>; 1]>,
    #[serde(rename = "_links")]
    links: Links,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenInstrument<'a> {
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_date: Option<wire::Month>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Instrument<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    first_six: &'a str,
    last_four: &'a str,
    card_expiry_date: wire::Month,
    /// Empty while nobody knows it: the vendor's schema wants it always.
    payment_account_reference: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Provisioning<'a> {
    error_code: &'a str,
    provider_error_code: &'a str,
    source: &'a str,
    context: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cryptograms<'a> {
    cryptogram_details: Cryptogram<'a>,
    #[serde(rename = "_links")]
    links: Links,
}

#[derive(Serialize)]
struct Cryptogram<'a> {
    cryptogram: &'a str,
    eci: &'a str,
}

const TYPE: Text = Text {
    label: "Type",
    min: 0,
    max: usize::MAX,
    allowed: |_| true,
};

/// `POST /tokens/network`
pub(super) async fn provision(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let tree = read::parse(body)?;
    let mut reading = Reading::new();
    let from = reading.root(&tree).and_then(|body| from(&mut reading, context, &body));
    reading.finish()?;
    let from = from.ok_or_else(|| Refusal::failed("an instrument without faults was not read"))?;
    let payments = &context.services.payments;
    let provisioned = payments.provision_network_token(&context.actor, from).await?;
    let mut links = Links::default();
    links.add("self", context.base.path("/tokens/network"));
    let lookup = context.base.path(&format!("/tokens/network/{}", provisioned.reference));
    links.add("tokens:networkTokenLookup", lookup);
    let links = links.with_curie(&context.base);
    let answer = Network {
        token_reference: Some(&provisioned.reference),
        // what is not there yet, or never will be, is shown by the look-up only
        token_payment_instrument: match provisioned.state {
            NetworkTokenState::Active(_) => Some(instrument(&provisioned)),
            NetworkTokenState::Pending | NetworkTokenState::Refused(_) => None,
        },
        ..network(&provisioned, links)
    };
    Answer::of(StatusCode::OK, &answer)
}

/// `GET /tokens/network/{tokenReference}`
pub(super) async fn show(context: &Context<'_>, reference: &str) -> Result<Answer, Refusal> {
    let payments = &context.services.payments;
    let found = payments.network_token(&context.actor, reference).await?;
    let mut links = Links::default();
    links.add(
        "self",
        context.base.path(&format!("/tokens/network/{}", found.reference)),
    );
    links.add(
        "tokens:networkTokenCryptogram",
        context.base.path("/tokens/network/cryptograms"),
    );
    let links = links.with_curie(&context.base);
    let answer = Network {
        token_payment_instrument: Some(instrument(&found)),
        ..network(&found, links)
    };
    Answer::of(StatusCode::OK, &answer)
}

/// `DELETE /tokens/network/{tokenNumber}`
pub(super) async fn delete(context: &Context<'_>, number: &str) -> Result<Answer, Refusal> {
    let number = Pan::parse(number).map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "fieldHasInvalidValue",
            "Token number is not valid",
        )
    })?;
    let payments = &context.services.payments;
    let deleted = payments.delete_network_token(&context.actor, &number).await;
    deleted.map_err(of_number)?;
    Ok(Answer::done())
}

/// `POST /tokens/network/cryptograms`
pub(super) async fn cryptogram(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let tree = read::parse(body)?;
    let mut reading = Reading::new();
    let r = &mut reading;
    let number = r.root(&tree).and_then(|body| {
        let value = r.required(&body, "tokenNumber", "Token number");
        let text = r.text(value, &TYPE)?;
        let number = Pan::parse(text).ok();
        if number.is_none() {
            let path = body.member("tokenNumber");
            r.fault("fieldHasInvalidValue", &path, "Token number is not valid");
        }
        number
    });
    reading.finish()?;
    let number = number.ok_or_else(|| Refusal::failed("a number without faults was not read"))?;
    let payments = &context.services.payments;
    let details = payments
        .network_cryptogram(&context.actor, &number)
        .await
        .map_err(of_number)?;
    let mut links = Links::default();
    links.add("self", context.base.path("/tokens/network/cryptograms"));
    let lookup = context.base.path("/tokens/network/{tokenReference}");
    links.add_template("tokens:networkTokenLookup", lookup);
    let answer = Cryptograms {
        cryptogram_details: Cryptogram {
            cryptogram: details.cryptogram.expose(),
            eci: &details.eci,
        },
        links: links.with_curie(&context.base),
    };
    Answer::of(StatusCode::OK, &answer)
}

/// The vendor has another name for a number that is not there than for a reference.
fn of_number(error: payment::Error) -> Refusal {
    match error {
        payment::Error::Unknown(_) => Refusal::new(
            StatusCode::NOT_FOUND,
            "networkProviderError",
            "Network Token Provider Error",
        ),
        error => error.into(),
    }
}

/// The card that is asked about.
fn from(r: &mut Reading, context: &Context<'_>, body: &Object<'_>) -> Option<ProvisionFrom> {
    card::entity(r, body);
    let instrument = r.required(body, "paymentInstrument", "Payment instrument")?;
    let instrument = r.object(instrument)?;
    let kind = r.required(&instrument, "type", "Type");
    match r.text(kind, &TYPE)? {
        "card/front" => {
            let holder = card::holder(r, &context.services.vault, &instrument);
            let pan = card::number(r, &instrument);
            let expiry = r.required(&instrument, "cardExpiryDate", "Card expiry date");
            let expiry = expiry.and_then(|value| card::month(r, value));
            if expiry.is_some_and(|expiry| expiry.expired_at(UnixMillis::now().0)) {
                let path = instrument.member("cardExpiryDate");
                r.fault("fieldHasInvalidValue", &path, PAST);
            }
            Some(ProvisionFrom::Card {
                pan: pan?,
                expiry: expiry?,
                holder: Some(holder?.to_owned().into()),
            })
        }
        "card/tokenized" => {
            let href = r.required(&instrument, "href", "Href");
            match Target::of_href(r.text(href, &TYPE)?) {
                Some(Target::Token(Rel::Token, token)) => Some(ProvisionFrom::Token(token)),
                _ => {
                    let path = instrument.member("href");
                    r.fault("fieldHasInvalidValue", &path, "The href leads to no token");
                    None
                }
            }
        }
        _ => {
            let path = body.member("paymentInstrument");
            r.fault(
                "fieldHasInvalidValue",
                &path,
                "Couldn't determine type of paymentInstrument",
            );
            None
        }
    }
}

fn network(token: &NetworkToken, links: Links) -> Network<'_> {
    Network {
        token_reference: None,
        token_payment_instrument: None,
        payment_instrument: Instrument {
            kind: "card/masked",
            first_six: &token.first_six,
            last_four: &token.last_four,
            card_expiry_date: show::month(token.card_expiry),
            payment_account_reference: match &token.state {
                NetworkTokenState::Active(provisioned) => provisioned.account_reference.expose(),
                NetworkTokenState::Pending | NetworkTokenState::Refused(_) => "",
            },
        },
        provisioning_errors: match &token.state {
            NetworkTokenState::Active(_) | NetworkTokenState::Pending => None,
            NetworkTokenState::Refused(refusal) => Some([refused(refusal)]),
        },
        links,
    }
}

fn instrument(token: &NetworkToken) -> TokenInstrument<'_> {
    let (status, active) = match &token.state {
        NetworkTokenState::Active(provisioned) => ("Active", Some(provisioned)),
        NetworkTokenState::Pending => ("Pending", None),
        NetworkTokenState::Refused(_) => ("Provision Processor Error", None),
    };
    TokenInstrument {
        status,
        kind: "card/networkToken",
        token_number: active.map(|provisioned| provisioned.number.expose()),
        expiry_date: active.map(|provisioned| show::month(provisioned.expiry)),
    }
}

fn refused(refusal: &ProvisionRefusal) -> Provisioning<'_> {
    Provisioning {
        error_code: &refusal.error_code,
        provider_error_code: &refusal.provider_error_code,
        source: &refusal.source,
        context: &refusal.context,
        message: &refusal.message,
    }
}
