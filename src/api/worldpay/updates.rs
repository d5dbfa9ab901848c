//! Changing what a token's links name, one attribute at a time, and taking over a conflict.

use zeroize::Zeroizing;

use super::address;
use super::card::{self, DESCRIPTION, HOLDER, REFERENCE};
use super::context::{Answer, Context};
use super::links::Rel;
use super::read::{self, Reading};
use super::refusal::Refusal;
use crate::api::json::Tree;
use crate::id::{Token, UnixMillis};
use crate::vault::types::{Change, ConflictId, Patch, UpdateLimit};

/// How often a token may be changed: 50 times in a rolling 30 days (vendor's changelog, 15 March 2023).
const LIMIT: UpdateLimit = UpdateLimit {
    changes: 50,
    within: 30 * 24 * 3_600 * 1_000,
};

/// `PUT` of one of a token's links.
pub(super) async fn update(context: &Context<'_>, rel: Rel, token: &Token, body: &[u8]) -> Result<Answer, Refusal> {
    let tree = read::parse(body)?;
    let patch = patch(context, rel, &tree)?;
    context.services.vault.update(&context.actor, token, patch).await?;
    Ok(Answer::done())
}

/// `PUT` of a conflict's link.
pub(super) async fn resolve(context: &Context<'_>, id: ConflictId) -> Result<Answer, Refusal> {
    let vault = &context.services.vault;
    vault.resolve_conflict(&context.actor, id, Some(LIMIT)).await?;
    Ok(Answer::done())
}

fn patch(context: &Context<'_>, rel: Rel, tree: &Tree) -> Result<Patch, Refusal> {
    let vault = &context.services.vault;
    let mut reading = Reading::new();
    let r = &mut reading;
    let whole = r.whole(tree);
    let mut patch = Patch {
        limit: Some(LIMIT),
        ..Patch::default()
    };
    match rel {
        Rel::Token => return Err(Refusal::method()),
        Rel::Description => {
            let text = r.text(whole, &DESCRIPTION);
            shows_no_card(r, vault.holds_card_number(text.unwrap_or_default()));
            patch.members = member("description", text.map(json));
        }
        Rel::CardHolderName => {
            let text = r.text(whole, &HOLDER);
            if text.is_some_and(|name| name.trim().is_empty()) {
                r.fault("fieldHasInvalidValue", "$", card::BLANK);
            }
            shows_no_card(r, vault.holds_card_number(text.unwrap_or_default()));
            patch.holder = text.map_or(Change::Keep, |text| Change::Set(Zeroizing::new(text.to_owned())));
        }
        Rel::CardExpiryDate => {
            let expiry = whole.and_then(|value| card::month(r, value));
            if expiry.is_some_and(|expiry| expiry.expired_at(UnixMillis::now().0)) {
                r.fault("fieldHasInvalidValue", "$", card::PAST);
            }
            patch.expiry = expiry.map_or(Change::Keep, Change::Set);
        }
        Rel::BillingAddress => {
            let address = whole.and_then(|value| address::read(r, value));
            patch.members = member("billingAddress", address);
        }
        Rel::SchemeTransactionReference => {
            let text = r.text(whole, &REFERENCE);
            patch.members = member("schemeTransactionReference", text.map(json));
        }
    }
    reading.finish()?;
    Ok(patch)
}

type Members = std::collections::BTreeMap<String, Option<Zeroizing<String>>>;

fn member(name: &str, text: Option<Zeroizing<String>>) -> Members {
    text.into_iter().map(|text| (name.to_owned(), Some(text))).collect()
}

/// A JSON string.
fn json(text: &str) -> Zeroizing<String> {
    // a string always serializes
    Zeroizing::new(serde_json::to_string(text).unwrap_or_default())
}

fn shows_no_card(r: &mut Reading, holds: bool) {
    if holds {
        r.fault(
            "fieldHasInvalidValue",
            "$",
            "The identified field might contain a card number",
        );
    }
}
