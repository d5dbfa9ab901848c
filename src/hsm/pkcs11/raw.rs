//! One-shot PKCS#11 calls with roomy buffers: the only unsafe code of the crate.
//!
//! `cryptoki` asks for a length before each encryption, signature or wrap: one more round trip, and some modules answer
//! it wrongly. It also cannot write CKA_UNWRAP_TEMPLATE. Loading the same path a second time gives the same module
//! instance, so these calls work on sessions that `cryptoki` opened.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use cryptoki::session::Session;
use cryptoki_sys as sys;
use cryptoki_sys::{CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_MECHANISM, CK_MECHANISM_TYPE, CK_RV, CK_ULONG};
use zeroize::Zeroizing;

use super::attribute::{Template, Value};
use super::fail::Ckr;

/// Room beyond the expected output: the GCM tag, and an IV where the module appends one.
const ROOM: usize = 64;
/// The longest attribute read: an RSA-16384 modulus.
const LONGEST_ATTRIBUTE: usize = 2048;
/// Bytes of a GCM tag.
pub(crate) const TAG: usize = 16;

/// An object in the token or in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(pub(crate) sys::CK_OBJECT_HANDLE);

/// Whose IV an encryption used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IvOrigin {
    /// The module appended its own to the ciphertext.
    Appended,
    /// The module wrote its own over ours.
    Changed,
    /// Ours.
    Kept,
}

/// A GCM ciphertext.
pub(crate) struct Gcm {
    /// The IV really used.
    pub(crate) iv: Vec<u8>,
    pub(crate) origin: IvOrigin,
    /// Ciphertext and tag.
    pub(crate) text: Vec<u8>,
}

/// The hash of an OAEP padding, for the label and for MGF1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oaep {
    Sha1,
    Sha256,
}

/// How an RSA key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rsa {
    Oaep(Oaep),
    /// No padding.
    Raw,
}

/// A signature or MAC mechanism without parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    /// Over a SHA-256 digest made by the caller.
    Ecdsa,
    Eddsa,
    HmacSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// The module's functions.
pub(crate) struct Functions {
    list: sys::CK_FUNCTION_LIST,
    /// Keeps the module mapped as long as `list` points into it.
    _library: sys::Pkcs11,
}

impl Functions {
    /// Loads the module, or takes another reference to it when it is loaded.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the module's initialisers; the operator names the module in the configuration and
        // trusts it with the keys themselves.
        let library = unsafe { sys::Pkcs11::new(path) }.map_err(|e| e.to_string())?;
        let Ok(function_list) = library.C_GetFunctionList.as_ref() else {
            return Err("it has no C_GetFunctionList".to_owned());
        };
        let mut list = std::ptr::null_mut();
        // SAFETY: the symbol was resolved in the loaded library, and `list` outlives the call.
        let code = unsafe { function_list(&raw mut list) };
        done("C_GetFunctionList", code).map_err(|e| e.to_string())?;
        if list.is_null() {
            return Err("C_GetFunctionList gave no list".to_owned());
        }
        // SAFETY: not null, and a successful C_GetFunctionList points to a list that lives as long as the library.
        let list = unsafe { *list };
        Ok(Self {
            list,
            _library: library,
        })
    }
}

/// A session with the one-shot calls. An error may leave an operation active: open a new one then.
pub(crate) struct RawSession {
    functions: Arc<Functions>,
    session: Session,
}

impl RawSession {
    /// `session` must have been opened in the module that `functions` were loaded from.
    pub(super) fn new(functions: Arc<Functions>, session: Session) -> Self {
        Self { functions, session }
    }

    /// The session for `cryptoki`'s own calls (login, search).
    pub(crate) fn cryptoki(&self) -> &Session {
        &self.session
    }

    pub(crate) fn generate_key(&self, mechanism: CK_MECHANISM_TYPE, template: &Template) -> Result<Handle, Ckr> {
        let call = function("C_GenerateKey", self.functions.list.C_GenerateKey)?;
        let mut mechanism = plain(mechanism);
        let mut flat = Flat::of(template);
        let mut handle = 0;
        // SAFETY: mechanism, template (with the values it points to) and handle outlive the call.
        let code = unsafe {
            call(
                self.session.handle(),
                &raw mut mechanism,
                flat.pointer(),
                flat.len(),
                &raw mut handle,
            )
        };
        done("C_GenerateKey", code).map(|()| Handle(handle))
    }

