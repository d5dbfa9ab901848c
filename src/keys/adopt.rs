//! Another token takes the place of the one that `init` made the keys in: a replaced HSM, into which the vendor's tool has
//! put the same keys, or a group of HSMs that shows itself under a serial number of its own.

use std::path::Path;

use secrecy::SecretString;

use super::init::InitError;
use super::keyring::{Keyring, KeyringError, KeyringFault};
use crate::hsm::officer::Officer;
use crate::hsm::{Config, Keyset, PublicKey, Rotated};

/// A token by what people know it by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TokenName {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
}

/// What an adoption came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Adopted {
    /// The token before.
    pub before: TokenName,
    /// The token from now on.
    pub now: TokenName,
    /// The keyring named it already.
    pub was_so: bool,
}

/// What is to be signed of an adoption by the audit key, whose public half is given too.
pub type Stated<'a> = &'a dyn Fn(&Adopted, &PublicKey) -> Option<Vec<u8>>;

/// Makes the configured token, whose serial number must be `serial`, the one of the keyring at `path`: if every key of the
/// keyring is in it and proves to be the same, by canary, check value and public half, and the token passes the start-up check.
/// No key is made or changed. Gives the audit key's signature of what `stated` says of it, too. Run it as [`Officer`] says.
///
/// # Errors
/// As [`InitError`] lists them; the keyring is as it was then.
pub fn adopt(
    config: &Config,
    path: &Path,
    serial: &str,
    user_pin: &SecretString,
    stated: Stated<'_>,
) -> Result<(Adopted, Option<Vec<u8>>), InitError> {
    let keyring = Keyring::load(path)?;
    Keyring::prepare(path)?;
    let config = Config {
        token_serial: Some(serial.to_owned()),
        ..config.clone()
    };
    let officer = Officer::open(&config, None, user_pin)?;
    let adopted = proved(&officer, &keyring, path, stated);
    officer.close();
    adopted
}

fn proved(
    officer: &Officer<'_>,
    keyring: &Keyring,
    path: &Path,
    stated: Stated<'_>,
) -> Result<(Adopted, Option<Vec<u8>>), InitError> {
    let named = |fault: KeyringFault| KeyringError {
        path: path.to_owned(),
        fault,
    };
    let (label, serial) = officer.token();
    let old = keyring.keyset();
    let before = TokenName {
        label: old.token_label.clone(),
        serial: old.token_serial.clone(),
    };
    let now = TokenName { label, serial };
    let keyset = Keyset {
        token_label: now.label.clone(),
        token_serial: now.serial.clone(),
        ..old.clone()
    };
    officer.verify(&keyset)?;
    let was_so = before == now;
    let by = keyring.active(Rotated::Audit);
    if !was_so {
        let next = keyring.with_keyset(keyset.clone()).map_err(named)?;
        let draft = next.draft().map_err(named)?;
        let signature = officer.sign(next.keyset(), by, &draft.message())?;
        draft.signed(&signature).map_err(named)?.write(path)?;
    }
    let adopted = Adopted { before, now, was_so };
    let public = by.index().and_then(|index| keyset.audits().nth(index));
    let message = public.and_then(|(_, public)| stated(&adopted, public));
    // it is done by now, whether it can be stated or not
    let signature = message.and_then(|message| officer.sign(&keyset, by, &message).ok());
    Ok((adopted, signature))
}
