//! JWE over JWS around requests and answers: the request was encrypted to the locker key and is signed by the tenant; the
//! answer is signed by the locker key and encrypted to the tenant, whatever it says. What is wrong with the outside itself is
//! told in plain.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use zeroize::Zeroizing;

use super::context::{Answer, Context};
use super::refusal::{Code, Refusal};
use super::replay::{Came, Standing};
use super::{Endpoint, Jwe, Service};
use crate::id::NoRandom;
use crate::jose::{Claimed, Envelope, RsaPublicKey, Unsigned};
use crate::keys::SecretBytes;
use crate::vault::types::{Error, Operation, PolicyError};

/// A request's inside.
pub(super) struct Opened {
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Whom the answer is encrypted to; nobody where the request was plain.
    pub(super) sender: Option<RsaPublicKey>,
}

/// Opens a request.
///
/// # Errors
/// It must be encrypted and is not, does not open, or is not the tenant's.
pub(super) async fn open(
    service: &Service,
    context: &Context<'_>,
    endpoint: Endpoint,
    body: Zeroizing<Vec<u8>>,
) -> Result<Opened, Refusal> {
    let envelope = match service.config.jwe {
        Jwe::Off => None,
        Jwe::Optional => Envelope::read(&body),
        Jwe::Required => Some(Envelope::read(&body).ok_or_else(|| refused("the request is no JWE in five members"))?),
    };
    let Some(envelope) = envelope else {
        return Ok(Opened { body, sender: None });
    };
    // the HSM works for nobody who may do nothing with what it opens
    context.vault.access().permit(&context.actor, right(endpoint), 0)?;
    let jwe = envelope.open().map_err(|fault| refused(&fault.to_string()))?;
    let came = Came::of(&jwe);
    let opened = context.vault.open_to_locker(jwe).await?;
    let opened = opened.ok_or_else(|| refused("the request does not open with the locker's key"))?;
    let claimed = Claimed::read(opened.expose()).map_err(|fault| refused(&fault.to_string()))?;
    let access = context.vault.access();
    let sender =
        access.authenticate_signature(&context.actor, |key| key.verifies(&claimed.message, &claimed.signature));
    let sender = sender.map_err(|error| match error {
        Error::Policy(PolicyError::NoCredential) => refused("the tenant has no public key"),
        Error::Policy(PolicyError::BadCredential) => refused("the request is not signed by the tenant"),
        error => error.into(),
    })?;
    match service.seen.as_ref().map(|seen| seen.note(came)) {
        None | Some(Standing::New) => {}
        Some(Standing::Again) => return Err(refused("the request came before")),
        Some(Standing::NoRoom) => return Err(Refusal::not_now(30, "the window of requests that came before is full")),
    }
    Ok(Opened {
        body: claimed.payload,
        sender: Some(sender),
    })
}

/// Signs and encrypts an answer.
///
/// # Errors
/// The HSM does not work; no random bytes.
pub(super) async fn seal(
    service: &Service,
    context: &Context<'_>,
    sender: &RsaPublicKey,
    answered: Result<Answer, Refusal>,
) -> Result<Response, Refusal> {
    let (status, retry_after, inside) = match answered {
        Ok(answer) => (StatusCode::OK, None, answer.into_body()),
        Err(refusal) => {
            refusal.log(Some(&context.actor.request));
            (refusal.status, refusal.retry_after, Zeroizing::new(refusal.body().1))
        }
    };
    let unsigned = Unsigned::new(&inside);
    let message = SecretBytes::new(unsigned.message().to_vec());
    let signature = context.vault.sign_as_locker(message).await?;
    let sealed = Envelope::seal(sender, service.config.answers, unsigned.signed(&signature));
    let sealed = sealed.map_err(|NoRandom| Refusal::not_now(5, NoRandom))?;
    let sealed = sealed.ok_or_else(|| Refusal::failed("the tenant's key takes no content key"))?;
    let mut response = Response::new(Body::from(sealed));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// The right that a request needs before all others.
fn right(endpoint: Endpoint) -> Operation {
    match endpoint {
        Endpoint::AddCard | Endpoint::AddRecord | Endpoint::Entity | Endpoint::Fingerprint => Operation::Tokenize,
        Endpoint::RetrieveCard | Endpoint::RetrieveRecord => Operation::Reveal,
        Endpoint::DeleteCard | Endpoint::DeleteRecord => Operation::Delete,
    }
}

fn refused(why: &str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        Code::Validation,
        format!("failed in request middleware: {why}"),
    )
}
