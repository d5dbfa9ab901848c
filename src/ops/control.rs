//! Operations that may be under dual control: done at once where they are not, or when two operators agreed.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::Services;
use super::answer::{Refusal, answer};
use crate::custody::{Asking, Error, Guarded, Verdict};
use crate::vault::types::Peer;

/// Who asks, and the operator's credential that was shown: `Authorization: Operator pvo_…`.
pub(super) struct Claimed {
    pub(super) peer: Peer,
    credential: Option<SecretString>,
}

impl Claimed {
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking {
            peer: self.peer,
            credential: self.credential.as_ref().map(ExposeSecret::expose_secret),
        }
    }
}

/// Does `act` if it may be done now. 202 with the ceremony where a second operator must approve it first. What was begun
/// goes on to its end also where the caller does not wait for it. The transcript says `ok`, or how it failed; of what is
/// streamed, that it was begun.
pub(super) async fn under_control<A>(
    services: &Arc<Services>,
    claimed: &Claimed,
    operation: Guarded,
    subject: Map<String, Value>,
    act: A,
) -> Result<Response, Refusal>
where
    A: Future<Output = Result<Response, Refusal>> + Send + 'static,
{
    match services
        .custody
        .authorize(&claimed.asking(), operation, subject)
        .await?
    {
        Verdict::Free => tokio::spawn(act).await.map_err(gone)?,
        Verdict::Waiting(ceremony) => Ok(answer(StatusCode::ACCEPTED, &json!({ "ceremony": ceremony }))),
        Verdict::Granted(granted) => {
            let services = Arc::clone(services);
            let done = tokio::spawn(async move {
                let done = act.await;
                let outcome = match &done {
                    Ok(answer) if answer.body().size_hint().exact().is_none() => "begun".to_owned(),
                    Ok(_) => "ok".to_owned(),
                    Err(refusal) => format!("failed: {}", refusal.text()),
                };
                if let Err(error) = services.custody.conclude(granted, &outcome).await {
                    tracing::error!(%error, "a ceremony has no transcript yet");
                }
                done
            });
            done.await.map_err(gone)?
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Claimed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Some(peer) = parts.extensions.get::<Peer>() else {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the caller is not known"));
        };
        let shown = parts.headers.get(header::AUTHORIZATION);
        let credential = shown
            .and_then(|value| value.to_str().ok()?.strip_prefix("Operator "))
            .map(SecretString::from);
        Ok(Self {
            peer: *peer,
            credential,
        })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoCredential | Error::BadCredential(_) => StatusCode::UNAUTHORIZED,
            Error::NoOperator(_) | Error::SamePerson => StatusCode::FORBIDDEN,
            Error::NoCeremony(_) | Error::Unknown(_) => StatusCode::NOT_FOUND,
            Error::NotAPerson(_) | Error::NotADigest(_) | Error::NotAccepted | Error::BadApproval(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::Enrolled(_)
            | Error::TooFew(..)
            | Error::LastTwo
            | Error::Over(..)
            | Error::NoTranscript(..)
            | Error::Exists(..)
            | Error::TooMany(..)
            | Error::TooFewApprovals(_)
            | Error::NotTheFirst
            | Error::NotGuarded(_)
            | Error::Changed => StatusCode::CONFLICT,
            Error::Vault(error) => return error.clone().into(),
        };
        Self::new(status, error.to_string())
    }
}

/// The task that did it died.
fn gone(_: tokio::task::JoinError) -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "it broke off: see `panvault audit tail`",
    )
}
