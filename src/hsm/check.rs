//! The whole check of a token against a keyset: at start, on [`super::Job::Probe`], and at the end of a ceremony.

use super::dek::DekTemplates;
use super::pkcs11::{Handle, Module, RawSession, Search};
use super::probe::{self, Findings, Target, Tools};
use super::proof::{self, Keys, Proof};
use super::{Keyset, ProbeReport, StartFault, proof::rsa_parts};

/// A token that passed.
pub(crate) struct Checked {
    pub(crate) keys: Keys,
    pub(crate) templates: DekTemplates,
    pub(crate) findings: Findings,
}

/// Checks everything that can be seen after login. With `strict` each gap is refused.
pub(crate) fn check(
    module: &Module,
    session: &RawSession,
    keyset: &Keyset,
    strict: bool,
) -> Result<Checked, StartFault> {
    let mut findings = Findings::default();
    probe::required(&module.mechanisms().map_err(unavailable)?, &mut findings)?;
    let rsa = rsa_parts(&keyset.transport_public);
    let tools = Tools::make(session, rsa.as_ref()).map_err(unavailable)?;
    let checked = with_tools(session, &tools, keyset, strict, findings);
    let destroyed = tools.destroy(session).map_err(unavailable);
    let checked = checked?;
    destroyed.map(|()| checked)
}

/// The report that goes with the findings.
pub(crate) fn report(module: &Module, keyset: &Keyset, findings: Findings) -> ProbeReport {
    let token = module.token();
    ProbeReport {
        module: module.describe(),
        token: format!(
            "'{}', {} {}, serial {}, firmware {}",
            token.label().trim(),
            token.manufacturer_id().trim(),
            token.model().trim(),
            token.serial_number().trim(),
            token.firmware_version()
        ),
        mode: keyset.mode,
        findings: findings.into_inner(),
    }
}

pub(crate) fn unavailable(why: impl ToString) -> StartFault {
    StartFault::Unavailable(why.to_string())
}

fn with_tools(
    session: &RawSession,
    tools: &Tools,
    keyset: &Keyset,
    strict: bool,
    mut findings: Findings,
) -> Result<Checked, StartFault> {
    let (habits, of_module) = probe::learn(session, tools)?;
    let templates = DekTemplates::new(keyset.mode, habits);
    let Proof {
        keys,
        weaknesses,
        findings: of_keys,
    } = proof::prove(session, keyset, &templates)?;
    let module_keeps_word = of_module.gaps().is_empty();
    findings.append(of_module);
    findings.append(of_keys);

    let text = |w: &proof::Weakness| format!("{} is weak: {}", w.key, w.what);
    let grave: Vec<String> = weaknesses.iter().filter(|w| w.grave).map(text).collect();
    if !grave.is_empty() {
        return Err(StartFault::Keys(grave.join("; ")));
    }
    let mut of_attacks = Findings::default();
    if weaknesses.is_empty() {
        of_attacks.pass("key-attributes", "each key is as its template made it");
    } else {
        of_attacks.gap(
            "key-attributes",
            weaknesses.iter().map(text).collect::<Vec<_>>().join("; "),
        );
    }
    of_attacks.outcomes("", attack_all(session, tools, &templates, &keys)?);
    probe::fingerprints(session, tools, &keys.fingerprints, &mut of_attacks).map_err(unavailable)?;
    let weak = of_attacks.gaps();
    findings.append(of_attacks);
    if strict && module_keeps_word && !weak.is_empty() {
        // The module enforces templates; these keys were made without.
        return Err(StartFault::Keys(format!("weak keys: {}", weak.join("; "))));
    }

    if templates.rules.trusted {
        probe::cannot_make_trusted(session, &mut findings)?;
        let mut keks: Vec<_> = keys.keks.values().flat_map(|kek| kek.all.iter().copied()).collect();
        keks.extend(shredded(session, keyset, &mut findings)?);
        probe::known_trusted_only(session, &keks, &mut findings).map_err(unavailable)?;
    }
    let gaps = findings.gaps();
    if strict && !gaps.is_empty() {
        return Err(StartFault::Policy(gaps.join("; ")));
    }
    Ok(Checked {
        keys,
        templates,
        findings,
    })
}

/// What is still, or again, there of KEKs that are destroyed: nothing uses it, and the daemon destroys it when it starts.
fn shredded(session: &RawSession, keyset: &Keyset, findings: &mut Findings) -> Result<Vec<Handle>, StartFault> {
    let mut all = Vec::new();
    for kek in &keyset.shredded {
        let id = data_encoding::HEXLOWER_PERMISSIVE.decode(kek.id.as_bytes());
        let id = id.map_err(|_| StartFault::Keys("the keyring names a CKA_ID that is not hex".to_owned()))?;
        let search = Search {
            id: Some(&id),
            ..Search::default()
        };
        let found = session.find(&search).map_err(unavailable)?;
        if !found.is_empty() {
            findings.note(
                "kek-shredded",
                format!(
                    "KEK epoch {} is to be destroyed, and {} objects of it are in the token: the daemon destroys them",
                    kek.epoch.0,
                    found.len()
                ),
            );
        }
        all.extend(found);
    }
    Ok(all)
}

fn attack_all(
    session: &RawSession,
    tools: &Tools,
    templates: &DekTemplates,
    keys: &Keys,
) -> Result<Vec<probe::Outcome>, StartFault> {
    let mut outcomes = Vec::new();
    let order: Vec<_> = keys.keks.values().collect();
    for (kek, next) in order.iter().zip(order.iter().cycle().skip(1)) {
        for twin in &kek.all {
            let target = Target {
                name: kek.name.clone(),
                kek: *twin,
                dek: &kek.canary.dek,
                templates,
                next: Some(next.handle),
            };
            outcomes.extend(probe::attack(session, tools, &target).map_err(unavailable)?);
        }
    }
    Ok(outcomes)
}
