//! What `panvault init` does: makes the vault's keys in the token, or adds those that are missing, and writes the
//! keyring. It can be run again at will and never replaces a key that cards hang on.
//!
//! Run it in a process of its own, as [`Officer`] says; the service never sees the security officer's PIN.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use secrecy::SecretString;
use serde::{Serialize, Serializer};

use super::keyring::{Keyring, KeyringError, KeyringFault};
use crate::hsm::officer::{self, Officer, OfficerError, Plan};
use crate::hsm::{Config, Epoch, Finding, Generation, KekMode, KeyFingerprint, Keyset, PairRef, Rotated};
use crate::id::{NoRandom, UnixMillis, VaultId};

/// What shall be there afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How the KEKs are protected. `None`: as those that are there, or [`KekMode::SessionSource`].
    pub mode: Option<KekMode>,
    /// KEK epochs in all. Fewer than there are is no error: none is removed. `None`: as many as there are, or
    /// [`officer::KEKS`].
    pub keks: Option<u32>,
    /// There shall be a locker key.
    pub locker: bool,
    /// There shall be a platform key.
    pub platform: bool,
    /// A key shall be prepared for these roles to go on to. One that is prepared already is enough.
    pub next: BTreeSet<Rotated>,
}

/// A key by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Wraps DEKs.
    Kek(Epoch),
    /// MACs card numbers.
    Fingerprint,
    /// Signs.
    Audit,
    /// Opens inbound JWE.
    Transport,
    /// Opens and signs for Hyperswitch's locker.
    Locker,
    /// Signs for PayKKa's dialect.
    Platform,
    /// Follows the first one of its role.
    Later(Rotated, Generation),
}

/// What an `init` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Which vault.
    pub vault: VaultId,
    /// The token's label.
    pub token_label: String,
    /// The token's serial number.
    pub token_serial: String,
    /// How the KEKs are protected.
    pub mode: KekMode,
    /// New DEKs are wrapped under this epoch.
    pub active_epoch: Epoch,
    /// Keys made this time.
    pub made: Vec<Role>,
    /// Keys that were there, and are what the keyring says.
    pub kept: Vec<Role>,
    /// The audit key's fingerprint: write it down, the offline verification of receipts takes it as its anchor.
    pub audit_fingerprint: KeyFingerprint,
    /// What the check of keys, module and token found.
    pub findings: Vec<Finding>,
}

