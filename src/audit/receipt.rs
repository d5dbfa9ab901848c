//! The receipt of a deletion: one JSON object, signed by the audit key, that anyone can check offline.
//!
//! The signature covers [`signed_form`](crate::hsm::signed_form) of [`Receipt::DOMAIN`] and the object without its
//! `signature` in one fixed form: members sorted by name, no whitespace. So every member is covered, also one that this
//! version does not know, and the object may be indented or reordered on its way.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::canonical;
use crate::hsm::{Epoch, KeyFingerprint, PublicKey, SignatureFault};
use crate::id::{MerchantId, RecordId, RepositoryName, Token, UnixMillis, VaultId};

const FORMAT: u64 = 1;
const KIND: &str = "deletion";

/// The longest text that is read as a receipt, in bytes.
const TEXT_MAX: usize = 64 << 10;

/// What was deleted.
///
/// The audit record's number is not here: the store gives it in the commit that deletes, and the receipt is signed
/// before that, so that no deletion is ever without one. The audit record names token and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Where.
    pub vault: VaultId,
    /// The token's owner.
    pub repository: RepositoryName,
    /// Who asked.
    pub merchant: MerchantId,
    /// What is gone.
    pub token: Token,
    /// Its record.
    pub record: RecordId,
    /// The sealed card that is gone with it; `None` where it went before (a spent single-use token).
    pub sealed: Option<SealedDigest>,
    /// When.
    pub deleted_at: UnixMillis,
}

/// Names a sealed card without holding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedDigest {
    /// The KEK that wrapped its DEK: once that is destroyed, old copies of the bytes are worth nothing.
    pub epoch: Epoch,
    /// SHA-256 of the stored form, the wrapped DEK included.
    pub sha256: [u8; 32],
}

/// A receipt, signed or about to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// All members but `signature`.
    members: Map<String, Value>,
    signature: Option<Vec<u8>>,
}

/// How far a receipt can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by the key that was asked for.
    Authentic,
    /// Signed by the key it names; whose that is was not checked.
    ConsistentNotAuthenticated,
}

/// What is wrong with a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// Over 64 KiB.
    #[error("it is too long for a receipt")]
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
    #[error("{0}: the receipt was changed, or this key did not sign it")]
    Signature(SignatureFault),
}

impl Receipt {
    /// What the signature is made for; hand it to the signer together with [`Receipt::signed_bytes`].
    pub const DOMAIN: &str = "panvault deletion receipt v1";

    /// A receipt that is still to be signed by the key of `public`.
    ///
    /// # Errors
    /// [`ReceiptFault::Member`]: `public` is no key.
    pub fn unsigned(deletion: &Deletion, public: &PublicKey) -> Result<Self, ReceiptFault> {
        const BAD: ReceiptFault = ReceiptFault::Member("public_key");
        let key = public.fingerprint().map_err(|_| BAD)?;
        let mut members = Map::new();
        let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
        set("format", FORMAT.into());
        set("kind", KIND.into());
        set("vault", deletion.vault.as_str().into());
        set("repository", deletion.repository.as_str().into());
        set("merchant", deletion.merchant.as_str().into());
        set("token", deletion.token.as_str().into());
        set("record", HEXLOWER.encode(&deletion.record.0).into());
        if let Some(sealed) = &deletion.sealed {
            set("kek_epoch", sealed.epoch.0.into());
            set("sealed_sha256", BASE64URL_NOPAD.encode(&sealed.sha256).into());
        }
        set("deleted_at", deletion.deleted_at.to_string().into());
        set("key", key.to_string().into());
        set("public_key", serde_json::to_value(public).map_err(|_| BAD)?);
        Ok(Self {
            members,
            signature: None,
        })
    }

    /// What is signed, apart from the domain.
    pub fn signed_bytes(&self) -> Vec<u8> {
        canonical::form(&self.members).into_bytes()
    }

    /// The receipt with its signature.
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

    /// Reads a receipt; it is not believed yet.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn parse(text: &[u8]) -> Result<Self, ReceiptFault> {
        if text.len() > TEXT_MAX {
            return Err(ReceiptFault::TooLong);
        }
        let mut members = canonical::read(text).map_err(ReceiptFault::NotJson)?;
        match members.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => (),
            Some(newer) if newer > FORMAT => return Err(ReceiptFault::NewerFormat(newer)),
            _ => return Err(ReceiptFault::Member("format")),
        }
        if members.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Err(ReceiptFault::Member("kind"));
        }
        let signature = members
            .remove("signature")
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .ok_or(ReceiptFault::Member("signature"))?;
        let receipt = Self {
            members,
            signature: Some(signature),
        };
        receipt.token()?;
        Ok(receipt)
    }

    /// Whether it holds, offline. With `pins`, fingerprints of audit keys as `init` or a rotation printed them, it must be
    /// signed by one of them; without, by the key that it names itself.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify(&self, pins: &[KeyFingerprint]) -> Result<Verdict, ReceiptFault> {
        let public: PublicKey = self
            .members
            .get("public_key")
            .and_then(|value| PublicKey::deserialize(value).ok())
            .ok_or(ReceiptFault::Member("public_key"))?;
        let key = public.fingerprint().map_err(|_| ReceiptFault::Member("public_key"))?;
        if self.member("key")? != key.to_string() {
            return Err(ReceiptFault::KeyName);
        }
        if !pins.is_empty() && !pins.contains(&key) {
            return Err(ReceiptFault::OtherKey(key));
        }
        let signature = self.signature.as_deref().ok_or(ReceiptFault::Member("signature"))?;
        public
            .verify_in(Self::DOMAIN, &self.signed_bytes(), signature)
            .map_err(ReceiptFault::Signature)?;
        Ok(match pins {
            [] => Verdict::ConsistentNotAuthenticated,
            [_, ..] => Verdict::Authentic,
        })
    }

    /// The deleted token.
    ///
    /// # Errors
    /// [`ReceiptFault::Member`].
    pub fn token(&self) -> Result<Token, ReceiptFault> {
        Token::parse(self.member("token")?).map_err(|_| ReceiptFault::Member("token"))
    }

    fn member(&self, name: &'static str) -> Result<&str, ReceiptFault> {
        self.members
            .get(name)
            .and_then(Value::as_str)
            .ok_or(ReceiptFault::Member(name))
    }
}

#[cfg(test)]
mod tests;
