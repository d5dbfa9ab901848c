//! The keys with one use each, and the locker key with two.

use cryptoki_sys as sys;

use super::provision::Made;
use super::{Officer, OfficerError};
use crate::hsm::pkcs11::template::{
    Name, audit_ed25519, audit_p256, conveyance, conveyed, fingerprint, locker, platform, transport,
};
use crate::hsm::pkcs11::{Ckr, Handle, Signing, Template};
use crate::hsm::proof::{FINGERPRINT_CHECK, LABEL, sign};
use crate::hsm::{KekMode, PublicKey};

#[derive(Clone, Copy)]
pub(super) enum Role {
    Audit,
    Conveyance,
    Locker,
    Platform,
    Transport,
}

impl Officer<'_> {
    /// CKA_ID and check value.
    pub(super) fn make_fingerprint(
        &self,
        mode: KekMode,
        made: &mut Vec<Made>,
    ) -> Result<(String, String), OfficerError> {
        let (id, label) = (self.new_id()?, format!("{LABEL}fingerprint"));
        let template = fingerprint(&Name { id: &id, label: &label }, mode.has_trusted());
        let key = self.session.generate_key(sys::CKM_GENERIC_SECRET_KEY_GEN, &template)?;
        let hex = note(made, label, id);
        self.confirm_token_object(key)?;
        let check = sign(&self.session, key, Signing::HmacSha256, FINGERPRINT_CHECK)?;
        Ok((hex, data_encoding::HEXLOWER.encode(&check)))
    }

    /// CKA_ID and public half.
    pub(super) fn make_pair(&self, role: Role, made: &mut Vec<Made>) -> Result<(String, PublicKey), OfficerError> {
        let id = self.new_id()?;
        let (label, public, private, kind) = match role {
            Role::Audit => {
                let label = format!("{LABEL}audit");
                let (public, private, how) = self.generate_audit(&Name { id: &id, label: &label })?;
                (label, public, private, Some(how))
            }
            Role::Conveyance => self.rsa(&id, "conveyance", |name| conveyance(name, conveyed()))?,
            Role::Locker => self.rsa(&id, "locker", locker)?,
            Role::Platform => self.rsa(&id, "platform", platform)?,
            Role::Transport => self.rsa(&id, "transport", transport)?,
        };
        let hex = note(made, label, id);
        self.confirm_token_object(private)?;
        let public = match kind {
            Some(how) => PublicKey::read_signing(&self.session, public, how),
            None => PublicKey::read_rsa(&self.session, public),
        };
        Ok((hex, public.map_err(OfficerError::Unavailable)?))
    }

    /// Label, public half, private half.
    fn rsa(
        &self,
        id: &[u8],
        role: &str,
        template: fn(&Name<'_>) -> (sys::CK_MECHANISM_TYPE, Template, Template),
    ) -> Result<(String, Handle, Handle, Option<Signing>), Ckr> {
        let label = format!("{LABEL}{role}");
        let (mechanism, public, private) = template(&Name { id, label: &label });
        let (public, private) = self.session.generate_pair(mechanism, &public, &private)?;
        Ok((label, public, private, None))
    }

    /// Ed25519, or P-256 where the token has none.
    fn generate_audit(&self, name: &Name<'_>) -> Result<(Handle, Handle, Signing), Ckr> {
        if self
            .module
            .mechanisms()
            .is_ok_and(|listed| listed.contains(&sys::CKM_EDDSA))
        {
            let (mechanism, public, private) = audit_ed25519(name);
            let pair = self.session.generate_pair(mechanism, &public, &private);
            // Some modules list the mechanism and lack the curve.
            if let Ok((public, private)) = pair {
                return Ok((public, private, Signing::Eddsa));
            }
        }
        let (mechanism, public, private) = audit_p256(name);
        let (public, private) = self.session.generate_pair(mechanism, &public, &private)?;
        Ok((public, private, Signing::Ecdsa))
    }
}

pub(super) fn note(made: &mut Vec<Made>, label: String, id: Vec<u8>) -> String {
    let hex = data_encoding::HEXLOWER.encode(&id);
    made.push(Made { label, id });
    hex
}
