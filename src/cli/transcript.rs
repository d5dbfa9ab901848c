//! Signed transcripts of what was done while no daemon served: files beside the store, for others to keep.
//!
//! `key adopt` has the HSM and signs at once. `restore` has none, and `key move` is done when the vault is in another one: they
//! leave what is to be stated, and the daemon that starts next signs it, if the audit trail has just that.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value};

use super::key::moved;
use crate::audit::{Head, Statement, StatementKind};
use crate::hsm::{PublicKey, signed_form};
use crate::id::UnixMillis;
use crate::id::VaultId;
use crate::store::{AuditLine, Store};
use crate::vault::Vault;

/// Before it is tried again where the HSM does not sign.
const PAUSE: Duration = Duration::from_secs(5);
/// So far back it is looked for: the daemon writes a few records before it looks.
const BACK: u32 = 1_000;
/// The longest file that is read as one that was left.
const LEFT_MAX: u64 = 64 << 10;

/// The member that names the audit record which a transcript rests on.
const HEAD: &str = "audit_head";

/// A transcript that is about to be signed.
pub(super) struct Unsigned(Statement);

impl Unsigned {
    /// What is stated, resting on an audit record.
    pub(super) fn new(
        vault: &VaultId,
        mut says: Map<String, Value>,
        record: &AuditLine,
        public: &PublicKey,
    ) -> anyhow::Result<Self> {
        says.insert(HEAD.to_owned(), Head::after(record).to_string().into());
        Ok(Self(Statement::unsigned(StatementKind::Ceremony, vault, says, public)?))
    }

    /// What the audit key signs.
    pub(super) fn message(&self) -> Vec<u8> {
        signed_form(self.0.kind().domain(), &self.0.signed_bytes())
    }

    /// With its signature.
    pub(super) fn signed(self, signature: Vec<u8>) -> Statement {
        self.0.with_signature(signature)
    }
}

/// Writes a signed one; gives its file.
pub(super) fn write(state_dir: &Path, operation: &str, at: UnixMillis, signed: &Statement) -> anyhow::Result<PathBuf> {
    let file = dir(state_dir)?.join(format!("{operation}-{}.json", at.0));
    put(&file, &format!("{}\n", signed.to_json()))?;
    Ok(file)
}

/// Leaves what is to be stated for the daemon that starts next; gives the file that the transcript will be.
pub(super) fn leave(
    state_dir: &Path,
    operation: &str,
    at: UnixMillis,
    says: Map<String, Value>,
) -> anyhow::Result<PathBuf> {
    let file = dir(state_dir)?.join(format!("{operation}-{}.unsigned", at.0));
    // of a run that was cut
    if file.exists() {
        fs::remove_file(&file)?;
    }
    put(&file, &Value::Object(says).to_string())?;
    Ok(file.with_extension("json"))
}

