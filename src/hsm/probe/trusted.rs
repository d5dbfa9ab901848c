//! TRUSTED is worth something only where the user cannot give it.

use cryptoki_sys as sys;

use super::Findings;
use crate::hsm::StartFault;
use crate::hsm::pkcs11::template::{DekRules, WRAP};
use crate::hsm::pkcs11::{Ckr, Handle, OpenFault, RawSession, Search, Template, describe};

/// Tries to make TRUSTED keys as the user, by every call that takes a template.
pub(crate) fn cannot_make_trusted(session: &RawSession, findings: &mut Findings) -> Result<(), StartFault> {
    try_all(session, findings).map_err(|e| StartFault::Unavailable(format!("the start-up check: {e}")))
}

fn try_all(session: &RawSession, findings: &mut Findings) -> Result<(), Ckr> {
    let own = DekRules {
        trusted: false,
        value_len: false,
    }
    .kek_scratch()
    .without(sys::CKA_UNWRAP_TEMPLATE)
    .yes(sys::CKA_COPYABLE)
    .yes(sys::CKA_MODIFIABLE);
    let made = session.generate_key(sys::CKM_AES_KEY_GEN, &own.clone().yes(sys::CKA_TRUSTED));
    judge(session, findings, "make-trusted-generate", made)?;
    let value = Template::secret_key(sys::CKK_AES)
        .no(sys::CKA_TOKEN)
        .bytes(sys::CKA_VALUE, &[7; 32]);
    judge(
        session,
        findings,
        "make-trusted-create",
        session.create_object(&value.yes(sys::CKA_TRUSTED)),
    )?;

    let key = session.generate_key(sys::CKM_AES_KEY_GEN, &own)?;
    let tried = on_key(session, findings, key);
    let destroyed = session.destroy(key);
    tried.and(destroyed)
}

fn on_key(session: &RawSession, findings: &mut Findings, key: Handle) -> Result<(), Ckr> {
    let trusted = Template::new().yes(sys::CKA_TRUSTED);
    let set = session.set_attributes(key, &trusted).map(|()| key);
    verdict(findings, "make-trusted-set", set.is_ok());
    judge(
        session,
        findings,
        "make-trusted-copy",
        session.copy_object(key, &trusted),
    )?;
    let inner = DekRules {
        trusted: false,
        value_len: false,
    }
    .dek_generate();
    let inner = session.generate_key(sys::CKM_AES_KEY_GEN, &inner)?;
    let blob = session.wrap(WRAP, key, inner);
    session.destroy(inner)?;
    let template = Template::secret_key(sys::CKK_AES)
        .no(sys::CKA_TOKEN)
        .yes(sys::CKA_WRAP)
        .yes(sys::CKA_TRUSTED);
    judge(
        session,
        findings,
        "make-trusted-unwrap",
        session.unwrap(WRAP, key, &blob?, &template),
    )
}

fn judge(session: &RawSession, findings: &mut Findings, check: &str, made: Result<Handle, Ckr>) -> Result<(), Ckr> {
    verdict(findings, check, made.is_ok());
    match made {
        Ok(key) => session.destroy(key),
        Err(ckr) if ckr.is_fatal() => Err(ckr),
        Err(_) => Ok(()),
    }
}

fn verdict(findings: &mut Findings, check: &str, granted: bool) {
    if granted {
        findings.gap(check, "the user can make a TRUSTED key, and wrap DEKs with it");
    } else {
        findings.pass(check, "the user cannot make a TRUSTED key this way");
    }
}

/// Every TRUSTED object must be one of the KEKs.
pub(crate) fn known_trusted_only(
    session: &RawSession,
    keks: &[Handle],
    findings: &mut Findings,
) -> Result<(), OpenFault> {
    let all = session.find(&Search {
        trusted: true,
        ..Search::default()
    })?;
    let unknown: Vec<String> = all
        .iter()
        .filter(|object| !keks.contains(object))
        .map(|object| describe(session, *object))
        .collect();
    if unknown.is_empty() {
        findings.pass(
            "trusted-objects",
            format!("{} TRUSTED keys, all of them KEKs of this vault", all.len()),
        );
    } else {
        findings.gap(
            "trusted-objects",
            format!("unknown TRUSTED keys: {}", unknown.join(", ")),
        );
    }
    Ok(())
}
