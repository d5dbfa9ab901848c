//! The attempts, one by one. Each notes its name where the token granted it.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::misc::{ExtractParams, KeyDerivationStringData};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki_sys as sys;

use crate::hsm::pkcs11::template::{DekRules, DekUse, WRAP, rsa_public};
use crate::hsm::pkcs11::{Ckr, Handle, RawSession, Template};

/// A KEK with a DEK that it wraps, as a PIN holder sees them.
pub(super) struct Scene {
    pub(super) rules: DekRules,
    pub(super) kek: Handle,
    pub(super) blob: Vec<u8>,
    /// The blob unwrapped: as extractable as the KEK grants.
    pub(super) dek: Handle,
}

/// Which attempts were granted.
pub(super) struct Attempts<'a> {
    pub(super) session: &'a RawSession,
    pub(super) granted: Vec<String>,
}

impl Attempts<'_> {
    fn object(&mut self, name: &str, made: Result<Handle, Ckr>) {
        if let Ok(object) = made {
            self.granted.push(name.to_owned());
            self.session.destroy(object).unwrap();
        }
    }

    fn done<T, E>(&mut self, name: &str, done: Result<T, E>) {
        if done.is_ok() {
            self.granted.push(name.to_owned());
        }
    }
}

pub(super) fn all(session: &RawSession, scene: &Scene) -> Vec<String> {
    let mut attempts = Attempts {
        session,
        granted: Vec::new(),
    };
    unwrap_otherwise(&mut attempts, scene);
    wrap_elsewhere(&mut attempts, scene);
    change_kek(&mut attempts, scene);
    change_dek(&mut attempts, scene);
    derive(&mut attempts, scene);
    attempts.granted
}

/// A, F, F'.
fn unwrap_otherwise(attempts: &mut Attempts<'_>, scene: &Scene) {
    let session = attempts.session;
    let rotate = || scene.rules.dek_unwrap(DekUse::Rotate);
    let reveal = || scene.rules.dek_unwrap(DekUse::Reveal);
    let ec = Template::new()
        .ulong(sys::CKA_CLASS, sys::CKO_PRIVATE_KEY)
        .ulong(sys::CKA_KEY_TYPE, sys::CKK_EC)
        .no(sys::CKA_TOKEN)
        .no(sys::CKA_SENSITIVE)
        .yes(sys::CKA_EXTRACTABLE);
    let tries = [
        ("A free wrapping", rotate().no(sys::CKA_WRAP_WITH_TRUSTED)),
        (
            "A free wrapping by a duplicate",
            rotate().again(sys::CKA_WRAP_WITH_TRUSTED, false),
        ),
        ("A readable", reveal().no(sys::CKA_SENSITIVE)),
        ("A readable by a duplicate", reveal().again(sys::CKA_SENSITIVE, false)),
        ("A readable and extractable", rotate().no(sys::CKA_SENSITIVE)),
        (
            "A bare template",
            Template::secret_key(sys::CKK_AES)
                .no(sys::CKA_TOKEN)
                .no(sys::CKA_SENSITIVE),
        ),
        ("E derive", reveal().yes(sys::CKA_DERIVE)),
        (
            "F generic secret",
            reveal().ulong(sys::CKA_KEY_TYPE, sys::CKK_GENERIC_SECRET),
        ),
        ("F triple DES", reveal().ulong(sys::CKA_KEY_TYPE, sys::CKK_DES3)),
        ("F EC private key", ec),
        ("F data", reveal().ulong(sys::CKA_CLASS, sys::CKO_DATA)),
        ("F token object", reveal().yes(sys::CKA_TOKEN)),
        ("F public", reveal().no(sys::CKA_PRIVATE)),
        ("F wrap", reveal().yes(sys::CKA_WRAP)),
        ("F unwrap", reveal().yes(sys::CKA_UNWRAP)),
        ("F sign", reveal().yes(sys::CKA_SIGN)),
        ("F modifiable", reveal().yes(sys::CKA_MODIFIABLE)),
        ("F copyable", reveal().yes(sys::CKA_COPYABLE)),
        ("F ECB", reveal().only_for(&[sys::CKM_AES_GCM, sys::CKM_AES_ECB])),
        ("F' half a key", reveal().ulong(sys::CKA_VALUE_LEN, 16)),
    ];
    for (name, template) in tries {
        attempts.object(name, session.unwrap(WRAP, scene.kek, &scene.blob, &template));
    }
    if scene.rules.trusted {
        let left_out = rotate().without(sys::CKA_WRAP_WITH_TRUSTED);
        attempts.object(
            "A pin left out",
            session.unwrap(WRAP, scene.kek, &scene.blob, &left_out),
        );
    } else {
        for (name, template) in [
            ("A extractable", reveal().yes(sys::CKA_EXTRACTABLE)),
            (
                "A extractable by a duplicate",
                reveal().again(sys::CKA_EXTRACTABLE, true),
            ),
            ("A pin left out", reveal().without(sys::CKA_EXTRACTABLE)),
        ] {
            attempts.object(name, session.unwrap(WRAP, scene.kek, &scene.blob, &template));
        }
    }
}

