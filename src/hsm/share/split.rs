//! Splitting a PIN into shares, and putting it together again.

use blahaj::Sharks;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::set::ShareSet;
use super::{BODY, MOST_SHARES, SetId, Share, sha256};
use crate::id::{UnixMillis, fill_random};

/// The longest PIN that is shared out, in bytes. A shorter one is filled up: no share tells its length.
pub const LONGEST_PIN: usize = 64;

/// Random bytes in front of the PIN: whoever has a guess at it cannot prove it by what is stored.
const BLIND: usize = 16;

/// Why a PIN is not split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitFault {
    /// Too long, or empty.
    #[error("a PIN of 1 to {LONGEST_PIN} bytes can be shared out")]
    Pin,
    /// No split knowledge, or more shares needed than there are.
    #[error("at least 2 of at least 2 and at most {MOST_SHARES} shares must be needed")]
    Numbers,
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandom(#[from] crate::id::NoRandom),
}

/// Why shares give no PIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombineFault {
    /// Fewer than the threshold, or one twice.
    #[error("{have} different shares are there, {need} are needed")]
    TooFew {
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// Of different sets.
    #[error("the shares are of different ceremonies: take those of one set")]
    Mixed,
    /// They were not made together, or one was changed.
    #[error("the shares do not belong together, or one of them was changed: look for other copies")]
    Wrong,
}

/// Splits a PIN into `of` shares, any `threshold` of which give it again.
///
/// # Errors
/// [`SplitFault`].
pub fn split(pin: &SecretString, threshold: u8, of: u8) -> Result<(ShareSet, Vec<Share>), SplitFault> {
    if threshold < 2 || threshold > of || of > MOST_SHARES {
        return Err(SplitFault::Numbers);
    }
    let mut set = [0; SetId::LENGTH];
    fill_random(&mut set)?;
    let set = SetId(set);
    let secret = sealed_up(pin, set, threshold)?;
    let mut shares = Vec::with_capacity(usize::from(of));
    for dealt in Sharks(threshold).dealer(secret.as_slice()).take(usize::from(of)) {
        let bytes = Zeroizing::new(Vec::from(&dealt));
        let mut body = Zeroizing::new([0; BODY]);
        // both lengths are constants; `any_threshold_of_shares_gives_the_pin` holds them
        if let Some((&index, rest)) = bytes.split_first()
            && rest.len() == BODY
        {
            body.copy_from_slice(rest);
            shares.push(Share {
                set,
                threshold,
                of,
                index,
                body,
            });
        }
    }
    let record = ShareSet {
        set,
        threshold,
        of,
        made_at: UnixMillis::now(),
        shares: shares
            .iter()
            .map(|share| data_encoding::HEXLOWER.encode(&share.fingerprint()))
            .collect(),
        commitment: data_encoding::HEXLOWER.encode(&commitment(set, secret.as_slice())),
    };
    Ok((record, shares))
}

/// Puts the PIN together. `against`: the set as it was made, where it is known.
///
/// # Errors
/// [`CombineFault`]; nothing of what came out is told.
pub fn combine(shares: &[&Share], against: Option<&ShareSet>) -> Result<SecretString, CombineFault> {
    let Some(first) = shares.first() else {
        return Err(CombineFault::TooFew { have: 0, need: 2 });
    };
    let need = usize::from(first.threshold);
    let alike = |share: &&Share| share.set == first.set && share.threshold == first.threshold && share.of == first.of;
    if !shares.iter().all(alike) {
        return Err(CombineFault::Mixed);
    }
    let mut indices: Vec<u8> = shares.iter().map(|share| share.index).collect();
    indices.sort_unstable();
    indices.dedup();
    if indices.len() < need || indices.len() != shares.len() {
        return Err(CombineFault::TooFew {
            have: indices.len(),
            need,
        });
    }
    let mut dealt = Vec::with_capacity(shares.len());
    for share in shares {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY + 1));
        bytes.push(share.index);
        bytes.extend_from_slice(share.body.as_slice());
        dealt.push(blahaj::Share::try_from(bytes.as_slice()).map_err(|_| CombineFault::Wrong)?);
    }
    let secret = Sharks(first.threshold)
        .recover(&dealt)
        .map(Zeroizing::new)
        .map_err(|_| CombineFault::Wrong)?;
    if let Some(set) = against {
        let right = data_encoding::HEXLOWER
            .decode(set.commitment.as_bytes())
            .unwrap_or_default();
        if set.set != first.set || !bool::from(commitment(first.set, &secret).as_slice().ct_eq(&right)) {
            return Err(CombineFault::Wrong);
        }
    }
    opened(&secret, first.set, first.threshold).ok_or(CombineFault::Wrong)
}

/// What is shared out.
fn sealed_up(pin: &SecretString, set: SetId, threshold: u8) -> Result<Zeroizing<[u8; BODY]>, SplitFault> {
    let pin = pin.expose_secret().as_bytes();
    let length = u8::try_from(pin.len()).map_err(|_| SplitFault::Pin)?;
    let mut secret = Zeroizing::new([0u8; BODY]);
    let (blind, rest) = secret.split_at_mut(BLIND);
    fill_random(blind)?;
    let (front, rest) = rest.split_at_mut(1);
    front.copy_from_slice(&[length]);
    match rest.get_mut(..pin.len()) {
        Some(place) if !pin.is_empty() && pin.len() <= LONGEST_PIN => place.copy_from_slice(pin),
        _ => return Err(SplitFault::Pin),
    }
    let (text, place) = secret.split_at_mut(BLIND + 1 + LONGEST_PIN);
    place.copy_from_slice(&tag(set, threshold, text));
    Ok(secret)
}

/// The PIN in what came out, if its tag is right.
fn opened(secret: &[u8], set: SetId, threshold: u8) -> Option<SecretString> {
    let (text, found) = secret.split_at_checked(BLIND + 1 + LONGEST_PIN)?;
    if !bool::from(tag(set, threshold, text).as_slice().ct_eq(found)) {
        return None;
    }
    let (&length, pin) = text.get(BLIND..)?.split_first()?;
    let pin = std::str::from_utf8(pin.get(..usize::from(length))?).ok()?;
    Some(SecretString::from(pin))
}

fn tag(set: SetId, threshold: u8, text: &[u8]) -> [u8; 16] {
    let mut tag = [0; 16];
    let hash = sha256(&[b"panvault PIN set v1", &set.0, &[threshold], text]);
    tag.copy_from_slice(hash.split_at(16).0);
    tag
}

/// What is stored of the secret. It holds [`BLIND`] random bytes, so nothing can be tried against this.
fn commitment(set: SetId, secret: &[u8]) -> [u8; 32] {
    sha256(&[b"panvault PIN set commitment v1", &set.0, secret])
}
