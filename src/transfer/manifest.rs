//! What a backup says it is: one JSON object, signed by the audit key as receipts are, over the object without its
//! `signature` in one fixed form. So its whitespace may change, and nothing else.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FileName;
use crate::audit::{Head, canonical};
use crate::hsm::{KeyFingerprint, PublicKey, SignatureFault};
use crate::id::{UnixMillis, VaultId};
use crate::store::Mark;

/// The format that is written. Format 1 had changes among the entries, in the order in which they came, and is read as well.
pub(super) const FORMAT: u64 = 2;
const KIND: &str = "backup";
/// The longest text that is read as a manifest, in bytes.
pub(super) const TEXT_MAX: usize = 16 << 20;
/// The most files of a backup.
const FILES_MAX: usize = 100_000;
/// The largest file, in bytes; far more than is ever written.
const BYTES_MAX: u64 = 1 << 32;

/// A file and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) name: FileName,
    pub(super) bytes: u64,
    pub(super) sha256: Digest,
}

/// A SHA-256, written in base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Digest(pub(super) [u8; 32]);

/// A manifest whose signature holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    body: Body,
    head: Head,
    text: Vec<u8>,
}

/// A manifest that is still to be signed.
#[derive(Debug)]
pub(super) struct Draft(Map<String, Value>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    format: u64,
    kind: String,
    vault: VaultId,
    /// Milliseconds.
    made_at: UnixMillis,
    revision: u64,
    records: u64,
    /// As `audit verify` prints it.
    audit_head: String,
    files: Vec<Listed>,
    key: KeyFingerprint,
    public_key: PublicKey,
}

/// How far a manifest can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by the key that was asked for.
    Authentic,
    /// Signed by the key it names; whose that is was not checked.
    ConsistentNotAuthenticated,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Not one JSON object, too long, or one that can be read in two ways.
    #[error("its manifest cannot be read: {0}")]
    NotJson(String),
    /// A newer version wrote it.
    #[error("its manifest has the newer format {0}")]
    NewerFormat(u64),
    /// A member is missing, malformed or unknown.
    #[error("its manifest is malformed: {0}")]
    Shape(String),
    /// Another key signed it than the one asked for.
    #[error(
        "its manifest was signed by the key {0}, which is not the one asked for: it is another vault's, or a forgery"
    )]
    OtherKey(KeyFingerprint),
    /// The signature does not hold.
    #[error("its manifest was changed, or the key that it names did not sign it ({0})")]
    Signature(SignatureFault),
}

impl Draft {
    /// What the signature is made for.
    pub(super) const DOMAIN: &str = "panvault backup manifest v1";

    /// Of the files of `vault` as they were at `mark`.
    pub(super) fn new(
        vault: &VaultId,
        mark: &Mark,
        files: Vec<Listed>,
        public_key: &PublicKey,
    ) -> Result<Self, ManifestFault> {
        let shape = |what: &str| ManifestFault::Shape(what.to_owned());
        let body = Body {
            format: FORMAT,
            kind: KIND.to_owned(),
            vault: vault.clone(),
            made_at: UnixMillis::now(),
            revision: mark.rev,
            records: u64::try_from(mark.records).map_err(|_| shape("fewer than no records"))?,
            audit_head: mark.head.to_string(),
            files,
            key: public_key.fingerprint().map_err(ManifestFault::Signature)?,
            public_key: public_key.clone(),
        };
        match serde_json::to_value(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(shape("it cannot be written")),
        }
    }

    /// What is signed, apart from the domain.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        canonical::form(&self.0).into_bytes()
    }

    /// The file's text.
    pub(super) fn signed(mut self, signature: &[u8]) -> Vec<u8> {
        let signature = BASE64URL_NOPAD.encode(signature);
        self.0.insert("signature".to_owned(), signature.into());
        canonical::form(&self.0).into_bytes()
    }
}

impl Manifest {
    /// The file's name.
    pub(super) const FILE: &str = "manifest.json";

