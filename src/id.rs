//! Identifiers, each a type of its own, parsed once at the edge.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// Why a text is not an identifier of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing where something must stand.
    #[error("is empty")]
    Empty,
    /// More bytes than the kind allows.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character outside the kind's alphabet.
    #[error("has a character that is not allowed")]
    Character,
}

fn checked(text: &str, max: usize, allowed: fn(u8) -> bool) -> Result<String, Malformed> {
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    if text.len() > max {
        return Err(Malformed::TooLong(max));
    }
    if !text.bytes().all(allowed) {
        return Err(Malformed::Character);
    }
    Ok(text.to_owned())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The longest allowed, in bytes.
            pub const MAX: usize = $max;

            /// Parses `text`.
            ///
            /// # Errors
            /// What is wrong with it; the text itself is not repeated.
            pub fn parse(text: &str) -> Result<Self, Malformed> {
                checked(text, Self::MAX, $allowed).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<Self, Malformed> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

fn name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

text_id! {
    /// A merchant: an account that acts. ASCII letters, digits, `_`, `-`, `.`.
    MerchantId, 64, name_byte
}
text_id! {
    /// A repository's name, as operators write it. ASCII letters, digits, `_`, `-`, `.`.
    RepositoryName, 64, name_byte
}
text_id! {
    /// A group of tokens inside a repository (a customer, a shopper). Printable ASCII without spaces at will.
    Namespace, 64, |b| b.is_ascii_graphic()
}
text_id! {
    /// A token: a surrogate of a card, unique within its repository. Printable ASCII without `/`, `?`, `#`, `%`.
    Token, 128, |b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'%')
}
text_id! {
    /// What a caller names a request by, or what was made for it.
    RequestId, 128, |b| b.is_ascii_graphic()
}
text_id! {
    /// A caller's key for an idempotent request.
    IdempotencyKey, 128, |b| b.is_ascii_graphic()
}
text_id! {
    /// The public half of a credential: which one it is, not what opens it.
    CredentialId, 32, |b| b.is_ascii_alphanumeric()
}

text_id! {
    /// A merchant's connector: its account at a payment service provider. ASCII letters, digits, `_`, `-`.
    ConnectorId, 64, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}
text_id! {
    /// What a payment service provider calls a thing of its own: a token, a customer, a request. ASCII letters, digits, `_`,
    /// `-`; so it can stand in a path.
    PspReference, 255, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

text_id! {
    /// An operator, as others know them. ASCII letters, digits, `_`, `-`, `.`.
    OperatorName, 32, name_byte
}
text_id! {
    /// A ceremony.
    CeremonyId, 32, name_byte
}
text_id! {
    /// A vault: made once at `init`, named in keyring, receipts and transcripts.
    VaultId, 64, name_byte
}

impl VaultId {
    /// A fresh random one.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        let mut raw = [0u8; 16];
        fill_random(&mut raw)?;
        Ok(Self(format!("vault_{}", data_encoding::HEXLOWER.encode(&raw))))
    }
}

impl CeremonyId {
    /// A fresh random one: short, since people read it to each other.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        let mut raw = [0u8; 10];
        fill_random(&mut raw)?;
        let text = data_encoding::BASE32_NOPAD.encode(&raw).to_ascii_lowercase();
        Ok(Self(format!("cer_{text}")))
    }
}

impl RequestId {
    /// A fresh random one.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        let mut raw = [0u8; 12];
        fill_random(&mut raw)?;
        Ok(Self(format!("req_{}", data_encoding::HEXLOWER.encode(&raw))))
    }
}

/// A repository's number: never used again, and part of what every ciphertext is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepositoryId(pub u32);

/// A record's unchanging identity, made at random for its token, part of what its ciphertexts are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordId(pub [u8; 16]);

/// How often a record was changed; starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The wall clock's time; a clock set before 1970 reads as 1970.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads RFC 3339; `None` for anything else, and for times before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_millisecond()).ok().map(Self)
    }

    /// Later by `millis`, at most the largest value.
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{stamp:.3}")
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandom;

/// Fills `out` with random bytes of the operating system.
///
/// # Errors
/// [`NoRandom`]: nothing may be issued then, there is no second source.
pub fn fill_random(out: &mut [u8]) -> Result<(), NoRandom> {
    SystemRandom::new().fill(out).map_err(|_| NoRandom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_keeps_to_the_alphabet_and_the_length() {
        assert_eq!(MerchantId::parse(""), Err(Malformed::Empty));
        assert_eq!(MerchantId::parse("a b"), Err(Malformed::Character));
        assert_eq!(MerchantId::parse(&"a".repeat(65)), Err(Malformed::TooLong(64)));
        assert_eq!(MerchantId::parse("TEST_shop-1.eu").unwrap().as_str(), "TEST_shop-1.eu");
        assert_eq!(Token::parse("../x"), Err(Malformed::Character));
    }

    #[test]
    fn time_prints_as_rfc_3339() {
        assert_eq!(UnixMillis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMillis(1_800_000_000_123).to_string(), "2027-01-15T08:00:00.123Z");
        let read = UnixMillis::parse("2027-01-15T08:00:00.123Z");
        assert_eq!(
            (read, UnixMillis::parse("yesterday")),
            (Some(UnixMillis(1_800_000_000_123)), None)
        );
    }
}
