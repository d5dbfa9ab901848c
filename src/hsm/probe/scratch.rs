//! A throw-away KEK of this session: what the module wants, and whether it enforces what templates say.

use cryptoki_sys as sys;

use super::Findings;
use super::attacks::{Target, Tools, attack};
use crate::hsm::dek::{DekTemplates, Habits, IvAsk, Ivs, using};
use crate::hsm::pkcs11::{Ckr, Handle, IvOrigin, RawSession, TAG, Template};
use crate::hsm::{KekMode, StartFault, WrappedKey};

const AAD: &[u8] = b"panvault start-up check";
const TEXT: &[u8] = b"nothing secret";

/// Learns how the module wants to be asked, and tries the attacks on a scratch KEK: a module that fails here enforces
/// no KEK's template. The scratch keys are not TRUSTED, for the user cannot make such keys.
pub(crate) fn learn(session: &RawSession, tools: &Tools) -> Result<(Habits, Findings), StartFault> {
    let mut findings = Findings::default();
    let mut ivs = Ivs::new();
    let habits = habits(session, &mut ivs, &mut findings)?;
    let templates = DekTemplates::new(KekMode::NoTrusted, habits);
    let kek = scratch_kek(session, habits)?;
    let tried = behave(session, tools, &templates, &mut ivs, kek, habits, &mut findings);
    let destroyed = session.destroy(kek);
    tried
        .and(destroyed)
        .map_err(|e| StartFault::Unavailable(format!("the start-up check: {e}")))?;
    Ok((habits, findings))
}

/// Whether CKA_VALUE_LEN may stand at C_UnwrapKey, and whose IVs the module takes.
fn habits(session: &RawSession, ivs: &mut Ivs, findings: &mut Findings) -> Result<Habits, StartFault> {
    let mut last = None;
    // With CKA_VALUE_LEN first: where the module takes it, it is pinned, and nobody can ask for half a key.
    for value_len in [true, false] {
        for iv in [IvAsk::Random, IvAsk::Zeros(12), IvAsk::Zeros(16)] {
            let habits = Habits { iv, value_len };
            let kek = scratch_kek(session, habits)?;
            let tried = round_trip(session, &DekTemplates::new(KekMode::NoTrusted, habits), ivs, kek);
            session
                .destroy(kek)
                .map_err(|e| StartFault::Unavailable(e.to_string()))?;
            match tried {
                Ok(()) => {
                    findings.pass("round-trip", "a scratch DEK sealed, wrapped, unwrapped and opened");
                    match iv {
                        IvAsk::Random => findings.pass("iv-request", "the module takes our random IV"),
                        IvAsk::Zeros(n) => {
                            findings.note("iv-request", format!("the module wants {n} zero bytes as IV"))
                        }
                    }
                    return Ok(habits);
                }
                Err(ckr) if ckr.is_fatal() => return Err(StartFault::Unavailable(ckr.to_string())),
                Err(ckr) => last = Some(ckr),
            }
            if last.is_some_and(|ckr| ckr.function == "C_UnwrapKey") {
                // Not the IV's fault.
                break;
            }
        }
    }
    let why = last.map_or_else(String::new, |ckr| ckr.to_string());
    Err(StartFault::Policy(format!(
        "no way was found to seal and open with this module; the last answer was {why}"
    )))
}

fn scratch_kek(session: &RawSession, habits: Habits) -> Result<Handle, StartFault> {
    let rules = DekTemplates::new(KekMode::NoTrusted, habits).rules;
    session
        .generate_key(sys::CKM_AES_KEY_GEN, &rules.kek_scratch())
        .map_err(|ckr| {
            if ckr.is_fatal() {
                return StartFault::Unavailable(ckr.to_string());
            }
            StartFault::Policy(format!(
                "the module refuses the KEK's template (UNWRAP_TEMPLATE, ALLOWED_MECHANISMS): {ckr}"
            ))
        })
}

