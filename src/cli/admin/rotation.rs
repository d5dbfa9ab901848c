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
    if let Some(told) = told(status.get("rotation"), "epoch") {
        terminal::say(told);
    }
    let prepared = status.get("prepared").and_then(Value::as_u64).unwrap_or_default();
    if prepared == 0 {
        terminal::say(
            "no prepared epoch is left: with the daemon stopped, `panvault init --epochs N` makes more (security officer)",
        );
    }
    show_others(&status);
    Ok(Exit::Ok)
}

/// The keys of the roles beside the KEK.
fn show_others(status: &Value) {
    let fingerprint = status.get("fingerprint").unwrap_or(&Value::Null);
    let keys = |of: Option<&Value>| of.and_then(Value::as_array).cloned().unwrap_or_default();
    for key in keys(fingerprint.get("keys")) {
        let at = |name: &str| cell(key.get(name));
        terminal::say(format!(
            "fingerprint key {}: {}, {} tokens are found under it",
            at("generation"),
            at("state"),
            at("tokens")
        ));
    }
    if let Some(told) = told(fingerprint.get("rotation"), "fingerprint key") {
        terminal::say(told);
    }
    for role in ["audit", "transport"] {
        for key in keys(status.get(role)) {
            let at = |name: &str| cell(key.get(name));
            let until = match key.get("until").and_then(Value::as_str) {
                Some(until) => format!(", opens until {until}"),
                None => String::new(),
            };
            terminal::say(format!("{role} key {}: {}{until}", at("generation"), at("state")));
        }
    }
}

/// Finds cards under the next fingerprint key; with `wait` until all are.
pub(crate) fn rotate_fingerprint(common: &Common, wait: bool) -> anyhow::Result<Exit> {
    let step = Step {
        path: "/admin/keys/fingerprint/rotate",
        to: "generation",
        what: "fingerprint key",
        progress: "fingerprint",
        begun: |generation| format!("cards are found under fingerprint key {generation} from now on"),
    };
    step.take(common, wait)
}

/// Signs with the next audit key.
pub(crate) fn rotate_audit(common: &Common) -> anyhow::Result<Exit> {
    let done = common.call(Method::POST, "/admin/keys/audit/rotate", None)?;
    if common.json {
        terminal::json(&done)?;
        return Ok(Exit::Ok);
    }
    let (generation, pin) = (cell(done.get("generation")), cell(done.get("audit_key")));
    terminal::say(format!("audit key {generation} signs from now on"));
    terminal::say(format!("audit key      {pin}"));
    terminal::remark(
        "Write its fingerprint down beside the old one: the old one goes on verifying what the old key signed, and leads to \
         this one through the audit trail.",
    );
    Ok(Exit::Ok)
}

/// Has clients encrypt to the next transport key.
pub(crate) fn rotate_transport(common: &Common) -> anyhow::Result<Exit> {
    let done = common.call(Method::POST, "/admin/keys/transport/rotate", None)?;
    if common.json {
        terminal::json(&done)?;
        return Ok(Exit::Ok);
    }
    let generation = cell(done.get("generation"));
    terminal::say(format!("transport key {generation} is what clients are to encrypt to"));
    terminal::say("the one before it opens for some time more: `panvault key status`");
    Ok(Exit::Ok)
}

/// Looks at a rotation until it is finished.
fn wait_for(common: &Common, which: &str) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}")?);
    let last = loop {
        let answer = common
            .call(Method::GET, "/admin/keys/rotation", None)
            .context("the rotation goes on by itself, when the daemon serves")?;
        let rotation = answer.get(which).cloned().unwrap_or_default();
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
    Ok(last)
}

fn ended(rotation: &Value) -> Exit {
    match rotation.get("faults").and_then(Value::as_u64) {
        None | Some(0) => Exit::Ok,
        Some(_) => Exit::Fault,
    }
}

/// Moves on to the next epoch; with `wait` until everything is under it.
pub(crate) fn rotate(common: &Common, wait: bool) -> anyhow::Result<Exit> {
    let step = Step {
        path: "/admin/keys/rotate",
        to: "epoch",
        what: "epoch",
        progress: "rotation",
        begun: |epoch| format!("KEK epoch {epoch} seals from now on"),
    };
    step.take(common, wait)
}

/// A step to a next key, after which everything is put under it in the background.
struct Step {
    path: &'static str,
    /// The member of the answer that says which key is next.
    to: &'static str,
    /// What that is called.
    what: &'static str,
    /// The member that says how far the rest is.
    progress: &'static str,
    /// What is told of the step.
    begun: fn(&str) -> String,
}

impl Step {
    fn take(&self, common: &Common, wait: bool) -> anyhow::Result<Exit> {
        let begun = common.call(Method::POST, self.path, None)?;
        let to = begun.get(self.to);
        if !common.json {
            terminal::say((self.begun)(&cell(to)));
        }
        if !wait {
            if common.json {
                terminal::json(&begun)?;
            } else {
                terminal::say("the rest is put under it in the background: `panvault key status`");
            }
            return Ok(Exit::Ok);
        }
        let last = wait_for(common, self.progress)?;
        if common.json {
            terminal::json(&json!({ self.to: to, "rotation": last }))?;
        } else if let Some(told) = told(Some(&last), self.what) {
            terminal::say(told);
        }
        Ok(ended(&last))
    }
}

fn told(rotation: Option<&Value>, what: &str) -> Option<String> {
    let rotation = rotation.filter(|rotation| rotation.is_object())?;
    let at = |name: &str| cell(rotation.get(name));
    let (to, moved, faults) = (at("to"), at("moved"), at("faults"));
    Some(match rotation.get("finished").and_then(Value::as_bool) {
        Some(true) if faults == "0" => format!("rotation to {what} {to}: finished, {moved} records moved"),
        Some(true) => format!(
            "rotation to {what} {to}: {moved} records moved; {faults} do not open and stay: see `panvault audit tail`"
        ),
        _ => format!("rotation to {what} {to}: under way, {moved} records moved"),
    })
}
