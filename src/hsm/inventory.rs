//! What is in the token: each key of the vault's with what it is and may do, and the token itself.

use cryptoki::object::ObjectClass;
use cryptoki_sys as sys;
use cryptoki_sys::CK_ATTRIBUTE_TYPE;
use serde::{Deserialize, Serialize};

use super::check::unavailable;
use super::pkcs11::{Handle, RawSession, Search};
use super::token::Token;
use super::{Config, Keyset, Rotated, StartFault};

/// The token and the vault's keys in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The token.
    pub token: TokenFacts,
    /// The vault's keys, KEKs first. One CKA_ID may have twins.
    pub keys: Vec<KeyFacts>,
}

/// The token, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFacts {
    /// The module: manufacturer, description, version.
    pub module: String,
    /// Its label.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Its firmware's version.
    pub firmware: String,
    /// Its hardware's version.
    pub hardware: String,
    /// The mechanisms that it lists.
    pub mechanisms: Vec<String>,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Signs audit heads, receipts, the keyring.
    Audit,
    /// MACs of card numbers.
    Fingerprint,
    /// Wraps data keys.
    Kek,
    /// Decrypts and signs for Hyperswitch's locker.
    Locker,
    /// Signs answers of PayKKa's dialect.
    Platform,
    /// Decrypts what clients encrypt.
    Transport,
}

/// A key as the token has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// What it is for.
    pub role: Role,
    /// Of a KEK.
    pub epoch: Option<u32>,
    /// Of a key whose role is rotated.
    pub generation: Option<u32>,
    /// CKA_ID, hex.
    pub id: String,
    /// CKA_LABEL.
    pub label: String,
    /// Such as `AES`, `RSA`.
    pub algorithm: String,
    /// In bits; none where the token does not tell.
    pub bits: Option<u64>,
    /// What it may be used for.
    pub usage: Vec<String>,
    /// How it is kept: the attributes that are true of sensitive, never-extractable and so on.
    pub protection: Vec<String>,
}

/// The inventory, from a process of its own that was started with the module's environment. The keys are proved first.
///
/// # Errors
/// As for a worker.
pub fn inventory(config: &Config, keyset: &Keyset) -> Result<Inventory, StartFault> {
    let (token, _) = Token::start(config, keyset)?;
    let told = token.inventory();
    token.finish();
    told
}

impl Token {
    fn inventory(&self) -> Result<Inventory, StartFault> {
        let module = self.module();
        let info = module.token();
        let text = |text: &str| text.trim().to_owned();
        let token = TokenFacts {
            module: module.describe(),
            label: text(info.label()),
            manufacturer: text(info.manufacturer_id()),
            model: text(info.model()),
            serial: text(info.serial_number()),
            firmware: info.firmware_version().to_string(),
            hardware: info.hardware_version().to_string(),
            mechanisms: module.mechanism_names().map_err(unavailable)?,
        };
        let session = module.session().map_err(unavailable)?;
        let mut keys = Vec::new();
        for (role, number, id) in sought(self.keyset()) {
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(id.as_bytes());
            let bytes =
                bytes.map_err(|_| StartFault::Keys(format!("the keyring has a CKA_ID that is not hex: {id}")))?;
            let class = match role {
                Role::Fingerprint | Role::Kek => ObjectClass::SECRET_KEY,
                Role::Audit | Role::Locker | Role::Platform | Role::Transport => ObjectClass::PRIVATE_KEY,
            };
            let search = Search {
                class: Some(class),
                id: Some(&bytes),
                token_objects: true,
                ..Search::default()
            };
            for key in session.find(&search).map_err(unavailable)? {
                keys.push(facts(&session, key, role, number, id));
            }
        }
        Ok(Inventory { token, keys })
    }
}

