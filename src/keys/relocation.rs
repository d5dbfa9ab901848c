//! A vault moves to an HSM that has other keys: what is there before the first record moves.
//!
//! In order: a journal says to which token, and how what is made there is told from all else; the new HSM makes its keys; the
//! fingerprint keys come along; the audit key in use names the new one; and a keyring of the new HSM, signed by that key, is
//! written beside the one in use. From then on there is no way back but a backup from before. Cut anywhere before that, nothing was
//! changed but for keys in the new token, which the next run removes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::adopt::TokenName;
use super::init::InitError;
use super::keyring::file::{read, replace, sync_dir};
use super::keyring::{Keyring, KeyringError, KeyringFault};
use crate::hsm::officer::{Arrival, Officer, OfficerError, Tag};
use crate::hsm::{Config, Finding, Handover, KekMode, Keyset, Rotated, signed_form};
use crate::id::{UnixMillis, VaultId};

/// The largest journal that is read, in bytes.
const JOURNAL_MAX: u64 = 1 << 20;

/// That a move was begun: from where, to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    vault: VaultId,
    /// The token that is left.
    pub from: TokenName,
    /// The one that takes its place.
    pub to: TokenName,
    tag: Tag,
    /// When.
    pub begun_at: UnixMillis,
    mode: KekMode,
    epochs: u32,
    /// What the new HSM made, where the vendor's officer of the old one is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arrival: Option<Arrival>,
}

impl Journal {
    /// How the new HSM's KEKs are made by a move that waits for a vendor's officer; `None`: one that was cut begins anew.
    pub fn goes_on(&self, keyset: &Keyset) -> Option<KekMode> {
        self.waits(keyset).then_some(self.mode)
    }

    /// Whether a vendor's officer marks keys on either side: what was made stays until that is done.
    fn waits(&self, keyset: &Keyset) -> bool {
        self.mode == KekMode::OfficerSets || keyset.mode == KekMode::OfficerSets
    }
}

/// How the new HSM's KEKs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// How they are protected.
    pub mode: KekMode,
    /// So many epochs.
    pub epochs: u32,
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Keys were made in the new token, or are about to be; nothing else was done.
    Begun(Box<Journal>),
    /// The keyring of the new HSM is there, and records move.
    HalfWay(Box<Keyring>),
    /// All is done, but for the journal's removal.
    Done,
}

/// A token, and what opens it.
pub struct Token<'a> {
    /// How it is reached.
    pub config: &'a Config,
    /// The user PIN.
    pub user: &'a SecretString,
    /// The security officer's, where it is used: not where the vendor's officer marks keys.
    pub so: Option<&'a SecretString>,
}

/// The files of a move, beside a keyring.
#[derive(Debug, Clone)]
pub struct Files {
    keyring: PathBuf,
}

impl Token<'_> {
    fn open<T>(
        &self,
        serial: &str,
        work: impl FnOnce(&mut Officer<'_>) -> Result<T, InitError>,
    ) -> Result<T, InitError> {
        let config = Config {
            token_serial: Some(serial.to_owned()),
            ..self.config.clone()
        };
        let mut officer = Officer::open(&config, self.so, self.user)?;
        let done = work(&mut officer);
        officer.close();
        done
    }
}

impl Files {
    /// Of the keyring at `path`.
    pub fn of(path: &Path) -> Self {
        Self {
            keyring: path.to_owned(),
        }
    }

    /// The keyring of the new HSM, until it takes the other one's place.
    pub fn next(&self) -> PathBuf {
        self.keyring.with_extension("next.json")
    }

    fn journal(&self) -> PathBuf {
        self.keyring.with_file_name("move.json")
    }

    fn note(&self, journal: &Journal) -> Result<(), KeyringError> {
        let text = serde_json::to_vec_pretty(journal).map_err(|error| self.not_written(&error.into()))?;
        replace(&self.journal(), &text).map_err(|error| self.not_written(&error))
    }