    /// The public and the private half.
    pub(crate) fn generate_pair(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        public: &Template,
        private: &Template,
    ) -> Result<(Handle, Handle), Ckr> {
        let call = function("C_GenerateKeyPair", self.functions.list.C_GenerateKeyPair)?;
        let mut mechanism = plain(mechanism);
        let (mut public, mut private) = (Flat::of(public), Flat::of(private));
        let (mut one, mut other) = (0, 0);
        // SAFETY: mechanism, both templates and both handles outlive the call.
        let code = unsafe {
            call(
                self.session.handle(),
                &raw mut mechanism,
                public.pointer(),
                public.len(),
                private.pointer(),
                private.len(),
                &raw mut one,
                &raw mut other,
            )
        };
        done("C_GenerateKeyPair", code).map(|()| (Handle(one), Handle(other)))
    }

    pub(crate) fn create_object(&self, template: &Template) -> Result<Handle, Ckr> {
        let call = function("C_CreateObject", self.functions.list.C_CreateObject)?;
        let mut flat = Flat::of(template);
        let mut handle = 0;
        // SAFETY: template and handle outlive the call.
        let code = unsafe { call(self.session.handle(), flat.pointer(), flat.len(), &raw mut handle) };
        done("C_CreateObject", code).map(|()| Handle(handle))
    }

    pub(crate) fn copy_object(&self, object: Handle, template: &Template) -> Result<Handle, Ckr> {
        let call = function("C_CopyObject", self.functions.list.C_CopyObject)?;
        let mut flat = Flat::of(template);
        let mut handle = 0;
        // SAFETY: template and handle outlive the call; a stale object handle is an error code, not a fault.
        let code = unsafe {
            call(
                self.session.handle(),
                object.0,
                flat.pointer(),
                flat.len(),
                &raw mut handle,
            )
        };
        done("C_CopyObject", code).map(|()| Handle(handle))
    }

    pub(crate) fn destroy(&self, object: Handle) -> Result<(), Ckr> {
        let call = function("C_DestroyObject", self.functions.list.C_DestroyObject)?;
        // SAFETY: plain values only.
        let code = unsafe { call(self.session.handle(), object.0) };
        done("C_DestroyObject", code)
    }

    pub(crate) fn set_attributes(&self, object: Handle, template: &Template) -> Result<(), Ckr> {
        let call = function("C_SetAttributeValue", self.functions.list.C_SetAttributeValue)?;
        let mut flat = Flat::of(template);
        // SAFETY: the template outlives the call.
        let code = unsafe { call(self.session.handle(), object.0, flat.pointer(), flat.len()) };
        done("C_SetAttributeValue", code)
    }

    /// The value of one attribute; what a failed read left in the buffer is wiped.
    pub(crate) fn attribute(&self, object: Handle, kind: CK_ATTRIBUTE_TYPE) -> Result<Zeroizing<Vec<u8>>, Ckr> {
        let call = function("C_GetAttributeValue", self.functions.list.C_GetAttributeValue)?;
        let mut value = Zeroizing::new(vec![0u8; LONGEST_ATTRIBUTE]);
        let mut wanted = CK_ATTRIBUTE {
            type_: kind,
            pValue: value.as_mut_ptr().cast(),
            ulValueLen: ulong(value.len()),
        };
        // SAFETY: `wanted` points to a buffer of the length it states; both outlive the call.
        let code = unsafe { call(self.session.handle(), object.0, &raw mut wanted, 1) };
        done("C_GetAttributeValue", code)?;
        // Copied out of the struct first: its fields may be unaligned on some targets.
        let written = wanted.ulValueLen;
        shrink("C_GetAttributeValue", &mut value, written)?;
        Ok(value)
    }

    pub(crate) fn wrap(&self, mechanism: CK_MECHANISM_TYPE, kek: Handle, key: Handle) -> Result<Vec<u8>, Ckr> {
        self.wrap_by(plain(mechanism), kek, key)
    }

    /// Wraps with RSA-OAEP.
    pub(crate) fn wrap_oaep(&self, hash: Oaep, public: Handle, key: Handle) -> Result<Vec<u8>, Ckr> {
        let mut of_oaep = oaep(hash);
        self.wrap_by(with_params(sys::CKM_RSA_PKCS_OAEP, &mut of_oaep), public, key)
    }