/// B: under keys of one's own.
fn wrap_elsewhere(attempts: &mut Attempts<'_>, scene: &Scene) {
    let session = attempts.session;
    attempts.done("read the DEK", session.attribute(scene.dek, sys::CKA_VALUE));
    attempts.done("read the KEK", session.attribute(scene.kek, sys::CKA_VALUE));
    let own = Template::new()
        .ulong(sys::CKA_VALUE_LEN, 32)
        .no(sys::CKA_TOKEN)
        .yes(sys::CKA_WRAP)
        .yes(sys::CKA_UNWRAP)
        .yes(sys::CKA_DECRYPT);
    let own = session.generate_key(sys::CKM_AES_KEY_GEN, &own).unwrap();
    for (name, mechanism) in [
        ("B AES key wrap", WRAP),
        ("B AES key wrap with padding", sys::CKM_AES_KEY_WRAP_PAD),
        ("B AES CBC with padding", sys::CKM_AES_CBC_PAD),
    ] {
        attempts.done(name, session.wrap(mechanism, own, scene.dek));
    }
    // Any modulus will do to wrap with.
    let mut modulus = vec![0xc3; 256];
    modulus[255] = 1;
    let rsa = session
        .create_object(&rsa_public(&modulus, &[1, 0, 1]).yes(sys::CKA_WRAP))
        .unwrap();
    attempts.done("B RSA", session.wrap(sys::CKM_RSA_PKCS, rsa, scene.dek));
    attempts.done("B the KEK under an own key", session.wrap(WRAP, own, scene.kek));
    session.destroy(own).unwrap();
    session.destroy(rsa).unwrap();
}

/// C': the KEK.
fn change_kek(attempts: &mut Attempts<'_>, scene: &Scene) {
    let session = attempts.session;
    let none = Template::new().unwraps_only(Template::new().yes(sys::CKA_SENSITIVE));
    let changes = [
        ("decrypt", Template::new().yes(sys::CKA_DECRYPT)),
        ("another UNWRAP_TEMPLATE", none),
        ("extractable", Template::new().yes(sys::CKA_EXTRACTABLE)),
        ("modifiable", Template::new().yes(sys::CKA_MODIFIABLE)),
        ("all mechanisms", Template::new().only_for(&[WRAP, sys::CKM_AES_ECB])),
    ];
    for (name, change) in &changes {
        let copy = change.clone().no(sys::CKA_TOKEN);
        attempts.object(
            &format!("C' copy of the KEK: {name}"),
            session.copy_object(scene.kek, &copy),
        );
    }
    attempts.done(
        "C' encrypt with the KEK",
        session.encrypt_gcm(scene.kek, &[1; 12], b"", b"x"),
    );
    attempts.done(
        "C' decrypt with the KEK",
        session.decrypt_gcm(scene.kek, &[1; 12], b"", &[0; 32]),
    );
    for (name, change) in &changes {
        attempts.done(
            &format!("C' set on the KEK: {name}"),
            session.set_attributes(scene.kek, change),
        );
    }
}

/// D: the DEK.
pub(super) fn change_dek(attempts: &mut Attempts<'_>, scene: &Scene) {
    let session = attempts.session;
    for (name, change) in [
        ("free wrapping", Template::new().no(sys::CKA_WRAP_WITH_TRUSTED)),
        ("readable", Template::new().no(sys::CKA_SENSITIVE)),
        ("extractable", Template::new().yes(sys::CKA_EXTRACTABLE)),
        ("derive", Template::new().yes(sys::CKA_DERIVE)),
        ("decrypt", Template::new().yes(sys::CKA_DECRYPT)),
        ("wrap", Template::new().yes(sys::CKA_WRAP)),
        ("token", Template::new().yes(sys::CKA_TOKEN)),
        ("public", Template::new().no(sys::CKA_PRIVATE)),
        ("nothing", Template::new()),
    ] {
        attempts.object(
            &format!("D copy of the DEK: {name}"),
            session.copy_object(scene.dek, &change),
        );
        if name != "nothing" {
            attempts.done(
                &format!("D set on the DEK: {name}"),
                session.set_attributes(scene.dek, &change),
            );
        }
    }
    let handle = cryptoki_handle(session, scene.dek);
    attempts.done(
        "D ECB with the DEK",
        session.cryptoki().encrypt(&Mechanism::AesEcb, handle, &[0; 16]),
    );
}

