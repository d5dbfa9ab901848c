//! Operators and ceremonies.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Services;
use super::answer::{Admin, At, Json, Refusal, answer, of_kind};
use super::control::{Claimed, under_control};
use crate::custody::{Files, Guarded, NewOperator};
use crate::id::{CeremonyId, OperatorName};

type Answer = Result<Response, Refusal>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enrolling {
    /// Of what `panvault operator enroll` shows.
    accepted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approving {
    #[serde(default)]
    configuration: Option<String>,
    #[serde(default)]
    policy: Option<String>,
}

pub(super) async fn operators(State(services): State<Arc<Services>>) -> Answer {
    let operators = services.custody.operators().await?;
    Ok(answer(StatusCode::OK, &json!({ "operators": operators })))
}

pub(super) async fn add_operator(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    Json(new): Json<NewOperator>,
) -> Answer {
    let subject = subject([
        ("do", "add".into()),
        ("name", new.name.as_str().into()),
        ("uid", new.uid.into()),
    ]);
    let (held, by) = (Arc::clone(&services), claimed.peer);
    let act = async move {
        let view = held.custody.add_operator(by, held.own, &new).await?;
        Ok(answer(StatusCode::CREATED, &view))
    };
    under_control(&services, &claimed, Guarded::Operators, subject, act).await
}

pub(super) async fn remove_operator(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(name): At<OperatorName>,
) -> Answer {
    let subject = subject([("do", "remove".into()), ("name", name.as_str().into())]);
    let (held, by) = (Arc::clone(&services), claimed.peer);
    let act = async move {
        held.custody.remove_operator(by, &name).await?;
        Ok(answer(StatusCode::OK, &json!({ "removed": name })))
    };
    under_control(&services, &claimed, Guarded::Operators, subject, act).await
}

pub(super) async fn reset_operator(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    At(name): At<OperatorName>,
) -> Answer {
    let subject = subject([("do", "reset".into()), ("name", name.as_str().into())]);
    let (held, by) = (Arc::clone(&services), claimed.peer);
    let act = async move {
        let view = held.custody.reset_operator(by, &name).await?;
        Ok(answer(StatusCode::OK, &view))
    };
    under_control(&services, &claimed, Guarded::Operators, subject, act).await
}

/// The one answer that shows an operator's credential.
pub(super) async fn enroll(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    Json(body): Json<Enrolling>,
) -> Answer {
    let (operator, credential) = services.custody.enroll(admin.peer, body.accepted).await?;
    let body = json!({ "operator": operator, "credential": credential.expose_secret() });
    Ok(answer(StatusCode::CREATED, &body))
}

pub(super) async fn ceremonies(State(services): State<Arc<Services>>) -> Answer {
    let ceremonies = services.custody.ceremonies().await?;
    Ok(answer(StatusCode::OK, &json!({ "ceremonies": ceremonies })))
}

pub(super) async fn approve(State(services): State<Arc<Services>>, claimed: Claimed, At(id): At<CeremonyId>) -> Answer {
    let view = services.custody.approve(&claimed.asking(), &id).await?;
    Ok(answer(StatusCode::OK, &view))
}

pub(super) async fn cancel(State(services): State<Arc<Services>>, claimed: Claimed, At(id): At<CeremonyId>) -> Answer {
    let view = services.custody.cancel(&claimed.asking(), &id).await?;
    Ok(answer(StatusCode::OK, &view))
}

pub(super) async fn transcript(State(services): State<Arc<Services>>, At(id): At<CeremonyId>) -> Answer {
    let text = services.custody.transcript(&id).await?;
    Ok(of_kind("application/json", Body::from(text)))
}

/// Lets files come into force whose SHA-256 two operators agree to.
pub(super) async fn approve_files(
    State(services): State<Arc<Services>>,
    claimed: Claimed,
    Json(body): Json<Approving>,
) -> Answer {
    let files = Files {
        configuration: body.configuration,
        policy: body.policy,
    };
    let files = files.checked()?;
    if !services.custody.guards(Guarded::Policy) {
        return Err(crate::custody::Error::NotGuarded(Guarded::Policy).into());
    }
    let subject = files.subject();
    let (held, by) = (Arc::clone(&services), claimed.peer);
    let act = async move {
        held.custody.approve_files(by, &files).await?;
        Ok(answer(StatusCode::OK, &json!({ "approved": true })))
    };
    under_control(&services, &claimed, Guarded::Policy, subject, act).await
}

/// What a ceremony is about.
pub(super) fn subject<const N: usize>(says: [(&str, Value); N]) -> Map<String, Value> {
    let told = says.into_iter().filter(|(_, value)| !value.is_null());
    told.map(|(name, value)| (name.to_owned(), value)).collect()
}