    /// Reads it, and believes it as far as its signature goes: made by the key that it names itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestFault> {
        if text.len() > TEXT_MAX {
            return Err(ManifestFault::NotJson("it is too long".to_owned()));
        }
        let mut members = canonical::read(text).map_err(ManifestFault::NotJson)?;
        let shape = |what: &str| ManifestFault::Shape(what.to_owned());
        match members.get("format").and_then(Value::as_u64) {
            Some(1 | FORMAT) => (),
            Some(newer) if newer > FORMAT => return Err(ManifestFault::NewerFormat(newer)),
            _ => return Err(shape("its format is not a number that there was")),
        }
        let signature = members
            .remove("signature")
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .ok_or_else(|| shape("it has no signature"))?;
        let signed = canonical::form(&members);
        let body: Body =
            serde_json::from_value(Value::Object(members)).map_err(|error| ManifestFault::Shape(error.to_string()))?;
        if body.public_key.fingerprint().map_err(ManifestFault::Signature)? != body.key {
            return Err(shape("`key` is not the fingerprint of `public_key`"));
        }
        body.public_key
            .verify_in(Draft::DOMAIN, signed.as_bytes(), &signature)
            .map_err(ManifestFault::Signature)?;
        let head = body
            .audit_head
            .parse()
            .map_err(|_| shape("`audit_head` is not the head of a chain"))?;
        body.check().map_err(shape)?;
        Ok(Self {
            body,
            head,
            text: text.to_vec(),
        })
    }

    /// Whether the key that was asked for signed it; without one it is only consistent.
    ///
    /// # Errors
    /// [`ManifestFault::OtherKey`].
    pub fn authenticate(&self, pin: Option<&KeyFingerprint>) -> Result<Verdict, ManifestFault> {
        match pin {
            None => Ok(Verdict::ConsistentNotAuthenticated),
            Some(pin) if *pin == self.body.key => Ok(Verdict::Authentic),
            Some(_) => Err(ManifestFault::OtherKey(self.body.key)),
        }
    }

    /// Whose backup.
    pub fn vault(&self) -> &VaultId {
        &self.body.vault
    }

    /// The fingerprint of the key that signed it.
    pub fn key(&self) -> KeyFingerprint {
        self.body.key
    }

    /// When its state was taken.
    pub fn made_at(&self) -> UnixMillis {
        self.body.made_at
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.body.files.iter().map(|file| file.bytes).sum()
    }

    /// Where its state stands.
    pub fn mark(&self) -> Mark {
        Mark {
            rev: self.body.revision,
            records: i64::try_from(self.body.records).unwrap_or(i64::MAX),
            head: self.head,
        }
    }

    /// SHA-256 of its text, which names this backup and no other.
    pub fn digest(&self) -> String {
        data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, &self.text).as_ref())
    }

    /// Its files in their order: keyring, entries, changes, audit trail.
    pub(super) fn files(&self) -> &[Listed] {
        &self.body.files
    }

    /// Its text, as it was signed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl Body {
    fn check(&self) -> Result<(), &'static str> {
        if self.kind != KIND {
            return Err("it is not a backup's");
        }
        if self.files.len() > FILES_MAX || self.files.iter().any(|file| file.bytes > BYTES_MAX) {
            return Err("more or larger files than a backup has");
        }
        let names: Vec<FileName> = self.files.iter().map(|file| file.name).collect();
        if !names.is_sorted_by(|a, b| a < b) {
            return Err("its files are not in order");
        }
        if names.first() != Some(&FileName::Keyring) {
            return Err("it has no keyring");
        }
        let entries = names.iter().filter(|name| matches!(name, FileName::Entries(_)));
        let changes = names.iter().filter(|name| matches!(name, FileName::Changes(_)));
        let gapless = (1u32..).zip(entries).all(|(n, name)| *name == FileName::Entries(n))
            && (1u32..).zip(changes).all(|(n, name)| *name == FileName::Changes(n));
        if !gapless {
            return Err("a file of entries is missing in it");
        }
        Ok(())
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or("not a SHA-256 in base64url")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        BASE64URL_NOPAD.encode(&digest.0)
    }
}

#[cfg(test)]
mod tests;
