//! Tokens: made and changed, shown, removed.

use axum::http::StatusCode;

use super::call::{Answer, Call};
use super::faults::Names;
use super::fields::Fields;
use super::instruction::{CURRENCY, take_from_session};
use super::kept::refuse_cards;
use super::refusal::Refusal;
use super::shape;
use super::sources::sources;
use super::tree::Tree;
use crate::api::Services;
use crate::id::Token;
use crate::payment::acquirer::Verdict;
use crate::payment::money::Currency;
use crate::payment::tokens::{Checked, SaveToken, Saved};
use crate::vault::types::Verification;

/// Stores a card under a token: a new one, or the one that is named.
pub(super) async fn save(services: &Services, mut call: Call) -> Result<Answer, Refusal> {
    refuse_unmasking(&call)?;
    take_from_session(services, &mut call).await?;
    refuse_cards(&services.vault, &call)?;
    let fields = &call.fields;
    let save = SaveToken {
        token: fields.read("token", "A token has 1 to 40 letters and digits.", token_id)?,
        sources: sources(fields, call.version)?,
        verification: fields.read(
            "verificationStrategy",
            "It is one of ACCOUNT_UPDATER, ACQUIRER, BASIC, NONE.",
            verification,
        )?,
        currency: fields.read("transaction.currency", CURRENCY, Currency::parse)?,
    };
    let saved = services.payments.save_token(&call.actor, save).await;
    let saved = saved.map_err(|error| Names::of(&call).refusal(error))?;

    let mut tree = Tree::new();
    call.echoed().for_each(|(name, value)| tree.echo(name, value));
    saved_token(&mut tree, &call, &saved);
    Ok(Answer {
        status: StatusCode::CREATED,
        tree,
    })
}

/// Shows a token.
pub(super) async fn retrieve(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    refuse_unmasking(call)?;
    let names = Names::of(call);
    let view = services.vault.inspect(&call.actor, &named(&call.fields)?).await;
    let view = view.map_err(|error| names.refusal(error))?;
    let mut tree = Tree::new();
    tree.text("result", "SUCCESS");
    shape::token(&mut tree, call.version, &call.actor.repository_name, &view);
    Ok(Answer {
        status: StatusCode::OK,
        tree,
    })
}

/// Removes a token and its card.
pub(super) async fn delete(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let names = Names::of(call);
    let receipt = services.vault.delete(&call.actor, &named(&call.fields)?).await;
    // this API has no place for the receipt; the audit trail has the deletion
    receipt.map_err(|error| names.refusal(error))?;
    let mut tree = Tree::new();
    tree.text("result", "SUCCESS");
    Ok(Answer {
        status: StatusCode::OK,
        tree,
    })
}

/// The token that the request names. One of another dialect's form may be in the repository too.
fn named(fields: &Fields) -> Result<Token, Refusal> {
    let text = fields.required("token")?;
    Token::parse(text).map_err(|_| Refusal::invalid("token", None, "There is no such token."))
}

/// A token as this API lets merchants name one.
fn token_id(text: &str) -> Option<Token> {
    let good = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then(|| Token::parse(text).ok()).flatten()
}

fn verification(text: &str) -> Option<Verification> {
    let all = [
        Verification::AccountUpdater,
        Verification::Acquirer,
        Verification::Basic,
        Verification::None,
    ];
    all.into_iter().find(|known| shape::strategy(*known) == text)
}

/// Card numbers leave this API masked only; a client that counts on more is told so.
fn refuse_unmasking(call: &Call) -> Result<(), Refusal> {
    match call.fields.text("responseControls.sensitiveData") {
        Some("UNMASK") => Err(Refusal::invalid(
            "responseControls.sensitiveData",
            Some("UNMASK"),
            "Card numbers are given masked only.",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Writes how a save ended.
fn saved_token(tree: &mut Tree, call: &Call, saved: &Saved) {
    let passed = match saved.checked {
        Checked::Refused(_) | Checked::UpdaterClosed => false,
        Checked::NotChecked
        | Checked::Basic
        | Checked::Acquirer
        | Checked::UpdaterCurrent
        | Checked::UpdaterChanged
        | Checked::UpdaterUnavailable => true,
    };
    tree.text("result", if passed { "SUCCESS" } else { "FAILURE" });
    tree.text("response.gatewayCode", gateway_code(saved.checked));
    if let Some(view) = &saved.view {
        shape::token(tree, call.version, &call.actor.repository_name, view);
    } else {
        // an answer has a status always, and what is not stored is not valid
        tree.text("status", "INVALID");
    }
    if let Some(card) = &saved.refused_card {
        let shown = shape::Card {
            masked: &card.masked,
            brand: card.brand.as_deref(),
            funding: card.funding.as_deref(),
            expiry: card.expiry,
        };
        shape::card(tree, &shown);
    }
    tree.text("verificationStrategy", shape::strategy(saved.verification));
}

/// The code for how a check went. The API's codes for the account updater are not known: these are inferred.
fn gateway_code(checked: Checked) -> &'static str {
    match checked {
        Checked::NotChecked | Checked::UpdaterUnavailable => "NO_VERIFICATION_PERFORMED",
        Checked::Basic => "BASIC_VERIFICATION_SUCCESSFUL",
        Checked::Acquirer | Checked::UpdaterChanged | Checked::UpdaterCurrent => "EXTERNAL_VERIFICATION_SUCCESSFUL",
        Checked::UpdaterClosed => "EXTERNAL_VERIFICATION_DECLINED",
        Checked::Refused(verdict) => match verdict {
            Verdict::Declined | Verdict::InsufficientFunds => "EXTERNAL_VERIFICATION_DECLINED",
            Verdict::ExpiredCard => "EXTERNAL_VERIFICATION_DECLINED_EXPIRED_CARD",
            Verdict::InvalidSecurityCode => "EXTERNAL_VERIFICATION_DECLINED_INVALID_CSC",
            // an approval is no refusal, so it is not told as a success either
            Verdict::Approved
            | Verdict::SystemError
            | Verdict::TimedOut
            | Verdict::Unknown
            | Verdict::UnspecifiedFailure => "EXTERNAL_VERIFICATION_PROCESSING_ERROR",
        },
    }
}
