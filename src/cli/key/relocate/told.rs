//! What a move tells.

use std::path::Path;

use serde_json::json;

use super::MoveArgs;
use crate::cli::{Exit, check, terminal};
use crate::hsm::Finding;
use crate::keys::Keyring;
use crate::vault::Relocated;

/// There is nothing to be moved.
pub(super) fn already(args: &MoveArgs, keyring: &Keyring) -> anyhow::Result<Exit> {
    let keyset = keyring.keyset();
    if keyset.token_serial != args.serial {
        return Err(Exit::Refused.because(format!(
            "the vault has moved to the token with serial {}: make its configuration the one in use",
            keyset.token_serial
        )));
    }
    if args.json {
        terminal::json(&json!({"already": true, "serial": keyset.token_serial}))?;
    } else {
        terminal::say(format!(
            "the vault is in {} ({}) already",
            keyset.token_label, keyset.token_serial
        ));
    }
    Ok(Exit::Ok)
}

/// What the check of the new HSM found.
pub(super) fn findings(findings: &[Finding]) {
    check::findings(findings, terminal::remark);
}

/// Records stay behind that nobody has agreed to leave.
pub(super) fn unopened(args: &MoveArgs, done: &Relocated) -> anyhow::Result<Exit> {
    if args.json {
        terminal::json(&json!({"finished": false, "records": done}))?;
    } else {
        for name in &done.unopened {
            terminal::say(format!("{name} does not open in the old HSM"));
        }
    }
    Err(Exit::Fault.because(format!(
        "{} records were moved, and {} do not open in the old HSM: the move is not finished. Restore the backup and have them \
         looked at, or, where they may be lost, give the same command with --leave {}",
        done.moved, done.faults, done.faults
    )))
}

/// All is moved.
pub(super) fn done(
    args: &MoveArgs,
    before: &Keyring,
    now: &Keyring,
    done: &Relocated,
    (kept, transcript): (&Path, Option<&Path>),
) -> anyhow::Result<Exit> {
    let (old, new) = (before.keyset(), now.keyset());
    let pin = now.audit_fingerprint()?;
    if args.json {
        terminal::json(&json!({
            "finished": true, "from": old.token_serial, "serial": new.token_serial, "epoch": now.active_epoch().0,
            "audit_key": pin.to_string(), "records": done, "keyring_before": kept,
            "transcript": transcript,
        }))?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!(
        "{} records moved to {} ({}), under KEK epoch {}",
        done.moved,
        new.token_label,
        new.token_serial,
        now.active_epoch().0
    ));
    for (count, what) in [
        (done.dead, "are under KEKs that were destroyed, and stay dead"),
        (done.left, "did not open when an earlier HSM was left, and stay"),
        (done.faults, "did not open, and stay behind for good"),
    ] {
        if count > 0 {
            terminal::say(format!("{count} records {what}"));
        }
    }
    terminal::say(format!("audit key      {pin}"));
    terminal::remark(format!(
        "Write the new audit key's fingerprint down beside the old one, which leads to it. What is left to do:\n\
         1. Make {} the configuration in use, and start the daemon.\n\
         2. `panvault backup`: an older backup opens with the old HSM only.\n\
         3. Have clients encrypt to the new keys: the transport key (/api/keys), {}.\n\
         4. When the new backup was tried, have the old token erased by its vendor's tool (C_InitToken): until then older backups \
         open with it, and afterwards nowhere. The vault cannot certify that, nor destroy KEKs in a HSM that it has left.\n\
         The keyring of before is {}.{}",
        args.to.as_deref().unwrap_or(Path::new("the new file")).display(),
        "`panvault key show locker`, `panvault key show platform` where their dialects are in use",
        kept.display(),
        transcript
            .map(|file| format!(" The daemon signs the transcript when it starts: {}.", file.display()))
            .unwrap_or_default()
    ));
    Ok(Exit::Ok)
}
