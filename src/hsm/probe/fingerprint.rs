//! What a holder of the user PIN would try on a fingerprint key that may leave under a TRUSTED key.

use super::attacks::{Tools, refused};
use super::{Findings, Outcome};
use crate::hsm::pkcs11::{Ckr, Handle, RawSession, Template};
use crate::hsm::proof::is_extractable;

/// Tries each, and says whether it can leave at all.
pub(crate) fn fingerprints(
    session: &RawSession,
    tools: &Tools,
    keys: &[Handle],
    findings: &mut Findings,
) -> Result<(), Ckr> {
    let mut outcomes = Vec::new();
    let mut staying = Vec::new();
    for (number, key) in (1_u32..).zip(keys) {
        let name = format!("fingerprint key {number}");
        if !is_extractable(session, *key)? {
            staying.push(name);
            continue;
        }
        let mut say = |check, failed: Option<&str>| {
            outcomes.push(Outcome {
                check,
                key: name.clone(),
                failed: failed.map(str::to_owned),
            });
        };
        for (check, wrapped) in tools.wraps(session, *key)? {
            say(check, wrapped.then_some("was wrapped under a PIN holder's key"));
        }
        let free = Template::new().no(cryptoki_sys::CKA_WRAP_WITH_TRUSTED);
        let set = refused(session.set_attributes(*key, &free))?;
        say(
            "fingerprint-set-free",
            set.map(|()| "can be made to leave under any key"),
        );
        let copied = refused(session.copy_object(*key, &free.no(cryptoki_sys::CKA_TOKEN)))?;
        say(
            "fingerprint-copy-free",
            copied.map(|_| "has a copy that leaves under any key"),
        );
        copied.map_or(Ok(()), |copy| session.destroy(copy))?;
    }
    if staying.is_empty() {
        findings.pass(
            "fingerprint-moves",
            "can be taken to another HSM (`panvault key move`), under a key that the security officer marks as TRUSTED and no other",
        );
    } else {
        let staying = staying.join(", ");
        findings.note(
            "fingerprint-moves",
            format!("{staying} cannot leave this HSM but by its vendor's tool: the vault cannot `panvault key move`"),
        );
    }
    findings.outcomes("", outcomes);
    Ok(())
}
