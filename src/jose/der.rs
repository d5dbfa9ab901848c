//! RSA public keys in DER, strictly: each value has one form.

/// An RSA key's modulus and public exponent, without zeros in front.
type Parts<'a> = (&'a [u8], &'a [u8]);

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// rsaEncryption with NULL (RFC 3279).
const RSA: [u8; 13] = [
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
pub(super) fn rsa_of_spki(bytes: &[u8]) -> Option<Parts<'_>> {
    let (body, []) = value(bytes, SEQUENCE)? else {
        return None;
    };
    let (algorithm, rest) = value(body, SEQUENCE)?;
    let (bits, []) = value(rest, BIT_STRING)? else {
        return None;
    };
    // the first byte counts unused bits
    let key = bits.strip_prefix(&[0])?;
    if algorithm != RSA {
        return None;
    }
    rsa_of_pkcs1(key)
}

/// Of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn rsa_of_pkcs1(bytes: &[u8]) -> Option<Parts<'_>> {
    let (body, []) = value(bytes, SEQUENCE)? else {
        return None;
    };
    let (n, rest) = integer(body)?;
    let (e, []) = integer(rest)? else { return None };
    Some((n, e))
}

/// A positive integer, and what stands behind it.
fn integer(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bytes, rest) = value(bytes, INTEGER)?;
    let positive = match bytes {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => rest,
        [first, ..] if (1..0x80).contains(first) => bytes,
        _ => return None,
    };
    Some((positive, rest))
}

/// The content of a value with this tag, and what stands behind it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    // the shortest form is the one form
    let shortest = match first {
        0x81 => length >= 0x80,
        0x82 => length > 0xff,
        _ => true,
    };
    if !shortest {
        return None;
    }
    rest.split_at_checked(length)
}