    /// What `mechanism` points to must outlive this, as it does in the two above.
    fn wrap_by(&self, mut mechanism: CK_MECHANISM, kek: Handle, key: Handle) -> Result<Vec<u8>, Ckr> {
        let call = function("C_WrapKey", self.functions.list.C_WrapKey)?;
        // 32 bytes become 40; RSA, tried by the start-up check, gives a modulus.
        let mut blob = vec![0u8; LONGEST_ATTRIBUTE];
        let mut written = ulong(blob.len());
        // SAFETY: the module writes at most `written` bytes into `blob`; all pointers outlive the call.
        let code = unsafe {
            call(
                self.session.handle(),
                &raw mut mechanism,
                kek.0,
                key.0,
                blob.as_mut_ptr(),
                &raw mut written,
            )
        };
        done("C_WrapKey", code)?;
        shrink("C_WrapKey", &mut blob, written)?;
        Ok(blob)
    }

    pub(crate) fn unwrap(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        kek: Handle,
        blob: &[u8],
        template: &Template,
    ) -> Result<Handle, Ckr> {
        self.unwrap_by(plain(mechanism), kek, blob, template)
    }

    /// Unwraps with RSA-OAEP.
    pub(crate) fn unwrap_oaep(
        &self,
        hash: Oaep,
        private: Handle,
        blob: &[u8],
        template: &Template,
    ) -> Result<Handle, Ckr> {
        let mut of_oaep = oaep(hash);
        self.unwrap_by(
            with_params(sys::CKM_RSA_PKCS_OAEP, &mut of_oaep),
            private,
            blob,
            template,
        )
    }

    /// As [`Self::wrap_by`].
    fn unwrap_by(
        &self,
        mut mechanism: CK_MECHANISM,
        kek: Handle,
        blob: &[u8],
        template: &Template,
    ) -> Result<Handle, Ckr> {
        let call = function("C_UnwrapKey", self.functions.list.C_UnwrapKey)?;
        let mut flat = Flat::of(template);
        let mut handle = 0;
        // SAFETY: the module only reads `blob` (its C type lacks the const); all pointers outlive the call.
        let code = unsafe {
            call(
                self.session.handle(),
                &raw mut mechanism,
                kek.0,
                blob.as_ptr().cast_mut(),
                ulong(blob.len()),
                flat.pointer(),
                flat.len(),
                &raw mut handle,
            )
        };
        done("C_UnwrapKey", code).map(|()| Handle(handle))
    }

    /// Encrypts with AES-GCM and reports the IV that was really used, which is the module's choice, not ours.
    pub(crate) fn encrypt_gcm(&self, key: Handle, iv: &[u8], aad: &[u8], text: &[u8]) -> Result<Gcm, Ckr> {
        let mut used = iv.to_vec();
        let mut out = vec![0u8; text.len().saturating_add(ROOM)];
        self.one_shot(Verb::Encrypt, key, How::Gcm { iv: &mut used, aad }, text, &mut out)?;
        match out.len().checked_sub(text.len().saturating_add(TAG)) {
            Some(0) => {
                let origin = if used == iv { IvOrigin::Kept } else { IvOrigin::Changed };
                Ok(Gcm {
                    iv: used,
                    origin,
                    text: out,
                })
            }
            Some(12 | 16) => {
                let iv = out.split_off(text.len().saturating_add(TAG));
                Ok(Gcm {
                    iv,
                    origin: IvOrigin::Appended,
                    text: out,
                })
            }
            // Not a ciphertext that we could open again.
            _ => Err(Ckr::new("C_Encrypt", sys::CKR_ENCRYPTED_DATA_LEN_RANGE)),
        }
    }

