//! Accounts, policy and status of a running daemon.

mod args;
mod custody;
mod destroy;
mod request;
mod rotation;
mod status;

use std::fs;
use std::path::Path;

use anyhow::Context;
use hyper::Method;
use serde_json::{Value, json};

use self::args::Rules;
pub(crate) use self::args::{
    CredentialCommand, MaintenanceCommand, MerchantCommand, NotificationCommand, PolicyCommand, RepositoryCommand,
};
pub(crate) use self::custody::{CeremonyCommand, OperatorCommand};
pub(super) use self::custody::{ceremony, operator};
pub(super) use self::destroy::{certificate, compromise, destroy};
pub(super) use self::request::Common;
use self::request::cell;
pub(super) use self::request::segment;
pub(super) use self::rotation::{rotate, rotate_audit, rotate_fingerprint, rotate_transport, show_keys};
pub(super) use self::status::status;
use super::{Exit, terminal};
use crate::jose::RsaPublicKey;
use crate::vault::CertificateDigest;
use crate::vault::accounts::CredentialKind;
use crate::vault::types::{Dialect, Operation};

const MERCHANTS: &[&str] = &["id", "status", "dialects", "repository", "test", "created_at", "name"];
const REPOSITORIES: &[&str] = &[
    "name",
    "status",
    "merchants",
    "twin",
    "rules.management",
    "rules.generation",
    "rules.verification",
    "retention_days",
    "created_at",
];
const CREDENTIALS: &[&str] = &[
    "id",
    "merchant",
    "dialect",
    "kind",
    "status",
    "expired",
    "created_at",
    "expires_at",
    "last_used_at",
    "certificate",
];

const NOTIFICATIONS: &[&str] = &["merchant", "name", "event", "dead", "attempts", "due", "host", "fault"];

/// `merchant …`
pub(super) fn merchant(command: &MerchantCommand) -> anyhow::Result<Exit> {
    match command {
        MerchantCommand::Add {
            id,
            name,
            dialect,
            repository,
            test,
            common,
        } => {
            let body = json!({
                "id": id, "name": name.as_ref().unwrap_or(id), "dialects": dialects(dialect)?,
                "repository": repository, "test": test,
            });
            common.show(Method::POST, "/admin/merchants", Some(&body))
        }
        MerchantCommand::List(common) => common.table("/admin/merchants", "merchants", MERCHANTS),
        MerchantCommand::Suspend(named) => named.on("merchants", "/suspend"),
        MerchantCommand::Resume(named) => named.on("merchants", "/resume"),
        MerchantCommand::Remove(named) => named.remove("merchants"),
    }
}

/// `repository …`
pub(super) fn repository(command: &RepositoryCommand) -> anyhow::Result<Exit> {
    let path = |name: &str, merchant: &str| {
        anyhow::Ok(format!(
            "/admin/repositories/{}/merchants/{}",
            segment(name)?,
            segment(merchant)?
        ))
    };
    match command {
        RepositoryCommand::Add {
            name,
            rules,
            retention_days,
            common,
        } => {
            let days = retention_days.filter(|days| *days > 0);
            let body = json!({"name": name, "rules": whole(rules)?, "retention_days": days});
            common.show(Method::POST, "/admin/repositories", Some(&body))
        }
        RepositoryCommand::Set {
            name,
            rules,
            retention_days: Some(days),
            common,
        } => {
            anyhow::ensure!(rules.none(), "retention and rules are changed one at a time");
            let path = format!("/admin/repositories/{}/retention", segment(name)?);
            let days = Some(days).filter(|days| **days > 0);
            common.show(Method::PUT, &path, Some(&json!({"days": days})))
        }
        RepositoryCommand::Set {
            name, rules, common, ..
        } => {
            let path = format!("/admin/repositories/{}/rules", segment(name)?);
            common.show(Method::POST, &path, Some(&given(rules)))
        }
        RepositoryCommand::List(common) => common.table("/admin/repositories", "repositories", REPOSITORIES),
        RepositoryCommand::Suspend(named) => named.on("repositories", "/suspend"),
        RepositoryCommand::Resume(named) => named.on("repositories", "/resume"),
        RepositoryCommand::Remove(named) => named.remove("repositories"),
        RepositoryCommand::Grant {
            name,
            merchant,
            default,
            common,
        } => common.show(Method::PUT, &path(name, merchant)?, Some(&json!({"default": default}))),
        RepositoryCommand::Revoke { name, merchant, common } => {
            common.show(Method::DELETE, &path(name, merchant)?, None)
        }
    }
}

