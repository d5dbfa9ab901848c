//! `key destroy`, `key certificate` and `key compromise`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hyper::Method;
use serde_json::{Value, json};

use super::request::{Common, cell};
use crate::cli::backup::coded;
use crate::cli::progress::Progress;
use crate::cli::{Exit, terminal};
use crate::transfer::Backup;

/// Destroys the KEK of an epoch. The backup is read here, all of it: the daemon may not be let into its place.
pub(crate) fn destroy(common: &Common, epoch: u32, backup: Option<&Path>, out: Option<&Path>) -> anyhow::Result<Exit> {
    let file = out.map(new_file).transpose()?;
    let progress = Progress::start();
    let body = match backup {
        None => json!({}),
        Some(dir) => {
            progress.say("reading the backup");
            verified(epoch, dir)?
        }
    };
    progress.say("destroying the KEK; this takes some seconds");
    let answer = common.call(Method::POST, &format!("/admin/keys/{epoch}/destroy"), Some(&body));
    drop(progress);
    let certificate = answer.inspect_err(|_| unused(out))?;
    hand_out(common, &certificate, out.zip(file))?;
    terminal::remark(
        "Keep the certificate with your records: restoring an older backup wants it (`panvault restore --shredded`).",
    );
    Ok(Exit::Ok)
}

/// The shred certificate of an epoch, again.
pub(crate) fn certificate(common: &Common, epoch: u32, out: Option<&Path>) -> anyhow::Result<Exit> {
    let file = out.map(new_file).transpose()?;
    let answer = common.call(Method::GET, &format!("/admin/keys/{epoch}/certificate"), None);
    let certificate = answer.inspect_err(|_| unused(out))?;
    hand_out(common, &certificate, out.zip(file))?;
    Ok(Exit::Ok)
}

/// Marks an epoch as compromised.
pub(crate) fn compromise(common: &Common, epoch: u32, reason: Option<&str>) -> anyhow::Result<Exit> {
    let body = json!({ "reason": reason });
    let done = common.call(Method::POST, &format!("/admin/keys/{epoch}/compromise"), Some(&body))?;
    if common.json {
        terminal::json(&done)?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!("KEK epoch {epoch} is compromised"));
    let moved_to = cell(done.get("moved_to"));
    if !moved_to.is_empty() {
        terminal::say(format!(
            "KEK epoch {moved_to} seals from now on, and everything is put under it: `panvault key status`"
        ));
    }
    if done.get("sealing_stopped").and_then(Value::as_bool).unwrap_or_default() {
        terminal::say(
            "no epoch is prepared: nothing is sealed until there is one; with the daemon stopped, `panvault init --epochs N` makes \
             more (security officer), then `panvault key rotate`",
        );
    }
    terminal::say(format!(
        "when nothing is under it any more: `panvault key destroy --epoch {epoch} --backup DIR`"
    ));
    Ok(Exit::Ok)
}

/// What the daemon is told of the backup, once every byte of it was read. Whose key signed it, the daemon looks at: an operator may
/// not be let into its state directory.
fn verified(epoch: u32, dir: &Path) -> anyhow::Result<Value> {
    let backup = Backup::open(dir, None).map_err(coded)?;
    let under = backup.prove(epoch).map_err(coded)?;
    let manifest = std::str::from_utf8(backup.manifest().text()).context("the manifest is not text")?;
    Ok(json!({ "manifest": manifest, "tokens": under.tokens, "documents": under.documents }))
}

/// Made before anything is asked for: a certificate that cannot be written is not worth much.
fn new_file(path: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| format!("cannot make {}; nothing was changed", path.display()))
}

/// Takes back a file that nothing was written to.
fn unused(path: Option<&Path>) {
    if let Some(path) = path {
        // an empty file more is no fault
        let _ = std::fs::remove_file(path);
    }
}

fn hand_out(common: &Common, certificate: &Value, out: Option<(&Path, std::fs::File)>) -> anyhow::Result<()> {
    let Some((path, mut file)) = out else {
        return terminal::json(certificate);
    };
    let text = format!("{certificate}\n");
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.with_context(|| {
        let epoch = cell(certificate.get("kek_epoch"));
        let path: PathBuf = path.to_owned();
        format!(
            "{}: print it again with `panvault key certificate --epoch {epoch}`",
            path.display()
        )
    })?;
    if common.json {
        return terminal::json(certificate);
    }
    terminal::say(format!(
        "KEK epoch {} (CKA_ID {}) destroyed on {}: {} objects; certificate in {}",
        cell(certificate.get("kek_epoch")),
        cell(certificate.get("cka_id")),
        cell(certificate.get("destroyed_at")),
        cell(certificate.get("objects_destroyed")),
        path.display()
    ));
    Ok(())
}