    pub(crate) fn decrypt_gcm(
        &self,
        key: Handle,
        iv: &[u8],
        aad: &[u8],
        text: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Ckr> {
        let mut iv = iv.to_vec();
        self.decrypt(key, How::Gcm { iv: &mut iv, aad }, text)
    }

    pub(crate) fn decrypt_rsa(&self, key: Handle, how: Rsa, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Ckr> {
        self.decrypt(key, How::Rsa(how), text)
    }

    pub(crate) fn encrypt_rsa(&self, key: Handle, how: Rsa, text: &[u8]) -> Result<Vec<u8>, Ckr> {
        let mut out = vec![0u8; LONGEST_ATTRIBUTE];
        self.one_shot(Verb::Encrypt, key, How::Rsa(how), text, &mut out)?;
        Ok(out)
    }

    pub(crate) fn sign(&self, key: Handle, how: Signing, message: &[u8]) -> Result<Vec<u8>, Ckr> {
        let longest = match how {
            Signing::Ecdsa | Signing::Eddsa | Signing::HmacSha256 => 64,
            Signing::Rs256 => LONGEST_ATTRIBUTE,
        };
        let mut out = vec![0u8; longest + ROOM];
        self.one_shot(Verb::Sign, key, How::Signing(how), message, &mut out)?;
        Ok(out)
    }

    pub(crate) fn random(&self, out: &mut [u8]) -> Result<(), Ckr> {
        let call = function("C_GenerateRandom", self.functions.list.C_GenerateRandom)?;
        // SAFETY: the module writes exactly the stated length into `out`.
        let code = unsafe { call(self.session.handle(), out.as_mut_ptr(), ulong(out.len())) };
        done("C_GenerateRandom", code)
    }

    /// What a failed decryption left in the buffer is wiped.
    fn decrypt(&self, key: Handle, how: How<'_>, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Ckr> {
        let mut out = Zeroizing::new(vec![0u8; text.len().saturating_add(ROOM)]);
        self.one_shot(Verb::Decrypt, key, how, text, &mut out)?;
        Ok(out)
    }

    /// Starts an operation and ends it in one call. All of `out` is room; it is cut to what was written.
    ///
    /// The buffer is the caller's, who decides whether it is wiped; it is never reallocated here.
    fn one_shot(&self, verb: Verb, key: Handle, how: How<'_>, input: &[u8], out: &mut Vec<u8>) -> Result<(), Ckr> {
        let list = &self.functions.list;
        let (starts, init, ends, call) = match verb {
            Verb::Decrypt => ("C_DecryptInit", list.C_DecryptInit, "C_Decrypt", list.C_Decrypt),
            Verb::Encrypt => ("C_EncryptInit", list.C_EncryptInit, "C_Encrypt", list.C_Encrypt),
            Verb::Sign => ("C_SignInit", list.C_SignInit, "C_Sign", list.C_Sign),
        };
        let (init, call) = (function(starts, init)?, function(ends, call)?);
        let (mut of_gcm, mut of_oaep);
        let mut mechanism = match how {
            How::Gcm { iv, aad } => {
                of_gcm = gcm(iv, aad);
                with_params(sys::CKM_AES_GCM, &mut of_gcm)
            }
            How::Rsa(Rsa::Oaep(hash)) => {
                of_oaep = oaep(hash);
                with_params(sys::CKM_RSA_PKCS_OAEP, &mut of_oaep)
            }
            How::Rsa(Rsa::Raw) => plain(sys::CKM_RSA_X_509),
            How::Signing(Signing::Ecdsa) => plain(sys::CKM_ECDSA),
            How::Signing(Signing::Eddsa) => plain(sys::CKM_EDDSA),
            How::Signing(Signing::HmacSha256) => plain(sys::CKM_SHA256_HMAC),
            How::Signing(Signing::Rs256) => plain(sys::CKM_SHA256_RSA_PKCS),
        };
        let mut written = ulong(out.len());
        // SAFETY: the mechanism, its parameters, and the IV and AAD borrowed by `how` outlive both calls: some modules
        // read them, or write their own IV, only in the second. The IV is borrowed as writable. The module reads
        // `input` (its C type lacks the const) and writes at most `written` bytes into `out`, which has so many. A
        // stale session or key handle is an error code, not a fault.
        unsafe {
            done(starts, init(self.session.handle(), &raw mut mechanism, key.0))?;
            let code = call(
                self.session.handle(),
                input.as_ptr().cast_mut(),
                ulong(input.len()),
                out.as_mut_ptr(),
                &raw mut written,
            );
            done(ends, code)?;
        }
        shrink(ends, out, written)
    }
}

/// What is done with the input of a one-shot operation.
enum Verb {
    Decrypt,
    Encrypt,
    Sign,
}

/// The mechanism of a one-shot operation.
enum How<'a> {
    /// AES-GCM; the module may write its own IV over ours.
    Gcm {
        iv: &'a mut [u8],
        aad: &'a [u8],
    },
    Rsa(Rsa),
    Signing(Signing),
}

/// A template in C's form; valid as long as the template it was made of, which the lifetime keeps.
struct Flat<'a> {
    attributes: Vec<CK_ATTRIBUTE>,
    /// What nested attributes point to.
    _nested: Vec<Self>,
    _values: std::marker::PhantomData<&'a Template>,
}