/// E.
fn derive(attempts: &mut Attempts<'_>, scene: &Scene) {
    let session = attempts.session;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let data = || KeyDerivationStringData::new(&[0; 32]);
    for (whose, key) in [("DEK", scene.dek), ("KEK", scene.kek)] {
        let base = cryptoki_handle(session, key);
        let cbc = cryptoki::mechanism::ekdf::AesCbcDeriveParams::new([0; 16], &[0; 32]);
        for (name, mechanism) in [
            ("base and data", Mechanism::ConcatenateBaseAndData(data())),
            ("data and base", Mechanism::ConcatenateDataAndBase(data())),
            ("base and key", Mechanism::ConcatenateBaseAndKey(base)),
            ("xor", Mechanism::XorBaseAndData(data())),
            ("extract", Mechanism::ExtractKeyFromKey(ExtractParams::new(0))),
            ("CBC of data", Mechanism::AesCbcEncryptData(cbc)),
        ] {
            let derived = session.cryptoki().derive_key(&mechanism, base, &template);
            attempts.object(
                &format!("E {name} from the {whose}"),
                derived.map(|k| Handle(k.handle())).map_err(|_| ckr()),
            );
        }
    }
}

fn ckr() -> Ckr {
    Ckr::new("C_DeriveKey", sys::CKR_GENERAL_ERROR)
}

fn cryptoki_handle(session: &RawSession, key: Handle) -> ObjectHandle {
    let all = session.cryptoki().find_objects(&[]).unwrap();
    all.into_iter().find(|object| object.handle() == key.0).unwrap()
}

/// C: TRUSTED keys of one's own.
pub(super) fn make_trusted(session: &RawSession) -> Vec<String> {
    let mut attempts = Attempts {
        session,
        granted: Vec::new(),
    };
    let own = || {
        Template::new()
            .ulong(sys::CKA_VALUE_LEN, 32)
            .no(sys::CKA_TOKEN)
            .yes(sys::CKA_WRAP)
            .yes(sys::CKA_UNWRAP)
            .yes(sys::CKA_DECRYPT)
    };
    let trusted = Template::new().yes(sys::CKA_TRUSTED);
    let key = session.generate_key(sys::CKM_AES_KEY_GEN, &own()).unwrap();
    let inner = session
        .generate_key(sys::CKM_AES_KEY_GEN, &own().yes(sys::CKA_EXTRACTABLE))
        .unwrap();
    let blob = session.wrap(WRAP, key, inner).unwrap();
    attempts.done("set", session.set_attributes(key, &trusted));
    attempts.object("copy", session.copy_object(key, &trusted));
    attempts.object(
        "generate",
        session.generate_key(sys::CKM_AES_KEY_GEN, &own().yes(sys::CKA_TRUSTED)),
    );
    let public = Template::new()
        .ulong(sys::CKA_MODULUS_BITS, 1024)
        .bytes(sys::CKA_PUBLIC_EXPONENT, &[1, 0, 1])
        .yes(sys::CKA_WRAP);
    let pair = |public: &Template| {
        session.generate_pair(
            sys::CKM_RSA_PKCS_KEY_PAIR_GEN,
            public,
            &Template::new().no(sys::CKA_TOKEN),
        )
    };
    attempts.done("generate a pair", pair(&public.clone().yes(sys::CKA_TRUSTED)));
    pair(&public).unwrap();
    let value = Template::secret_key(sys::CKK_AES)
        .no(sys::CKA_TOKEN)
        .bytes(sys::CKA_VALUE, &[7; 32]);
    attempts.object("create", session.create_object(&value.clone().yes(sys::CKA_TRUSTED)));
    session.create_object(&value).unwrap();
    let unwrapped = Template::secret_key(sys::CKK_AES).no(sys::CKA_TOKEN).yes(sys::CKA_WRAP);
    attempts.object(
        "unwrap",
        session.unwrap(WRAP, key, &blob, &unwrapped.clone().yes(sys::CKA_TRUSTED)),
    );
    session.unwrap(WRAP, key, &blob, &unwrapped).unwrap();
    attempts.granted
}