/// `credential …`
pub(super) fn credential(command: &CredentialCommand) -> anyhow::Result<Exit> {
    match command {
        CredentialCommand::Add {
            merchant,
            dialect,
            kind,
            certificate,
            public_key,
            expires_at,
            common,
        } => {
            let dialect = by_name::<Dialect>("dialect", dialect)?;
            let kind = match kind {
                Some(kind) => by_name("kind", kind)?,
                None => default_kind(dialect, certificate.is_some()),
            };
            let body = json!({
                "merchant": merchant, "dialect": dialect, "kind": kind,
                "certificate": certificate.as_deref().map(digest).transpose()?,
                "public_key": public_key.as_deref().map(self::public_key).transpose()?,
                "expires_at": expires_at.map(jiff::Timestamp::as_millisecond),
            });
            let made = common.call(Method::POST, "/admin/credentials", Some(&body))?;
            let id = made.pointer("/credential/id").cloned().unwrap_or_default();
            if common.json {
                terminal::json(&json!({"id": id, "secret": made.get("secret"), "credential": made.get("credential")}))?;
            } else if let Some(secret) = made.get("secret").and_then(Value::as_str) {
                terminal::say(secret);
                if dialect == Dialect::Worldpay {
                    terminal::remark(format!("It is used with the name {}.", cell(Some(&id))));
                }
                terminal::remark("This secret is shown once: nothing keeps it.");
            } else {
                terminal::say(cell(Some(&id)));
                if public_key.is_none() {
                    terminal::remark("The vault knows this certificate by its SHA-256.");
                }
            }
            Ok(Exit::Ok)
        }
        CredentialCommand::List { merchant, common } => {
            let path = match merchant {
                Some(merchant) => format!("/admin/merchants/{}/credentials", segment(merchant)?),
                None => "/admin/credentials".to_owned(),
            };
            common.table(&path, "credentials", CREDENTIALS)
        }
        CredentialCommand::Suspend(named) => named.on("credentials", "/suspend"),
        CredentialCommand::Resume(named) => named.on("credentials", "/resume"),
        CredentialCommand::Remove(named) => named.remove("credentials"),
    }
}

/// `maintenance …`
pub(super) fn maintenance(command: &MaintenanceCommand) -> anyhow::Result<Exit> {
    match command {
        MaintenanceCommand::Run(common) => common.show(Method::POST, "/admin/maintenance/run", None),
    }
}

/// `seal`
pub(super) fn seal(common: &Common) -> anyhow::Result<Exit> {
    common.show(Method::POST, "/admin/seal", None)
}

/// `notification …`
pub(super) fn notification(command: &NotificationCommand) -> anyhow::Result<Exit> {
    match command {
        NotificationCommand::List(common) => common.table("/admin/notifications", "notifications", NOTIFICATIONS),
        NotificationCommand::Retry(common) => common.show(Method::POST, "/admin/notifications/retry", None),
    }
}

/// `policy …`
pub(super) fn policy(command: &PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Explain { uid, gid, op, common } => {
            let body = json!({"uid": uid, "gid": gid, "operation": by_name::<Operation>("operation", op)?});
            let answer = common.call(Method::POST, "/admin/policy/explain", Some(&body))?;
            if common.json {
                terminal::json(&answer)?;
                return Ok(Exit::Ok);
            }
            let allowed = answer.get("allowed").and_then(Value::as_bool).unwrap_or_default();
            terminal::say(format!(
                "{op} by user {uid}: {}",
                if allowed { "granted" } else { "not granted" }
            ));
            for grant in answer.get("grants").and_then(Value::as_array).into_iter().flatten() {
                let reasons = cell(grant.get("because"));
                let verdict = if reasons.is_empty() {
                    let (dialects, repositories) = (cell(grant.get("dialects")), cell(grant.get("repositories")));
                    format!("allows it; dialects {dialects}; repositories {repositories}")
                } else {
                    format!("does not: {reasons}")
                };
                terminal::say(format!("  grant {:?} {verdict}", cell(grant.get("name"))));
            }
            Ok(Exit::Ok)
        }
        PolicyCommand::Approve {
            policy,
            configuration,
            approvals,
            common,
        } => custody::approve(policy.as_deref(), configuration.as_deref(), approvals, common),
        PolicyCommand::Reload(common) => common.show(Method::POST, "/admin/policy/reload", None),
    }
}

impl Rules {
    fn none(&self) -> bool {
        self.management.is_none() && self.generation.is_none() && self.verification.is_none()
    }
}

/// All three rules, or none.
fn whole(rules: &Rules) -> anyhow::Result<Option<Value>> {
    match (&rules.management, &rules.generation, &rules.verification) {
        (None, None, None) => Ok(None),
        (Some(_), Some(_), Some(_)) => Ok(Some(given(rules))),
        _ => anyhow::bail!("rules are given whole: --management, --generation and --verification"),
    }
}

fn given(rules: &Rules) -> Value {
    json!({
        "management": rules.management, "generation": rules.generation, "verification": rules.verification,
    })
}

fn default_kind(dialect: Dialect, certificate: bool) -> CredentialKind {
    match dialect {
        Dialect::Hyperswitch | Dialect::Native => CredentialKind::ApiKey,
        Dialect::Mastercard if certificate => CredentialKind::Certificate,
        Dialect::Mastercard | Dialect::Worldpay => CredentialKind::Password,
        Dialect::HyperswitchLocker | Dialect::PayKka => CredentialKind::PublicKey,
    }
}

/// What the vault keeps of a certificate: the file itself stays here.
fn digest(file: &Path) -> anyhow::Result<CertificateDigest> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    CertificateDigest::of_pem(&text).with_context(|| file.display().to_string())
}

/// The key, read here so that a file with a private one goes nowhere.
fn public_key(file: &Path) -> anyhow::Result<RsaPublicKey> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    RsaPublicKey::of_pem(&text).with_context(|| file.display().to_string())
}

fn dialects(names: &[String]) -> anyhow::Result<Vec<Dialect>> {
    names.iter().map(|name| by_name("dialect", name)).collect()
}

/// A value of the core by the name it has in files.
fn by_name<T: serde::de::DeserializeOwned>(what: &str, name: &str) -> anyhow::Result<T> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| anyhow::anyhow!("{what}: {error}"))
}