    /// How far a move is; `None`: there is none.
    ///
    /// # Errors
    /// A file of it cannot be read, or is no such file.
    pub fn stage(&self) -> Result<Option<Stage>, KeyringError> {
        let path = self.next();
        match Keyring::load(&path) {
            Ok(next) => return Ok(Some(Stage::HalfWay(Box::new(next)))),
            Err(error) if error.fault == KeyringFault::Missing => {}
            Err(error) => return Err(error),
        }
        let path = self.journal();
        let journal: Journal = match read(&path, JOURNAL_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| KeyringFault::Damaged(error.to_string())),
            Err(KeyringFault::Missing) => return Ok(None),
            Err(fault) => Err(fault),
        }
        .map_err(|fault| KeyringError { path, fault })?;
        let now = Keyring::load(&self.keyring)?;
        if *now.vault() != journal.vault {
            let fault = KeyringFault::Senseless("it tells of another vault's move: move it away");
            let path = self.journal();
            return Err(KeyringError { path, fault });
        }
        Ok(Some(match now.keyset().token_serial == journal.to.serial {
            true => Stage::Done,
            false => Stage::Begun(Box::new(journal)),
        }))
    }

    /// The keyring of the new HSM becomes the vault's; the one before stays beside it under another name, which is given.
    ///
    /// # Errors
    /// [`KeyringFault::NotWritten`]; the move is as far as before.
    pub fn take_place(&self, next: &Keyring) -> Result<PathBuf, KeyringError> {
        let since = next.active_since();
        let kept = self.keyring.with_extension(format!("left-{}.json", since.0));
        let before = read(&self.keyring, JOURNAL_MAX).map_err(|fault| KeyringError {
            path: self.keyring.clone(),
            fault,
        })?;
        let done = replace(&kept, &before)
            .and_then(|()| fs::rename(self.next(), &self.keyring))
            .and_then(|()| sync_dir(&self.keyring));
        done.map_err(|error| self.not_written(&error))?;
        self.forget()?;
        Ok(kept)
    }

    /// Removes the journal.
    ///
    /// # Errors
    /// [`KeyringFault::NotWritten`].
    pub fn forget(&self) -> Result<(), KeyringError> {
        let removed = match fs::remove_file(self.journal()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed
            .and_then(|()| sync_dir(&self.keyring))
            .map_err(|error| self.not_written(&error))
    }

    fn not_written(&self, error: &std::io::Error) -> KeyringError {
        KeyringError {
            path: self.keyring.clone(),
            fault: KeyringFault::NotWritten(error.to_string()),
        }
    }
}

/// Whether the vault of `keyring` could move from `old` to the token with that serial number; gives how people know that. What a
/// move that was cut left there is removed; nothing else is changed.
///
/// # Errors
/// As [`InitError`] lists them: why not.
pub fn may_move(
    keyring: &Keyring,
    old: &Token<'_>,
    new: &Token<'_>,
    serial: &str,
    mode: KekMode,
    cut: Option<&Journal>,
) -> Result<TokenName, InitError> {
    let keyset = keyring.keyset();
    if keyset.token_serial == serial {
        return Err(OfficerError::Plan(format!(
            "the vault's keys are in the token with serial {serial} already"
        ))
        .into());
    }
    let waiting = cut.is_some_and(|cut| cut.waits(keyset) && cut.arrival.is_some());
    old.open(&keyset.token_serial, |officer| {
        // the conveyance key that the vendor's officer marks between two runs is none of the vault's: the first one verified
        if !waiting {
            officer.verify(keyset)?;
        }
        officer.may_move(keyset)?;
        Ok(old.so.map_or(Ok(()), |pin| officer.prove_officer(pin))?)
    })?;
    let (label, serial) = new.open(serial, |officer| {
        if let Some(cut) = cut.filter(|_| !waiting) {
            officer.discard(cut.tag, cut.mode == KekMode::OfficerSets)?;
        }
        officer.awaits_move(mode, cut.filter(|cut| cut.waits(keyset)).map(|cut| cut.tag))?;
        let name = officer.token();
        new.so.map_or(Ok(()), |pin| officer.prove_officer(pin))?;
        Ok(name)
    })?;
    Ok(TokenName { label, serial })
}

