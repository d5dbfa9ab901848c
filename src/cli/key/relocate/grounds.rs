//! What must hold before a vault moves.

use std::collections::BTreeMap;
use std::path::Path;

use crate::audit::Head;
use crate::cli::Exit;
use crate::cli::backup::coded;
use crate::cli::offline::{Offline, store_fault};
use crate::cli::progress::Progress;
use crate::config::Config;
use crate::keys::{EpochState, Keyring};
use crate::store::Store;
use crate::transfer::Backup;

/// Two configurations of one vault.
pub(super) fn of_one_vault(old: &Config, new: &Config) -> anyhow::Result<()> {
    let same = (&old.state_dir, &old.store, old.keyring_path()) == (&new.state_dir, &new.store, new.keyring_path());
    if same {
        return Ok(());
    }
    Err(Exit::Config.because(format!(
        "{} and {} are not of one vault: `state_dir` and `[store]` must be the same, only `[hsm]` differs",
        old.file.display(),
        new.file.display()
    )))
}

/// The environment that both modules want: the officer's part loads one after the other into this process.
pub(super) fn environment(old: &Config, new: &Config) -> anyhow::Result<BTreeMap<String, String>> {
    let mut both = old.hsm.environment.clone();
    for (name, value) in &new.hsm.environment {
        let other = both.insert(name.clone(), value.clone());
        if other.is_some_and(|other| other != *value) {
            return Err(Exit::Config.because(format!(
                "hsm.environment.{name} differs between the two configurations, and one process opens both tokens: give a value \
                 with which the module finds both"
            )));
        }
    }
    Ok(both)
}

/// A move goes on to where it was begun.
pub(super) fn of_one_move(keyring: &Keyring, next: &Keyring, serial: &str) -> anyhow::Result<()> {
    if next.vault() != keyring.vault() {
        return Err(Exit::Refused.because("the keyring of the new HSM is another vault's: move it away"));
    }
    if next.keyset().token_serial == serial {
        return Ok(());
    }
    Err(Exit::Refused.because(format!(
        "a move to the token with serial {} is half-way: finish that one",
        next.keyset().token_serial
    )))
}

/// What has begun in this HSM ends in it.
pub(super) fn nothing_is_being_destroyed(keyring: &Keyring) -> anyhow::Result<()> {
    let life = keyring.lifecycle();
    let states = life.states();
    match states.iter().find(|(_, state)| *state == EpochState::Destroying) {
        None => Ok(()),
        Some((epoch, _)) => Err(Exit::Refused.because(format!(
            "KEK epoch {} is being destroyed: start the daemon, which finishes it; nothing was changed",
            epoch.0
        ))),
    }
}

/// Reads the backup to its last byte; gives how the trail names it.
pub(super) fn backup(dir: Option<&Path>, store: &Offline, keyring: &Keyring) -> anyhow::Result<String> {
    let Some(dir) = dir else {
        return Err(Exit::Failure.because(
            "a backup from right before is wanted, which brings the vault back with the old HSM, should the new one fail half-way: \
             `panvault backup DIR`, and name it with --backup DIR; nothing was changed",
        ));
    };
    let pin = keyring.audit_fingerprint()?;
    let backup = Backup::open(dir, Some(&pin)).map_err(coded)?;
    let manifest = backup.manifest();
    let head = manifest.mark().head;
    let lines = store
        .run(store.store().audit(head.seq.max(1), 1))
        .map_err(store_fault)?;
    let ours = lines.iter().find(|line| line.seq == head.seq).map(Head::after);
    if manifest.vault() != keyring.vault() || ours != Some(head) {
        return Err(Exit::Failure.because(format!(
            "{} is no backup of this history of the vault: make one now; nothing was changed",
            dir.display()
        )));
    }
    let progress = Progress::start();
    progress.say("reading the backup");
    // of no epoch: every byte is read for its own sake
    backup.prove(0).map_err(coded)?;
    drop(progress);
    let behind = store.store().health().audit_seq.saturating_sub(head.seq);
    Ok(format!(
        "backup of {}, {behind} audit records before this, manifest sha256 {}",
        manifest.made_at(),
        grouped(&manifest.digest())
    ))
}

/// In groups, which are no run of digits that a trail masks.
fn grouped(hex: &str) -> String {
    let groups: Vec<&str> = hex
        .as_bytes()
        .chunks(8)
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(":")
}
