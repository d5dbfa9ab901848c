//! What the vault states for others to keep: one JSON object, signed by the audit key, that anyone can check offline.
//!
//! The signature covers [`signed_form`](crate::hsm::signed_form) of [`Kind::domain`] and the object without its
//! `signature` in one fixed form: members sorted by name, no whitespace. So every member is covered, also one that this
//! version does not know, and the object may be indented or reordered on its way.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::canonical;
use crate::hsm::{KeyFingerprint, PublicKey, SignatureFault};
use crate::id::VaultId;

/// The longest text that is read as a statement, in bytes.
const TEXT_MAX: usize = 64 << 10;

/// What is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A token was deleted: a receipt.
    Deletion,
    /// An epoch's KEK was destroyed: a shred certificate.
    Shred,
    /// All tokens of a namespace or a repository were erased: a summary.
    Erasure,
    /// Operators did something together: a ceremony's transcript.
    Ceremony,
    /// Cards were encrypted to somebody: a manifest.
    Export,
}

/// A statement, signed or about to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    kind: Kind,
    /// All members but `signature`.
    members: Map<String, Value>,
    signature: Option<Vec<u8>>,
}

/// How far a statement can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by the key that was asked for.
    Authentic,
    /// Signed by the key it names; whose that is was not checked.
    ConsistentNotAuthenticated,
}

/// What is wrong with a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementFault {
    /// Over 64 KiB.
    #[error("it is too long for a statement of a vault")]
    TooLong,
    /// Not one JSON object, or one that can be read in two ways.
    #[error("{0}")]
    NotJson(String),
    /// A newer version wrote it.
    #[error("it was written by a newer version (format {0})")]
    NewerFormat(u64),
    /// A member is missing or is not what it must be.
    #[error("its member `{0}` is missing or malformed")]
    Member(&'static str),
    /// `key` is not the fingerprint of `public_key`.
    #[error("its member `key` is not the fingerprint of its `public_key`")]
    KeyName,
    /// Another key signed it than the one asked for.
    #[error("it names the key {0}, not the one asked for")]
    OtherKey(KeyFingerprint),
    /// The signature does not hold.
    #[error("{0}: it was changed, or this key did not sign it")]
    Signature(SignatureFault),
}

impl Kind {
    const ALL: [Self; 5] = [Self::Deletion, Self::Shred, Self::Erasure, Self::Ceremony, Self::Export];

    /// The latest format of any kind.
    const LATEST: u64 = 2;

    /// As the member `kind` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deletion => "deletion",
            Self::Shred => "shred",
            Self::Erasure => "erasure",
            Self::Ceremony => "ceremony",
            Self::Export => "export",
        }
    }

    /// The format that this program writes; older ones are read. A deletion receipt of format 1 does not have the KEK's CKA_ID.
    pub const fn format(self) -> u64 {
        match self {
            Self::Deletion => 2,
            Self::Shred | Self::Erasure | Self::Ceremony | Self::Export => 1,
        }
    }

    /// What the signature is made for; hand it to the signer together with [`Statement::signed_bytes`].
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Deletion => "panvault deletion receipt v1",
            Self::Shred => "panvault shred certificate v1",
            Self::Erasure => "panvault erasure summary v1",
            Self::Ceremony => "panvault ceremony transcript v1",
            Self::Export => "panvault export manifest v1",
        }
    }
}

impl Statement {
    /// A statement of `vault` that is still to be signed by the key of `public`. `says` are the members of its kind; what
    /// all kinds have is added.
    ///
    /// # Errors
    /// [`StatementFault::Member`]: `public` is no key.
    pub fn unsigned(
        kind: Kind,
        vault: &VaultId,
        says: Map<String, Value>,
        public: &PublicKey,
    ) -> Result<Self, StatementFault> {
        const BAD: StatementFault = StatementFault::Member("public_key");
        let key = public.fingerprint().map_err(|_| BAD)?;
        let mut members = says;
        let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
        set("format", kind.format().into());
        set("kind", kind.name().into());
        set("vault", vault.as_str().into());
        set("key", key.to_string().into());
        set("public_key", serde_json::to_value(public).map_err(|_| BAD)?);
        Ok(Self {
            kind,
            members,
            signature: None,
        })
    }