impl<'a> Flat<'a> {
    fn of(template: &'a Template) -> Self {
        let mut nested = Vec::new();
        let mut attributes = Vec::with_capacity(template.attributes().len());
        for (kind, value) in template.attributes() {
            // The module only reads the values, though C's type is not const.
            let (pointer, bytes): (*const c_void, usize) = match value {
                Value::Bool(flag) => ((&raw const *flag).cast(), size_of_val(flag)),
                Value::Bytes(bytes) => (bytes.as_ptr().cast(), bytes.len()),
                Value::Mechanisms(list) => (list.as_ptr().cast(), size_of_val(list.as_slice())),
                Value::Nested(inner) => {
                    let inner = Self::of(inner);
                    // Moving the Vec later does not move its heap block.
                    let place = (
                        inner.attributes.as_ptr().cast(),
                        size_of_val(inner.attributes.as_slice()),
                    );
                    nested.push(inner);
                    place
                }
                Value::Ulong(number) => ((&raw const *number).cast(), size_of_val(number)),
            };
            attributes.push(CK_ATTRIBUTE {
                type_: *kind,
                pValue: pointer.cast_mut(),
                ulValueLen: ulong(bytes),
            });
        }
        Self {
            attributes,
            _nested: nested,
            _values: std::marker::PhantomData,
        }
    }

    fn pointer(&mut self) -> *mut CK_ATTRIBUTE {
        self.attributes.as_mut_ptr()
    }

    fn len(&self) -> CK_ULONG {
        ulong(self.attributes.len())
    }
}

fn plain(mechanism: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism,
        pParameter: std::ptr::null_mut(),
        ulParameterLen: 0,
    }
}

fn with_params<P>(mechanism: CK_MECHANISM_TYPE, params: &mut P) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism,
        pParameter: (&raw mut *params).cast(),
        ulParameterLen: ulong(size_of::<P>()),
    }
}

fn gcm(iv: &mut [u8], aad: &[u8]) -> sys::CK_GCM_PARAMS {
    sys::CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: ulong(iv.len()),
        ulIvBits: ulong(iv.len().saturating_mul(8)),
        pAAD: aad.as_ptr().cast_mut(),
        ulAADLen: ulong(aad.len()),
        ulTagBits: ulong(TAG * 8),
    }
}

fn oaep(hash: Oaep) -> sys::CK_RSA_PKCS_OAEP_PARAMS {
    let (hash, mgf) = match hash {
        Oaep::Sha1 => (sys::CKM_SHA_1, sys::CKG_MGF1_SHA1),
        Oaep::Sha256 => (sys::CKM_SHA256, sys::CKG_MGF1_SHA256),
    };
    sys::CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash,
        mgf,
        source: sys::CKZ_DATA_SPECIFIED,
        pSourceData: std::ptr::null_mut(),
        ulSourceDataLen: 0,
    }
}

fn function<F>(name: &'static str, pointer: Option<F>) -> Result<F, Ckr> {
    pointer.ok_or(Ckr::new(name, sys::CKR_FUNCTION_NOT_SUPPORTED))
}

fn done(name: &'static str, code: CK_RV) -> Result<(), Ckr> {
    if code == sys::CKR_OK {
        Ok(())
    } else {
        Err(Ckr::new(name, code))
    }
}

/// Cuts a buffer to what the module says it wrote, if that can be true.
///
/// The tail stays in the spare capacity, which zeroize wipes too when it wipes the Vec.
fn shrink(name: &'static str, bytes: &mut Vec<u8>, written: CK_ULONG) -> Result<(), Ckr> {
    let written = usize::try_from(written)
        .ok()
        .filter(|n| *n <= bytes.len())
        .ok_or(Ckr::new(name, sys::CKR_BUFFER_TOO_SMALL))?;
    bytes.truncate(written);
    Ok(())
}

fn ulong(n: usize) -> CK_ULONG {
    CK_ULONG::try_from(n).unwrap_or(CK_ULONG::MAX)
}
