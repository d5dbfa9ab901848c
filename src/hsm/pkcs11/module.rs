//! A loaded and initialised module, and the one token in it that holds the vault's keys.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki_sys as sys;
use secrecy::SecretString;

use super::raw::{Functions, Handle, RawSession};

/// Why the token cannot be used. The texts are for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenFault {
    /// No token with that label (and serial) is there, or more than one.
    #[error("{0}")]
    NoToken(String),
    /// A token with that label is there, and it is another one by its serial number.
    #[error("{0}")]
    OtherToken(String),
    /// The token refused the PIN.
    #[error("{0}")]
    PinRefused(String),
    /// Anything else.
    #[error("{0}")]
    Unavailable(String),
}

impl From<CryptokiError> for OpenFault {
    fn from(error: CryptokiError) -> Self {
        Self::Unavailable(short(&error))
    }
}

/// The module, initialised, and the slot of our token.
#[derive(Clone)]
pub(crate) struct Module {
    pkcs11: Pkcs11,
    functions: Arc<Functions>,
    slot: Slot,
    info: TokenInfo,
}

impl Module {
    /// Loads and initialises the module and finds the token by label, and by serial where one is given; never by slot
    /// index, which modules renumber.
    pub(crate) fn open(
        path: &Path,
        environment: &BTreeMap<String, String>,
        label: &str,
        serial: Option<&str>,
    ) -> Result<Self, OpenFault> {
        let (pkcs11, functions) = load(path, environment)?;
        match find_token(&pkcs11, label, serial) {
            Ok((slot, info)) => Ok(Self {
                pkcs11,
                functions,
                slot,
                info,
            }),
            Err(fault) => {
                // The next try must be able to initialise again.
                let _ = pkcs11.finalize();
                Err(fault)
            }
        }
    }

    /// Makes a token with this label and these PINs in the module's first free slot, then ends the module. Goes on with
    /// one that has the label already if these PINs are its own.
    pub(crate) fn create_token(
        path: &Path,
        environment: &BTreeMap<String, String>,
        label: &str,
        so_pin: &SecretString,
        user_pin: &SecretString,
    ) -> Result<(), OpenFault> {
        let (pkcs11, _functions) = load(path, environment)?;
        let made = make_token(&pkcs11, label, so_pin, user_pin);
        let _ = pkcs11.finalize();
        made
    }

    /// C_Finalize. All sessions must be closed.
    pub(crate) fn finalize(self) -> Result<(), OpenFault> {
        Ok(self.pkcs11.finalize()?)
    }

    /// A read-write session: some vendors have no other kind.
    pub(crate) fn session(&self) -> Result<RawSession, OpenFault> {
        let session = self.pkcs11.open_rw_session(self.slot)?;
        Ok(RawSession::new(Arc::clone(&self.functions), session))
    }

    /// Logs the process in. Tries exactly once: each try counts on a real HSM.
    pub(crate) fn login(&self, session: &RawSession, user: UserType, pin: &SecretString) -> Result<(), OpenFault> {
        log_in(session.cryptoki(), user, pin)
    }

    /// The module's own words.
    pub(crate) fn describe(&self) -> String {
        match self.pkcs11.get_library_info() {
            Ok(info) => {
                format!(
                    "{} {} {}",
                    info.manufacturer_id().trim(),
                    info.library_description().trim(),
                    info.library_version()
                )
            }
            Err(error) => format!("says nothing about itself ({})", short(&error)),
        }
    }

    /// The token as it was when it was found.
    pub(crate) fn token(&self) -> &TokenInfo {
        &self.info
    }

    /// The token's flags and counters now.
    pub(crate) fn token_now(&self) -> Result<TokenInfo, OpenFault> {
        Ok(self.pkcs11.get_token_info(self.slot)?)
    }

    /// The mechanisms that the token lists, by the standard's names.
    pub(crate) fn mechanism_names(&self) -> Result<Vec<String>, OpenFault> {
        let list = self.pkcs11.get_mechanism_list(self.slot)?;
        Ok(list.iter().map(ToString::to_string).collect())
    }

    /// The mechanisms that the token lists.
    pub(crate) fn mechanisms(&self) -> Result<Vec<sys::CK_MECHANISM_TYPE>, OpenFault> {
        let list = self.pkcs11.get_mechanism_list(self.slot)?;
        Ok(list.into_iter().map(|m: MechanismType| m.into()).collect())
    }
}

/// What to look for. `None` means any.
#[derive(Default)]
pub(crate) struct Search<'a> {
    pub(crate) class: Option<ObjectClass>,
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) trusted: bool,
    pub(crate) token_objects: bool,
}

impl RawSession {
    /// The objects that match.
    pub(crate) fn find(&self, search: &Search<'_>) -> Result<Vec<Handle>, OpenFault> {
        let mut template = Vec::new();
        template.extend(search.class.map(Attribute::Class));
        template.extend(search.id.map(|id| Attribute::Id(id.to_vec())));
        if search.trusted {
            template.push(Attribute::Trusted(true));
        }
        if search.token_objects {
            template.push(Attribute::Token(true));
        }
        let found = self.cryptoki().find_objects(&template)?;
        Ok(found.into_iter().map(|object| Handle(object.handle())).collect())
    }
}

