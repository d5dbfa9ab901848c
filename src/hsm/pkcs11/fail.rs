//! What a module's refusal means.

use std::fmt;

use cryptoki_sys as sys;

/// A PKCS#11 call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ckr {
    /// The C function.
    pub(crate) function: &'static str,
    /// What it returned.
    pub(crate) code: sys::CK_RV,
}

impl Ckr {
    pub(crate) fn new(function: &'static str, code: sys::CK_RV) -> Self {
        Self { function, code }
    }

    /// The call cannot have failed because of the data: the session, the login, a key or the device is gone.
    ///
    /// Other codes say nothing about whose fault it is: modules answer changed data with `CKR_GENERAL_ERROR`,
    /// `CKR_DEVICE_ERROR` or `CKR_FUNCTION_FAILED`, and a broken device likewise.
    pub(crate) fn is_fatal(self) -> bool {
        matches!(
            self.code,
            sys::CKR_CRYPTOKI_NOT_INITIALIZED
                | sys::CKR_DEVICE_MEMORY
                | sys::CKR_DEVICE_REMOVED
                | sys::CKR_HOST_MEMORY
                | sys::CKR_KEY_HANDLE_INVALID
                | sys::CKR_OBJECT_HANDLE_INVALID
                | sys::CKR_SESSION_CLOSED
                | sys::CKR_SESSION_COUNT
                | sys::CKR_SESSION_HANDLE_INVALID
                | sys::CKR_SLOT_ID_INVALID
                | sys::CKR_TOKEN_NOT_PRESENT
                | sys::CKR_TOKEN_NOT_RECOGNIZED
                | sys::CKR_UNWRAPPING_KEY_HANDLE_INVALID
                | sys::CKR_USER_NOT_LOGGED_IN
                | sys::CKR_WRAPPING_KEY_HANDLE_INVALID
        )
    }

    /// The module says that the text to be decrypted is no good one. The operation has ended with that, and nothing is
    /// wrong with the session.
    pub(crate) fn is_bad_ciphertext(self) -> bool {
        self.function == "C_Decrypt"
            && matches!(
                self.code,
                sys::CKR_DATA_INVALID
                    | sys::CKR_DATA_LEN_RANGE
                    | sys::CKR_ENCRYPTED_DATA_INVALID
                    | sys::CKR_ENCRYPTED_DATA_LEN_RANGE
            )
    }

    fn name(self) -> Option<&'static str> {
        macro_rules! names {
            ($($name:ident)*) => {
                match self.code {
                    $(sys::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            };
        }
        names! {
            CKR_ACTION_PROHIBITED CKR_ARGUMENTS_BAD CKR_ATTRIBUTE_READ_ONLY CKR_ATTRIBUTE_SENSITIVE
            CKR_ATTRIBUTE_TYPE_INVALID CKR_ATTRIBUTE_VALUE_INVALID CKR_BUFFER_TOO_SMALL CKR_CRYPTOKI_NOT_INITIALIZED
            CKR_CURVE_NOT_SUPPORTED CKR_DATA_INVALID CKR_DATA_LEN_RANGE CKR_DEVICE_ERROR CKR_DEVICE_MEMORY
            CKR_DEVICE_REMOVED CKR_DOMAIN_PARAMS_INVALID CKR_ENCRYPTED_DATA_INVALID CKR_ENCRYPTED_DATA_LEN_RANGE
            CKR_FUNCTION_FAILED CKR_FUNCTION_NOT_SUPPORTED CKR_GENERAL_ERROR CKR_HOST_MEMORY
            CKR_KEY_FUNCTION_NOT_PERMITTED CKR_KEY_HANDLE_INVALID CKR_KEY_NOT_WRAPPABLE CKR_KEY_SIZE_RANGE
            CKR_KEY_TYPE_INCONSISTENT CKR_KEY_UNEXTRACTABLE CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID
            CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE CKR_OPERATION_NOT_INITIALIZED CKR_SESSION_CLOSED
            CKR_SESSION_COUNT CKR_SESSION_HANDLE_INVALID CKR_SLOT_ID_INVALID CKR_TEMPLATE_INCOMPLETE
            CKR_TEMPLATE_INCONSISTENT CKR_TOKEN_NOT_PRESENT CKR_TOKEN_NOT_RECOGNIZED CKR_TOKEN_WRITE_PROTECTED
            CKR_UNWRAPPING_KEY_HANDLE_INVALID CKR_USER_NOT_LOGGED_IN CKR_WRAPPED_KEY_INVALID
            CKR_WRAPPED_KEY_LEN_RANGE CKR_WRAPPING_KEY_HANDLE_INVALID CKR_WRAPPING_KEY_TYPE_INCONSISTENT
        }
    }
}

impl fmt::Display for Ckr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{}: {name}", self.function),
            None => write!(f, "{}: 0x{:x}", self.function, self.code),
        }
    }
}

impl std::error::Error for Ckr {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_and_classed() {
        let changed = Ckr::new("C_Decrypt", sys::CKR_GENERAL_ERROR);
        assert_eq!(changed.to_string(), "C_Decrypt: CKR_GENERAL_ERROR");
        assert!(!changed.is_fatal());
        let gone = Ckr::new("C_UnwrapKey", sys::CKR_UNWRAPPING_KEY_HANDLE_INVALID);
        assert!(gone.is_fatal());
        assert!(!changed.is_bad_ciphertext());
        assert!(Ckr::new("C_Decrypt", sys::CKR_ENCRYPTED_DATA_INVALID).is_bad_ciphertext());
        assert!(!Ckr::new("C_DecryptInit", sys::CKR_ENCRYPTED_DATA_INVALID).is_bad_ciphertext());
        assert_eq!(Ckr::new("C_Sign", 0x8000_0042).to_string(), "C_Sign: 0x80000042");
    }
}
