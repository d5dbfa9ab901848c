//! KEK epochs, in each mode's way.

use cryptoki::session::UserType;
use cryptoki_sys as sys;

use super::provision::Made;
use super::roles::note;
use super::{Officer, OfficerError};
use crate::hsm::dek::{DekTemplates, Ivs};
use crate::hsm::pkcs11::template::{Name, kek_copy};
use crate::hsm::pkcs11::{Handle, describe};
use crate::hsm::proof::{LABEL, labelled};
use crate::hsm::{Epoch, KekMode, KekRef};

/// A KEK in the token, before its canary.
struct NewKek {
    epoch: Epoch,
    id: Vec<u8>,
    handle: Handle,
}

impl Officer<'_> {
    /// The epochs up to `last` that `existing` has not.
    pub(super) fn make_keks(
        &self,
        mode: KekMode,
        last: u32,
        existing: &[KekRef],
        templates: &DekTemplates,
        made: &mut Vec<Made>,
    ) -> Result<Vec<KekRef>, OfficerError> {
        let highest = existing.iter().map(|kek| kek.epoch.0).max().unwrap_or(0);
        let epochs: Vec<Epoch> = (highest.saturating_add(1)..=last).map(Epoch).collect();
        if epochs.is_empty() {
            return Ok(Vec::new());
        }
        let keks = match mode {
            KekMode::NoTrusted => self.make_directly(&epochs, templates, made)?,
            KekMode::OfficerSets => self.marked(&epochs, templates)?,
            KekMode::SessionSource => self.copy_from_sources(&epochs, templates, made)?,
        };
        let mut ivs = Ivs::new();
        keks.into_iter()
            .map(|kek| {
                self.confirm_token_object(kek.handle)?;
                let canary = templates.make_canary(&self.session, &mut ivs, kek.handle, kek.epoch)?;
                Ok(KekRef {
                    epoch: kek.epoch,
                    id: data_encoding::HEXLOWER.encode(&kek.id),
                    canary,
                })
            })
            .collect()
    }

    /// The user makes the KEKs himself.
    fn make_directly(
        &self,
        epochs: &[Epoch],
        templates: &DekTemplates,
        made: &mut Vec<Made>,
    ) -> Result<Vec<NewKek>, OfficerError> {
        let mut keks = Vec::new();
        for epoch in epochs {
            let (id, label) = (self.new_id()?, label(*epoch));
            let template = templates.rules.kek_direct(&Name { id: &id, label: &label });
            let handle = self.session.generate_key(sys::CKM_AES_KEY_GEN, &template)?;
            note(made, label, id.clone());
            keks.push(NewKek {
                epoch: *epoch,
                id,
                handle,
            });
        }
        Ok(keks)
    }

    /// The security officer makes TRUSTED session keys; on the same session the user copies each to the token. Their
    /// values never reach the disk in clear: they are session objects, and the copies are private.
    fn copy_from_sources(
        &self,
        epochs: &[Epoch],
        templates: &DekTemplates,
        made: &mut Vec<Made>,
    ) -> Result<Vec<NewKek>, OfficerError> {
        let so_pin = self.so_pin.ok_or(OfficerError::NeedsOfficerPin("session-source"))?;
        self.logout()?;
        let sources = self.login(UserType::So, so_pin, "security officer's").and_then(|()| {
            let sources = self.make_sources(epochs, templates);
            self.logout()?;
            sources
        });
        // As user again also after a failure: what was made until now is taken back as user.
        self.login(UserType::User, self.user_pin, "user")?;
        let sources = sources?;
        let mut keks = Vec::new();
        for source in &sources {
            let label = label(source.epoch);
            let copied = self.session.copy_object(
                source.handle,
                &kek_copy(&Name {
                    id: &source.id,
                    label: &label,
                }),
            );
            // Whatever came of it, the source has done its work.
            let destroyed = self.session.destroy(source.handle);
            let handle = copied?;
            note(made, label, source.id.clone());
            destroyed?;
            keks.push(NewKek {
                epoch: source.epoch,
                id: source.id.clone(),
                handle,
            });
        }
        Ok(keks)
    }

    fn make_sources(&self, epochs: &[Epoch], templates: &DekTemplates) -> Result<Vec<NewKek>, OfficerError> {
        let mut sources = Vec::new();
        for epoch in epochs {
            let (id, label) = (self.new_id()?, label(*epoch));
            let template = templates.rules.kek_source(&Name { id: &id, label: &label });
            let handle = self.session.generate_key(sys::CKM_AES_KEY_GEN, &template)?;
            sources.push(NewKek {
                epoch: *epoch,
                id,
                handle,
            });
        }
        Ok(sources)
    }

    /// KEKs that were made in an earlier run and that the vendor's officer has marked since; made now, if there are
    /// none. Nothing TRUSTED is made here.
    fn marked(&self, epochs: &[Epoch], templates: &DekTemplates) -> Result<Vec<NewKek>, OfficerError> {
        let mut keks = Vec::new();
        let mut unmarked = Vec::new();
        for epoch in epochs {
            let label = label(*epoch);
            let mut found = Vec::new();
            for object in labelled(&self.session)? {
                if self.session.attribute(object, sys::CKA_LABEL)?.as_slice() == label.as_bytes() {
                    found.push(object);
                }
            }
            let handle = match found.as_slice() {
                [] => {
                    let id = self.new_id()?;
                    // Not taken back when the run ends with an error: the officer's part is yet to come.
                    let template = templates.rules.kek_direct(&Name { id: &id, label: &label });
                    self.session.generate_key(sys::CKM_AES_KEY_GEN, &template)?
                }
                [one] => *one,
                _ => return Err(OfficerError::Keys(format!("{} keys are labelled {label}", found.len()))),
            };
            let trusted = self.session.attribute(handle, sys::CKA_TRUSTED)?;
            if trusted.first() == Some(&sys::CK_TRUE) {
                let id = self.session.attribute(handle, sys::CKA_ID)?.to_vec();
                keks.push(NewKek {
                    epoch: *epoch,
                    id,
                    handle,
                });
            } else {
                unmarked.push(describe(&self.session, handle));
            }
        }
        if unmarked.is_empty() {
            Ok(keks)
        } else {
            Err(OfficerError::NotYetTrusted(unmarked.join(", ")))
        }
    }

    /// In mode `officer-sets`, a KEK between the two runs.
    pub(super) fn awaits_officer(&self, mode: KekMode, object: Handle) -> bool {
        let label = self
            .session
            .attribute(object, sys::CKA_LABEL)
            .map(|l| l.to_vec())
            .unwrap_or_default();
        mode == KekMode::OfficerSets && label.starts_with(format!("{LABEL}kek-").as_bytes())
    }
}

fn label(epoch: Epoch) -> String {
    format!("{LABEL}kek-{:04}", epoch.0)
}