/// `cryptoki` prints the standard's prose for each code; the code's name is enough here.
fn short(error: &CryptokiError) -> String {
    match error {
        CryptokiError::Pkcs11(rv, function) => format!("C_{function:?}: {rv:?}"),
        other => other.to_string(),
    }
}

fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<(Pkcs11, Arc<Functions>), OpenFault> {
    // The variables must be there before the process starts: setting them here would race with other threads.
    if let Some(name) = environment
        .iter()
        .find(|(k, v)| std::env::var_os(k).is_none_or(|is| is != v.as_str()))
    {
        let text = format!(
            "this process was started without {} as the configuration has it",
            name.0
        );
        return Err(OpenFault::Unavailable(text));
    }
    let loading = |e: String| OpenFault::Unavailable(format!("cannot load the module {}: {e}", path.display()));
    let pkcs11 = Pkcs11::new(path).map_err(|e| loading(e.to_string()))?;
    let functions = Functions::load(path).map_err(loading)?;
    // Without this flag some modules run unlocked.
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    Ok((pkcs11, Arc::new(functions)))
}

fn find_token(pkcs11: &Pkcs11, label: &str, serial: Option<&str>) -> Result<(Slot, TokenInfo), OpenFault> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    let mut is_labelled = false;
    for slot in pkcs11.get_slots_with_token()? {
        // One broken slot must not hide the others.
        let Ok(info) = pkcs11.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            continue;
        }
        seen.push(format!(
            "'{}' (serial {})",
            info.label().trim(),
            info.serial_number().trim()
        ));
        is_labelled |= info.label().trim() == label;
        if info.label().trim() == label && serial.is_none_or(|s| s == info.serial_number().trim()) {
            found.push((slot, info));
        }
    }
    let wanted = match serial {
        Some(serial) => format!("'{label}' with serial {serial}"),
        None => format!("'{label}'"),
    };
    if found.len() > 1 {
        return Err(OpenFault::NoToken(format!(
            "{} tokens are labelled {wanted}: name the serial number as well; present are {}",
            found.len(),
            seen.join(", ")
        )));
    }
    found.pop().ok_or_else(|| {
        let present = if seen.is_empty() {
            "none".to_owned()
        } else {
            seen.join(", ")
        };
        let text = format!("no token is labelled {wanted}; present: {present}");
        match is_labelled {
            true => OpenFault::OtherToken(text),
            false => OpenFault::NoToken(text),
        }
    })
}

fn log_in(session: &Session, user: UserType, pin: &SecretString) -> Result<(), OpenFault> {
    match session.login(user, Some(pin)) {
        Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(CryptokiError::Pkcs11(
            rv @ (RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinLocked
            | RvError::PinExpired),
            _,
        )) => Err(OpenFault::PinRefused(format!("{rv:?}"))),
        Err(other) => Err(other.into()),
    }
}

fn make_token(pkcs11: &Pkcs11, label: &str, so_pin: &SecretString, user_pin: &SecretString) -> Result<(), OpenFault> {
    // One that is there may be ours, from a call that was cut short: its PINs tell.
    let slot = match find_token(pkcs11, label, None) {
        Ok((slot, _)) => slot,
        Err(_) => init_free_slot(pkcs11, label, so_pin)?,
    };
    let session = pkcs11.open_rw_session(slot)?;
    let log_in = |user, pin| match log_in(&session, user, pin) {
        Err(OpenFault::PinRefused(why)) => Err(OpenFault::Unavailable(format!(
            "there is a token labelled '{label}' already, and its PINs are others ({why})"
        ))),
        other => other,
    };
    log_in(UserType::So, so_pin)?;
    if !pkcs11.get_token_info(slot)?.user_pin_initialized() {
        session.init_pin(user_pin)?;
    }
    session.logout()?;
    log_in(UserType::User, user_pin)?;
    Ok(session.logout()?)
}

fn init_free_slot(pkcs11: &Pkcs11, label: &str, so_pin: &SecretString) -> Result<Slot, OpenFault> {
    let mut free = None;
    for slot in pkcs11.get_slots_with_token()? {
        if !pkcs11.get_token_info(slot)?.token_initialized() {
            free = Some(slot);
            break;
        }
    }
    let slot = free.ok_or_else(|| OpenFault::NoToken("the module has no free slot for a token".to_owned()))?;
    pkcs11.init_token(slot, so_pin, label)?;
    // SoftHSM moves the new token to another slot number.
    let (slot, _) = find_token(pkcs11, label, None)?;
    Ok(slot)
}

/// CKA_ID and CKA_LABEL for people.
pub(crate) fn describe(session: &RawSession, object: Handle) -> String {
    let text = |kind| session.attribute(object, kind).map(|v| v.to_vec()).unwrap_or_default();
    format!(
        "'{}' (CKA_ID {})",
        String::from_utf8_lossy(&text(sys::CKA_LABEL)),
        data_encoding::HEXLOWER.encode(&text(sys::CKA_ID))
    )
}
