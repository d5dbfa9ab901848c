//! Opening what was encrypted to the transport key or the locker key: RSA-OAEP with SHA-256 and MGF1-SHA-256 over a content key (RFC 8017
//! section 7.1, RSA-OAEP-256 of RFC 7518), AES-256-GCM under that.
//!
//! The private key works in the HSM. What it gives is the content key, which its sender made for this one message; the
//! padding, where the token does not know it, and the content are undone here.
//!
//! Who may send ciphertexts must not learn why one does not open: each refusal of a padding is a chance to work a
//! content key out (Manger, CRYPTO 2001). So a padding that is wrong does not end the work. It goes on with a random
//! content key (RFC 7516 section 11.5), and the content's tag is what fails, as with any other change.

use std::hint::black_box;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use zeroize::Zeroizing;

use super::job::{Boxed, SecretBytes};
use super::pkcs11::template::rsa_public;
use super::pkcs11::{Ckr, Handle, Oaep, RawSession, Rsa};
use super::proof::works;

/// Bytes of a content key.
const KEY: usize = 32;
/// Bytes of the hash.
const HASH: usize = SHA256_OUTPUT_LEN;

type ContentKey = Zeroizing<[u8; KEY]>;

/// A key that others encrypt to, proved: the transport key, or the locker key.
pub(crate) struct Recipient {
    pub(crate) private: Handle,
    /// The best way in which the token uses it.
    pub(crate) how: Rsa,
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

impl Recipient {
    /// Whether the token can open a JWE with it at all.
    pub(super) fn opens(&self) -> bool {
        self.how != Rsa::Oaep(Oaep::Sha1)
    }

    /// The content; `None`: it does not open. Other errors may be the token's or the ciphertext's fault:
    /// [`Recipient::works`] tells.
    pub(super) fn open(
        &self,
        session: &RawSession,
        encrypted_key: &[u8],
        content: &Boxed,
    ) -> Result<Option<SecretBytes>, Ckr> {
        if !self.is_reduced(encrypted_key) {
            return Ok(None);
        }
        let mut spare = ContentKey::default();
        session.random(spare.as_mut_slice())?;
        let decrypted = session.decrypt_rsa(self.private, self.how, encrypted_key);
        let key = self.content_key(decrypted, spare)?;
        Ok(content_under(&key, content))
    }

    /// The content key in what the token answered; `spare` where that is none.
    fn content_key(&self, decrypted: Result<Zeroizing<Vec<u8>>, Ckr>, spare: ContentKey) -> Result<ContentKey, Ckr> {
        match (decrypted, self.how) {
            (Ok(padded), Rsa::Raw) => Ok(unpadded(&padded, self.modulus.len(), &spare)),
            (Ok(key), Rsa::Oaep(_)) => Ok(<[u8; KEY]>::try_from(key.as_slice()).map_or(spare, Zeroizing::new)),
            // the token undoes the padding and says that it is wrong: neither it nor the session is in doubt
            (Err(refused), Rsa::Oaep(_)) if refused.is_bad_ciphertext() => Ok(spare),
            (Err(refused), _) => Err(refused),
        }
    }

    /// Whether the key opens what was just encrypted to it: what it refused then was at fault itself.
    pub(super) fn works(&self, session: &RawSession) -> Result<bool, Ckr> {
        let public = session.create_object(&rsa_public(&self.modulus, &self.exponent))?;
        works(session, public, self.private, self.how, self.modulus.len())
    }

    /// As long as the modulus, and less: no other text is a ciphertext, and modules differ in what they do with one.
    /// All of it is known to the sender.
    fn is_reduced(&self, encrypted_key: &[u8]) -> bool {
        encrypted_key.len() == self.modulus.len() && encrypted_key < self.modulus.as_slice()
    }
}

/// For tests without an HSM: the content, from what raw RSA gave.
#[cfg(test)]
pub(crate) fn open_padded(padded: &[u8], modulus: usize, content: &Boxed) -> Option<SecretBytes> {
    content_under(&unpadded(padded, modulus, &ContentKey::default()), content)
}

/// The content key in an OAEP padding with an empty label; `spare` where the padding is wrong.
///
/// A content key has one length, so all parts of the padding have a fixed place. Each byte is looked at, whatever the
/// others were, and no branch depends on one.
fn unpadded(padded: &[u8], modulus: usize, spare: &ContentKey) -> ContentKey {
    // some modules leave zeros in front out
    let mut padded = Zeroizing::new([&vec![0; modulus.saturating_sub(padded.len())], padded].concat());
    if padded.len() != modulus {
        return spare.clone();
    }
    let Some((first, rest)) = padded.split_first_mut() else {
        return spare.clone();
    };
    let Some((seed, block)) = rest.split_at_mut_checked(HASH) else {
        return spare.clone();
    };
    mask(seed, block);
    mask(block, seed);
    let label = digest(&SHA256, b"");
    let Some((padding, key)) = block.split_last_chunk::<KEY>() else {
        return spare.clone();
    };
    let Some((end, start)) = padding.split_last() else {
        return spare.clone();
    };
    // the hash of the label, zeros, a one
    let expected = label.as_ref().iter().chain(std::iter::repeat(&0));
    let wrong = start
        .iter()
        .zip(expected)
        .fold(*first, |wrong, (is, should)| wrong | (is ^ should));
    let wrong = black_box(wrong | (end ^ 1));
    // all ones for 0, else none
    let [_, good] = (u16::from(wrong).wrapping_sub(1) >> 8).to_be_bytes();
    let good = black_box(good);
    let mut chosen = ContentKey::default();
    for (to, (key, spare)) in chosen.iter_mut().zip(key.iter().zip(spare.iter())) {
        *to = (key & good) | (spare & !good);
    }
    chosen
}

/// MGF1 with SHA-256 (RFC 8017 appendix B.2.1) of `seed`, over `bytes`.
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(HASH)) {
        let mut hash = Context::new(&SHA256);
        hash.update(seed);
        hash.update(&counter.to_be_bytes());
        let hash = hash.finish();
        chunk
            .iter_mut()
            .zip(hash.as_ref())
            .for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn content_under(key: &ContentKey, content: &Boxed) -> Option<SecretBytes> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(&content.sealed.iv).ok()?;
    let mut text = Zeroizing::new(content.sealed.text.clone());
    let length = key.open_in_place(nonce, Aad::from(&content.aad), &mut text).ok()?.len();
    text.truncate(length);
    Some(SecretBytes::from(text))
}

#[cfg(test)]
mod tests;
