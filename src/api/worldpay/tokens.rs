//! Making, finding, showing and deleting tokens.

use axum::http::StatusCode;
use zeroize::Zeroizing;

use super::card::{self, Form, Given, NAMESPACE};
use super::context::{Answer, Context};
use super::links::Links;
use super::media::Version;
use super::refusal::Refusal;
use super::{read, show, wire};
use crate::api::form;
use crate::card::Pan;
use crate::id::{Namespace, Token, UnixMillis};
use crate::vault::types::{
    CallerError, Compared, Comparison, Conflict, ConflictId, Described, Error, Format, NewToken, Operation, Profile,
    Reuse, Terms, Uses,
};

/// What of a card that is there is compared, beside holder and expiry. The vendor lists these, and takes over a reference
/// where none is stored.
const COMPARISON: Comparison = Comparison {
    members: &["billingAddress", "schemeTransactionReference"],
    filled: &["schemeTransactionReference"],
};

/// The most cards of a namespace.
const NAMESPACE_LIMIT: u8 = 16;

/// `POST /tokens`
pub(super) async fn create(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let form = Form {
        instrument: "card/front",
        entity: context.media.version == Version::V3,
    };
    let tree = read::parse(body)?;
    let (vault, config) = (&context.services.vault, &context.services.worldpay);
    let (given, ()) = card::read(vault, config, &form, &tree, |_, _, _| ())?;
    let compared = store(context, given).await?;
    let (status, there, conflict) = parts(&compared);
    let token = show::token(&context.base, context.media.version, there, None, conflict)?;
    let location = context.base.token(&there.view.token);
    Ok(Answer::of(status, &token)?.at(location))
}

/// How storing ended, in parts.
pub(super) fn parts(compared: &Compared) -> (StatusCode, &Described, Option<&Conflict>) {
    match compared {
        Compared::Created(there) => (StatusCode::CREATED, there, None),
        Compared::Same(there) => (StatusCode::OK, there, None),
        Compared::Different { there, conflict } => (StatusCode::CONFLICT, there, Some(conflict)),
    }
}

/// Stores a card by the decision table.
pub(super) async fn store(context: &Context<'_>, given: Given) -> Result<Compared, Refusal> {
    let (vault, actor) = (&context.services.vault, &context.actor);
    let namespace = match &given.namespace {
        Some(text) => Some(vault.personal_namespace(actor, text).await?),
        None => None,
    };
    let new = new_token(context, given, namespace)?;
    Ok(vault.tokenize_compared(actor, new, COMPARISON).await?)
}

fn new_token(context: &Context<'_>, given: Given, namespace: Option<Namespace>) -> Result<NewToken, Refusal> {
    let config = &context.services.worldpay;
    let now = UnixMillis::now();
    let life = match context.actor.test {
        true => config.test_life,
        false => config.life,
    };
    let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    let description = match given.description {
        Some(text) => text,
        None => format!("Token of {}", now.to_string().get(..10).unwrap_or_default()),
    };
    let text = |text: &Option<Zeroizing<String>>| text.as_ref().map(|text| text.to_string());
    let extra = show::kept(
        given.address.as_ref().map(|text| text.as_str()),
        &description,
        text(&given.namespace).as_deref(),
        given.reference.as_deref(),
    )?;
    // the card is the same for one merchant within one namespace, or outside all of them
    let scope = match &namespace {
        Some(namespace) => format!("worldpay/{}/{namespace}", context.actor.merchant),
        None => format!("worldpay/{}", context.actor.merchant),
    };
    // a time that the request gave holds
    let renews = config.renew_on_use && !context.actor.test && given.expires_at.is_none();
    Ok(NewToken {
        pan: given.pan,
        expiry: Some(given.expiry),
        profile: Profile {
            holder: Some(given.holder),
            extra: Some(extra),
        },
        format: Format::Opaque,
        reuse: Reuse::Return {
            scope: scope.into_bytes(),
        },
        namespace,
        metadata: None,
        expires_at: Some(given.expires_at.unwrap_or_else(|| now.plus(life))),
        uses: Uses::Multi,
        idempotency: None,
        verification: given.verification,
        terms: Terms {
            alias: true,
            namespace_limit: Some(NAMESPACE_LIMIT),
            renewed_by: renews.then_some(life),
        },
    })
}

/// `GET` of a token's link.
pub(super) async fn show(context: &Context<'_>, token: &Token) -> Result<Answer, Refusal> {
    Answer::of(StatusCode::OK, &see(context, token).await?.answer(context)?)
}

/// `GET` of a conflict's link.
pub(super) async fn show_conflict(context: &Context<'_>, id: ConflictId) -> Result<Answer, Refusal> {
    if context.media.shown {
        // what differs is no reason to see the number
        return Err(Refusal::denied());
    }
    let (there, conflict) = context.services.vault.conflict(&context.actor, id).await?;
    let token = show::token(&context.base, context.media.version, &there, None, Some(&conflict))?;
    Answer::of(StatusCode::OK, &token)
}

