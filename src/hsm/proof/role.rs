//! The keys with one use each: fingerprint, audit, transport, platform. And the locker key, which has two.

use cryptoki::object::ObjectClass;
use cryptoki_sys as sys;
use data_encoding::BASE64URL_NOPAD;

use super::{FINGERPRINT_CHECK, Weakness, Wrong, attributes, id, sign, signing};
use crate::hsm::dek::using;
use crate::hsm::jwe::Recipient;
use crate::hsm::pkcs11::template::{LOCKER_USES, rsa_public};
use crate::hsm::pkcs11::{Ckr, Handle, Oaep, RawSession, Rsa, Search, Signing};
use crate::hsm::probe::Findings;
use crate::hsm::{PairRef, PublicKey};

/// The fingerprint key: its HMAC of a fixed text is the one that `init` noted. It may leave under a TRUSTED key, where the user
/// cannot make one: `trusted`.
pub(super) fn fingerprint(
    session: &RawSession,
    hex: &str,
    check: &str,
    trusted: bool,
    weaknesses: &mut Vec<Weakness>,
) -> Result<Handle, Wrong> {
    let name = format!("fingerprint key (CKA_ID {hex})");
    let key = find(session, ObjectClass::SECRET_KEY, hex, &name, |key| {
        let made = sign(session, key, Signing::HmacSha256, FINGERPRINT_CHECK)?;
        Ok(data_encoding::HEXLOWER.encode(&made) == check.to_ascii_lowercase())
    })?;
    weaknesses.extend(attributes::fingerprint(session, key, &name, trusted)?);
    Ok(key)
}

/// The audit key: its signature of a fresh random text holds under the pinned public half.
pub(super) fn audit(
    session: &RawSession,
    hex: &str,
    public: &PublicKey,
    weaknesses: &mut Vec<Weakness>,
) -> Result<Handle, Wrong> {
    let name = format!("audit key (CKA_ID {hex})");
    let how = signing(public);
    let key = find(session, ObjectClass::PRIVATE_KEY, hex, &name, |key| {
        // The text's beginning is that of no message that the vault signs.
        let mut challenge = b"panvault audit key possession v1\0".to_vec();
        challenge.extend(random(session)?);
        let signature = sign(session, key, how, &challenge)?;
        Ok(public.verify(&challenge, &signature).is_ok())
    })?;
    let mechanism = if how == Signing::Eddsa {
        sys::CKM_EDDSA
    } else {
        sys::CKM_ECDSA
    };
    weaknesses.extend(attributes::role(session, key, &name, &[mechanism])?);
    Ok(key)
}

/// The transport key: it decrypts what the pinned public half encrypted.
pub(super) fn transport(
    session: &RawSession,
    hex: &str,
    public: &PublicKey,
    findings: &mut Findings,
    weaknesses: &mut Vec<Weakness>,
) -> Result<Recipient, Wrong> {
    let name = format!("transport key (CKA_ID {hex})");
    let transport = recipient(session, hex, public, &name, |_| Ok(true))?;
    match transport.how {
        Rsa::Oaep(Oaep::Sha256) => findings.pass("oaep-sha256", "the token decrypts RSA-OAEP with SHA-256"),
        Rsa::Raw => findings.note(
            "oaep-sha256",
            "the token has no RSA-OAEP with SHA-256: inbound JWE are opened by raw RSA and the padding is checked in \
             the worker",
        ),
        Rsa::Oaep(Oaep::Sha1) => findings.gap(
            "oaep-sha256",
            "the token has neither RSA-OAEP with SHA-256 nor raw RSA: inbound JWE do not open",
        ),
    }
    let uses = [sys::CKM_RSA_PKCS_OAEP, sys::CKM_RSA_X_509];
    weaknesses.extend(attributes::role(session, transport.private, &name, &uses)?);
    Ok(transport)
}

/// The locker key: it decrypts what the pinned public half encrypted, and its signatures hold under that.
pub(super) fn locker(
    session: &RawSession,
    pair: &PairRef,
    findings: &mut Findings,
    weaknesses: &mut Vec<Weakness>,
) -> Result<Recipient, Wrong> {
    let name = format!("locker key (CKA_ID {})", pair.id);
    let locker = recipient(session, &pair.id, &pair.public, &name, |key| {
        let challenge = random(session)?;
        let signature = sign(session, key, Signing::Rs256, &challenge)?;
        Ok(pair.public.verify_rs256(&challenge, &signature).is_ok())
    })?;
    match locker.how {
        Rsa::Oaep(Oaep::Sha256) => findings.note(
            "locker-key",
            "has two uses, as Hyperswitch's locker has it: it decrypts JWE and signs JWS",
        ),
        Rsa::Raw => findings.note(
            "locker-key",
            "has two uses, as Hyperswitch's locker has it: it decrypts JWE, by raw RSA with the padding checked in the \
             worker, and signs JWS",
        ),
        Rsa::Oaep(Oaep::Sha1) => findings.gap(
            "locker-key",
            "the token has neither RSA-OAEP with SHA-256 nor raw RSA: JWE to the locker do not open",
        ),
    }
    weaknesses.extend(attributes::role(session, locker.private, &name, &LOCKER_USES)?);
    Ok(locker)
}

