//! What a holder of the user PIN would try on a KEK and on the DEKs it wraps. Each attempt must be refused.

use cryptoki_sys as sys;

use super::Outcome;
use crate::hsm::WrappedKey;
use crate::hsm::dek::{DekTemplates, using};
use crate::hsm::pkcs11::template::{DekRules, DekUse, WRAP, rsa_public};
use crate::hsm::pkcs11::{Ckr, Handle, Oaep, RawSession, Template};

/// A KEK, and a DEK that it wraps.
pub(crate) struct Target<'a> {
    /// For people.
    pub(crate) name: String,
    pub(crate) kek: Handle,
    pub(crate) dek: &'a WrappedKey,
    pub(crate) templates: &'a DekTemplates,
    /// A KEK under which the DEK must be wrappable, and not more than those.
    pub(crate) next: Option<Handle>,
}

/// Wrapping keys of a PIN holder's own, in this session.
pub(crate) struct Tools {
    aes: Handle,
    rsa: Option<Handle>,
}

impl Tools {
    /// `rsa`: modulus and exponent of any key; a public object is enough to wrap with.
    pub(crate) fn make(session: &RawSession, rsa: Option<&(Vec<u8>, Vec<u8>)>) -> Result<Self, Ckr> {
        let own = DekRules {
            trusted: false,
            value_len: false,
        }
        .kek_scratch()
        .without(sys::CKA_UNWRAP_TEMPLATE)
        .without(sys::CKA_ALLOWED_MECHANISMS);
        let aes = session.generate_key(sys::CKM_AES_KEY_GEN, &own)?;
        // A module without public session objects has no such attack either.
        let rsa = rsa.and_then(|(n, e)| session.create_object(&rsa_public(n, e).yes(sys::CKA_WRAP)).ok());
        Ok(Self { aes, rsa })
    }

    /// Which of them wrap a key that none of them may wrap.
    pub(super) fn wraps(&self, session: &RawSession, key: Handle) -> Result<Vec<(&'static str, bool)>, Ckr> {
        let own = refused(session.wrap(WRAP, self.aes, key))?;
        let mut tried = vec![("fingerprint-wrap-own-key", own.is_some())];
        if let Some(rsa) = self.rsa {
            let wrapped = refused(session.wrap_oaep(Oaep::Sha1, rsa, key))?;
            tried.push(("fingerprint-wrap-own-rsa", wrapped.is_some()));
        }
        Ok(tried)
    }

    pub(crate) fn destroy(self, session: &RawSession) -> Result<(), Ckr> {
        self.rsa.map_or(Ok(()), |rsa| session.destroy(rsa))?;
        session.destroy(self.aes)
    }
}

/// Tries everything. An error is a token that does not work, not a refusal.
pub(crate) fn attack(session: &RawSession, tools: &Tools, target: &Target<'_>) -> Result<Vec<Outcome>, Ckr> {
    let mut all = Vec::new();
    let mut say = |check, failed: Option<String>| {
        all.push(Outcome {
            check,
            key: target.name.clone(),
            failed,
        })
    };

    for (check, template) in forbidden_unwraps(target.templates.rules) {
        let unwrapped = refused(session.unwrap(WRAP, target.kek, &target.dek.0, &template))?;
        say(check, undo(session, unwrapped, "C_UnwrapKey granted it")?);
    }
    say("unwrap-pin-left-out", left_out(session, target)?);

    let reveal = target.templates.for_reveal(session, target.kek, target.dek)?;
    let (value, wrapped) = using(session, reveal, || {
        let value = refused(session.attribute(reveal, sys::CKA_VALUE))?;
        let wrapped = refused(session.wrap(WRAP, target.next.unwrap_or(target.kek), reveal))?;
        Ok((value, wrapped))
    })?;
    say("dek-value", value.map(|_| "an unwrapped DEK can be read".to_owned()));
    say(
        "dek-rewrap",
        wrapped.map(|_| "a DEK unwrapped for reveal can be wrapped again".to_owned()),
    );

    if target.templates.rules.trusted {
        for (check, failed) in carry_away(session, tools, target)? {
            say(check, failed);
        }
    }
    for (check, failed) in change_kek(session, target)? {
        say(check, failed);
    }
    let mut changed = target.dek.0.clone();
    if let Some(byte) = changed.last_mut() {
        *byte ^= 1;
    }
    let template = target.templates.rules.dek_unwrap(DekUse::Reveal);
    let opened = refused(session.unwrap(WRAP, target.kek, &changed, &template))?;
    say("tampered-blob", undo(session, opened, "a changed blob was unwrapped")?);
    Ok(all)
}

