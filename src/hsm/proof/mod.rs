//! The keys of a [`Keyset`], found in the token and proved to be those that `init` made.

mod attributes;
mod kek;
mod role;

pub(crate) use attributes::is_extractable;
pub(crate) use role::{rsa_parts, works};

use std::collections::BTreeMap;

use cryptoki::object::ObjectClass;
use cryptoki_sys as sys;

use super::dek::DekTemplates;
use super::jwe::Recipient;
use super::pkcs11::{Ckr, Handle, OpenFault, RawSession, Search, Signing};
use super::probe::Findings;
use super::{Canary, Epoch, Keyset, PublicKey, Rotated, StartFault};

/// What the labels of all our keys begin with.
pub(crate) const LABEL: &str = "panvault-";
/// What the fingerprint key's check value is the HMAC of.
pub(crate) const FINGERPRINT_CHECK: &[u8] = b"panvault fingerprint check v1";

/// Our keys' handles, each proved.
pub(crate) struct Keys {
    pub(crate) keks: BTreeMap<Epoch, Kek>,
    /// By generation, as those of the next two. Those that are in a HSM which the vault has left are none.
    pub(crate) fingerprints: Vec<Handle>,
    pub(crate) audits: Vec<Option<(Handle, Signing)>>,
    pub(crate) transports: Vec<Option<Recipient>>,
    pub(crate) locker: Option<Recipient>,
    pub(crate) platform: Option<Handle>,
}

/// A KEK, and what tells whether it works.
pub(crate) struct Kek {
    pub(crate) handle: Handle,
    pub(crate) canary: Canary,
    /// This key and identical copies of it.
    pub(crate) all: Vec<Handle>,
    /// For people.
    pub(crate) name: String,
}

/// An attribute that is not what the template says.
pub(crate) struct Weakness {
    /// Which key, for people.
    pub(crate) key: String,
    pub(crate) what: String,
    /// The key can be read or carried away as it is: no setting allows to work with it.
    pub(crate) grave: bool,
}

/// What proving found.
pub(crate) struct Proof {
    pub(crate) keys: Keys,
    pub(crate) weaknesses: Vec<Weakness>,
    pub(crate) findings: Findings,
}

/// Finds and proves all keys. What is missing or swapped is named in one text, all of it.
pub(crate) fn prove(session: &RawSession, keyset: &Keyset, templates: &DekTemplates) -> Result<Proof, StartFault> {
    let mut findings = Findings::default();
    let mut weaknesses = Vec::new();
    let mut wrong = Vec::new();
    let mut keks = BTreeMap::new();
    for kek in &keyset.keks {
        match kek::find(session, kek, templates, &mut findings, &mut weaknesses) {
            Ok(found) => {
                keks.insert(kek.epoch, found);
            }
            Err(Wrong::Key(text)) => wrong.push(text),
            Err(Wrong::Token(text)) => return Err(StartFault::Unavailable(text)),
        }
    }
    let mut fingerprints = Vec::new();
    for (id, check) in keyset.fingerprints() {
        let found = role::fingerprint(session, id, check, templates.rules.trusted, &mut weaknesses);
        fingerprints.extend(named(found, &mut wrong)?);
    }
    let mut audits = Vec::new();
    for ((id, public), is_there) in keyset.audits().zip(keyset.in_token(Rotated::Audit)) {
        let found = match is_there {
            true => named(role::audit(session, id, public, &mut weaknesses), &mut wrong)?,
            false => None,
        };
        audits.push(found.map(|key| (key, signing(public))));
    }
    let mut transports = Vec::new();
    for ((id, public), is_there) in keyset.transports().zip(keyset.in_token(Rotated::Transport)) {
        let found = match is_there {
            true => named(
                role::transport(session, id, public, &mut findings, &mut weaknesses),
                &mut wrong,
            )?,
            false => None,
        };
        transports.push(found);
    }
    let locker = match &keyset.locker {
        Some(pair) => named(role::locker(session, pair, &mut findings, &mut weaknesses), &mut wrong)?,
        None => None,
    };
    let platform = match &keyset.platform {
        Some(pair) => named(role::platform(session, pair, &mut weaknesses), &mut wrong)?,
        None => None,
    };
    // each that is not there is wrong, so the others stand at their generation's place
    if !wrong.is_empty() {
        return Err(refuse(session, &wrong)?);
    }
    if keks.is_empty() {
        return Err(StartFault::Keys("the keyring names no KEK".to_owned()));
    }
    findings.pass("canaries", format!("all {} KEKs open their canaries", keks.len()));
    let mut which = vec!["fingerprint", "audit", "transport"];
    which.extend(locker.is_some().then_some("locker"));
    which.extend(platform.is_some().then_some("platform"));
    findings.pass(
        "possession",
        format!("the keys are the ones that were made: {}", which.join(", ")),
    );
    Ok(Proof {
        keys: Keys {
            keks,
            fingerprints,
            audits,
            transports,
            locker,
            platform,
        },
        weaknesses,
        findings,
    })
}