/// The platform key: its signature of a fresh random text holds under the pinned public half.
pub(super) fn platform(session: &RawSession, pair: &PairRef, weaknesses: &mut Vec<Weakness>) -> Result<Handle, Wrong> {
    let name = format!("platform key (CKA_ID {})", pair.id);
    let key = find(session, ObjectClass::PRIVATE_KEY, &pair.id, &name, |key| {
        let challenge = random(session)?;
        let signature = sign(session, key, Signing::Rs256, &challenge)?;
        Ok(pair.public.verify_rs256(&challenge, &signature).is_ok())
    })?;
    weaknesses.extend(attributes::role(session, key, &name, &[sys::CKM_SHA256_RSA_PKCS])?);
    Ok(key)
}

/// A private key that decrypts what the pinned public half encrypted, and is right beside.
fn recipient(
    session: &RawSession,
    hex: &str,
    public: &PublicKey,
    name: &str,
    is_right: impl Fn(Handle) -> Result<bool, Ckr>,
) -> Result<Recipient, Wrong> {
    let Some((n, e)) = rsa_parts(public) else {
        return Err(Wrong::Key(format!(
            "{name}: the keyring's public half is not an RSA key"
        )));
    };
    let mut padding = None;
    let key = find(session, ObjectClass::PRIVATE_KEY, hex, name, |key| {
        let public = session.create_object(&rsa_public(&n, &e))?;
        padding = using(session, public, || possession(session, public, key, n.len()))?;
        Ok(padding.is_some() && is_right(key)?)
    })?;
    // a key that was found has one: what was tried on it last
    let how = padding.unwrap_or(Rsa::Oaep(Oaep::Sha1));
    Ok(Recipient {
        private: key,
        how,
        modulus: n,
        exponent: e,
    })
}

/// Modulus and exponent.
pub(crate) fn rsa_parts(public: &PublicKey) -> Option<(Vec<u8>, Vec<u8>)> {
    let PublicKey::Rsa { n, e } = public else { return None };
    let n = BASE64URL_NOPAD.decode(n.as_bytes()).ok()?;
    let e = BASE64URL_NOPAD.decode(e.as_bytes()).ok()?;
    (n.len() >= 256 && !e.is_empty()).then_some((n, e))
}

/// The best padding with which the two halves belong together.
fn possession(session: &RawSession, public: Handle, private: Handle, modulus: usize) -> Result<Option<Rsa>, Ckr> {
    for how in [Rsa::Oaep(Oaep::Sha256), Rsa::Raw, Rsa::Oaep(Oaep::Sha1)] {
        if tried(session, public, private, how, modulus)? {
            return Ok(Some(how));
        }
    }
    Ok(None)
}

/// Whether the private half decrypts what the public half encrypted. The public half is used up.
pub(crate) fn works(
    session: &RawSession,
    public: Handle,
    private: Handle,
    how: Rsa,
    modulus: usize,
) -> Result<bool, Ckr> {
    using(session, public, || tried(session, public, private, how, modulus))
}

fn tried(session: &RawSession, public: Handle, private: Handle, how: Rsa, modulus: usize) -> Result<bool, Ckr> {
    let text = random(session)?;
    let sent = match how {
        Rsa::Raw => [vec![0; modulus.saturating_sub(text.len())], text].concat(),
        Rsa::Oaep(_) => text,
    };
    let opened = session
        .encrypt_rsa(public, how, &sent)
        .and_then(|ciphertext| session.decrypt_rsa(private, how, &ciphertext));
    match opened {
        Ok(opened) => Ok(opened.as_slice() == sent),
        Err(ckr) if ckr.is_fatal() => Err(ckr),
        Err(_) => Ok(false),
    }
}

fn random(session: &RawSession) -> Result<Vec<u8>, Ckr> {
    let mut bytes = vec![0u8; 32];
    session.random(&mut bytes)?;
    Ok(bytes)
}

/// The key under the CKA_ID that passes the test; another key planted beside it is of no consequence.
fn find(
    session: &RawSession,
    class: ObjectClass,
    hex: &str,
    name: &str,
    mut is_right: impl FnMut(Handle) -> Result<bool, Ckr>,
) -> Result<Handle, Wrong> {
    let id = id(hex, name)?;
    let found = session.find(&Search {
        class: Some(class),
        id: Some(&id),
        token_objects: true,
        ..Search::default()
    })?;
    if found.is_empty() {
        return Err(Wrong::Key(format!("{name} is missing")));
    }
    for key in found {
        match is_right(key) {
            Ok(true) => return Ok(key),
            Err(ckr) if ckr.is_fatal() => return Err(ckr.into()),
            Ok(false) | Err(_) => {}
        }
    }
    Err(Wrong::Key(format!(
        "{name} was swapped: the key under its CKA_ID is not the one that was made"
    )))
}
