//! Shares of the user PIN, by Shamir's scheme: any `threshold` of them give it, fewer give nothing, and each is as long as
//! all of it. No custodian holds a part of the PIN that could be guessed on from.

mod set;
mod split;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use ring::digest::SHA256;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::set::{Replaced, SetFile, ShareSet, Unfit};
pub use self::split::{CombineFault, LONGEST_PIN, SplitFault, combine, split};
pub use self::text::{LINES, Line, LineFault};

/// The most shares of a set.
pub const MOST_SHARES: u8 = 32;

/// What is shared out, in bytes: 16 random, the PIN's length, the PIN filled up to 64, and a tag of 16.
const BODY: usize = 16 + 1 + LONGEST_PIN + 16;

/// A share as it is kept: version, set, threshold, number in all, index, body, check.
const LENGTH: usize = 1 + SetId::LENGTH + 3 + BODY + CHECK;

/// Bytes of a share's checksum.
const CHECK: usize = 4;

/// The form of shares that this program makes and reads.
const VERSION: u8 = 1;

/// Which set of shares: random, no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetId([u8; Self::LENGTH]);

impl SetId {
    const LENGTH: usize = 5;
}

/// One custodian's share. It does not print, it is not copied, and it is wiped when dropped.
pub struct Share {
    set: SetId,
    threshold: u8,
    of: u8,
    index: u8,
    body: Zeroizing<[u8; BODY]>,
}

/// Why bytes or text are no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// A line was copied wrong.
    #[error("line {0} {1}")]
    Line(u8, LineFault),
    /// Lines are missing, or there are too many.
    #[error("a share has {LINES} lines, this has {0}: copy all of it, in order")]
    Lines(usize),
    /// It has another length, or the checksum does not fit.
    #[error("it is damaged (its checksum does not fit): copy it again, or take the custodian's second copy")]
    Damaged,
    /// A form that this program does not know.
    #[error("it is of form {0}, and this program reads form {VERSION}: use the program that made it")]
    Version(u8),
}

impl Share {
    /// Which set it belongs to.
    pub fn set(&self) -> SetId {
        self.set
    }

    /// How many shares of the set give the PIN.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many shares the set has.
    pub fn of(&self) -> u8 {
        self.of
    }

    /// Which of them it is, from 1.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// All of it, as it is kept and sent.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.set.0);
        bytes.extend_from_slice(&[self.threshold, self.of, self.index]);
        bytes.extend_from_slice(self.body.as_slice());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads what [`Share::to_bytes`] made.
    ///
    /// # Errors
    /// [`ShareFault::Damaged`] or [`ShareFault::Version`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ShareFault> {
        let (rest, sum) = bytes.split_last_chunk::<CHECK>().ok_or(ShareFault::Damaged)?;
        if bytes.len() != LENGTH || check(rest) != *sum {
            return Err(ShareFault::Damaged);
        }
        let (&[version], rest) = rest.split_first_chunk().ok_or(ShareFault::Damaged)?;
        if version != VERSION {
            return Err(ShareFault::Version(version));
        }
        let (set, rest) = rest.split_first_chunk().ok_or(ShareFault::Damaged)?;
        let (&[threshold, of, index], rest) = rest.split_first_chunk().ok_or(ShareFault::Damaged)?;
        if threshold < 2 || threshold > of || of > MOST_SHARES || index == 0 || index > of {
            return Err(ShareFault::Damaged);
        }
        let mut body = Zeroizing::new([0; BODY]);
        if rest.len() != BODY {
            return Err(ShareFault::Damaged);
        }
        body.copy_from_slice(rest);
        Ok(Self {
            set: SetId(*set),
            threshold,
            of,
            index,
            body,
        })
    }

    /// Tells this share from any other that says it is this one. It tells nothing of the PIN: what a share holds is random
    /// by itself, and 16 of the bytes shared out are too, for those who have all shares but one.
    fn fingerprint(&self) -> [u8; 32] {
        sha256(&[b"panvault PIN share fingerprint v1", &self.to_bytes()])
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = alphabet().encode(&self.0);
        let (first, second) = text.split_at_checked(4).unwrap_or((&text, ""));
        write!(f, "{first}-{second}")
    }
}

impl FromStr for SetId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = alphabet().decode(text.as_bytes()).unwrap_or_default();
        Ok(Self(bytes.try_into().map_err(|_| "is no id of a set of shares")?))
    }
}

impl From<SetId> for String {
    fn from(set: SetId) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for SetId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Base 32 for people (Crockford's): no I, L, O and U; the first three are read as the digits that they look like.
fn alphabet() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.ignore.push_str(" -\t");
    specification.translate.from.push_str("abcdefghjkmnpqrstvwxyzIiLlOo");
    specification.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ111100");
    // the specification is a constant, and `the_alphabet_is_one` holds it
    specification.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, ..] = sha256(&[b"panvault PIN share v1", bytes]);
    [a, b, c, d]
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&SHA256);
    for part in parts {
        // lengths in front: no two lists of parts are one
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
