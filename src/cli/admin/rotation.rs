//! `key status` and `key rotate`.

use std::time::Duration;

use anyhow::Context;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::request::{Common, cell};
use crate::cli::{Exit, terminal};

const EPOCHS: &[&str] = &[
    "epoch",
    "state",
    "tokens",
    "documents",
    "ops",
    "compromised",
    "destroyed",
];
/// Between two looks at a rotation that is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// The KEK epochs, and how far the last rotation is.
pub(crate) fn show_keys(common: &Common) -> anyhow::Result<Exit> {
    let status = common.call(Method::GET, "/admin/keys", None)?;
    if common.json {
        terminal::json(&status)?;
        return Ok(Exit::Ok);
    }
    common.rows(&status, "epochs", EPOCHS)?;
    if let Some(end) = status.get("not_after").and_then(Value::as_str) {
        terminal::say(format!("the active epoch seals until {end}"));
    }
    if let Some(max) = status.get("max_ops").and_then(Value::as_u64) {
        terminal::say(format!("an epoch wraps up to {max} data keys (ops)"));
    }
    if let Some(told) = told(status.get("rotation")) {
        terminal::say(told);
    }
    let prepared = status.get("prepared").and_then(Value::as_u64).unwrap_or_default();
    if prepared == 0 {
        terminal::say(
            "no prepared epoch is left: with the daemon stopped, `panvault init --epochs N` makes more (security officer)",
        );
    }
    Ok(Exit::Ok)
}

/// Moves on to the next epoch; with `wait` until everything is under it.
pub(crate) fn rotate(common: &Common, wait: bool) -> anyhow::Result<Exit> {
    let begun = common.call(Method::POST, "/admin/keys/rotate", None)?;
    let epoch = cell(begun.get("epoch"));
    if !common.json {
        terminal::say(format!("KEK epoch {epoch} seals from now on"));
    }
    if !wait {
        if common.json {
            terminal::json(&begun)?;
        } else {
            terminal::say("the rest is put under it in the background: `panvault key status`");
        }
        return Ok(Exit::Ok);
    }
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}")?);
    let last = loop {
        let answer = common
            .call(Method::GET, "/admin/keys/rotation", None)
            .context("the rotation goes on by itself, when the daemon serves")?;
        let rotation = answer.get("rotation").cloned().unwrap_or_default();
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
        let moved = number(rotation.get("moved"));
        bar.set_length(number(answer.get("tokens")).max(moved));
        bar.set_position(moved);
        if rotation.get("finished").and_then(Value::as_bool).unwrap_or_default() {
            break rotation;
        }
        std::thread::sleep(LOOK);
    };
    bar.finish_and_clear();
    if common.json {
        terminal::json(&json!({ "epoch": begun.get("epoch"), "rotation": last }))?;
    } else if let Some(told) = told(Some(&last)) {
        terminal::say(told);
    }
    let faults = last.get("faults").and_then(Value::as_u64).unwrap_or_default();
    Ok(if faults == 0 { Exit::Ok } else { Exit::Fault })
}

fn told(rotation: Option<&Value>) -> Option<String> {
    let rotation = rotation.filter(|rotation| rotation.is_object())?;
    let at = |name: &str| cell(rotation.get(name));
    let (to, moved, faults) = (at("to"), at("moved"), at("faults"));
    Some(match rotation.get("finished").and_then(Value::as_bool) {
        Some(true) if faults == "0" => format!("rotation to epoch {to}: finished, {moved} records moved"),
        Some(true) => format!(
            "rotation to epoch {to}: {moved} records moved; {faults} do not open and stay: see `panvault audit tail`"
        ),
        _ => format!("rotation to epoch {to}: under way, {moved} records moved"),
    })
}