fn round_trip(session: &RawSession, templates: &DekTemplates, ivs: &mut Ivs, kek: Handle) -> Result<(), Ckr> {
    let (dek, wrapped) = templates.fresh(session, kek)?;
    let part = using(session, dek, || templates.encrypt(session, ivs, dek, AAD, TEXT))?;
    let dek = templates.for_reveal(session, kek, &wrapped)?;
    let text = using(session, dek, || session.decrypt_gcm(dek, &part.iv, AAD, &part.text))?;
    if text.as_slice() != TEXT || part.text.len() != TEXT.len().saturating_add(TAG) {
        return Err(Ckr::new("C_Decrypt", sys::CKR_ENCRYPTED_DATA_INVALID));
    }
    let dek = templates.for_reseal(session, kek, &wrapped)?;
    using(session, dek, || templates.encrypt(session, ivs, dek, AAD, TEXT)).map(|_| ())
}

fn behave(
    session: &RawSession,
    tools: &Tools,
    templates: &DekTemplates,
    ivs: &mut Ivs,
    kek: Handle,
    habits: Habits,
    findings: &mut Findings,
) -> Result<(), Ckr> {
    let (dek, wrapped) = templates.fresh(session, kek)?;
    let sealed = using(session, dek, || {
        let decrypts = session.decrypt_gcm(dek, &[1; 12], AAD, &[0; 32]).is_ok();
        let value = session.attribute(dek, sys::CKA_VALUE).is_ok();
        outcome(findings, "module-dek-use", decrypts, "a DEK made for sealing decrypts");
        outcome(findings, "module-dek-value", value, "a fresh DEK can be read");
        if habits.iv == IvAsk::Random {
            let own = session.encrypt_gcm(dek, &[0xa5; 12], AAD, TEXT)?;
            match own.origin {
                IvOrigin::Appended => findings.note("iv-origin", "the module appends its own IV to the ciphertext"),
                IvOrigin::Changed => findings.note("iv-origin", "the module writes its own IV over ours"),
                IvOrigin::Kept => findings.pass("iv-origin", "the module keeps our IV"),
            }
        }
        templates.encrypt(session, ivs, dek, AAD, TEXT)
    })?;
    let dek = templates.for_reveal(session, kek, &wrapped)?;
    using(session, dek, || {
        let wrong_aad = session.decrypt_gcm(dek, &sealed.iv, b"elsewhere", &sealed.text).is_ok();
        outcome(
            findings,
            "module-wrong-aad",
            wrong_aad,
            "a ciphertext opens with the wrong AAD",
        );
        let mut changed = sealed.text.clone();
        if let Some(byte) = changed.first_mut() {
            *byte ^= 1;
        }
        let opened = session.decrypt_gcm(dek, &sealed.iv, AAD, &changed).is_ok();
        outcome(
            findings,
            "module-changed-ciphertext",
            opened,
            "a changed ciphertext opens",
        );
        let copy = session.copy_object(dek, &Template::new().yes(sys::CKA_EXTRACTABLE));
        outcome(findings, "module-dek-copy", copy.is_ok(), "a DEK can be copied");
        copy.map_or(Ok(()), |copy| session.destroy(copy))
    })?;
    other_kek(session, templates, habits, &wrapped, findings)?;
    let target = Target {
        name: "the module".to_owned(),
        kek,
        dek: &wrapped,
        templates,
        next: None,
    };
    findings.outcomes("module-", attack(session, tools, &target)?);
    Ok(())
}

fn other_kek(
    session: &RawSession,
    templates: &DekTemplates,
    habits: Habits,
    wrapped: &WrappedKey,
    findings: &mut Findings,
) -> Result<(), Ckr> {
    let rules = DekTemplates::new(KekMode::NoTrusted, habits).rules;
    let other = session.generate_key(sys::CKM_AES_KEY_GEN, &rules.kek_scratch())?;
    using(session, other, || {
        let opened = templates.for_reveal(session, other, wrapped);
        outcome(
            findings,
            "module-other-kek",
            opened.is_ok(),
            "another KEK unwraps the DEK",
        );
        opened.map_or(Ok(()), |dek| session.destroy(dek))
    })
}

fn outcome(findings: &mut Findings, check: &str, granted: bool, text: &str) {
    if granted {
        findings.gap(check, text);
    } else {
        findings.pass(check, "refused, as it should be");
    }
}
