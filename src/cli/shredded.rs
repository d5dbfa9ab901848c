//! Shred certificates beside the keyring: what a keyring that came out of an older backup does not know.
//!
//! Each is a file of `shredded/` in the state directory, signed by the audit key that the keyring names. What they say was
//! destroyed is no key of the vault's any more, although the keyring still has it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Exit;
use crate::audit::Statement;
use crate::config::Config;
use crate::hsm::KeyFingerprint;
use crate::id::VaultId;
use crate::keys::Keyring;
use crate::vault::destroy::Shredded;

/// A certificate is small; more is not one.
const MAX: u64 = 64 << 10;

/// A certificate that holds, and its text.
pub(super) type Certificate = (Shredded, String);

/// Where they are.
pub(super) fn dir(config: &Config) -> PathBuf {
    config.state_dir.join("shredded")
}

/// Reads a certificate of this vault, signed by one of these keys.
pub(super) fn read(path: &Path, vault: &VaultId, keys: &[KeyFingerprint]) -> anyhow::Result<Certificate> {
    let wrong =
        |why: String| Exit::Fault.because(format!("{}: no shred certificate of this vault: {why}", path.display()));
    let length = fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if length > MAX {
        return Err(wrong("it is too long".to_owned()));
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let statement = Statement::parse(text.as_bytes()).map_err(|fault| wrong(fault.to_string()))?;
    statement.verify(keys).map_err(|fault| wrong(fault.to_string()))?;
    let shredded = Shredded::of(&statement, vault).map_err(|fault| wrong(fault.to_string()))?;
    Ok((shredded, statement.to_json()))
}

/// Those beside this keyring.
pub(super) fn beside(config: &Config, keyring: &Keyring) -> anyhow::Result<Vec<Certificate>> {
    let dir = dir(config);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    let keys = keyring.audit_history()?;
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let found = read(&path, keyring.vault(), &keys);
            all.push(found.map_err(|error| Exit::Refused.because(format!("{error:#}; move it away")))?);
        }
    }
    all.sort_by_key(|(shredded, _)| shredded.epoch);
    Ok(all)
}

/// The keyring after what they say.
pub(super) fn applied(keyring: Keyring, certificates: &[Certificate]) -> anyhow::Result<Keyring> {
    certificates.iter().try_fold(keyring, |keyring, (shredded, _)| {
        keyring
            .after_destruction(crate::hsm::Epoch(shredded.epoch), &shredded.id, shredded.at)
            .map_err(|refused| Exit::Refused.because(format!("KEK epoch {} is destroyed: {refused}", shredded.epoch)))
    })
}

/// Puts them beside the keyring, durably.
pub(super) fn put(config: &Config, certificates: &[Certificate]) -> anyhow::Result<()> {
    if certificates.is_empty() {
        return Ok(());
    }
    let dir = dir(config);
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&dir)?;
        for (shredded, text) in certificates {
            let fresh = dir.join(format!("{:04}.new", shredded.epoch));
            fs::write(&fresh, text)?;
            fs::File::open(&fresh)?.sync_all()?;
            fs::rename(&fresh, dir.join(format!("{:04}.json", shredded.epoch)))?;
        }
        fs::File::open(&dir)?.sync_all()?;
        fs::File::open(&config.state_dir)?.sync_all()
    };
    write().with_context(|| {
        format!(
            "cannot put shred certificates in {}: run `panvault restore` again",
            dir.display()
        )
    })
}
