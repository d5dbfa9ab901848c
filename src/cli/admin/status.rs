//! `status`: how the running daemon is, on one screen.

use hyper::Method;
use serde_json::Value;

use super::request::cell;
use crate::cli::client::Client;
use crate::cli::instance::Instance;
use crate::cli::{Exit, Which, terminal};

/// `status`
pub(crate) fn status(which: &Which, as_json: bool) -> anyhow::Result<Exit> {
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
        let word = match (
            at("/kek/not_after"),
            status.pointer("/kek/over").and_then(Value::as_bool),
        ) {
            (end, _) if end.is_empty() => String::new(),
            (end, Some(true)) => format!(", OVER since {end}: nothing is sealed, `panvault key rotate`"),
            (end, _) => format!(", seals until {end}"),
        };
        let word = match (
            status.pointer("/kek/stopped").and_then(Value::as_str),
            status.pointer("/kek/over"),
        ) {
            (Some(why), Some(Value::Bool(false))) => format!(", NOTHING IS SEALED: {why}"),
            _ => word,
        };
        terminal::say(format!("KEK            epoch {}{word}", at("/kek/epoch")));
        terminal::say(format!(
            "audit records  {}, {} of them not covered by a signed head yet",
            at("/audit/seq"),
            at("/audit/unsigned")
        ));
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
