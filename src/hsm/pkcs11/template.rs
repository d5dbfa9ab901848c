//! The strict templates of the vault's keys.
//!
//! What is pinned here is what keeps a holder of the user PIN from carrying a data key away. SoftHSM wants every pin of
//! the UNWRAP_TEMPLATE repeated by the caller, with the same value; other modules fill it in.

mod rsa;

use cryptoki_sys as sys;
use cryptoki_sys::CK_MECHANISM_TYPE;

pub(crate) use self::rsa::{
    LOCKER_USES, client_pair, conveyance, conveyance_public, conveyance_unmarked, locker, platform, rsa_public,
    transport,
};
use super::attribute::Template;
use crate::hsm::KekMode;

/// The one mechanism that wraps DEKs: authenticated, and the only such one that most modules share.
pub(crate) const WRAP: CK_MECHANISM_TYPE = sys::CKM_AES_KEY_WRAP;
/// A wrapped DEK: 32 bytes and the 8 of the integrity check.
pub(crate) const WRAPPED_LEN: usize = 40;
/// DER of the object identifier 1.3.101.112, Ed25519.
const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];
/// DER of the object identifier 1.2.840.10045.3.1.7, P-256.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// How DEKs are kept in, in this mode on this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DekRules {
    /// The KEKs are TRUSTED, and DEKs may be wrapped by such keys only. Else an unwrapped DEK is not extractable.
    pub(crate) trusted: bool,
    /// The module wants CKA_VALUE_LEN at C_UnwrapKey (or accepts it, and it is pinned). SoftHSM refuses it.
    pub(crate) value_len: bool,
}

/// What an unwrapped DEK is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DekUse {
    /// Encrypts a part anew.
    Reseal,
    /// Opens parts.
    Reveal,
    /// Is wrapped under another KEK; of no use otherwise. Only where KEKs are TRUSTED.
    Rotate,
}

/// How a key is named in the token.
pub(crate) struct Name<'a> {
    /// CKA_ID: 16 random bytes, never used twice.
    pub(crate) id: &'a [u8],
    /// CKA_LABEL, for people only.
    pub(crate) label: &'a str,
}

impl DekRules {
    pub(crate) fn new(mode: KekMode, value_len: bool) -> Self {
        Self {
            trusted: mode.has_trusted(),
            value_len,
        }
    }

    /// What the KEK says every key unwrapped by it must be.
    pub(crate) fn unwrap_template(self) -> Template {
        let pins = Template::secret_key(sys::CKK_AES)
            .no(sys::CKA_TOKEN)
            .yes(sys::CKA_PRIVATE)
            .yes(sys::CKA_SENSITIVE)
            .no(sys::CKA_DERIVE)
            .no(sys::CKA_WRAP)
            .no(sys::CKA_UNWRAP)
            .no(sys::CKA_SIGN)
            .no(sys::CKA_VERIFY)
            .no(sys::CKA_COPYABLE)
            .only_for(&[sys::CKM_AES_GCM])
            .no(sys::CKA_MODIFIABLE);
        let pins = if self.trusted {
            pins.yes(sys::CKA_WRAP_WITH_TRUSTED)
        } else {
            pins.no(sys::CKA_EXTRACTABLE)
        };
        if self.value_len {
            pins.ulong(sys::CKA_VALUE_LEN, 32)
        } else {
            pins
        }
    }

    /// A fresh DEK: it encrypts and can be wrapped, once, before it is destroyed.
    pub(crate) fn dek_generate(self) -> Template {
        let template = self
            .unwrap_template()
            .ulong(sys::CKA_VALUE_LEN, 32)
            .yes(sys::CKA_EXTRACTABLE)
            .yes(sys::CKA_ENCRYPT)
            .no(sys::CKA_DECRYPT);
        // The class follows from C_GenerateKey and its mechanism.
        template.without(sys::CKA_CLASS).without(sys::CKA_KEY_TYPE)
    }

