//! Another token takes the place of the one that `init` made the keys in: a replaced HSM, into which the vendor's tool has
//! put the same keys, or a group of HSMs that shows itself under a serial number of its own.

use std::path::Path;

use secrecy::SecretString;

use super::init::InitError;
use super::keyring::{Keyring, KeyringError, KeyringFault};
use crate::hsm::officer::Officer;
use crate::hsm::{Config, Keyset, Rotated};

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

/// Makes the configured token, whose serial number must be `serial`, the one of the keyring at `path`: if every key of the
/// keyring is in it and proves to be the same, by canary, check value and public half, and the token passes the start-up check.
/// No key is made or changed. Run it as [`Officer`] says.
///
/// # Errors
/// As [`InitError`] lists them; the keyring is as it was then.
pub fn adopt(config: &Config, path: &Path, serial: &str, user_pin: &SecretString) -> Result<Adopted, InitError> {
    let keyring = Keyring::load(path)?;
    Keyring::prepare(path)?;
    let config = Config {
        token_serial: Some(serial.to_owned()),
        ..config.clone()
    };
    let officer = Officer::open(&config, None, user_pin)?;
    let adopted = proved(&officer, &keyring, path);
    officer.close();
    adopted
}

fn proved(officer: &Officer<'_>, keyring: &Keyring, path: &Path) -> Result<Adopted, InitError> {
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
    if !was_so {
        let next = keyring.with_keyset(keyset).map_err(named)?;
        let draft = next.draft().map_err(named)?;
        let signature = officer.sign(next.keyset(), next.active(Rotated::Audit), &draft.message())?;
        draft.signed(&signature).map_err(named)?.write(path)?;
    }
    Ok(Adopted { before, now, was_so })
}
