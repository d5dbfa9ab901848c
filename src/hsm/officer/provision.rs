//! Makes the keys that a plan lacks; all of them or none.

use std::collections::BTreeSet;

use cryptoki_sys as sys;

use super::roles::Role;
use super::{Officer, OfficerError, decode_id};
use crate::hsm::check::check;
use crate::hsm::dek::DekTemplates;
use crate::hsm::pkcs11::template::DekRules;
use crate::hsm::pkcs11::{Handle, Search, describe};
use crate::hsm::probe::{self, Findings, Tools};
use crate::hsm::proof::labelled;
use crate::hsm::{Finding, KekMode, Keyset, PairRef, Rotated};

/// KEK epochs made at once, where nothing else is said: each new one needs the security officer again.
pub const KEKS: u32 = 8;
/// The most epochs of one keyset.
pub const MOST_KEKS: u32 = 999;

/// What is to be there after the ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How the KEKs are protected. A keyset keeps the mode that it was made in.
    pub mode: KekMode,
    /// KEK epochs, counted from 1; at most [`MOST_KEKS`].
    pub keks: u32,
    /// There shall be a locker key. One that is there stays in any case.
    pub locker: bool,
    /// Likewise a platform key.
    pub platform: bool,
    /// One more key of each of these roles, behind those that are there.
    pub next: BTreeSet<Rotated>,
    /// The keyset of an earlier ceremony on this token: its keys are proved and kept, what is missing is added.
    pub existing: Option<Keyset>,
}

/// What a ceremony left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// All keys. To be stored: without it the keys in the token are of no use.
    pub keyset: Keyset,
    /// Labels of the keys made this time.
    pub made: Vec<String>,
    /// What the final check found.
    pub findings: Vec<Finding>,
}

/// A token object made in this ceremony.
pub(super) struct Made {
    pub(super) label: String,
    pub(super) id: Vec<u8>,
}

