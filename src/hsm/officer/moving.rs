//! The ceremony of a move to another HSM. The new one makes keys of its own and a conveyance pair; the security officer of the
//! old one calls the public half of that TRUSTED, so that the fingerprint keys can be wrapped under it; the new one takes them in.
//!
//! A token is opened, used and closed before the other is: some modules are one library, which a process initialises once.

use cryptoki::object::ObjectClass;
use cryptoki_sys as sys;
use serde::{Deserialize, Serialize};

use super::provision::Made;
use super::roles::{Role, note};
use super::{MOST_KEKS, Officer, OfficerError, decode_id};
use crate::hsm::check::check;
use crate::hsm::pkcs11::template::{Name, fingerprint_unwrap};
use crate::hsm::pkcs11::{Handle, Oaep, Search, Signing, describe};
use crate::hsm::proof::{FINGERPRINT_CHECK, LABEL, labelled, sign};
use crate::hsm::{Finding, Generation, KekMode, KekRef, Keyset, MacRef, PairRef, PublicKey};
use crate::id::{NoRandom, fill_random};

/// What the CKA_IDs of all that one move makes in the new HSM begin with, so that a move that was cut can be told from all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag(pub(super) [u8; 8]);

impl Tag {
    /// A fresh one.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn random() -> Result<Self, NoRandom> {
        let mut tag = [0; 8];
        fill_random(&mut tag)?;
        Ok(Self(tag))
    }

    /// Whether a CKA_ID is of that move.
    pub(super) fn is_of(self, id: &[u8]) -> bool {
        id.len() == 16 && id.starts_with(&self.0)
    }
}

/// The new HSM's own keys, and the one that others are wrapped under for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    pub(in crate::hsm) mode: KekMode,
    pub(in crate::hsm) keks: Vec<KekRef>,
    pub(in crate::hsm) audit: PairRef,
    pub(in crate::hsm) transport: PairRef,
    pub(in crate::hsm) locker: Option<PairRef>,
    pub(in crate::hsm) platform: Option<PairRef>,
    pub(in crate::hsm) conveyance: PairRef,
}

impl Arrival {
    /// The audit key that signs from now on.
    pub fn audit_public(&self) -> &PublicKey {
        &self.audit.public
    }

    /// What fingerprint keys are wrapped under.
    pub fn conveyance(&self) -> &PublicKey {
        &self.conveyance.public
    }
}

/// A fingerprint key, wrapped under the conveyance key by each padding that the old HSM has.
#[derive(Debug)]
pub struct Conveyed {
    pub(super) check: String,
    pub(in crate::hsm) wrapped: Vec<(Oaep, Vec<u8>)>,
}

