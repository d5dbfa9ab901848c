//! Letting a request in: whose it is, by its signature; that it is of now; that it did not come before.

use axum::http::request::Parts;

use super::refusal::Refusal;
use super::signature::{Claim, Generation, WINDOW_MS, claim};
use super::wire::Head;
use crate::api::{Services, json};
use crate::id::{MerchantId, RequestId, UnixMillis};
use crate::vault::types::{Actor, Dialect, Error, Peer, PolicyError};

/// A request that was let in.
pub(super) struct Entered {
    pub(super) actor: Actor,
    pub(super) generation: Generation,
}

/// Lets a request in. A nonce is used up only by a request that its merchant signed.
///
/// # Errors
/// The vendor's codes for signatures, times, and merchants; the core's.
pub(super) async fn enter(services: &Services, parts: &Parts, body: &[u8]) -> Result<Entered, Refusal> {
    let peer = parts.extensions.get::<Peer>().copied();
    let request = parts.extensions.get::<RequestId>().cloned();
    let (Some(peer), Some(request)) = (peer, request) else {
        return Err(Refusal::failed("a request without a caller or a name"));
    };
    // whatever else is wrong with a body is told to who has signed it
    let head = json::parse::<Head>(body).ok();
    let named = head.as_ref().and_then(|head| head.merchant_id.clone()).map(|id| id.0);
    let timed = head.as_ref().and_then(|head| head.timestamp.clone()).map(|at| at.0);
    let claim = claim(&parts.headers, named.clone(), timed)?;
    let now = UnixMillis::now();
    // its signature covers no path: it is good where its paths are
    if claim.generation == Generation::V1 && parts.uri.path().starts_with("/v3/") {
        return Err(Refusal::unauthorized(
            "2002",
            "signatures of version 1.2 are for its own paths",
        ));
    }
    claim.check_time(now)?;
    let access = services.vault.access();
    let merchant = MerchantId::parse(&claim.merchant).ok();
    let actor = access
        .authenticate_process(peer, Dialect::PayKka, request, merchant.as_ref())
        .map_err(|error| match error {
            Error::Policy(PolicyError::BadCredential) => unknown_merchant(&claim),
            error => error.into(),
        })?;
    let message = claim.message(parts.method.as_str(), parts.uri.path(), body);
    access
        .authenticate_signature(&actor, |key| key.verifies(&message, &claim.signature))
        .map_err(|error| refused(&claim, error))?;
    if named.is_some_and(|named| named != actor.merchant.as_str()) {
        return Err(Refusal::unauthorized(
            "1021",
            "merchant_id is not the merchant that signed",
        ));
    }
    let until = now.plus(2 * WINDOW_MS);
    match services.payments.note_nonce(&actor, &claim.nonce, until).await? {
        true => Ok(Entered {
            actor,
            generation: claim.generation,
        }),
        false => Err(Refusal::unauthorized(signature_code(&claim), "the request came before")),
    }
}

fn unknown_merchant(claim: &Claim) -> Refusal {
    match claim.generation {
        Generation::V3 => Refusal::unauthorized("1000", "the merchant does not exist"),
        Generation::V1 => Refusal::unauthorized("206005", "the merchant does not exist"),
    }
}

fn signature_code(claim: &Claim) -> &'static str {
    match claim.generation {
        Generation::V3 => "2000",
        Generation::V1 => "206003",
    }
}

fn refused(claim: &Claim, error: Error) -> Refusal {
    match (claim.generation, error) {
        (Generation::V1, Error::Policy(PolicyError::NoCredential)) => {
            Refusal::unauthorized("206006", "the merchant has no public key here")
        }
        (Generation::V1, Error::Policy(PolicyError::BadCredential)) => {
            Refusal::unauthorized("206003", "the signature is not the merchant's")
        }
        (_, error) => error.into(),
    }
}