    /// A DEK that comes back.
    pub(crate) fn dek_unwrap(self, purpose: DekUse) -> Template {
        let template = self.unwrap_template();
        match purpose {
            DekUse::Reseal => template
                .no(sys::CKA_EXTRACTABLE)
                .yes(sys::CKA_ENCRYPT)
                .no(sys::CKA_DECRYPT),
            DekUse::Reveal => template
                .no(sys::CKA_EXTRACTABLE)
                .no(sys::CKA_ENCRYPT)
                .yes(sys::CKA_DECRYPT),
            DekUse::Rotate => template
                .yes(sys::CKA_EXTRACTABLE)
                .no(sys::CKA_ENCRYPT)
                .no(sys::CKA_DECRYPT),
        }
    }

    /// The security officer's TRUSTED session key, from which the user copies the KEK. It is public because the
    /// officer sees no private objects, and lives in the session only, so its value never reaches the disk.
    pub(crate) fn kek_source(self, name: &Name<'_>) -> Template {
        self.kek(name)
            .no(sys::CKA_TOKEN)
            .no(sys::CKA_PRIVATE)
            .yes(sys::CKA_TRUSTED)
            .yes(sys::CKA_COPYABLE)
            .yes(sys::CKA_MODIFIABLE)
    }

    /// A KEK that the user makes himself (`no-trusted`).
    pub(crate) fn kek_direct(self, name: &Name<'_>) -> Template {
        self.kek(name)
            .yes(sys::CKA_TOKEN)
            .yes(sys::CKA_PRIVATE)
            .no(sys::CKA_COPYABLE)
            .no(sys::CKA_MODIFIABLE)
    }

    /// A KEK of one session: the start-up check tries the module's behaviour on it.
    pub(crate) fn kek_scratch(self) -> Template {
        self.kek_direct(&Name {
            id: b"panvault scratch",
            label: "panvault-scratch",
        })
        .no(sys::CKA_TOKEN)
    }

    fn kek(self, name: &Name<'_>) -> Template {
        Template::new()
            .ulong(sys::CKA_VALUE_LEN, 32)
            .bytes(sys::CKA_ID, name.id)
            .bytes(sys::CKA_LABEL, name.label.as_bytes())
            .yes(sys::CKA_SENSITIVE)
            .no(sys::CKA_EXTRACTABLE)
            .yes(sys::CKA_WRAP)
            .yes(sys::CKA_UNWRAP)
            .no(sys::CKA_ENCRYPT)
            .no(sys::CKA_DECRYPT)
            .no(sys::CKA_SIGN)
            .no(sys::CKA_VERIFY)
            .no(sys::CKA_DERIVE)
            .only_for(&[WRAP])
            .unwraps_only(self.unwrap_template())
    }
}

/// What turns the officer's session source into the KEK. SoftHSM refuses COPYABLE=0 here; with MODIFIABLE=0 only an
/// identical twin can be copied from the result.
pub(crate) fn kek_copy(name: &Name<'_>) -> Template {
    Template::new()
        .yes(sys::CKA_TOKEN)
        .yes(sys::CKA_PRIVATE)
        .bytes(sys::CKA_ID, name.id)
        .bytes(sys::CKA_LABEL, name.label.as_bytes())
        .no(sys::CKA_MODIFIABLE)
}

/// The fingerprint key. GENERIC_SECRET, because most modules have no key of the HMAC's own type. Where the user cannot make a
/// TRUSTED key (`trusted`) it can leave under one, and only so: what it made cannot be made anew by another key.
pub(crate) fn fingerprint(name: &Name<'_>, trusted: bool) -> Template {
    let template = fingerprint_use(hidden(Template::new(), name)).ulong(sys::CKA_VALUE_LEN, 32);
    match trusted {
        true => leaving(template),
        false => template,
    }
}

/// The fingerprint key as another HSM takes it in: as it was, so that it can move on.
pub(crate) fn fingerprint_unwrap(name: &Name<'_>) -> Template {
    leaving(fingerprint_use(hidden(
        Template::secret_key(sys::CKK_GENERIC_SECRET),
        name,
    )))
}

/// What the conveyance key gives, whoever unwraps with it.
pub(crate) fn conveyed() -> Template {
    let name = Name { id: &[], label: "" };
    fingerprint_unwrap(&name).without(sys::CKA_ID).without(sys::CKA_LABEL)
}

