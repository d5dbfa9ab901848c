//! Why a ceremony stops.

use crate::hsm::StartFault;
use crate::hsm::pkcs11::{Ckr, OpenFault};

/// Why a ceremony stopped. Keys that it had made by then are destroyed again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfficerError {
    /// The keys in the token are not those of the keyset, or are weak, by name.
    #[error("keys: {0}")]
    Keys(String),
    /// The token holds keys of a vault whose keyset was not given.
    #[error(
        "the token holds keys that the keyring does not name: {0}. Restore the keyring from its backup. Only if these \
         keys protect nothing: remove them with the vendor's tool (`pkcs11-tool --login --delete-object --type secrkey \
         --id ID`; `privkey` and `pubkey` for pairs), or initialise the token anew"
    )]
    LostKeyring(String),
    /// The mode needs the security officer's PIN.
    #[error("mode {0} makes KEKs with the security officer's PIN, and none was given")]
    NeedsOfficerPin(&'static str),
    /// There is no such token, by label and serial number.
    #[error("{0}")]
    NoToken(String),
    /// KEKs that the vendor's officer has to mark, by label.
    #[error("have the HSM's officer set CKA_TRUSTED on {0} with the vendor's tool, then run this again")]
    NotYetTrusted(String),
    /// The token refused a PIN. It was tried once.
    #[error("the token refused the {0} PIN ({1}); it was tried once and will not be tried again")]
    PinRefused(&'static str, String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Plan(String),
    /// The module does not enforce what the mode rests on.
    #[error("policy gap: {0}")]
    Policy(String),
    /// The module or the token does not work.
    #[error("the HSM is not available: {0}")]
    Unavailable(String),
}

/// `who`: whose PIN it was.
pub(super) fn refused_pin(fault: OpenFault, who: &'static str) -> OfficerError {
    match fault {
        OpenFault::PinRefused(why) => OfficerError::PinRefused(who, why),
        OpenFault::NoToken(text) | OpenFault::OtherToken(text) => OfficerError::NoToken(text),
        OpenFault::Unavailable(text) => OfficerError::Unavailable(text),
    }
}

impl From<OpenFault> for OfficerError {
    fn from(fault: OpenFault) -> Self {
        refused_pin(fault, "user")
    }
}

impl From<Ckr> for OfficerError {
    fn from(ckr: Ckr) -> Self {
        Self::Unavailable(ckr.to_string())
    }
}

impl From<StartFault> for OfficerError {
    fn from(fault: StartFault) -> Self {
        match fault {
            StartFault::Keys(text) | StartFault::NotInitialised(text) => Self::Keys(text),
            StartFault::PinRefused(text) => Self::PinRefused("user", text),
            StartFault::Policy(text) => Self::Policy(text),
            StartFault::Unavailable(text) => Self::Unavailable(text),
        }
    }
}
