//! A vault moves to an HSM that has other keys: what is there before the first record moves.
//!
//! In order: a journal says to which token, and how what is made there is told from all else; the new HSM makes its keys; the
//! fingerprint keys come along; the audit key in use names the new one; and a keyring of the new HSM, signed by that key, is
//! written beside the one in use. From then on there is no way back but a backup from before. Cut anywhere before that, nothing was
//! changed but for keys in the new token, which the next run removes.

mod files;

use secrecy::SecretString;

pub use self::files::{Files, Journal, Stage};
use super::adopt::TokenName;
use super::init::InitError;
use super::keyring::{Keyring, KeyringError, KeyringFault};
use crate::hsm::officer::{Officer, OfficerError, Tag};
use crate::hsm::{Config, Finding, Handover, KekMode, Keyset, Rotated, signed_form};
use crate::id::UnixMillis;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How the new HSM's KEKs are protected.
    pub mode: KekMode,
    /// So many epochs of them.
    pub epochs: u32,
    /// The operators who agreed, for the transcript.
    pub approved_by: Option<String>,
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
            approved_by: None,
            mode: wanted.mode,
            epochs: wanted.epochs,
            arrival: None,
        },
    };
    journal.approved_by = wanted.approved_by;
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
