//! The ceremony that makes the vault's keys, and what a custodian's command does with them. Never part of the service:
//! the daemon does not see the security officer's PIN.
//!
//! Every key gets a CKA_ID of 16 random bytes, by which it is found ever after, and a label for people:
//! `panvault-kek-0001` (the epoch), `panvault-fingerprint`, `panvault-audit`, `panvault-transport`, `panvault-locker`,
//! `panvault-platform`.

mod client_key;
mod convey;
mod error;
mod keks;
mod later;
mod moving;
mod provision;
mod roles;

use cryptoki::session::UserType;
use secrecy::SecretString;

pub use self::client_key::ClientKey;
pub use self::error::OfficerError;
use self::error::refused_pin;
pub use self::moving::{Arrival, Conveyed, Tag};
pub use self::provision::{KEKS, MOST_KEKS, Plan, Provisioned};
use super::check::check;
use super::pkcs11::{Module, RawSession, Search};
use super::proof::{sign, signing};
use super::token::StartLock;
use super::{Config, Finding, Generation, Keyset};

/// A session of a ceremony, logged in as user. Make one at a time, in a process of its own that was started with the
/// configured environment, while the service is stopped.
pub struct Officer<'a> {
    module: Module,
    session: RawSession,
    strict: bool,
    so_pin: Option<&'a SecretString>,
    user_pin: &'a SecretString,
    /// What the CKA_IDs of keys that are made begin with.
    tag: Option<Tag>,
    _lock: StartLock,
}

/// Makes a token with this label in the module's first free slot (SoftHSM; real HSMs have tools of their own). Goes on
/// with one that an earlier call, cut short, left: these PINs are its own.
///
/// # Errors
/// [`OfficerError::NoToken`]: no free slot; [`OfficerError::Unavailable`]: a token with other PINs has the label, or the
/// module refuses.
pub fn create_token(config: &Config, so_pin: &SecretString, user_pin: &SecretString) -> Result<(), OfficerError> {
    let _lock = StartLock::take(&config.state_dir)?;
    let Config {
        module,
        environment,
        token_label,
        ..
    } = config;
    Ok(Module::create_token(
        module,
        environment,
        token_label,
        so_pin,
        user_pin,
    )?)
}

impl<'a> Officer<'a> {
    /// Opens the token and logs in as user, with one try.
    ///
    /// # Errors
    /// [`OfficerError::NoToken`], [`OfficerError::PinRefused`], [`OfficerError::Unavailable`].
    pub fn open(
        config: &Config,
        so_pin: Option<&'a SecretString>,
        user_pin: &'a SecretString,
    ) -> Result<Self, OfficerError> {
        let lock = StartLock::take(&config.state_dir)?;
        let serial = config.token_serial.as_deref();
        let module = Module::open(&config.module, &config.environment, &config.token_label, serial)?;
        let session = match module.session().and_then(|session| {
            module.login(&session, UserType::User, user_pin)?;
            Ok(session)
        }) {
            Ok(session) => session,
            Err(fault) => {
                let _ = module.finalize();
                return Err(refused_pin(fault, "user"));
            }
        };
        Ok(Self {
            module,
            session,
            strict: config.strict,
            so_pin,
            user_pin,
            tag: None,
            _lock: lock,
        })
    }

    /// Proves the keys of `keyset` and checks module and token as a worker's start does; makes nothing that stays.
    ///
    /// # Errors
    /// [`OfficerError::Keys`], [`OfficerError::Policy`] or [`OfficerError::Unavailable`].
    pub fn verify(&self, keyset: &Keyset) -> Result<Vec<Finding>, OfficerError> {
        let checked = check(&self.module, &self.session, keyset, self.strict)?;
        Ok(checked.findings.into_inner())
    }

    /// The token's label and serial number.
    pub fn token(&self) -> (String, String) {
        let token = self.module.token();
        (token.label().trim().to_owned(), token.serial_number().trim().to_owned())
    }

    /// Signs with the audit key of that generation, as [`super::Job::Sign`] does, and checks the signature against the
    /// pinned public half.
    ///
    /// # Errors
    /// [`OfficerError::Keys`]: the audit key is missing or another one.
    pub fn sign(&self, keyset: &Keyset, generation: Generation, message: &[u8]) -> Result<Vec<u8>, OfficerError> {
        let named = generation.index().and_then(|index| keyset.audits().nth(index));
        let missing = || OfficerError::Keys(format!("the keyset has no audit key {}", generation.0));
        let (hex, public) = named.ok_or_else(missing)?;
        let id = decode_id(hex)?;
        let class = Some(cryptoki::object::ObjectClass::PRIVATE_KEY);
        for key in self.session.find(&Search {
            class,
            id: Some(&id),
            token_objects: true,
            ..Search::default()
        })? {
            let Ok(signature) = sign(&self.session, key, signing(public), message) else {
                continue;
            };
            if public.verify(message, &signature).is_ok() {
                return Ok(signature);
            }
        }
        Err(OfficerError::Keys(format!(
            "the audit key (CKA_ID {hex}) is missing or was swapped"
        )))
    }

    /// Whether the token takes this as the security officer's PIN, with one try. Nobody is logged in after it.
    ///
    /// # Errors
    /// [`OfficerError::PinRefused`], [`OfficerError::Unavailable`].
    pub fn prove_officer(&self, pin: &SecretString) -> Result<(), OfficerError> {
        self.logout()?;
        self.login(UserType::So, pin, "security officer's")?;
        self.logout()
    }

    /// Closes the session and ends the module.
    pub fn close(self) {
        let Self { module, session, .. } = self;
        drop(session);
        // Nothing is left to be saved if the module complains.
        let _ = module.finalize();
    }

    fn login(&self, user: UserType, pin: &SecretString, who: &'static str) -> Result<(), OfficerError> {
        self.module
            .login(&self.session, user, pin)
            .map_err(|fault| refused_pin(fault, who))
    }

    fn logout(&self) -> Result<(), OfficerError> {
        self.session
            .cryptoki()
            .logout()
            .map_err(|e| OfficerError::Unavailable(format!("C_Logout: {e}")))
    }
}

fn decode_id(hex: &str) -> Result<Vec<u8>, OfficerError> {
    let id = data_encoding::HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .ok()
        .filter(|id| !id.is_empty());
    id.ok_or_else(|| OfficerError::Keys("the keyset names a CKA_ID that is not hex".to_owned()))
}