    /// What is stated.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What is signed, apart from the domain.
    pub fn signed_bytes(&self) -> Vec<u8> {
        canonical::form(&self.members).into_bytes()
    }

    /// The statement with its signature.
    #[must_use]
    pub fn with_signature(self, signature: Vec<u8>) -> Self {
        Self {
            signature: Some(signature),
            ..self
        }
    }

    /// The text that is handed out: one JSON object on one line.
    pub fn to_json(&self) -> String {
        let mut members = self.members.clone();
        if let Some(signature) = &self.signature {
            members.insert("signature".to_owned(), BASE64URL_NOPAD.encode(signature).into());
        }
        canonical::form(&members)
    }

    /// Reads a statement; it is not believed yet.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn parse(text: &[u8]) -> Result<Self, StatementFault> {
        if text.len() > TEXT_MAX {
            return Err(StatementFault::TooLong);
        }
        let mut members = canonical::read(text).map_err(StatementFault::NotJson)?;
        let format = members.get("format").and_then(Value::as_u64);
        let name = members.get("kind").and_then(Value::as_str);
        let kind = Kind::ALL.into_iter().find(|kind| name == Some(kind.name()));
        let latest = kind.map_or(Kind::LATEST, Kind::format);
        match format {
            Some(newer) if newer > latest => return Err(StatementFault::NewerFormat(newer)),
            None | Some(0) => return Err(StatementFault::Member("format")),
            Some(_) => {}
        }
        let kind = kind.ok_or(StatementFault::Member("kind"))?;
        let signature = members
            .remove("signature")
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .ok_or(StatementFault::Member("signature"))?;
        Ok(Self {
            kind,
            members,
            signature: Some(signature),
        })
    }

    /// Whether it holds, offline. With `pins`, fingerprints of audit keys as `init` or a rotation printed them, it must be
    /// signed by one of them; without, by the key that it names itself.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify(&self, pins: &[KeyFingerprint]) -> Result<Verdict, StatementFault> {
        let public: PublicKey = self
            .members
            .get("public_key")
            .and_then(|value| PublicKey::deserialize(value).ok())
            .ok_or(StatementFault::Member("public_key"))?;
        let key = public.fingerprint().map_err(|_| StatementFault::Member("public_key"))?;
        if self.member("key")? != key.to_string() {
            return Err(StatementFault::KeyName);
        }
        if !pins.is_empty() && !pins.contains(&key) {
            return Err(StatementFault::OtherKey(key));
        }
        let signature = self.signature.as_deref().ok_or(StatementFault::Member("signature"))?;
        public
            .verify_in(self.kind.domain(), &self.signed_bytes(), signature)
            .map_err(StatementFault::Signature)?;
        Ok(match pins {
            [] => Verdict::ConsistentNotAuthenticated,
            [_, ..] => Verdict::Authentic,
        })
    }

    /// A member that is a whole number from 0 on.
    ///
    /// # Errors
    /// [`StatementFault::Member`].
    pub fn number(&self, name: &'static str) -> Result<u64, StatementFault> {
        let number = self.members.get(name).and_then(Value::as_u64);
        number.ok_or(StatementFault::Member(name))
    }

    /// A member that is text.
    ///
    /// # Errors
    /// [`StatementFault::Member`].
    pub fn member(&self, name: &'static str) -> Result<&str, StatementFault> {
        self.members
            .get(name)
            .and_then(Value::as_str)
            .ok_or(StatementFault::Member(name))
    }
}

#[cfg(test)]
mod tests;
