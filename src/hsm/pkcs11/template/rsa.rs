//! The RSA pairs: transport, locker and platform key, and those of clients.

use cryptoki_sys as sys;
use cryptoki_sys::{CK_MECHANISM_TYPE, CK_ULONG};

use super::{Name, Template, hidden, shown};

/// RSA-2048 has 112 bits of strength, too little beside AES-256. 3072 costs 2 ms a decryption in SoftHSM, which only
/// inbound JWE pays.
const TRANSPORT_BITS: CK_ULONG = 3072;
/// What the protocol's clients are used to; each request pays for a decryption and a signature.
const LOCKER_BITS: CK_ULONG = 2048;
/// Its signatures go into a header of at most 500 characters, where one of 3072 bits would not fit.
const PLATFORM_BITS: CK_ULONG = 2048;

/// What an RSA key of the vault's is for. A key has one use, but for the locker's.
struct RsaUse {
    bits: CK_ULONG,
    decrypts: bool,
    signs: bool,
    with: &'static [CK_MECHANISM_TYPE],
}

/// The transport key: mechanism, public half, private half. Raw RSA is allowed because SoftHSM has no OAEP with
/// SHA-256; the padding is then checked in this program.
pub(crate) fn transport(name: &Name<'_>) -> (CK_MECHANISM_TYPE, Template, Template) {
    let for_opening = RsaUse {
        bits: TRANSPORT_BITS,
        decrypts: true,
        signs: false,
        with: &[sys::CKM_RSA_PKCS_OAEP, sys::CKM_RSA_X_509],
    };
    rsa_pair(name, &for_opening)
}

/// The locker key: mechanism, public half, private half. It decrypts and signs, and nothing else.
pub(crate) fn locker(name: &Name<'_>) -> (CK_MECHANISM_TYPE, Template, Template) {
    let for_both = RsaUse {
        bits: LOCKER_BITS,
        decrypts: true,
        signs: true,
        with: &LOCKER_USES,
    };
    rsa_pair(name, &for_both)
}

/// The platform key: mechanism, public half, private half. It signs, and nothing else.
pub(crate) fn platform(name: &Name<'_>) -> (CK_MECHANISM_TYPE, Template, Template) {
    let for_signing = RsaUse {
        bits: PLATFORM_BITS,
        decrypts: false,
        signs: true,
        with: &[sys::CKM_SHA256_RSA_PKCS],
    };
    rsa_pair(name, &for_signing)
}

fn rsa_pair(name: &Name<'_>, meant: &RsaUse) -> (CK_MECHANISM_TYPE, Template, Template) {
    let public = shown(name)
        .ulong(sys::CKA_MODULUS_BITS, meant.bits)
        .bytes(sys::CKA_PUBLIC_EXPONENT, &[1, 0, 1])
        .flag(sys::CKA_ENCRYPT, meant.decrypts)
        .flag(sys::CKA_VERIFY, meant.signs)
        .no(sys::CKA_WRAP);
    let private = hidden(Template::new(), name)
        .flag(sys::CKA_DECRYPT, meant.decrypts)
        .flag(sys::CKA_SIGN, meant.signs)
        .no(sys::CKA_UNWRAP)
        .only_for(meant.with);
    (sys::CKM_RSA_PKCS_KEY_PAIR_GEN, public, private)
}

/// The pair under which another HSM's keys are wrapped for this one: mechanism, public half, private half. It unwraps nothing but
/// keys as `unwraps` has them, and is there for the time of a move.
pub(crate) fn conveyance(name: &Name<'_>, unwraps: Template) -> (CK_MECHANISM_TYPE, Template, Template) {
    let public = shown(name)
        .ulong(sys::CKA_MODULUS_BITS, TRANSPORT_BITS)
        .bytes(sys::CKA_PUBLIC_EXPONENT, &[1, 0, 1])
        .no(sys::CKA_ENCRYPT)
        .no(sys::CKA_VERIFY)
        .yes(sys::CKA_WRAP);
    let private = hidden(Template::new(), name)
        .no(sys::CKA_DECRYPT)
        .no(sys::CKA_SIGN)
        .yes(sys::CKA_UNWRAP)
        .only_for(&[sys::CKM_RSA_PKCS_OAEP])
        .unwraps_only(unwraps);
    (sys::CKM_RSA_PKCS_KEY_PAIR_GEN, public, private)
}

/// Its public half in the HSM that is left: of the session alone, and TRUSTED, so that only the security officer makes it.
pub(crate) fn conveyance_public(n: &[u8], e: &[u8]) -> Template {
    rsa_public(n, e)
        .no(sys::CKA_ENCRYPT)
        .yes(sys::CKA_WRAP)
        .yes(sys::CKA_TRUSTED)
}

/// Likewise, for the vendor's officer to mark: an object of the token, until it is used.
pub(crate) fn conveyance_unmarked(name: &Name<'_>, n: &[u8], e: &[u8]) -> Template {
    rsa_public(n, e)
        .bytes(sys::CKA_ID, name.id)
        .bytes(sys::CKA_LABEL, name.label.as_bytes())
        .yes(sys::CKA_TOKEN)
        .no(sys::CKA_ENCRYPT)
        .yes(sys::CKA_WRAP)
}

/// A pair of a client's, to be read out: mechanism, public half, private half.
pub(crate) fn client_pair() -> (CK_MECHANISM_TYPE, Template, Template) {
    let public = Template::new()
        .no(sys::CKA_TOKEN)
        .no(sys::CKA_PRIVATE)
        .ulong(sys::CKA_MODULUS_BITS, LOCKER_BITS)
        .bytes(sys::CKA_PUBLIC_EXPONENT, &[1, 0, 1]);
    let private = Template::new()
        .no(sys::CKA_TOKEN)
        .no(sys::CKA_PRIVATE)
        .no(sys::CKA_SENSITIVE)
        .yes(sys::CKA_EXTRACTABLE);
    (sys::CKM_RSA_PKCS_KEY_PAIR_GEN, public, private)
}

/// What the locker key may be used with.
pub(crate) const LOCKER_USES: [CK_MECHANISM_TYPE; 3] =
    [sys::CKM_RSA_PKCS_OAEP, sys::CKM_RSA_X_509, sys::CKM_SHA256_RSA_PKCS];

/// A session copy of a pinned RSA public half, to prove that the private half is the right one.
pub(crate) fn rsa_public(n: &[u8], e: &[u8]) -> Template {
    Template::new()
        .ulong(sys::CKA_CLASS, sys::CKO_PUBLIC_KEY)
        .ulong(sys::CKA_KEY_TYPE, sys::CKK_RSA)
        .no(sys::CKA_TOKEN)
        .no(sys::CKA_PRIVATE)
        .yes(sys::CKA_ENCRYPT)
        .bytes(sys::CKA_MODULUS, n)
        .bytes(sys::CKA_PUBLIC_EXPONENT, e)
}
