//! Many items in one request: a status for each, and a problem for each that failed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::problem::{self, Problem};
use super::request::{Bound, Caller, Payload, Repeatable};
use super::{BATCH_BODY, json_answer, secret_answer, translate, wire};
use crate::api::{Services, json as parser};
use crate::id::{RequestId, Token};
use crate::vault::types::{CallerError, Error, Revealed, Tokenized};

/// Items in one request, at most.
const ITEMS: usize = 1000;

/// What an item of an answer takes beside its secrets, at most, in units of [`translate::secret_json`].
const ITEM_ROOM: usize = 128;

/// Stores up to 1,000 cards.
#[utoipa::path(
    post, path = "/v1/tokens/batch", tag = "batches", operation_id = "createTokens",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours")),
    request_body = wire::CreateBatch,
    responses(
        (status = 200, description = "How each item ended: 201, 200 or a problem", body = inline(wire::Items<wire::MaskedView<'static>, problem::Document<'static>>)),
        Problem,
    ),
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    repeatable: Repeatable,
    payload: Payload<BATCH_BODY>,
) -> Result<Response, Problem> {
    let mut news = Vec::new();
    let mut read = Vec::new();
    let items = items(payload.parse()?)?;
    let bound = repeatable.bind("batch", payload.bytes());
    for item in items {
        let idempotency = bound.as_ref().map(Bound::idempotency);
        let new = parse(&item).and_then(|wire| translate::new_token(wire, idempotency));
        read.push(new.map(|new| news.push(Ok(new))));
    }
    let mut done = services.vault.tokenize_many(&actor, news).await.into_iter();
    let ended = read.into_iter().map(|read| read.and_then(|()| next(&mut done)));
    let ended: Vec<Result<Tokenized, Problem>> = ended.collect();

    log(&ended, &actor.request);
    let items = ended.iter().map(|outcome| {
        Ok(match outcome {
            Ok(Tokenized::Created(view)) => good(StatusCode::CREATED, translate::masked_view(view)?),
            Ok(Tokenized::Reused(view)) => good(StatusCode::OK, translate::masked_view(view)?),
            Err(problem) => failed(problem),
        })
    });
    let items = items.collect::<Result<_, Problem>>()?;
    json_answer(StatusCode::OK, &wire::Items { items })
}

/// Reveals up to 1,000 cards.
#[utoipa::path(
    post, path = "/v1/tokens/reveal-batch", tag = "batches", operation_id = "revealTokens",
    request_body = wire::RevealBatch,
    responses(
        (status = 200, description = "How each item ended: 200 or a problem", body = inline(wire::Items<wire::Revealed<'static>, problem::Document<'static>>)),
        Problem,
    ),
)]
pub(super) async fn reveal(
    State(services): State<Arc<Services>>,
    Caller(actor): Caller,
    payload: Payload<BATCH_BODY>,
) -> Result<Response, Problem> {
    let wanted: Vec<Result<(Token, bool), Problem>> = items(payload.parse()?)?.iter().map(reveal_item).collect();
    // What is not asked for is not opened.
    let asking = |profile: bool| {
        let tokens = wanted.iter().flatten().filter(|(_, with)| *with == profile);
        tokens.map(|(token, _)| Ok(token.clone())).collect()
    };
    let mut cards = services
        .vault
        .reveal_many(&actor, asking(false), false)
        .await
        .into_iter();
    let mut profiles = services.vault.reveal_many(&actor, asking(true), true).await.into_iter();
    let ended = wanted.into_iter().map(|wanted| match wanted? {
        (_, true) => Ok((next(&mut profiles)?, true)),
        (_, false) => Ok((next(&mut cards)?, false)),
    });
    let ended: Vec<Result<(Revealed, bool), Problem>> = ended.collect();

    log(&ended, &actor.request);
    let mut secrets = 0;
    let items = ended.iter().map(|outcome| {
        // Each item needs room for its fixed part, too.
        secrets += ITEM_ROOM;
        Ok(match outcome {
            Ok((revealed, profile)) => {
                secrets += translate::secret_len(revealed);
                good(StatusCode::OK, translate::revealed(revealed, *profile)?)
            }
            Err(problem) => failed(problem),
        })
    });
    let items = items.collect::<Result<_, Problem>>()?;
    secret_answer(&wire::Items { items }, secrets)
}

fn items(batch: wire::Batch) -> Result<Vec<wire::Raw>, Problem> {
    match batch.items.len() {
        1..=ITEMS => Ok(batch.items),
        _ => Err(Problem::field("items", "must have 1 to 1,000 items")),
    }
}

fn parse<T: DeserializeOwned>(item: &wire::Raw) -> Result<T, Problem> {
    Ok(parser::parse(item.0.as_bytes())?)
}

fn reveal_item(item: &wire::Raw) -> Result<(Token, bool), Problem> {
    let wire: wire::RevealItem = parse(item)?;
    let token = Token::parse(&wire.token).map_err(|_| CallerError::UnknownToken)?;
    Ok((token, wire.with.contains(&wire::With::Profile)))
}

/// The next outcome; there is one for each item that was handed over.
fn next<T>(done: &mut impl Iterator<Item = Result<T, Error>>) -> Result<T, Problem> {
    match done.next() {
        Some(outcome) => Ok(outcome?),
        None => Err(Problem::internal("an item of a batch without an outcome")),
    }
}

fn good<R, P>(status: StatusCode, result: R) -> wire::Item<R, P> {
    wire::Item {
        status: status.as_u16(),
        result: Some(result),
        problem: None,
    }
}

fn failed<R>(problem: &Problem) -> wire::Item<R, problem::Document<'_>> {
    wire::Item {
        status: problem.status().as_u16(),
        result: None,
        problem: Some(problem.document(None)),
    }
}

/// One line for each kind of problem, however many items have it.
fn log<T>(ended: &[Result<T, Problem>], request: &RequestId) {
    let mut seen = Vec::new();
    for problem in ended.iter().filter_map(|outcome| outcome.as_ref().err()) {
        if !seen.contains(&problem.code()) {
            seen.push(problem.code());
            problem.log(request);
        }
    }
}
