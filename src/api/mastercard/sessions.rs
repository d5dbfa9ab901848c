//! Sessions: opened, filled, shown.

use axum::http::StatusCode;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::call::{Answer, Call};
use super::faults::Names;
use super::instruction::{AMOUNT, CURRENCY};
use super::kept::{give_back, refuse_cards, write};
use super::record::month_and_year;
use super::refusal::Refusal;
use super::shape;
use super::sources::sources;
use super::tree::Tree;
use crate::api::Services;
use crate::id::fill_random;
use crate::payment::money::{Amount, Currency};
use crate::payment::sessions::{SessionUpdate, SessionView};

/// Opens a session.
///
/// Sessions are no credential here, so that nothing counts against the limit of authentications: it is told as it was
/// asked for. The key is one that clients expect; nothing is encrypted under it, and it is not kept.
pub(super) async fn open(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let limit = call.fields.read(
        "session.authenticationLimit",
        "A limit is a number from 1 to 25.",
        |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=MOST_AUTHENTICATIONS).contains(limit))
        },
    )?;
    let mut key = Zeroizing::new([0; 32]);
    fill_random(key.as_mut()).map_err(|error| Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, 5, error))?;
    let view = services.payments.open_session(&call.actor, call.version.number()).await;
    let view = view.map_err(|error| Names::of(call).refusal(error))?;
    let mut tree = Tree::new();
    head(&mut tree, call, &view);
    tree.text("result", "SUCCESS");
    tree.text("session.aes256Key", BASE64.encode(key.as_ref()));
    tree.number(
        "session.authenticationLimit",
        limit.unwrap_or(MOST_AUTHENTICATIONS).to_string(),
    );
    Ok(Answer {
        status: StatusCode::CREATED,
        tree,
    })
}

/// Puts details into a session.
pub(super) async fn update(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let id = call.fields.required("session.id")?;
    let given = sources(&call.fields, call.version)?;
    // the rest is looked into when it is used
    call.fields
        .read("order.amount", AMOUNT, |text| Amount::parse(text).ok())?;
    call.fields.read("order.currency", CURRENCY, Currency::parse)?;
    refuse_cards(&services.vault, call)?;
    let update = SessionUpdate {
        version: given.session_version,
        card: given.card,
        token: given.token,
        other: write(call.echoed().collect()),
    };
    let view = services
        .payments
        .update_session(&call.actor, id, call.version.number(), update)
        .await;
    let view = view.map_err(|error| Names::of(call).refusal(error))?;
    let mut tree = Tree::new();
    head(&mut tree, call, &view);
    Ok(Answer {
        status: StatusCode::CREATED,
        tree,
    })
}

/// Shows what a session holds, masked. Of a security code nothing is shown.
pub(super) async fn retrieve(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let id = call.fields.required("session.id")?;
    let view = services.payments.session(&call.actor, id).await;
    let view = view.map_err(|error| Names::of(call).refusal(error))?;
    let mut tree = Tree::new();
    give_back(&mut tree, view.other.as_ref().map(|text| text.as_str()), |path| {
        Some(path)
    })?;
    head(&mut tree, call, &view);
    if let Some(masked) = &view.masked {
        shape::number(&mut tree, masked, view.brand.as_deref());
    }
    month_and_year(&mut tree, view.month, view.year);
    tree.maybe(
        "sourceOfFunds.provided.card.nameOnCard",
        view.holder.as_ref().map(|holder| holder.to_string()),
    );
    tree.maybe(
        "sourceOfFunds.token",
        view.token.as_ref().map(|token| token.as_str().to_owned()),
    );
    if view.masked.is_some() || view.token.is_some() {
        tree.text("sourceOfFunds.type", "CARD");
    }
    Ok(Answer {
        status: StatusCode::OK,
        tree,
    })
}

fn head(tree: &mut Tree, call: &Call, view: &SessionView) {
    tree.text("merchant", call.actor.merchant.as_str().to_owned());
    tree.text("session.id", view.id.clone());
    tree.text("session.version", view.version.clone());
    tree.text(
        "session.updateStatus",
        if holds(view) { "SUCCESS" } else { "NO_UPDATE" },
    );
}

/// Whether an update has put anything into it.
fn holds(view: &SessionView) -> bool {
    let card = view.masked.is_some() || view.month.is_some() || view.year.is_some() || view.holder.is_some();
    card || view.has_security_code || view.token.is_some() || view.other.is_some()
}

/// The default too: inferred.
const MOST_AUTHENTICATIONS: u32 = 25;
