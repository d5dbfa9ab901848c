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
        shrink("C_GetAttributeValue", value, written)
    }

    pub(crate) fn wrap(&self, mechanism: CK_MECHANISM_TYPE, kek: Handle, key: Handle) -> Result<Vec<u8>, Ckr> {
        let call = function("C_WrapKey", self.functions.list.C_WrapKey)?;
        let mut mechanism = plain(mechanism);
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
        blob.truncate(length("C_WrapKey", blob.len(), written)?);
        Ok(blob)
    }

    pub(crate) fn unwrap(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        kek: Handle,
        blob: &[u8],
        template: &Template,
    ) -> Result<Handle, Ckr> {
        let call = function("C_UnwrapKey", self.functions.list.C_UnwrapKey)?;
        let mut mechanism = plain(mechanism);
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
        let init = function("C_EncryptInit", self.functions.list.C_EncryptInit)?;
        let call = function("C_Encrypt", self.functions.list.C_Encrypt)?;
        let mut used = iv.to_vec();
        let mut params = gcm(&mut used, aad);
        let mut mechanism = with_params(sys::CKM_AES_GCM, &mut params);
        // SAFETY: parameters, IV (writable: some modules write their own there) and AAD outlive both calls.
        let code = unsafe { init(self.session.handle(), &raw mut mechanism, key.0) };
        done("C_EncryptInit", code)?;
        let mut out = vec![0u8; text.len().saturating_add(ROOM)];
        let mut written = ulong(out.len());
        // SAFETY: the module reads `text`, writes at most `written` bytes into `out`; the IV still lives.
        let code = unsafe {
            call(
                self.session.handle(),
                text.as_ptr().cast_mut(),
                ulong(text.len()),
                out.as_mut_ptr(),
                &raw mut written,
            )
        };
        done("C_Encrypt", code)?;
        out.truncate(length("C_Encrypt", out.len(), written)?);
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
        let init = function("C_DecryptInit", self.functions.list.C_DecryptInit)?;
        let mut iv = iv.to_vec();
        let mut params = gcm(&mut iv, aad);
        let mut mechanism = with_params(sys::CKM_AES_GCM, &mut params);
        // SAFETY: parameters, IV and AAD outlive this call and the one below.
        let code = unsafe { init(self.session.handle(), &raw mut mechanism, key.0) };
        done("C_DecryptInit", code)?;
        self.decrypt(text)
    }

    pub(crate) fn decrypt_rsa(&self, key: Handle, how: Rsa, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Ckr> {
        let init = function("C_DecryptInit", self.functions.list.C_DecryptInit)?;
        with_rsa(how, |mechanism| {
            // SAFETY: the mechanism and its parameters outlive the call.
            let code = unsafe { init(self.session.handle(), mechanism, key.0) };
            done("C_DecryptInit", code)
        })?;
        self.decrypt(text)
    }

    pub(crate) fn encrypt_rsa(&self, key: Handle, how: Rsa, text: &[u8]) -> Result<Vec<u8>, Ckr> {
        let init = function("C_EncryptInit", self.functions.list.C_EncryptInit)?;
        let call = function("C_Encrypt", self.functions.list.C_Encrypt)?;
        with_rsa(how, |mechanism| {
            // SAFETY: the mechanism and its parameters outlive the call.
            let code = unsafe { init(self.session.handle(), mechanism, key.0) };
            done("C_EncryptInit", code)
        })?;
        let mut out = vec![0u8; LONGEST_ATTRIBUTE];
        let mut written = ulong(out.len());
        // SAFETY: the module reads `text` and writes at most `written` bytes into `out`.
        let code = unsafe {
            call(
                self.session.handle(),
                text.as_ptr().cast_mut(),
                ulong(text.len()),
                out.as_mut_ptr(),
                &raw mut written,
            )
        };
        done("C_Encrypt", code)?;
        out.truncate(length("C_Encrypt", out.len(), written)?);
        Ok(out)
    }

    pub(crate) fn sign(&self, key: Handle, how: Signing, message: &[u8]) -> Result<Vec<u8>, Ckr> {
        let init = function("C_SignInit", self.functions.list.C_SignInit)?;
        let call = function("C_Sign", self.functions.list.C_Sign)?;
        let mut mechanism = plain(match how {
            Signing::Ecdsa => sys::CKM_ECDSA,
            Signing::Eddsa => sys::CKM_EDDSA,
            Signing::HmacSha256 => sys::CKM_SHA256_HMAC,
        });
        // SAFETY: the mechanism outlives the call.
        let code = unsafe { init(self.session.handle(), &raw mut mechanism, key.0) };
        done("C_SignInit", code)?;
        let mut out = vec![0u8; 64 + ROOM];
        let mut written = ulong(out.len());
        // SAFETY: the module reads `message` and writes at most `written` bytes into `out`.
        let code = unsafe {
            call(
                self.session.handle(),
                message.as_ptr().cast_mut(),
                ulong(message.len()),
                out.as_mut_ptr(),
                &raw mut written,
            )
        };
        done("C_Sign", code)?;
        out.truncate(length("C_Sign", out.len(), written)?);
        Ok(out)
    }

    pub(crate) fn random(&self, out: &mut [u8]) -> Result<(), Ckr> {
        let call = function("C_GenerateRandom", self.functions.list.C_GenerateRandom)?;
        // SAFETY: the module writes exactly the stated length into `out`.
        let code = unsafe { call(self.session.handle(), out.as_mut_ptr(), ulong(out.len())) };
        done("C_GenerateRandom", code)
    }

    fn decrypt(&self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Ckr> {
        let call = function("C_Decrypt", self.functions.list.C_Decrypt)?;
        let mut out = Zeroizing::new(vec![0u8; text.len().saturating_add(ROOM)]);
        let mut written = ulong(out.len());
        // SAFETY: the module reads `text` and writes at most `written` bytes into `out`.
        let code = unsafe {
            call(
                self.session.handle(),
                text.as_ptr().cast_mut(),
                ulong(text.len()),
                out.as_mut_ptr(),
                &raw mut written,
            )
        };
        done("C_Decrypt", code)?;
        shrink("C_Decrypt", out, written)
    }
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

fn with_rsa<T>(how: Rsa, call: impl FnOnce(*mut CK_MECHANISM) -> T) -> T {
    let (hash, mgf) = match how {
        Rsa::Oaep(Oaep::Sha1) => (sys::CKM_SHA_1, sys::CKG_MGF1_SHA1),
        Rsa::Oaep(Oaep::Sha256) => (sys::CKM_SHA256, sys::CKG_MGF1_SHA256),
        Rsa::Raw => {
            let mut mechanism = plain(sys::CKM_RSA_X_509);
            return call(&raw mut mechanism);
        }
    };
    let mut params = sys::CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash,
        mgf,
        source: sys::CKZ_DATA_SPECIFIED,
        pSourceData: std::ptr::null_mut(),
        ulSourceDataLen: 0,
    };
    let mut mechanism = with_params(sys::CKM_RSA_PKCS_OAEP, &mut params);
    call(&raw mut mechanism)
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

/// What the module says it wrote, if it can be true.
fn length(name: &'static str, room: usize, written: CK_ULONG) -> Result<usize, Ckr> {
    usize::try_from(written)
        .ok()
        .filter(|n| *n <= room)
        .ok_or(Ckr::new(name, sys::CKR_BUFFER_TOO_SMALL))
}

fn shrink(name: &'static str, mut bytes: Zeroizing<Vec<u8>>, written: CK_ULONG) -> Result<Zeroizing<Vec<u8>>, Ckr> {
    let written = length(name, bytes.len(), written)?;
    // Truncation alone would leave the tail in the spare capacity; zeroize wipes that too when the Vec is dropped.
    bytes.truncate(written);
    Ok(bytes)
}

fn ulong(n: usize) -> CK_ULONG {
    CK_ULONG::try_from(n).unwrap_or(CK_ULONG::MAX)
}