/// Role, epoch or generation, CKA_ID.
fn sought(keyset: &Keyset) -> Vec<(Role, Option<u32>, &str)> {
    let former = |role| usize::try_from(keyset.former.of(role)).unwrap_or(usize::MAX);
    let keks = keyset.keks.iter();
    let mut all: Vec<(Role, Option<u32>, &str)> = keks
        .map(|kek| (Role::Kek, Some(kek.epoch.0), kek.id.as_str()))
        .collect();
    let fingerprints = (1..).zip(keyset.fingerprints());
    all.extend(fingerprints.map(|(number, (id, _))| (Role::Fingerprint, Some(number), id)));
    let audits = (1..).zip(keyset.audits()).skip(former(Rotated::Audit));
    all.extend(audits.map(|(number, (id, _))| (Role::Audit, Some(number), id)));
    let transports = (1..).zip(keyset.transports()).skip(former(Rotated::Transport));
    all.extend(transports.map(|(number, (id, _))| (Role::Transport, Some(number), id)));
    all.extend(keyset.locker.iter().map(|pair| (Role::Locker, None, pair.id.as_str())));
    let platform = keyset.platform.iter();
    all.extend(platform.map(|pair| (Role::Platform, None, pair.id.as_str())));
    all
}

const USAGE: [(CK_ATTRIBUTE_TYPE, &str); 7] = [
    (sys::CKA_ENCRYPT, "encrypt"),
    (sys::CKA_DECRYPT, "decrypt"),
    (sys::CKA_SIGN, "sign"),
    (sys::CKA_VERIFY, "verify"),
    (sys::CKA_WRAP, "wrap"),
    (sys::CKA_UNWRAP, "unwrap"),
    (sys::CKA_DERIVE, "derive"),
];

const PROTECTION: [(CK_ATTRIBUTE_TYPE, &str); 9] = [
    (sys::CKA_PRIVATE, "private"),
    (sys::CKA_SENSITIVE, "sensitive"),
    (sys::CKA_ALWAYS_SENSITIVE, "always-sensitive"),
    (sys::CKA_EXTRACTABLE, "EXTRACTABLE"),
    (sys::CKA_WRAP_WITH_TRUSTED, "under-a-trusted-key-only"),
    (sys::CKA_NEVER_EXTRACTABLE, "never-extractable"),
    (sys::CKA_LOCAL, "made-in-the-token"),
    (sys::CKA_TRUSTED, "trusted"),
    (sys::CKA_MODIFIABLE, "MODIFIABLE"),
];

fn facts(session: &RawSession, key: Handle, role: Role, number: Option<u32>, id: &str) -> KeyFacts {
    // a token may keep an attribute to itself, or not have it: that is no fault of the key
    let bytes = |kind| {
        session
            .attribute(key, kind)
            .map(|value| value.to_vec())
            .unwrap_or_default()
    };
    let ulong = |kind| bytes(kind).try_into().ok().map(u64::from_ne_bytes);
    let named = |all: &[(CK_ATTRIBUTE_TYPE, &str)]| {
        all.iter()
            .filter(|(kind, _)| bytes(*kind) == [1])
            .map(|(_, name)| (*name).to_owned())
            .collect()
    };
    let modulus = bytes(sys::CKA_MODULUS);
    let (algorithm, bits) = match ulong(sys::CKA_KEY_TYPE) {
        Some(sys::CKK_AES) => ("AES", ulong(sys::CKA_VALUE_LEN).map(|bytes| bytes * 8)),
        Some(sys::CKK_GENERIC_SECRET | sys::CKK_SHA256_HMAC) => {
            ("HMAC", ulong(sys::CKA_VALUE_LEN).map(|bytes| bytes * 8))
        }
        Some(sys::CKK_RSA) => ("RSA", u64::try_from(modulus.len()).ok().map(|bytes| bytes * 8)),
        Some(sys::CKK_EC) => ("EC P-256", Some(256)),
        Some(sys::CKK_EC_EDWARDS) => ("Ed25519", Some(256)),
        _ => ("unknown", None),
    };
    KeyFacts {
        role,
        epoch: number.filter(|_| role == Role::Kek),
        generation: number.filter(|_| role != Role::Kek),
        id: id.to_owned(),
        label: String::from_utf8_lossy(&bytes(sys::CKA_LABEL)).into_owned(),
        algorithm: algorithm.to_owned(),
        bits: bits.filter(|bits| *bits > 0),
        usage: named(&USAGE),
        protection: named(&PROTECTION),
    }
}