/// How a key with this public half signs.
pub(crate) fn signing(public: &PublicKey) -> Signing {
    match public {
        PublicKey::Ed25519 { .. } => Signing::Eddsa,
        // An RSA key is no audit key: proving it fails.
        PublicKey::P256 { .. } | PublicKey::Rsa { .. } => Signing::Ecdsa,
    }
}

/// Signs as [`super::Job::Sign`] says.
pub(crate) fn sign(session: &RawSession, key: Handle, how: Signing, message: &[u8]) -> Result<Vec<u8>, Ckr> {
    let signature = match how {
        // CKM_ECDSA takes a digest; modules that hash themselves are fewer.
        Signing::Ecdsa => session.sign(key, how, ring::digest::digest(&ring::digest::SHA256, message).as_ref())?,
        Signing::Eddsa | Signing::HmacSha256 | Signing::Rs256 => session.sign(key, how, message)?,
    };
    let expected = match how {
        Signing::Ecdsa | Signing::Eddsa => signature.len() == 64,
        Signing::HmacSha256 => signature.len() == 32,
        // as long as the modulus, which is not known here
        Signing::Rs256 => signature.len() >= 256,
    };
    if expected {
        Ok(signature)
    } else {
        Err(Ckr::new("C_Sign", sys::CKR_DATA_LEN_RANGE))
    }
}

/// The token objects that carry one of our labels: secret and private keys.
pub(crate) fn labelled(session: &RawSession) -> Result<Vec<Handle>, OpenFault> {
    let mut ours = Vec::new();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
        for object in session.find(&Search {
            class: Some(class),
            token_objects: true,
            ..Search::default()
        })? {
            let label = session
                .attribute(object, sys::CKA_LABEL)
                .map(|l| l.to_vec())
                .unwrap_or_default();
            if label.starts_with(LABEL.as_bytes()) {
                ours.push(object);
            }
        }
    }
    Ok(ours)
}

/// Why a key is not taken.
enum Wrong {
    /// Missing or swapped.
    Key(String),
    /// The token does not work.
    Token(String),
}

impl From<OpenFault> for Wrong {
    fn from(fault: OpenFault) -> Self {
        Self::Token(fault.to_string())
    }
}

impl From<Ckr> for Wrong {
    fn from(ckr: Ckr) -> Self {
        Self::Token(ckr.to_string())
    }
}

/// The key, or its fault among those that are told together.
fn named<T>(found: Result<T, Wrong>, wrong: &mut Vec<String>) -> Result<Option<T>, StartFault> {
    match found {
        Ok(key) => Ok(Some(key)),
        Err(Wrong::Key(text)) => {
            wrong.push(text);
            Ok(None)
        }
        Err(Wrong::Token(text)) => Err(StartFault::Unavailable(text)),
    }
}

fn refuse(session: &RawSession, wrong: &[String]) -> Result<StartFault, StartFault> {
    let ours = labelled(session).map_err(|e| StartFault::Unavailable(e.to_string()))?;
    Ok(if ours.is_empty() {
        StartFault::NotInitialised("run `panvault init`, or restore the token from its backup".to_owned())
    } else {
        StartFault::Keys(wrong.join("; "))
    })
}

/// A CKA_ID as the keyring writes it.
fn id(hex: &str, name: &str) -> Result<Vec<u8>, Wrong> {
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .ok()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Wrong::Key(format!("{name}: the keyring's CKA_ID is not hex")))
}
