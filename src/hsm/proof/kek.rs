//! A KEK: by CKA_ID, TRUSTED where the mode says so, and by the canary that only it opens.

use cryptoki::object::ObjectClass;

use super::{Kek, Weakness, Wrong, attributes, id};
use crate::hsm::KekRef;
use crate::hsm::dek::DekTemplates;
use crate::hsm::pkcs11::{Handle, RawSession, Search};
use crate::hsm::probe::Findings;

pub(super) fn find(
    session: &RawSession,
    kek: &KekRef,
    templates: &DekTemplates,
    findings: &mut Findings,
    weaknesses: &mut Vec<Weakness>,
) -> Result<Kek, Wrong> {
    let name = format!("KEK epoch {} (CKA_ID {})", kek.epoch.0, kek.id);
    let id = id(&kek.id, &name)?;
    let search = |trusted| Search {
        class: Some(ObjectClass::SECRET_KEY),
        id: Some(&id),
        trusted,
        token_objects: true,
    };
    let named = session.find(&search(false))?;
    let candidates = if templates.rules.trusted {
        session.find(&search(true))?
    } else {
        named.clone()
    };
    if candidates.is_empty() {
        let text = if named.is_empty() {
            "is missing; if it was destroyed, its shred certificate belongs beside the keyring (`panvault restore --shredded`)"
        } else {
            "is weak: it is not TRUSTED"
        };
        return Err(Wrong::Key(format!("{name} {text}")));
    }
    let mut right: Vec<Handle> = Vec::new();
    let mut why = String::new();
    for candidate in &candidates {
        match templates.open_canary(session, *candidate, kek.epoch, &kek.canary) {
            Ok(()) => right.push(*candidate),
            Err(ckr) if ckr.is_fatal() => return Err(ckr.into()),
            Err(ckr) => why = ckr.to_string(),
        }
    }
    let Some(handle) = right.first().copied() else {
        return Err(Wrong::Key(format!(
            "{name} was swapped, or its canary was: the key under its CKA_ID does not open the canary ({why})"
        )));
    };
    if right.len() < named.len() {
        findings.note(
            "kek-planted",
            format!("{name}: another key stands under its CKA_ID; it is not used"),
        );
    }
    if right.len() > 1 {
        findings.note(
            "kek-twin",
            format!("{name}: there are {} identical copies", right.len()),
        );
    }
    // A twin with other attributes would be seen here, and by the attacks that the start-up check tries on each.
    for twin in &right {
        weaknesses.extend(attributes::kek(session, *twin, &name)?);
    }
    Ok(Kek {
        handle,
        canary: kek.canary.clone(),
        all: right,
        name,
    })
}