/// Signs what was left, once the HSM does. To be aborted before the store is closed; what is left then is signed later.
pub(super) fn sign_left(
    state_dir: &Path,
    vault: &Arc<Vault>,
    store: &Arc<dyn Store>,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let mut left = Vec::new();
    let dir = state_dir.join("transcripts");
    if dir.is_dir() {
        for entry in fs::read_dir(&dir)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "unsigned") {
                left.push(file);
            }
        }
    }
    let (vault, store) = (Arc::clone(vault), Arc::clone(store));
    Ok(tokio::spawn(async move {
        for file in left {
            while let Err(error) = sign(&file, &vault, store.as_ref()).await {
                if !error.is::<Later>() {
                    let file = file.display();
                    tracing::error!(%file, error = format!("{error:#}"), "a transcript is not signed");
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }))
}

/// The HSM or the store does not work now.
#[derive(Debug, thiserror::Error)]
#[error("not now: {0}")]
struct Later(String);

async fn sign(file: &Path, vault: &Vault, store: &dyn Store) -> anyhow::Result<()> {
    if fs::symlink_metadata(file)?.len() > LEFT_MAX {
        anyhow::bail!("it is too long");
    }
    let mut says: Map<String, Value> = serde_json::from_slice(&fs::read(file)?)?;
    let last = store.health().audit_seq;
    let from = last.saturating_sub(u64::from(BACK)).max(1);
    let lines = store.audit(from, BACK + 1).await;
    let lines = lines.map_err(|error| Later(error.to_string()))?;
    let record = lines.iter().rev().find(|line| is_of(&says, line));
    let record = record.context("the audit trail has no such record")?;
    says.insert(HEAD.to_owned(), Head::after(record).to_string().into());
    let signed = vault.state(StatementKind::Ceremony, says).await;
    let signed = signed.map_err(|error| Later(error.to_string()))?;
    let to = file.with_extension("json");
    // one of a start that was cut between the two: it may be cut short
    if to.exists() {
        fs::remove_file(&to)?;
    }
    put(&to, &format!("{}\n", signed.to_json()))?;
    fs::remove_file(file)?;
    tracing::info!(file = %to.display(), "a transcript is signed");
    Ok(())
}

/// Whether an audit record is that of what is to be stated: that restoration or that move, agreed to by those operators.
fn is_of(says: &Map<String, Value>, line: &AuditLine) -> bool {
    let Ok(line) = serde_json::from_slice::<Value>(&line.line) else {
        return false;
    };
    let event = |name: &str| line.pointer(&format!("/event/{name}")).and_then(Value::as_str);
    let detail = event("detail").unwrap_or_default();
    let said = |of: &str, name: &str| says.get(of).and_then(|of| of.get(name));
    let names = match says.get("approved_by") {
        Some(Value::String(names)) => Some(names.as_str()),
        Some(Value::Null) => None,
        _ => return false,
    };
    let operation = says.get("operation").and_then(Value::as_str);
    let is_so = match operation {
        Some("restore") => said("result", "revision")
            .and_then(Value::as_u64)
            .is_some_and(|revision| {
                let agreed = match names {
                    Some(names) => detail.ends_with(&format!("; agreed to by {names}")),
                    None => !detail.contains("; agreed to by "),
                };
                detail.starts_with(&format!("to revision {revision} ")) && agreed
            }),
        Some("key-move") => {
            let serial = |of, name| said(of, name).and_then(Value::as_str);
            let serials = serial("result", "from").zip(serial("subject", "serial"));
            serials.is_some_and(|serials| detail.starts_with(&format!("{};", moved(serials, names))))
        }
        _ => false,
    };
    is_so && operation == event("action") && event("outcome") == Some("ok")
}

fn dir(state_dir: &Path) -> anyhow::Result<PathBuf> {
    let dir = state_dir.join("transcripts");
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// A new file, durable.
fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let mut made = made.with_context(|| format!("cannot make {}", file.display()))?;
    made.write_all(text.as_bytes())?;
    made.sync_all()?;
    if let Some(dir) = file.parent() {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(detail: &str) -> AuditLine {
        let line = json!({"seq": 1, "event": {"action": "restore", "outcome": "ok", "detail": detail}});
        AuditLine {
            seq: 1,
            line: line.to_string().into_bytes(),
        }
    }

    #[test]
    fn only_the_move_that_is_on_record_is_stated() {
        let says = |from: &str, by: Value| {
            let (subject, result) = (json!({"serial": "2"}), json!({"from": from}));
            let says = json!({"operation": "key-move", "approved_by": by, "subject": subject, "result": result});
            says.as_object().unwrap().clone()
        };
        let line = |action: &str, detail: &str| {
            let line = json!({"seq": 1, "event": {"action": action, "outcome": "ok", "detail": detail}});
            AuditLine {
                seq: 1,
                line: line.to_string().into_bytes(),
            }
        };
        let alone = line("key-move", "the token with serial 2 in the place of 1; all is moved");
        let agreed = line(
            "key-move",
            "the token with serial 2 in the place of 1, approved by alice and bob; all is moved",
        );
        let other = line("restore", "the token with serial 2 in the place of 1; all is moved");
        let both = json!("alice and bob");
        assert!(is_of(&says("1", Value::Null), &alone) && is_of(&says("1", both.clone()), &agreed));
        for (says, line) in [
            (says("1", both), &alone),
            (says("1", Value::Null), &agreed),
            (says("1", json!("alice")), &agreed),
            (says("3", Value::Null), &alone),
            (says("1", Value::Null), &other),
        ] {
            assert!(!is_of(&says, line), "{says:?}");
        }
    }

    #[test]
    fn only_the_restoration_that_is_on_record_is_stated() {
        let says = |revision: u64, by: Value| {
            let says = json!({"operation": "restore", "approved_by": by, "result": {"revision": revision}});
            says.as_object().unwrap().clone()
        };
        let alone = line("to revision 7 and audit record 9; 0 tokens deleted");
        let agreed = line("to revision 7 and audit record 9; 0 tokens deleted; agreed to by alice and bob");
        assert!(is_of(&says(7, Value::Null), &alone) && is_of(&says(7, json!("alice and bob")), &agreed));
        for (says, line) in [
            (says(70, Value::Null), &alone),
            (says(7, json!("alice and bob")), &alone),
            (says(7, Value::Null), &agreed),
            (says(7, json!("bob")), &agreed),
            (says(7, json!(7)), &agreed),
            (Map::new(), &alone),
        ] {
            assert!(!is_of(&says, line), "{says:?}");
        }
    }
}
