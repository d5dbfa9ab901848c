//! What a client does to encrypt to the vault: RSA-OAEP-256 and A256GCM, in software. And RSA's private half, for tests
//! without an HSM.

#![allow(dead_code, reason = "each test program uses its part of this")]
#![allow(clippy::as_conversions, reason = "limbs are taken apart")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic fails the test")]

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

pub(crate) const HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;

/// A compact JWE to the RSA key.
pub(crate) fn compact(n: &[u8], e: &[u8], header: &str, text: &[u8]) -> String {
    let key = random::<32>();
    assembled(header, &wrapped(n, e, &key), &key, text)
}

/// A compact JWE whose content key was encrypted by others.
pub(crate) fn assembled(header: &str, encrypted_key: &[u8], key: &[u8; 32], text: &[u8]) -> String {
    let (header, iv) = (BASE64URL_NOPAD.encode(header.as_bytes()), random::<12>());
    let sealed = sealed(key, &iv, header.as_bytes(), text);
    let (ciphertext, tag) = sealed.split_at(text.len());
    let parts = [encrypted_key, &iv, ciphertext, tag].map(|part| BASE64URL_NOPAD.encode(part));
    format!("{header}.{}", parts.join("."))
}

/// Ciphertext and tag.
pub(crate) fn sealed(key: &[u8; 32], iv: &[u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut sealed = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*iv);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed)
        .unwrap();
    sealed
}

/// The content key under RSA-OAEP with SHA-256.
pub(crate) fn wrapped(n: &[u8], e: &[u8], key: &[u8]) -> Vec<u8> {
    modpow(&padded(n.len(), key), e, n)
}

/// EME-OAEP encoding (RFC 8017 section 7.1.1) with SHA-256 and no label.
pub(crate) fn padded(length: usize, key: &[u8]) -> Vec<u8> {
    let mut block = digest(&SHA256, b"").as_ref().to_vec();
    block.resize(length - 33 - key.len() - 1, 0);
    block.push(1);
    block.extend_from_slice(key);
    masked(&random::<32>(), block)
}

/// Seed and block, each masked by the other, behind a zero.
pub(crate) fn masked(seed: &[u8; 32], mut block: Vec<u8>) -> Vec<u8> {
    let mut seed = seed.to_vec();
    xor_mgf1(&mut block, &seed);
    xor_mgf1(&mut seed, &block);
    [vec![0], seed, block].concat()
}

fn xor_mgf1(bytes: &mut [u8], seed: &[u8]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        let counter = u32::try_from(at / 32).unwrap().to_be_bytes();
        *byte ^= digest(&SHA256, &[seed, &counter].concat()).as_ref()[at % 32];
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

/// `base` to the power of `exponent`, modulo an odd number that is larger than `base`. Big-endian; as long as the
/// modulus. Slow, and in no way constant in time.
pub(crate) fn modpow(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let n = limbs(modulus, modulus.len().div_ceil(8));
    // -1/n modulo 2^64, by Newton's iteration
    let mut inverse = 1_u64;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(n[0].wrapping_mul(inverse)));
    }
    let n0 = inverse.wrapping_neg();
    let mut one = limbs(&[1], n.len());
    for _ in 0..64 * n.len() {
        one = doubled(&one, &n);
    }
    let mut power = limbs(base, n.len());
    for _ in 0..64 * n.len() {
        power = doubled(&power, &n);
    }
    let base = power;
    let mut result = one;
    for byte in exponent {
        for bit in (0..8).rev() {
            result = product(&result, &result, &n, n0);
            if byte >> bit & 1 == 1 {
                result = product(&result, &base, &n, n0);
            }
        }
    }
    let result = product(&result, &limbs(&[1], n.len()), &n, n0);
    let bytes: Vec<u8> = result.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    bytes[bytes.len() - modulus.len()..].to_vec()
}

/// Little-endian.
fn limbs(bytes: &[u8], count: usize) -> Vec<u64> {
    let mut limbs = vec![0; count];
    for (at, byte) in bytes.iter().rev().enumerate().filter(|(_, byte)| **byte != 0) {
        limbs[at / 8] |= u64::from(*byte) << (at % 8 * 8);
    }
    limbs
}

fn doubled(a: &[u64], n: &[u64]) -> Vec<u64> {
    let carry = a[a.len() - 1] >> 63;
    let twice = (0..a.len()).map(|i| a[i] << 1 | if i == 0 { 0 } else { a[i - 1] >> 63 });
    reduced(&twice.collect::<Vec<_>>(), carry, n)
}

/// Montgomery's product: a times b, divided by 2^64 as often as there are limbs, modulo n.
fn product(a: &[u64], b: &[u64], n: &[u64], n0: u64) -> Vec<u64> {
    let mut sum = vec![0_u64; n.len() + 2];
    for limb in b {
        add(&mut sum, a, *limb);
        let by = sum[0].wrapping_mul(n0);
        add(&mut sum, n, by);
        sum.rotate_left(1);
        sum[n.len() + 1] = 0;
    }
    reduced(&sum[..n.len()], sum[n.len()], n)
}

/// Adds `a` times `by`.
fn add(sum: &mut [u64], a: &[u64], by: u64) {
    let mut carry = 0_u128;
    for (i, limb) in sum.iter_mut().enumerate() {
        let by = if i < a.len() {
            u128::from(a[i]) * u128::from(by)
        } else {
            0
        };
        let next = u128::from(*limb) + by + carry;
        *limb = next as u64;
        carry = next >> 64;
    }
}

/// Less than n, of a number less than twice n.
fn reduced(a: &[u64], carry: u64, n: &[u64]) -> Vec<u64> {
    let mut borrow = 0_i128;
    let mut less = Vec::with_capacity(n.len());
    for (a, n) in a.iter().zip(n) {
        let next = i128::from(*a) - i128::from(*n) + borrow;
        less.push(next as u64);
        borrow = next >> 64;
    }
    if carry == 0 && borrow < 0 { a.to_vec() } else { less }
}