fn leaving(template: Template) -> Template {
    template.yes(sys::CKA_EXTRACTABLE).yes(sys::CKA_WRAP_WITH_TRUSTED)
}

fn fingerprint_use(template: Template) -> Template {
    template
        .yes(sys::CKA_SIGN)
        .no(sys::CKA_VERIFY)
        .no(sys::CKA_ENCRYPT)
        .no(sys::CKA_DECRYPT)
        .no(sys::CKA_WRAP)
        .no(sys::CKA_UNWRAP)
        .only_for(&[sys::CKM_SHA256_HMAC])
}

/// The audit key: mechanism, public half, private half.
pub(crate) fn audit_ed25519(name: &Name<'_>) -> (CK_MECHANISM_TYPE, Template, Template) {
    let (public, private) = signing_pair(name, &ED25519, sys::CKM_EDDSA);
    (sys::CKM_EC_EDWARDS_KEY_PAIR_GEN, public, private)
}

/// The audit key where the token has no Ed25519.
pub(crate) fn audit_p256(name: &Name<'_>) -> (CK_MECHANISM_TYPE, Template, Template) {
    let (public, private) = signing_pair(name, &P256, sys::CKM_ECDSA);
    (sys::CKM_EC_KEY_PAIR_GEN, public, private)
}

fn signing_pair(name: &Name<'_>, curve: &[u8], mechanism: CK_MECHANISM_TYPE) -> (Template, Template) {
    let public = shown(name)
        .bytes(sys::CKA_EC_PARAMS, curve)
        .yes(sys::CKA_VERIFY)
        .no(sys::CKA_ENCRYPT);
    let private = hidden(Template::new(), name)
        .yes(sys::CKA_SIGN)
        .no(sys::CKA_DECRYPT)
        .no(sys::CKA_UNWRAP)
        .only_for(&[mechanism]);
    (public, private)
}

/// A secret or private token key that cannot leave or change.
fn hidden(template: Template, name: &Name<'_>) -> Template {
    template
        .bytes(sys::CKA_ID, name.id)
        .bytes(sys::CKA_LABEL, name.label.as_bytes())
        .yes(sys::CKA_TOKEN)
        .yes(sys::CKA_PRIVATE)
        .yes(sys::CKA_SENSITIVE)
        .no(sys::CKA_EXTRACTABLE)
        .no(sys::CKA_DERIVE)
        .no(sys::CKA_COPYABLE)
        .no(sys::CKA_MODIFIABLE)
}

/// A public half, kept in the token so that it is not lost with the keyring.
fn shown(name: &Name<'_>) -> Template {
    Template::new()
        .bytes(sys::CKA_ID, name.id)
        .bytes(sys::CKA_LABEL, name.label.as_bytes())
        .yes(sys::CKA_TOKEN)
        .no(sys::CKA_PRIVATE)
        .no(sys::CKA_MODIFIABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(template: &Template) -> Vec<sys::CK_ATTRIBUTE_TYPE> {
        template.attributes().iter().map(|(kind, _)| *kind).collect()
    }

    #[test]
    fn the_caller_repeats_every_pin() {
        for trusted in [false, true] {
            for value_len in [false, true] {
                let rules = DekRules { trusted, value_len };
                let pins = kinds(&rules.unwrap_template());
                for purpose in [DekUse::Reseal, DekUse::Reveal, DekUse::Rotate] {
                    let asked = kinds(&rules.dek_unwrap(purpose));
                    assert!(pins.iter().all(|pin| asked.contains(pin)), "{rules:?} {purpose:?}");
                    assert_eq!(asked.last(), Some(&sys::CKA_MODIFIABLE));
                    // SoftHSM takes no more than 32 attributes in a call.
                    assert!(asked.len() <= 32);
                }
                assert_eq!(pins.contains(&sys::CKA_VALUE_LEN), value_len);
                assert_eq!(pins.contains(&sys::CKA_WRAP_WITH_TRUSTED), trusted);
                assert_eq!(pins.contains(&sys::CKA_EXTRACTABLE), !trusted);
            }
        }
    }
}