impl Officer<'_> {
    /// Makes what the plan lacks, and proves all of it.
    ///
    /// # Errors
    /// As [`OfficerError`] lists them. Nothing that this call made is left in the token then, unless the token stopped
    /// working.
    pub fn provision(&mut self, plan: &Plan) -> Result<Provisioned, OfficerError> {
        if plan.keks == 0 || plan.keks > MOST_KEKS {
            return Err(OfficerError::Plan(format!(
                "the number of KEKs must be from 1 to {MOST_KEKS}"
            )));
        }
        let serial = self.module.token().serial_number().trim().to_owned();
        if let Some(keyset) = &plan.existing {
            if keyset.mode != plan.mode {
                return Err(OfficerError::Plan(
                    "the keyset was made in another mode, which it keeps".to_owned(),
                ));
            }
            if keyset.token_serial != serial {
                return Err(OfficerError::Keys(format!(
                    "the keyset was made in the token with serial {}, this one is {serial}",
                    keyset.token_serial
                )));
            }
        }
        let templates = self.try_module(plan.mode)?;
        self.refuse_unknown(plan)?;

        let mut made = Vec::new();
        let result = self.make(plan, &serial, &templates, &mut made);
        if result.is_err() {
            self.undo(&made);
        }
        let (keyset, findings) = result?;
        let made = made.into_iter().map(|key| key.label).collect();
        Ok(Provisioned { keyset, made, findings })
    }

    /// Whether the module enforces what the mode rests on; and how it wants to be asked.
    pub(super) fn try_module(&self, mode: KekMode) -> Result<DekTemplates, OfficerError> {
        let mut findings = Findings::default();
        probe::required(&self.module.mechanisms()?, &mut findings)?;
        let tools = Tools::make(&self.session, None)?;
        let learnt = probe::learn(&self.session, &tools);
        tools.destroy(&self.session)?;
        let (habits, of_module) = learnt?;
        let gaps = of_module.gaps();
        if self.strict && !gaps.is_empty() {
            return Err(OfficerError::Policy(gaps.join("; ")));
        }
        if DekRules::new(mode, habits.value_len).trusted {
            probe::cannot_make_trusted(&self.session, &mut findings)?;
            let gaps = findings.gaps();
            if !gaps.is_empty() {
                return Err(OfficerError::Policy(format!(
                    "TRUSTED is worth nothing on this module ({}): use mode no-trusted",
                    gaps.join("; ")
                )));
            }
        }
        Ok(DekTemplates::new(mode, habits))
    }

    /// Keys under our labels that the keyset does not name would be lost, or found instead of the right ones.
    fn refuse_unknown(&self, plan: &Plan) -> Result<(), OfficerError> {
        let mut known = BTreeSet::new();
        if let Some(keyset) = &plan.existing {
            let pairs = [&keyset.locker, &keyset.platform].into_iter().flatten();
            let ids = keyset.keks.iter().chain(&keyset.shredded).map(|kek| kek.id.as_str());
            let ids = ids.chain(pairs.map(|pair| pair.id.as_str()));
            let ids = ids.chain(keyset.fingerprints().map(|(id, _)| id));
            let ids = ids.chain(keyset.audits().chain(keyset.transports()).map(|(id, _)| id));
            for id in ids {
                known.insert(decode_id(id)?);
            }
        }
        let mut unknown = Vec::new();
        for object in labelled(&self.session)? {
            let id = self.session.attribute(object, sys::CKA_ID)?.to_vec();
            if !known.contains(&id) && !self.awaits_officer(plan.mode, object) {
                unknown.push(describe(&self.session, object));
            }
        }
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(OfficerError::LostKeyring(unknown.join(", ")))
        }
    }

    fn make(
        &mut self,
        plan: &Plan,
        serial: &str,
        templates: &DekTemplates,
        made: &mut Vec<Made>,
    ) -> Result<(Keyset, Vec<Finding>), OfficerError> {
        let existing = plan.existing.as_ref();
        let mut keks = existing.map(|keyset| keyset.keks.clone()).unwrap_or_default();
        // KEKs first, because this is where a PIN may be refused or the vendor's officer be waited for.
        let shredded = existing.map(|keyset| keyset.shredded.clone()).unwrap_or_default();
        // the number of an epoch is never given again
        let former = existing.map(|keyset| keyset.former.clone()).unwrap_or_default();
        let there: Vec<_> = keks.iter().chain(&shredded).chain(&former.keks).cloned().collect();
        keks.extend(self.make_keks(plan.mode, plan.keks, &there, templates, made)?);
        let fingerprint = match existing {
            Some(keyset) => (keyset.fingerprint_id.clone(), keyset.fingerprint_check.clone()),
            None => self.make_fingerprint(plan.mode, made)?,
        };
        let audit = match existing {
            Some(keyset) => (keyset.audit_id.clone(), keyset.audit_public.clone()),
            None => self.make_pair(Role::Audit, made)?,
        };
        // The roles that may be made anew: only requests on their way were encrypted for them.
        let transport = match existing {
            Some(keyset) if former.transports > 0 || self.is_there(&keyset.transport_id)? => {
                (keyset.transport_id.clone(), keyset.transport_public.clone())
            }
            _ => self.make_pair(Role::Transport, made)?,
        };
        let locker = existing.and_then(|keyset| keyset.locker.as_ref());
        let locker = self.keep_or_make(locker, plan.locker, Role::Locker, made)?;
        let platform = existing.and_then(|keyset| keyset.platform.as_ref());
        let platform = self.keep_or_make(platform, plan.platform, Role::Platform, made)?;
        let later = self.make_later(plan, made)?;
        let keyset = Keyset {
            mode: plan.mode,
            token_label: self.module.token().label().trim().to_owned(),
            token_serial: serial.to_owned(),
            keks,
            shredded,
            fingerprint_id: fingerprint.0,
            fingerprint_check: fingerprint.1,
            audit_id: audit.0,
            audit_public: audit.1,
            transport_id: transport.0,
            transport_public: transport.1,
            locker,
            platform,
            later,
            former,
        };
        let checked = check(&self.module, &self.session, &keyset, self.strict)?;
        Ok((keyset, checked.findings.into_inner()))
    }

    /// The pair that is there, or a new one where one was there or is wanted.
    pub(super) fn keep_or_make(
        &self,
        there: Option<&PairRef>,
        wanted: bool,
        role: Role,
        made: &mut Vec<Made>,
    ) -> Result<Option<PairRef>, OfficerError> {
        match there {
            Some(pair) if self.is_there(&pair.id)? => Ok(Some(pair.clone())),
            None if !wanted => Ok(None),
            Some(_) | None => {
                let (id, public) = self.make_pair(role, made)?;
                Ok(Some(PairRef { id, public }))
            }
        }
    }

    pub(super) fn is_there(&self, id: &str) -> Result<bool, OfficerError> {
        let id = decode_id(id)?;
        Ok(!self
            .session
            .find(&Search {
                id: Some(&id),
                token_objects: true,
                ..Search::default()
            })?
            .is_empty())
    }

    /// Takes back what an unfinished ceremony made: keys that no keyset names would stand in the next one's way.
    pub(super) fn undo(&self, made: &[Made]) {
        for key in made {
            // Errors here leave what the next run reports as keys without a keyring.
            let found = self.session.find(&Search {
                id: Some(&key.id),
                token_objects: true,
                ..Search::default()
            });
            for object in found.unwrap_or_default() {
                let _ = self.session.destroy(object);
            }
        }
    }

    /// A fresh CKA_ID; of a move, behind its tag.
    pub(super) fn new_id(&self) -> Result<Vec<u8>, OfficerError> {
        let mut id = vec![0u8; 16];
        self.session.random(&mut id)?;
        if let Some(tag) = &self.tag {
            id.splice(..tag.0.len(), tag.0);
        }
        Ok(id)
    }

    pub(super) fn confirm_token_object(&self, object: Handle) -> Result<(), OfficerError> {
        let token = self.session.attribute(object, sys::CKA_TOKEN)?;
        if token.first() == Some(&sys::CK_TRUE) {
            return Ok(());
        }
        Err(OfficerError::Unavailable(
            "the module made a session object where a token object was asked for".to_owned(),
        ))
    }
}