/// Why an `init` came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// The token's side.
    #[error(transparent)]
    Officer(#[from] OfficerError),
    /// The keyring that is there cannot be read, or the place for it cannot be written. Nothing was made.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The keys were made, but not written down. Without the keyring they are of no use.
    #[error("the keys were made, but {error}. Save the following text as that file, mode 0640:\n{text}")]
    NotWritten {
        /// Why.
        error: KeyringError,
        /// The whole file. Nothing in it is secret.
        text: String,
    },
    /// A key that must be kept came back as another: nothing was written.
    #[error("the {0} key would have been replaced; the keyring was left as it is")]
    Replaced(Role),
    /// No random bytes: nothing was made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// Makes the keys that are missing, proves all, and writes the keyring at `path`.
///
/// A first run in mode [`KekMode::OfficerSets`] leaves KEKs for the vendor's officer to mark and ends with
/// [`OfficerError::NotYetTrusted`]; the next run finishes. `so_pin` is needed where KEKs are made in mode
/// [`KekMode::SessionSource`] only.
///
/// # Errors
/// As [`InitError`] lists them.
pub fn init(
    config: &Config,
    path: &Path,
    wanted: &Wanted,
    so_pin: Option<&SecretString>,
    user_pin: &SecretString,
) -> Result<Summary, InitError> {
    let mut officer = Officer::open(config, so_pin, user_pin)?;
    // from here on no other run and no starting worker is under way: the officer holds the start-up lock
    let summary = provision(&mut officer, path, wanted);
    officer.close();
    summary
}

/// Proves the keys that the keyring at `path` names and checks module and token; makes and changes nothing.
///
/// # Errors
/// As [`InitError`] lists them.
pub fn verify(config: &Config, path: &Path, user_pin: &SecretString) -> Result<Summary, InitError> {
    let keyring = Keyring::load(path)?;
    let officer = Officer::open(config, None, user_pin)?;
    let findings = officer.verify(keyring.keyset());
    officer.close();
    summary(&keyring, Some(keyring.keyset()), findings?, path)
}

fn provision(officer: &mut Officer<'_>, path: &Path, wanted: &Wanted) -> Result<Summary, InitError> {
    let before = match Keyring::load(path) {
        Ok(keyring) => Some(keyring),
        Err(error) if error.fault == KeyringFault::Missing => None,
        Err(error) => return Err(error.into()),
    };
    // whatever can fail without the token fails before keys are made
    Keyring::prepare(path)?;
    let vault = VaultId::random()?;

    let existing = before.as_ref().map(|keyring| keyring.keyset().clone());
    let there = existing.as_ref().map(|keyset| keyset.mode);
    let mode = wanted.mode.or(there).unwrap_or(KekMode::SessionSource);
    let made = existing
        .as_ref()
        .and_then(|keyset| u32::try_from(keyset.keks.len()).ok());
    let is_prepared = |role: Rotated| {
        let before = before.as_ref();
        before.is_some_and(|before| before.keyset().generations(role) > before.active(role))
    };
    let provisioned = officer.provision(&Plan {
        mode,
        keks: wanted.keks.or(made).unwrap_or(officer::KEKS),
        locker: wanted.locker,
        platform: wanted.platform,
        next: wanted.next.iter().copied().filter(|role| !is_prepared(*role)).collect(),
        existing,
    })?;
    let keyset = provisioned.keyset;
    let named = |fault| KeyringError {
        path: path.to_owned(),
        fault,
    };
    let keyring = match &before {
        Some(before) => {
            if let Some(role) = replaced(before.keyset(), &keyset) {
                return Err(InitError::Replaced(role));
            }
            before.with_keyset(keyset)
        }
        None => Keyring::new(vault, UnixMillis::now(), Epoch(1), keyset),
    }
    .map_err(named)?;
    if before.as_ref() != Some(&keyring) {
        let draft = keyring.draft().map_err(named)?;
        let by = keyring.active(Rotated::Audit);
        let signature = officer.sign(keyring.keyset(), by, &draft.message())?;
        let signed = draft.signed(&signature).map_err(named)?;
        if let Err(error) = signed.write(path) {
            let text = signed.text();
            return Err(InitError::NotWritten { error, text });
        }
    }
    summary(
        &keyring,
        before.as_ref().map(Keyring::keyset),
        provisioned.findings,
        path,
    )
}

/// The first key of `before` that is not the same in `after`, but for transport, locker and platform key: nothing at rest
/// hangs on them.
fn replaced(before: &Keyset, after: &Keyset) -> Option<Role> {
    if let Some(kek) = before.keks.iter().find(|kek| !after.keks.contains(kek)) {
        return Some(Role::Kek(kek.epoch));
    }
    if (&before.fingerprint_id, &before.fingerprint_check) != (&after.fingerprint_id, &after.fingerprint_check) {
        return Some(Role::Fingerprint);
    }
    if (&before.audit_id, &before.audit_public) != (&after.audit_id, &after.audit_public) {
        return Some(Role::Audit);
    }
    let (before, after) = (&before.later, &after.later);
    if !after.fingerprints.starts_with(&before.fingerprints) {
        return Some(Role::Fingerprint);
    }
    if !after.audits.starts_with(&before.audits) {
        return Some(Role::Audit);
    }
    None
}

fn summary(
    keyring: &Keyring,
    before: Option<&Keyset>,
    findings: Vec<Finding>,
    path: &Path,
) -> Result<Summary, InitError> {
    let keyset = keyring.keyset();
    let keks = keyset.keks.iter().map(|kek| {
        let kept = before.is_some_and(|before| before.keks.contains(kek));
        (Role::Kek(kek.epoch), kept)
    });
    let same_transport = before.is_some_and(|before| before.transport_id == keyset.transport_id);
    // what stayed in a HSM that was left is no key of this one
    let is_here = |role: Rotated, generation: u32| generation > keyset.former.of(role);
    let others = [
        (Rotated::Fingerprint, (Role::Fingerprint, before.is_some())),
        (Rotated::Audit, (Role::Audit, before.is_some())),
        (Rotated::Transport, (Role::Transport, same_transport)),
    ];
    let others = others
        .into_iter()
        .filter_map(|(role, key)| is_here(role, 1).then_some(key));
    let pair = |role, of: fn(&Keyset) -> Option<&PairRef>| {
        let kept = before.is_some_and(|before| of(before) == of(keyset));
        of(keyset).map(|_| (role, kept))
    };
    let pairs = [
        pair(Role::Locker, |keyset| keyset.locker.as_ref()),
        pair(Role::Platform, |keyset| keyset.platform.as_ref()),
    ];
    let later = [Rotated::Fingerprint, Rotated::Audit, Rotated::Transport];
    let later = later.into_iter().flat_map(|role| {
        let there = before.map_or(Generation::FIRST, |before| before.generations(role));
        let numbers = (2..=keyset.generations(role).0).filter(move |number| is_here(role, *number));
        numbers.map(move |number| (Role::Later(role, Generation(number)), number <= there.0))
    });
    let all = keks.chain(others).chain(pairs.into_iter().flatten()).chain(later);
    let (kept, made): (Vec<_>, Vec<_>) = all.partition(|(_, kept)| *kept);
    let audit_fingerprint = keyring.audit_fingerprint().map_err(|fault| KeyringError {
        path: path.to_owned(),
        fault: KeyringFault::Signature(fault),
    })?;
    Ok(Summary {
        vault: keyring.vault().clone(),
        token_label: keyset.token_label.clone(),
        token_serial: keyset.token_serial.clone(),
        mode: keyset.mode,
        active_epoch: keyring.active_epoch(),
        made: made.into_iter().map(|(role, _)| role).collect(),
        kept: kept.into_iter().map(|(role, _)| role).collect(),
        audit_fingerprint,
        findings,
    })
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kek(epoch) => write!(f, "kek {}", epoch.0),
            Self::Fingerprint => f.write_str("fingerprint"),
            Self::Audit => f.write_str("audit"),
            Self::Transport => f.write_str("transport"),
            Self::Locker => f.write_str("locker"),
            Self::Platform => f.write_str("platform"),
            Self::Later(role, generation) => write!(f, "{role} {}", generation.0),
        }
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
