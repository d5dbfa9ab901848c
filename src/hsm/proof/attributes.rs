//! Attributes read back.

use cryptoki_sys as sys;
use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_ULONG};

use super::Weakness;
use crate::hsm::pkcs11::{Ckr, Handle, RawSession};

struct Flag {
    kind: CK_ATTRIBUTE_TYPE,
    name: &'static str,
    wanted: bool,
    grave: bool,
}

const fn flag(kind: CK_ATTRIBUTE_TYPE, name: &'static str, wanted: bool, grave: bool) -> Flag {
    Flag {
        kind,
        name,
        wanted,
        grave,
    }
}

/// What holds for every key of ours.
const HIDDEN: [Flag; 5] = [
    flag(sys::CKA_TOKEN, "CKA_TOKEN", true, false),
    flag(sys::CKA_PRIVATE, "CKA_PRIVATE", true, true),
    flag(sys::CKA_SENSITIVE, "CKA_SENSITIVE", true, true),
    flag(sys::CKA_MODIFIABLE, "CKA_MODIFIABLE", false, false),
    flag(sys::CKA_DERIVE, "CKA_DERIVE", false, false),
];

/// And for those that must not leave.
const STAYING: [Flag; 2] = [
    flag(sys::CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, true),
    flag(sys::CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true, false),
];

/// And for one that may leave, under a key that the security officer called TRUSTED.
const LEAVING: [Flag; 1] = [flag(sys::CKA_WRAP_WITH_TRUSTED, "CKA_WRAP_WITH_TRUSTED", true, true)];

/// What a KEK must not do besides.
const KEK: [Flag; 4] = [
    flag(sys::CKA_ENCRYPT, "CKA_ENCRYPT", false, true),
    flag(sys::CKA_DECRYPT, "CKA_DECRYPT", false, true),
    flag(sys::CKA_SIGN, "CKA_SIGN", false, false),
    flag(sys::CKA_VERIFY, "CKA_VERIFY", false, false),
];

/// How a KEK differs from its template.
pub(super) fn kek(session: &RawSession, key: Handle, name: &str) -> Result<Vec<Weakness>, Ckr> {
    let mut all = flags(session, key, name, &HIDDEN)?;
    all.extend(flags(session, key, name, &STAYING)?);
    all.extend(flags(session, key, name, &KEK)?);
    all.extend(number(
        session,
        key,
        name,
        sys::CKA_KEY_TYPE,
        "CKA_KEY_TYPE",
        sys::CKK_AES,
    )?);
    all.extend(number(session, key, name, sys::CKA_VALUE_LEN, "CKA_VALUE_LEN", 32)?);
    all.extend(mechanisms(session, key, name, &[sys::CKM_AES_KEY_WRAP])?);
    Ok(all)
}

/// How a key with one use differs from its template.
pub(super) fn role(
    session: &RawSession,
    key: Handle,
    name: &str,
    allowed: &[CK_MECHANISM_TYPE],
) -> Result<Vec<Weakness>, Ckr> {
    let mut all = flags(session, key, name, &HIDDEN)?;
    all.extend(flags(session, key, name, &STAYING)?);
    all.extend(mechanisms(session, key, name, allowed)?);
    Ok(all)
}

/// How a fingerprint key differs from its template: it stays, or, where the user cannot make a TRUSTED key (`trusted`), leaves
/// under such a key only.
pub(super) fn fingerprint(session: &RawSession, key: Handle, name: &str, trusted: bool) -> Result<Vec<Weakness>, Ckr> {
    let mut all = flags(session, key, name, &HIDDEN)?;
    let how: &[Flag] = match trusted && is_extractable(session, key)? {
        true => &LEAVING,
        false => &STAYING,
    };
    all.extend(flags(session, key, name, how)?);
    all.extend(mechanisms(session, key, name, &[sys::CKM_SHA256_HMAC])?);
    Ok(all)
}

/// Whether a key can leave at all.
pub(crate) fn is_extractable(session: &RawSession, key: Handle) -> Result<bool, Ckr> {
    let value = read(session, key, sys::CKA_EXTRACTABLE)?;
    Ok(value.is_some_and(|value| value.first() == Some(&sys::CK_TRUE)))
}

fn flags(session: &RawSession, key: Handle, name: &str, wanted: &[Flag]) -> Result<Vec<Weakness>, Ckr> {
    let mut all = Vec::new();
    for flag in wanted {
        let found = read(session, key, flag.kind)?.map(|value| value.first() == Some(&sys::CK_TRUE));
        // An attribute that the module does not know is not set.
        if found.unwrap_or(false) != flag.wanted {
            let is = if flag.wanted { "is not set" } else { "is set" };
            all.push(Weakness {
                key: name.to_owned(),
                what: format!("{} {is}", flag.name),
                grave: flag.grave,
            });
        }
    }
    Ok(all)
}

fn number(
    session: &RawSession,
    key: Handle,
    name: &str,
    kind: CK_ATTRIBUTE_TYPE,
    text: &str,
    wanted: CK_ULONG,
) -> Result<Option<Weakness>, Ckr> {
    let value = read(session, key, kind)?;
    let right = value.is_some_and(|v| v == wanted.to_ne_bytes());
    let weakness = || Weakness {
        key: name.to_owned(),
        what: format!("{text} is not {wanted}"),
        grave: true,
    };
    Ok((!right).then(weakness))
}

/// The key may be used with these mechanisms and no others.
fn mechanisms(
    session: &RawSession,
    key: Handle,
    name: &str,
    wanted: &[CK_MECHANISM_TYPE],
) -> Result<Option<Weakness>, Ckr> {
    let value = read(session, key, sys::CKA_ALLOWED_MECHANISMS)?.unwrap_or_default();
    let mut found: Vec<_> = value
        .chunks(size_of::<CK_MECHANISM_TYPE>())
        .map(<[u8]>::to_vec)
        .collect();
    let mut wanted: Vec<_> = wanted.iter().map(|m| m.to_ne_bytes().to_vec()).collect();
    found.sort();
    wanted.sort();
    let weakness = || {
        let what = "CKA_ALLOWED_MECHANISMS is not what it was made with".to_owned();
        Weakness {
            key: name.to_owned(),
            what,
            grave: false,
        }
    };
    Ok((found != wanted).then(weakness))
}

fn read(session: &RawSession, key: Handle, kind: CK_ATTRIBUTE_TYPE) -> Result<Option<Vec<u8>>, Ckr> {
    match session.attribute(key, kind) {
        Ok(value) => Ok(Some(value.to_vec())),
        Err(ckr) if ckr.is_fatal() => Err(ckr),
        Err(_) => Ok(None),
    }
}
