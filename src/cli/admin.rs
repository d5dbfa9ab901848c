//! Accounts, policy and status of a running daemon.

use anyhow::Context;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::instance::Instance;
use super::{Exit, Which, terminal};
use crate::vault::types::{Dialect, Operation};

/// Instance and output form, the same for all these commands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MerchantCommand {
    /// Add a merchant, with a repository of its own unless one is named
    Add {
        id: String,
        /// For people
        #[arg(long)]
        name: Option<String>,
        /// What it speaks; may be given several times
        #[arg(long, required = true)]
        dialect: Vec<String>,
        /// An existing repository to act in
        #[arg(long)]
        repository: Option<String>,
        /// Never does business: simulators serve it
        #[arg(long)]
        test: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List merchants
    List(Common),
    /// Refuse its requests until it is resumed
    Suspend(Named),
    /// Serve it again
    Resume(Named),
    /// Remove it; refused while its repository holds tokens
    Remove(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryCommand {
    /// Add a repository
    Add(Named),
    /// List repositories
    List(Common),
    /// Refuse all requests on it until it is resumed
    Suspend(Named),
    /// Serve it again
    Resume(Named),
    /// Remove it; refused while it holds tokens
    Remove(Named),
    /// Let a merchant act in it
    Grant {
        name: String,
        #[arg(long)]
        merchant: String,
        /// It acts there when a request names no repository
        #[arg(long)]
        default: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Take that back
    Revoke {
        name: String,
        #[arg(long)]
        merchant: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a credential; its secret is shown once
    Add {
        #[arg(long)]
        merchant: String,
        #[arg(long)]
        dialect: String,
        /// Good until then, RFC 3339
        #[arg(long)]
        expires_at: Option<jiff::Timestamp>,
        #[command(flatten)]
        common: Common,
    },
    /// List credentials, without their secrets
    List {
        #[arg(long)]
        merchant: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Refuse it until it is resumed
    Suspend(Named),
    /// Take it again
    Resume(Named),
    /// Remove it
    Remove(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Which grants allow an operation to a user, and why the others do not
    Explain {
        /// User id of the calling process
        #[arg(long)]
        uid: u32,
        /// Its primary group id
        #[arg(long)]
        gid: Option<u32>,
        /// tokenize, inspect, reveal, update, delete, search, search-by-pan, …
        #[arg(long)]
        op: String,
        #[command(flatten)]
        common: Common,
    },
    /// Read the policy file again; one with a fault changes nothing
    Reload(Common),
}

/// One thing by name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    name: String,
    #[command(flatten)]
    common: Common,
}

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
        RepositoryCommand::Add(named) => {
            let body = json!({"name": named.name});
            named.common.show(Method::POST, "/admin/repositories", Some(&body))
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
            expires_at,
            common,
        } => {
            let body = json!({
                "merchant": merchant, "dialect": by_name::<Dialect>("dialect", dialect)?, "kind": "api-key",
                "expires_at": expires_at.map(jiff::Timestamp::as_millisecond),
            });
            let made = common.call(Method::POST, "/admin/credentials", Some(&body))?;
            if common.json {
                let id = made.pointer("/credential/id").cloned().unwrap_or_default();
                terminal::json(&json!({"id": id, "secret": made.get("secret"), "credential": made.get("credential")}))?;
            } else {
                terminal::say(made.get("secret").and_then(Value::as_str).unwrap_or_default());
                terminal::remark("This key is shown once: nothing keeps it.");
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
        PolicyCommand::Reload(common) => common.show(Method::POST, "/admin/policy/reload", None),
    }
}

/// `status`
pub(super) fn status(which: &Which, as_json: bool) -> anyhow::Result<Exit> {
    let instance = Instance::find(which)?;
    let status = Client::new(instance.admin_socket())?.call(Method::GET, "/status", None)?;
    let ready = status.get("ready").and_then(Value::as_bool).unwrap_or_default();
    if as_json {
        terminal::json(&status)?;
    } else {
        let at = |pointer: &str| cell(status.pointer(pointer));
        terminal::say(format!(
            "panvault {}, up {} s: {}",
            at("/version"),
            at("/uptime_s"),
            if ready { "ready" } else { "NOT READY" }
        ));
        for reason in status.get("reasons").and_then(Value::as_array).into_iter().flatten() {
            terminal::say(format!("  {}", cell(Some(reason))));
        }
        terminal::say(format!("workers        {}", at("/hsm/workers")));
        terminal::say(format!("tokens         {}", at("/tokens")));
        terminal::say(format!("audit records  {}", at("/audit/seq")));
        terminal::say(format!(
            "store          {} bytes on disk, {} free",
            at("/store/disk_bytes"),
            at("/store/free_bytes")
        ));
        terminal::say(format!("last use       {}", at("/last_use")));
        terminal::say(format!("configuration  {}", at("/config_digest")));
    }
    Ok(if ready { Exit::Ok } else { Exit::Unavailable })
}

const MERCHANTS: &[&str] = &["id", "status", "dialects", "repository", "test", "created_at", "name"];
const REPOSITORIES: &[&str] = &["name", "status", "merchants", "created_at"];
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
];

impl Common {
    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let instance = Instance::find(&self.which)?;
        Client::new(instance.admin_socket())?.call(method, path, body)
    }

    /// Sends and prints the answer.
    fn show(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Exit> {
        let answer = self.call(method, path, body)?;
        if self.json {
            terminal::json(&answer)?;
            return Ok(Exit::Ok);
        }
        for (name, value) in answer.as_object().into_iter().flatten() {
            terminal::say(format!("{name:<14} {}", cell(Some(value))));
        }
        Ok(Exit::Ok)
    }

    /// Prints a list as a table.
    fn table(&self, path: &str, list: &str, columns: &[&str]) -> anyhow::Result<Exit> {
        let answer = self.call(Method::GET, path, None)?;
        if self.json {
            terminal::json(&answer)?;
            return Ok(Exit::Ok);
        }
        let rows = answer
            .get(list)
            .and_then(Value::as_array)
            .context("an answer without a list")?;
        let mut lines = vec![columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
        lines.extend(
            rows.iter()
                .map(|row| columns.iter().map(|name| cell(row.get(name))).collect()),
        );
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| {
                lines
                    .iter()
                    .filter_map(|line| line.get(at))
                    .map(|text| text.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for line in lines {
            let padded = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
            terminal::say(padded.collect::<Vec<_>>().join("  ").trim_end());
        }
        Ok(Exit::Ok)
    }
}

impl Named {
    fn on(&self, kind: &str, verb: &str) -> anyhow::Result<Exit> {
        self.common.show(
            Method::POST,
            &format!("/admin/{kind}/{}{verb}", segment(&self.name)?),
            None,
        )
    }

    fn remove(&self, kind: &str) -> anyhow::Result<Exit> {
        self.common
            .show(Method::DELETE, &format!("/admin/{kind}/{}", segment(&self.name)?), None)
    }
}

/// A name as one path segment: no account's name holds anything that would need escaping.
fn segment(name: &str) -> anyhow::Result<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || !name.bytes().all(plain) {
        anyhow::bail!("{name:?} cannot be a name: letters, digits, `_`, `-` and `.` only");
    }
    Ok(name)
}

fn dialects(names: &[String]) -> anyhow::Result<Vec<Dialect>> {
    names.iter().map(|name| by_name("dialect", name)).collect()
}

/// A value of the core by the name it has in files.
fn by_name<T: serde::de::DeserializeOwned>(what: &str, name: &str) -> anyhow::Result<T> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| anyhow::anyhow!("{what}: {error}"))
}

/// A value as text in a table.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}