/// Makes all that is needed before records move, or goes on with `cut`; gives the keyring of the new HSM, which is written beside
/// the one in use, and what the check of the new HSM found.
///
/// # Errors
/// As [`InitError`] lists them. Nothing is left of it then, unless the new token stopped working, which the next run removes, or it
/// is [`OfficerError::NotYetTrusted`]: a vendor's officer has to mark keys before the next run.
pub fn begin(
    files: &Files,
    keyring: &Keyring,
    old: &Token<'_>,
    new: &Token<'_>,
    to: &TokenName,
    wanted: Wanted,
    cut: Option<Journal>,
) -> Result<(Keyring, Vec<Finding>), InitError> {
    let keyset = keyring.keyset();
    let mut journal = match cut.filter(|cut| cut.waits(keyset)) {
        Some(cut) => cut,
        None => Journal {
            vault: keyring.vault().clone(),
            from: TokenName {
                label: keyset.token_label.clone(),
                serial: keyset.token_serial.clone(),
            },
            to: to.clone(),
            tag: Tag::random()?,
            begun_at: UnixMillis::now(),
            mode: wanted.mode,
            epochs: wanted.epochs,
            arrival: None,
        },
    };
    files.note(&journal)?;
    let made = make(files, keyring, old, new, &mut journal);
    let waits = matches!(&made, Err(InitError::Officer(OfficerError::NotYetTrusted(_))));
    // a keyring that is there although its writing failed is gone on with
    let is_there = files.next().exists();
    if made.is_err() && !waits && !is_there && abandon(files, keyset, old, new, &journal).is_err() {
        tracing::warn!("keys of the move are left in the new token: the next run removes them");
    }
    made
}

/// Removes what a move that was only begun left in the tokens, and forgets it.
fn abandon(
    files: &Files,
    keyset: &Keyset,
    old: &Token<'_>,
    new: &Token<'_>,
    journal: &Journal,
) -> Result<(), InitError> {
    if journal.waits(keyset) {
        old.open(&keyset.token_serial, |officer| Ok(officer.discard(journal.tag, false)?))?;
    }
    new.open(&journal.to.serial, |officer| Ok(officer.discard(journal.tag, false)?))?;
    Ok(files.forget()?)
}

fn make(
    files: &Files,
    keyring: &Keyring,
    old: &Token<'_>,
    new: &Token<'_>,
    journal: &mut Journal,
) -> Result<(Keyring, Vec<Finding>), InitError> {
    let keyset = keyring.keyset();
    let path = files.next();
    let named = |fault: KeyringFault| KeyringError {
        path: path.clone(),
        fault,
    };
    let (to, tag) = (journal.to.serial.clone(), journal.tag);
    let arrival = match journal.arrival.take() {
        Some(arrival) => arrival,
        None => {
            let (mode, epochs) = (journal.mode, journal.epochs);
            let made = new.open(&to, |officer| Ok(officer.arrive(keyset, mode, epochs, tag)?))?;
            if journal.waits(keyset) {
                journal.arrival = Some(made.clone());
                files.note(journal)?;
            }
            made
        }
    };
    let (from, audit) = (keyring.audit_public(), arrival.audit_public());
    let at = UnixMillis::now();
    let statement = Handover::statement(keyring.vault(), at, from, audit);
    let statement = statement.map_err(|fault| named(KeyringFault::Signature(fault)))?;
    let used = (keyring.active(Rotated::Audit), keyring.active(Rotated::Transport));
    let (conveyed, signature) = old.open(&keyset.token_serial, |officer| {
        let signature = officer.sign(keyset, used.0, &signed_form(Handover::DOMAIN, &statement))?;
        Ok((officer.convey(keyset, arrival.conveyance(), tag)?, signature))
    })?;
    let handover = Handover::new(keyring.vault().clone(), at, from.clone(), audit.clone(), &signature);
    new.open(&to, |officer| {
        let (taken, findings) = officer.take_in(keyset, arrival, &conveyed, tag, used)?;
        let next = keyring.moved(taken, handover).map_err(named)?;
        let draft = next.draft().map_err(named)?;
        let signature = officer.sign(next.keyset(), next.active(Rotated::Audit), &draft.message())?;
        draft.signed(&signature).map_err(named)?.write(&path)?;
        Ok((next, findings))
    })
}
