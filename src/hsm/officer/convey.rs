//! The side of the HSM that is left: its fingerprint keys, wrapped for another one.

use cryptoki::object::ObjectClass;
use cryptoki::session::UserType;
use cryptoki_sys as sys;

use super::{Conveyed, Officer, OfficerError, Tag, decode_id};
use crate::hsm::pkcs11::template::{Name, conveyance_public, conveyance_unmarked};
use crate::hsm::pkcs11::{Handle, Oaep, Search, Signing, describe};
use crate::hsm::proof::{FINGERPRINT_CHECK, LABEL, is_extractable, rsa_parts, sign};
use crate::hsm::{KekMode, Keyset, PublicKey};

impl Officer<'_> {
    /// Refuses keys that cannot move: a fingerprint key that stays in its HSM.
    ///
    /// # Errors
    /// [`OfficerError::Policy`], which says what is possible; [`OfficerError::Keys`], [`OfficerError::Unavailable`].
    pub fn may_move(&self, keyset: &Keyset) -> Result<(), OfficerError> {
        if !keyset.mode.has_trusted() {
            return Err(OfficerError::Policy(
                "a vault whose KEKs were made in mode no-trusted cannot be moved by this command: the vendor's tool may copy all keys \
                 into another HSM, and `panvault key adopt` takes that"
                    .to_owned(),
            ));
        }
        let mut staying = Vec::new();
        for (id, check) in keyset.fingerprints() {
            let key = self.fingerprint_key(id, check)?;
            if !is_extractable(&self.session, key)? {
                staying.push(describe(&self.session, key));
            }
        }
        if staying.is_empty() {
            return Ok(());
        }
        Err(OfficerError::Policy(format!(
            "{} cannot leave this HSM, because it was made so by an earlier version, and what it made is stored nowhere else: the \
             vault stays with this HSM, or the vendor's tool copies all keys into another one, which `panvault key adopt` takes",
            staying.join(", ")
        )))
    }

    /// Wraps every fingerprint key of the keyset, which is in this token, under `to`, which the security officer calls TRUSTED: for
    /// the time of this call, as an object of this session alone, or, where the vendor's officer marks keys, between a first and a
    /// second call, as an object that carries the tag.
    ///
    /// # Errors
    /// [`OfficerError::NotYetTrusted`]: the vendor's officer has to mark it. [`OfficerError::NeedsOfficerPin`],
    /// [`OfficerError::PinRefused`], [`OfficerError::Keys`], [`OfficerError::Policy`], [`OfficerError::Unavailable`].
    pub fn convey(&mut self, keyset: &Keyset, to: &PublicKey, tag: Tag) -> Result<Vec<Conveyed>, OfficerError> {
        self.tag = Some(tag);
        let (n, e) = rsa_parts(to).ok_or_else(|| OfficerError::Keys("the conveyance key is no RSA key".to_owned()))?;
        let public = match keyset.mode {
            KekMode::SessionSource => self.make_trusted(&n, &e)?,
            KekMode::OfficerSets => self.marked_public(&n, &e)?,
            KekMode::NoTrusted => {
                let text = "mode no-trusted has no key that a fingerprint key may leave under";
                return Err(OfficerError::Policy(text.to_owned()));
            }
        };
        let wrapped = self.wrap_all(keyset, public);
        self.session.destroy(public)?;
        wrapped
    }

    /// By the security officer, in this session.
    fn make_trusted(&self, n: &[u8], e: &[u8]) -> Result<Handle, OfficerError> {
        let so_pin = self.so_pin.ok_or(OfficerError::NeedsOfficerPin("session-source"))?;
        self.logout()?;
        let public = self.login(UserType::So, so_pin, "security officer's").and_then(|()| {
            let public = self.session.create_object(&conveyance_public(n, e));
            self.logout()?;
            Ok(public?)
        });
        self.login(UserType::User, self.user_pin, "user")?;
        public
    }

    /// The one that the vendor's officer has marked since an earlier call made it; made now, where there is none.
    fn marked_public(&self, n: &[u8], e: &[u8]) -> Result<Handle, OfficerError> {
        let tag = self.tag;
        let is_ours = |id: &[u8]| tag.is_some_and(|tag| tag.is_of(id));
        let mut ours = self.objects_with(is_ours)?;
        ours.retain(|object| {
            let modulus = self.session.attribute(*object, sys::CKA_MODULUS);
            modulus.is_ok_and(|modulus| modulus.as_slice() == n)
        });
        let public = match ours.first() {
            Some(public) => *public,
            None => {
                let (id, label) = (self.new_id()?, format!("{LABEL}conveyance"));
                let name = Name { id: &id, label: &label };
                self.session.create_object(&conveyance_unmarked(&name, n, e))?
            }
        };
        let trusted = self.session.attribute(public, sys::CKA_TRUSTED)?;
        match trusted.first() == Some(&sys::CK_TRUE) {
            true => Ok(public),
            false => Err(OfficerError::NotYetTrusted(describe(&self.session, public))),
        }
    }

    fn wrap_all(&self, keyset: &Keyset, public: Handle) -> Result<Vec<Conveyed>, OfficerError> {
        let mut all = Vec::new();
        for (id, check) in keyset.fingerprints() {
            let key = self.fingerprint_key(id, check)?;
            let mut wrapped = Vec::new();
            let mut why = None;
            for hash in [Oaep::Sha256, Oaep::Sha1] {
                match self.session.wrap_oaep(hash, public, key) {
                    Ok(blob) => wrapped.push((hash, blob)),
                    Err(ckr) if ckr.is_fatal() => return Err(ckr.into()),
                    Err(ckr) => why = Some(ckr),
                }
            }
            if wrapped.is_empty() {
                let why = why.map(|ckr| ckr.to_string()).unwrap_or_default();
                return Err(OfficerError::Policy(format!(
                    "{} cannot be wrapped under the conveyance key: {why}",
                    describe(&self.session, key)
                )));
            }
            all.push(Conveyed {
                check: check.to_owned(),
                wrapped,
            });
        }
        Ok(all)
    }

    /// The key under that CKA_ID that has this check value.
    fn fingerprint_key(&self, id: &str, check: &str) -> Result<Handle, OfficerError> {
        let bytes = decode_id(id)?;
        for key in self.session.find(&Search {
            class: Some(ObjectClass::SECRET_KEY),
            id: Some(&bytes),
            token_objects: true,
            ..Search::default()
        })? {
            match sign(&self.session, key, Signing::HmacSha256, FINGERPRINT_CHECK) {
                Ok(made) if hex(&made) == check.to_ascii_lowercase() => return Ok(key),
                Err(ckr) if ckr.is_fatal() => return Err(ckr.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Err(OfficerError::Keys(format!(
            "fingerprint key (CKA_ID {id}) is missing or was swapped"
        )))
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