/// `DELETE` of a token's link.
pub(super) async fn delete(context: &Context<'_>, token: &Token) -> Result<Answer, Refusal> {
    context.services.vault.delete(&context.actor, token).await?;
    Ok(Answer::done())
}

/// `GET /tokens?tokenId=…&namespace=…`
pub(super) async fn query(context: &Context<'_>, query: &str) -> Result<Answer, Refusal> {
    let (vault, actor) = (&context.services.vault, &context.actor);
    let asked = Asked::read(query)?;
    let op = match context.media.shown {
        true => Operation::Reveal,
        false => Operation::Inspect,
    };
    vault.access().permit(actor, op, 0)?;
    // what no token can have is not looked for, and not given back
    let possible = |name: &str| NAMESPACE.fits(name) && !name.starts_with('_') && !vault.holds_card_number(name);
    let namespace = match &asked.namespace {
        Some(name) if possible(name) => Some(vault.personal_namespace(actor, name).await?),
        Some(_) => return nothing(context, asked.token_id.is_some()),
        None => None,
    };
    let found = match (&asked.token_id, &namespace) {
        (Some(id), namespace) => {
            let alias = Token::parse(id).map_err(|_| Refusal::not_found())?;
            let token = vault.token_of_alias(actor, op, &alias, namespace.as_ref()).await?;
            vec![see(context, &token).await?]
        }
        (None, Some(namespace)) => {
            let op = match context.media.shown {
                true => Operation::Reveal,
                false => Operation::Search,
            };
            let tokens = vault.tokens_of(actor, op, namespace).await?;
            see_all(context, tokens).await?
        }
        (None, None) => return Err(Refusal::not_found()),
    };
    let tokens = found
        .iter()
        .map(|seen| seen.answer(context))
        .collect::<Result<_, _>>()?;
    answer_found(context, tokens, Some(asked.again()))
}

/// What a query looks for.
struct Asked {
    token_id: Option<Zeroizing<String>>,
    namespace: Option<Zeroizing<String>>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Refusal> {
        let (mut token_id, mut namespace) = (None, None);
        for (name, value) in form::pairs(query.as_bytes()) {
            let (Some(name), Some(value)) = (form::decoded(name), form::decoded(value)) else {
                return Err(Refusal::not_found());
            };
            match name.as_str() {
                "tokenId" => token_id = Some(value),
                "namespace" => namespace = Some(value),
                _ => {}
            }
        }
        Ok(Self { token_id, namespace })
    }

    /// The query that asks for the same.
    fn again(&self) -> String {
        let part = |name: &str, value: &Option<Zeroizing<String>>| {
            let value = value.as_ref()?;
            Some(format!("{name}={}", form::encoded(value)))
        };
        let parts = [part("tokenId", &self.token_id), part("namespace", &self.namespace)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("&")
    }
}

fn nothing(context: &Context<'_>, by_id: bool) -> Result<Answer, Refusal> {
    match by_id {
        true => Err(Refusal::not_found()),
        false => answer_found(context, Vec::new(), None),
    }
}

fn answer_found(context: &Context<'_>, tokens: Vec<wire::Token<'_>>, query: Option<String>) -> Result<Answer, Refusal> {
    let mut links = Links::default();
    if let Some(query) = query {
        links.add("self", context.base.path(&format!("/tokens?{query}")));
    }
    let found = wire::Found {
        embedded: wire::FoundTokens { tokens },
        links: links.with_curie(&context.base),
    };
    Answer::of(StatusCode::OK, &found)
}

/// A token, and its number where the request is to show it.
struct Seen {
    there: Described,
    pan: Option<Pan>,
}

impl Seen {
    fn answer(&self, context: &Context<'_>) -> Result<wire::Token<'_>, Refusal> {
        show::token(
            &context.base,
            context.media.version,
            &self.there,
            self.pan.as_ref(),
            None,
        )
    }
}

/// A token as the request is to see it.
async fn see(context: &Context<'_>, token: &Token) -> Result<Seen, Error> {
    let (vault, actor) = (&context.services.vault, &context.actor);
    if context.media.shown {
        let revealed = vault.reveal_record(actor, token).await?;
        return Ok(Seen {
            there: revealed.record,
            pan: Some(revealed.pan),
        });
    }
    let there = vault.describe(actor, token).await?;
    Ok(Seen { there, pan: None })
}

/// Those that are still there, and in use.
async fn see_all(context: &Context<'_>, tokens: Vec<Token>) -> Result<Vec<Seen>, Error> {
    let mut all = Vec::with_capacity(tokens.len());
    for token in &tokens {
        match see(context, token).await {
            Ok(seen) => all.push(seen),
            Err(Error::Caller(
                CallerError::UnknownToken | CallerError::Expired | CallerError::Inactive | CallerError::Spent,
            )) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