/// Unwraps that would give a DEK of more use than the vault's own.
fn forbidden_unwraps(rules: DekRules) -> Vec<(&'static str, Template)> {
    let reveal = || rules.dek_unwrap(DekUse::Reveal);
    let mut all = vec![
        ("unwrap-readable", reveal().no(sys::CKA_SENSITIVE)),
        ("unwrap-derive", reveal().yes(sys::CKA_DERIVE)),
        (
            "unwrap-generic-secret",
            reveal().ulong(sys::CKA_KEY_TYPE, sys::CKK_GENERIC_SECRET),
        ),
        ("unwrap-token-object", reveal().yes(sys::CKA_TOKEN)),
        ("unwrap-public", reveal().no(sys::CKA_PRIVATE)),
        ("unwrap-modifiable", reveal().yes(sys::CKA_MODIFIABLE)),
        ("unwrap-copyable", reveal().yes(sys::CKA_COPYABLE)),
        ("unwrap-wrap", reveal().yes(sys::CKA_WRAP)),
        (
            "unwrap-other-mechanism",
            reveal().only_for(&[sys::CKM_AES_GCM, sys::CKM_AES_ECB]),
        ),
    ];
    if rules.trusted {
        let rotate = rules.dek_unwrap(DekUse::Rotate);
        all.push(("unwrap-wrap-anywhere", rotate.no(sys::CKA_WRAP_WITH_TRUSTED)));
    } else {
        all.push(("unwrap-extractable", reveal().yes(sys::CKA_EXTRACTABLE)));
    }
    all
}

/// The decisive pin left out: refused, or filled in by the module.
fn left_out(session: &RawSession, target: &Target<'_>) -> Result<Option<String>, Ckr> {
    let rules = target.templates.rules;
    let (pin, wanted) = if rules.trusted {
        (sys::CKA_WRAP_WITH_TRUSTED, sys::CK_TRUE)
    } else {
        (sys::CKA_EXTRACTABLE, sys::CK_FALSE)
    };
    let template = rules
        .dek_unwrap(if rules.trusted { DekUse::Rotate } else { DekUse::Reveal })
        .without(pin);
    let Some(key) = refused(session.unwrap(WRAP, target.kek, &target.dek.0, &template))? else {
        return Ok(None);
    };
    let value = using(session, key, || refused(session.attribute(key, pin)))?;
    let filled_in = value.is_some_and(|v| v.first() == Some(&wanted));
    Ok((!filled_in).then(|| "C_UnwrapKey granted a DEK without the pin of the UNWRAP_TEMPLATE".to_owned()))
}

/// A DEK unwrapped for rotation: wrappable by a KEK, and by nothing else.
fn carry_away(
    session: &RawSession,
    tools: &Tools,
    target: &Target<'_>,
) -> Result<Vec<(&'static str, Option<String>)>, Ckr> {
    let template = target.templates.rules.dek_unwrap(DekUse::Rotate);
    let dek = session.unwrap(WRAP, target.kek, &target.dek.0, &template)?;
    using(session, dek, || {
        let own = refused(session.wrap(WRAP, tools.aes, dek))?;
        let mut tried = vec![(
            "wrap-under-own-key",
            own.map(|_| "a DEK was wrapped under a PIN holder's AES key".to_owned()),
        )];
        if let Some(rsa) = tools.rsa {
            let wrapped = refused(session.wrap(sys::CKM_RSA_PKCS, rsa, dek))?;
            let text = "a DEK was wrapped under a PIN holder's RSA key";
            tried.push(("wrap-under-own-rsa", wrapped.map(|_| text.to_owned())));
        }
        if let Some(next) = target.next {
            let rotated = session.wrap(WRAP, next, dek);
            tried.push((
                "rotate",
                rotated
                    .err()
                    .map(|e| format!("a DEK cannot be wrapped under another KEK: {e}")),
            ));
        }
        Ok(tried)
    })
}

fn change_kek(session: &RawSession, target: &Target<'_>) -> Result<Vec<(&'static str, Option<String>)>, Ckr> {
    let value = refused(session.attribute(target.kek, sys::CKA_VALUE))?;
    let encrypted = refused(session.encrypt_gcm(target.kek, &[1; 12], b"", b"x"))?;
    let copy = refused(session.copy_object(target.kek, &Template::new().no(sys::CKA_TOKEN).yes(sys::CKA_DECRYPT)))?;
    let set = refused(session.set_attributes(target.kek, &Template::new().yes(sys::CKA_DECRYPT)))?;
    if set.is_some() {
        // What the check did must not stay.
        session.set_attributes(target.kek, &Template::new().no(sys::CKA_DECRYPT))?;
    }
    Ok(vec![
        ("kek-value", value.map(|_| "the KEK can be read".to_owned())),
        ("kek-encrypt", encrypted.map(|_| "the KEK encrypts".to_owned())),
        ("kek-copy", undo(session, copy, "a copy of the KEK may decrypt")?),
        (
            "kek-set-decrypt",
            set.map(|()| "the KEK can be made to decrypt".to_owned()),
        ),
    ])
}

/// What an attempt gave that should have been refused. Only a token that does not work is an error.
pub(super) fn refused<T>(attempt: Result<T, Ckr>) -> Result<Option<T>, Ckr> {
    match attempt {
        Ok(granted) => Ok(Some(granted)),
        Err(ckr) if ckr.is_fatal() && !by_policy(ckr) => Err(ckr),
        Err(_) => Ok(None),
    }
}

/// Some modules refuse an untrusted wrapping key by calling its handle invalid.
fn by_policy(ckr: Ckr) -> bool {
    ckr.function == "C_WrapKey" && ckr.code == sys::CKR_WRAPPING_KEY_HANDLE_INVALID
}

fn undo(session: &RawSession, made: Option<Handle>, text: &str) -> Result<Option<String>, Ckr> {
    let Some(key) = made else { return Ok(None) };
    session.destroy(key)?;
    Ok(Some(text.to_owned()))
}