impl Officer<'_> {
    /// Refuses a token with keys of a vault's, or on which TRUSTED is worth nothing; keys of a move with this tag may be there.
    /// Nothing is made that stays.
    ///
    /// # Errors
    /// [`OfficerError::LostKeyring`], [`OfficerError::Policy`], [`OfficerError::Unavailable`].
    pub fn awaits_move(&self, mode: KekMode, cut: Option<Tag>) -> Result<(), OfficerError> {
        self.try_module(mode)?;
        let mut unknown = Vec::new();
        for object in labelled(&self.session)? {
            let id = self.session.attribute(object, sys::CKA_ID)?;
            if !cut.is_some_and(|tag| tag.is_of(&id)) {
                unknown.push(describe(&self.session, object));
            }
        }
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(OfficerError::LostKeyring(unknown.join(", "))),
        }
    }

    /// Makes the keys of the new HSM: as many KEK epochs as said, behind those of `before`, kept as `mode` says, and a pair of each
    /// role that there is one of. All carry the tag.
    ///
    /// # Errors
    /// As [`OfficerError`] lists them; nothing that this call made is left then, unless the token stopped working, or it is
    /// [`OfficerError::NotYetTrusted`]: the vendor's officer has to mark the KEKs.
    pub fn arrive(&mut self, before: &Keyset, mode: KekMode, epochs: u32, tag: Tag) -> Result<Arrival, OfficerError> {
        self.tag = Some(tag);
        let mut made = Vec::new();
        let arrived = self.make_own(before, mode, epochs, &mut made);
        if arrived.is_err() {
            self.undo(&made);
        }
        arrived
    }

    fn make_own(
        &self,
        before: &Keyset,
        mode: KekMode,
        epochs: u32,
        made: &mut Vec<Made>,
    ) -> Result<Arrival, OfficerError> {
        let templates = self.try_module(mode)?;
        let there = before.keks.iter().chain(&before.shredded).chain(&before.former.keks);
        let there: Vec<KekRef> = there.cloned().collect();
        let highest = there.iter().map(|kek| kek.epoch.0).max().unwrap_or(0);
        let last = highest.saturating_add(epochs);
        if epochs == 0 || last > MOST_KEKS {
            return Err(OfficerError::Plan(format!(
                "KEK epochs are counted up to {MOST_KEKS}, and {highest} were made: {epochs} more are not possible"
            )));
        }
        // first, because this is where a PIN may be refused
        let keks = self.make_keks(mode, last, &there, &templates, made)?;
        Ok(Arrival {
            mode,
            keks,
            audit: self.pair(Role::Audit, made)?,
            transport: self.pair(Role::Transport, made)?,
            locker: self.keep_or_make(None, before.locker.is_some(), Role::Locker, made)?,
            platform: self.keep_or_make(None, before.platform.is_some(), Role::Platform, made)?,
            conveyance: self.pair(Role::Conveyance, made)?,
        })
    }

    /// Takes the fingerprint keys in, proves that they are the same, destroys the conveyance pair, and gives the keyset of this
    /// HSM: of the vault's keys before, `audit` and `transport` are how many of these roles were in use. Proved as a start proves.
    ///
    /// # Errors
    /// As [`OfficerError`] lists them; what the move made is still there: [`Officer::discard`].
    pub fn take_in(
        &mut self,
        before: &Keyset,
        arrival: Arrival,
        conveyed: &[Conveyed],
        tag: Tag,
        (audit, transport): (Generation, Generation),
    ) -> Result<(Keyset, Vec<Finding>), OfficerError> {
        self.tag = Some(tag);
        let private = self.private_of(&arrival.conveyance)?;
        let mut taken = Vec::new();
        for key in conveyed {
            taken.push(self.unwrap_fingerprint(private, key)?);
        }
        for object in self.objects_with(|id| hex(id) == arrival.conveyance.id)? {
            self.session.destroy(object)?;
        }
        let (label, serial) = self.token();
        let keyset = before.moved(arrival, taken, (label, serial), (audit, transport));
        let keyset = keyset.ok_or_else(|| OfficerError::Keys("no fingerprint key came along".to_owned()))?;
        let checked = check(&self.module, &self.session, &keyset, self.strict)?;
        Ok((keyset, checked.findings.into_inner()))
    }

    fn unwrap_fingerprint(&self, private: Handle, conveyed: &Conveyed) -> Result<MacRef, OfficerError> {
        let (id, label) = (self.new_id()?, format!("{LABEL}fingerprint"));
        let template = fingerprint_unwrap(&Name { id: &id, label: &label });
        let mut why = None;
        for (hash, blob) in &conveyed.wrapped {
            match self.session.unwrap_oaep(*hash, private, blob, &template) {
                Ok(key) => {
                    self.confirm_token_object(key)?;
                    let made = sign(&self.session, key, Signing::HmacSha256, FINGERPRINT_CHECK)?;
                    let check = hex(&made);
                    if check != conveyed.check.to_ascii_lowercase() {
                        return Err(OfficerError::Keys(
                            "a fingerprint key came into the new HSM as another one: its check value differs"
                                .to_owned(),
                        ));
                    }
                    return Ok(MacRef {
                        id: note(&mut Vec::new(), label, id),
                        check,
                    });
                }
                Err(ckr) if ckr.is_fatal() => return Err(ckr.into()),
                Err(ckr) => why = Some(ckr),
            }
        }
        let why = why.map(|ckr| ckr.to_string()).unwrap_or_default();
        Err(OfficerError::Policy(format!(
            "the new HSM does not take a fingerprint key in: {why}"
        )))
    }

    /// Destroys all that a move with this tag left in the token, but for KEKs where `but_keks` says so, and gives how many objects
    /// that were.
    ///
    /// # Errors
    /// [`OfficerError::Unavailable`].
    pub fn discard(&self, tag: Tag, but_keks: bool) -> Result<usize, OfficerError> {
        let mut all = self.objects_with(|id| tag.is_of(id))?;
        all.retain(|object| !(but_keks && self.awaits_officer(KekMode::OfficerSets, *object)));
        for object in &all {
            self.session.destroy(*object)?;
        }
        Ok(all.len())
    }

    /// The token objects with such a CKA_ID.
    pub(super) fn objects_with(&self, is_right: impl Fn(&[u8]) -> bool) -> Result<Vec<Handle>, OfficerError> {
        let mut all = Vec::new();
        for class in [
            ObjectClass::SECRET_KEY,
            ObjectClass::PRIVATE_KEY,
            ObjectClass::PUBLIC_KEY,
        ] {
            for object in self.session.find(&Search {
                class: Some(class),
                token_objects: true,
                ..Search::default()
            })? {
                if is_right(&self.session.attribute(object, sys::CKA_ID)?) {
                    all.push(object);
                }
            }
        }
        Ok(all)
    }

    fn private_of(&self, pair: &PairRef) -> Result<Handle, OfficerError> {
        let id = decode_id(&pair.id)?;
        let found = self.session.find(&Search {
            class: Some(ObjectClass::PRIVATE_KEY),
            id: Some(&id),
            token_objects: true,
            ..Search::default()
        })?;
        let missing = || OfficerError::Keys("the conveyance key went from the new HSM".to_owned());
        found.first().copied().ok_or_else(missing)
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
