//! EME-OAEP (RFC 8017 section 7.1.1) without a label; MGF1 has the same hash.

use ring::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use zeroize::Zeroizing;

use super::rsa::OaepHash;

/// The longest seed: a SHA-256.
pub(super) const LONGEST: usize = 32;

/// The block for a modulus of so many bytes; `None`: the text is too long. The first bytes of `seed` serve, as many as the
/// hash has.
pub(super) fn padded(hash: OaepHash, modulus: usize, seed: &[u8], text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let hash = match hash {
        // collisions are no concern here, and the protocol knows no other by default
        OaepHash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        OaepHash::Sha256 => &SHA256,
    };
    let length = hash.output_len();
    let zeros = modulus.checked_sub(2 * length + 2)?.checked_sub(text.len())?;
    let mut whole = Zeroizing::new(Vec::with_capacity(modulus));
    whole.push(0);
    whole.extend_from_slice(seed.get(..length)?);
    whole.extend_from_slice(digest(hash, b"").as_ref());
    let filled = whole.len() + zeros;
    whole.resize(filled, 0);
    whole.push(1);
    whole.extend_from_slice(text);
    let (_, rest) = whole.split_first_mut()?;
    let (seed, block) = rest.split_at_mut_checked(length)?;
    mask(hash, block, seed);
    mask(hash, seed, block);
    Some(whole)
}

/// MGF1 (RFC 8017 appendix B.2.1) of `seed`, over `bytes`.
fn mask(hash: &'static Algorithm, bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(hash.output_len())) {
        let mut context = Context::new(hash);
        context.update(seed);
        context.update(&counter.to_be_bytes());
        let masks = context.finish();
        chunk
            .iter_mut()
            .zip(masks.as_ref())
            .for_each(|(byte, mask)| *byte ^= mask);
    }
}
