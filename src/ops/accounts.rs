//! Merchants, repositories and credentials. The core's verbs audit every change.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Services;
use super::answer::{Admin, At, Json, Refusal, answer};
use crate::id::{CredentialId, MerchantId, RepositoryName};
use crate::vault::accounts::{CredentialView, NewCredential, NewMerchant, RulesChange};
use crate::vault::types::TokenRules;

type Answer = Result<Response, Refusal>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRepository {
    name: RepositoryName,
    /// With them it comes with a TEST twin.
    #[serde(default)]
    rules: Option<TokenRules>,
    /// No token lives longer after it was made.
    #[serde(default)]
    retention_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    /// None: no limit.
    days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// The merchant acts there when a request names no repository.
    #[serde(default)]
    default: bool,
}

#[derive(Serialize)]
struct Issued<'a> {
    credential: &'a CredentialView,
    /// Nothing for a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

pub(super) async fn merchants(State(services): State<Arc<Services>>) -> Answer {
    let merchants = services.vault.access().accounts().merchants()?;
    Ok(answer(StatusCode::OK, &json!({ "merchants": merchants })))
}

pub(super) async fn add_merchant(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    Json(new): Json<NewMerchant>,
) -> Answer {
    let merchant = services.vault.access().accounts().add_merchant(admin, new).await?;
    Ok(answer(StatusCode::CREATED, &merchant))
}

pub(super) async fn suspend_merchant(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(id): At<MerchantId>,
) -> Answer {
    let merchant = services.vault.access().accounts().suspend_merchant(admin, &id).await?;
    Ok(answer(StatusCode::OK, &merchant))
}

pub(super) async fn resume_merchant(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(id): At<MerchantId>,
) -> Answer {
    let merchant = services.vault.access().accounts().resume_merchant(admin, &id).await?;
    Ok(answer(StatusCode::OK, &merchant))
}

pub(super) async fn remove_merchant(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(id): At<MerchantId>,
) -> Answer {
    services.vault.access().accounts().remove_merchant(admin, &id).await?;
    Ok(answer(StatusCode::OK, &json!({ "removed": id })))
}

pub(super) async fn repositories(State(services): State<Arc<Services>>) -> Answer {
    let repositories = services.vault.access().accounts().repositories();
    Ok(answer(StatusCode::OK, &json!({ "repositories": repositories })))
}

pub(super) async fn add_repository(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    Json(new): Json<NewRepository>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let added = accounts.add_limited_repository(admin, &new.name, new.rules, new.retention_days);
    Ok(answer(StatusCode::CREATED, &added.await?))
}

pub(super) async fn set_retention(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(name): At<RepositoryName>,
    Json(retention): Json<Retention>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let repository = accounts.set_retention(admin, &name, retention.days).await?;
    Ok(answer(StatusCode::OK, &repository))
}

pub(super) async fn set_rules(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(name): At<RepositoryName>,
    Json(change): Json<RulesChange>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let repository = accounts.set_rules(admin, &name, change).await?;
    Ok(answer(StatusCode::OK, &repository))
}

pub(super) async fn suspend_repository(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(name): At<RepositoryName>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let repository = accounts.suspend_repository(admin, &name).await?;
    Ok(answer(StatusCode::OK, &repository))
}

pub(super) async fn resume_repository(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(name): At<RepositoryName>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let repository = accounts.resume_repository(admin, &name).await?;
    Ok(answer(StatusCode::OK, &repository))
}

pub(super) async fn remove_repository(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(name): At<RepositoryName>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    accounts.remove_repository(admin, &name).await?;
    Ok(answer(StatusCode::OK, &json!({ "removed": name })))
}

pub(super) async fn grant_repository(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At((name, id)): At<(RepositoryName, MerchantId)>,
    Json(grant): Json<Grant>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let merchant = accounts.grant_repository(admin, &name, &id, grant.default).await?;
    Ok(answer(StatusCode::OK, &merchant))
}

pub(super) async fn revoke_repository(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At((name, id)): At<(RepositoryName, MerchantId)>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let merchant = accounts.revoke_repository(admin, &name, &id).await?;
    Ok(answer(StatusCode::OK, &merchant))
}

pub(super) async fn credentials(State(services): State<Arc<Services>>) -> Response {
    let credentials = services.vault.access().accounts().credentials(None);
    answer(StatusCode::OK, &json!({ "credentials": credentials }))
}

pub(super) async fn merchant_credentials(State(services): State<Arc<Services>>, At(id): At<MerchantId>) -> Response {
    let credentials = services.vault.access().accounts().credentials(Some(&id));
    answer(StatusCode::OK, &json!({ "credentials": credentials }))
}

/// The one answer that shows the secret.
pub(super) async fn add_credential(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    Json(new): Json<NewCredential>,
) -> Answer {
    let issued = services.vault.access().accounts().add_credential(admin, new).await?;
    let body = Issued {
        credential: &issued.credential,
        secret: issued.secret.as_ref().map(ExposeSecret::expose_secret),
    };
    Ok(answer(StatusCode::CREATED, &body))
}

pub(super) async fn suspend_credential(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(id): At<CredentialId>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let credential = accounts.suspend_credential(admin, &id).await?;
    Ok(answer(StatusCode::OK, &credential))
}

pub(super) async fn resume_credential(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(id): At<CredentialId>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    let credential = accounts.resume_credential(admin, &id).await?;
    Ok(answer(StatusCode::OK, &credential))
}

pub(super) async fn remove_credential(
    State(services): State<Arc<Services>>,
    Admin(admin): Admin,
    At(id): At<CredentialId>,
) -> Answer {
    let accounts = services.vault.access().accounts();
    accounts.remove_credential(admin, &id).await?;
    Ok(answer(StatusCode::OK, &json!({ "removed": id })))
}
