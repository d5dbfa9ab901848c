//! The end of a KEK in the token: what there is of it, and its destruction.

use cryptoki::object::ObjectClass;
use cryptoki_sys as sys;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::job::{Fault, Reply};
use super::pkcs11::{Ckr, Handle, OpenFault, Search};
use super::{Epoch, KekRef};

/// What is done with a KEK's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KekAct {
    /// They are looked for.
    Find,
    /// They are destroyed. Only what the worker was started with as [`super::Keyset::shredded`]: no worker destroys a key
    /// that it works with.
    Destroy,
}

/// An object that is the KEK: under its CKA_ID, or opening its canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KekObject {
    /// CKA_ID, hex.
    pub id: String,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_TRUSTED.
    pub trusted: bool,
    /// It opens the canary: it is this KEK, whatever it is called.
    pub proved: bool,
    /// CKA_CHECK_VALUE, hex, where the token has one.
    pub check_value: Option<String>,
    /// Why it could not be destroyed.
    pub kept: Option<String>,
}

/// What is there of a KEK, or what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KekReport {
    /// The token's own words.
    pub token: TokenWords,
    /// Objects that were destroyed now.
    pub destroyed: Vec<KekObject>,
    /// Objects that are there now.
    pub there: Vec<KekObject>,
}

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenWords {
    /// The module.
    pub module: String,
    /// Its label.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Its firmware's version.
    pub firmware: String,
}

impl Engine {
    /// Does what [`super::Job::Kek`] asks for.
    pub(super) fn kek_job(&mut self, epoch: Epoch, act: KekAct) -> Result<Reply, Fault> {
        let keyset = &self.shared().keyset;
        let of = |keks: &[KekRef]| keks.iter().find(|kek| kek.epoch == epoch).cloned();
        let (kek, lives) = match (of(&keyset.shredded), of(&keyset.keks)) {
            (Some(kek), _) => (kek, false),
            (None, Some(kek)) => (kek, true),
            (None, None) => return Err(Fault::Malformed(format!("there is no KEK of epoch {}", epoch.0))),
        };
        if act == KekAct::Destroy && lives {
            return Err(Fault::Malformed(format!(
                "KEK epoch {} is in use by this worker and is not destroyed",
                epoch.0
            )));
        }
        let broken = |fault: OpenFault| Fault::Token(fault.to_string());
        let mut destroyed = Vec::new();
        let mut kept = Vec::new();
        if act == KekAct::Destroy {
            for (handle, object) in self.objects_of(&kek).map_err(broken)? {
                match self.session().destroy(handle) {
                    Ok(()) => destroyed.push(object),
                    Err(ckr) if ckr.is_fatal() => return Err(Fault::Token(ckr.to_string())),
                    Err(ckr) => kept.push((object, ckr)),
                }
            }
        }
        let there = self.objects_of(&kek).map_err(broken)?.into_iter();
        let there = there.map(|(_, object)| {
            let why = kept.iter().find(|(before, _)| *before == object);
            KekObject {
                kept: why.map(|(_, ckr)| ckr.to_string()),
                ..object
            }
        });
        let there = there.collect();
        let report = KekReport {
            token: self.token_words(),
            destroyed,
            there,
        };
        // canaries were tried on other keys: an error may have left an operation active
        self.renew()?;
        Ok(Reply::Kek(report))
    }

    /// Everything under its CKA_ID, of the token and of sessions, and every other secret key that opens its canary: a copy under
    /// another name.
    fn objects_of(&self, kek: &KekRef) -> Result<Vec<(Handle, KekObject)>, OpenFault> {
        let session = self.session();
        let id = data_encoding::HEXLOWER_PERMISSIVE
            .decode(kek.id.as_bytes())
            .unwrap_or_default();
        let named = session.find(&Search {
            id: Some(&id),
            ..Search::default()
        })?;
        let ours: Vec<Handle> = self
            .shared()
            .keys
            .keks
            .values()
            .flat_map(|kek| kek.all.clone())
            .collect();
        let secret = session.find(&Search {
            class: Some(ObjectClass::SECRET_KEY),
            ..Search::default()
        })?;
        let mut found = Vec::new();
        for handle in named
            .iter()
            .copied()
            .chain(secret.into_iter().filter(|key| !named.contains(key)))
        {
            let is_named = named.contains(&handle);
            // a living KEK is another key; under this CKA_ID it is this one, looked for while it lives
            if !is_named && ours.contains(&handle) {
                continue;
            }
            let proved = self.opens(handle, kek)?;
            if is_named || proved {
                found.push((handle, self.describe_kek(handle, proved)));
            }
        }
        Ok(found)
    }

    fn opens(&self, key: Handle, kek: &KekRef) -> Result<bool, OpenFault> {
        let shared = self.shared();
        match shared
            .templates
            .open_canary(self.session(), key, kek.epoch, &kek.canary)
        {
            Ok(()) => Ok(true),
            Err(ckr) if ckr.is_fatal() => Err(OpenFault::Unavailable(ckr.to_string())),
            Err(_) => Ok(false),
        }
    }

    fn describe_kek(&self, key: Handle, proved: bool) -> KekObject {
        let bytes = |kind| -> Vec<u8> {
            let value: Result<_, Ckr> = self.session().attribute(key, kind);
            value.map(|value| value.to_vec()).unwrap_or_default()
        };
        let check = bytes(sys::CKA_CHECK_VALUE);
        KekObject {
            id: data_encoding::HEXLOWER.encode(&bytes(sys::CKA_ID)),
            label: String::from_utf8_lossy(&bytes(sys::CKA_LABEL)).into_owned(),
            trusted: bytes(sys::CKA_TRUSTED) == [sys::CK_TRUE],
            proved,
            check_value: (!check.is_empty()).then(|| data_encoding::HEXLOWER.encode(&check)),
            kept: None,
        }
    }

    fn token_words(&self) -> TokenWords {
        let module = &self.shared().module;
        let token = module.token();
        let text = |text: &str| text.trim().to_owned();
        TokenWords {
            module: module.describe(),
            label: text(token.label()),
            manufacturer: text(token.manufacturer_id()),
            model: text(token.model()),
            serial: text(token.serial_number()),
            firmware: token.firmware_version().to_string(),
        }
    }
}
