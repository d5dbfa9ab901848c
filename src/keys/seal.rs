//! What is stored of a sealed record, and what its ciphertexts are bound to.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format version, 1 |
//! | 1 | algorithm, 1: AES-256-GCM under a DEK wrapped with AES Key Wrap (RFC 3394) |
//! | 4 | KEK epoch |
//! | 1 + n | wrapped DEK after its length |
//! | 1 | number of compartments |
//! | 1 | compartment: 1 `pan`, 2 `profile` |
//! | 4 | compartment revision |
//! | 1 + n | IV after its length |
//! | 4 + n | ciphertext and tag after their length |
//!
//! The last four rows repeat for each compartment. Integers are big-endian. There is one form of each value, so an
//! accepted form is what [`Sealed::encode`] gives back.

use super::{Compartment, Error, Place};
use crate::hsm::{Epoch, SealedPart, WrappedKey, framed};

const VERSION: u8 = 1;
const AES_GCM_UNDER_AES_KW: u8 = 1;

/// A 256-bit DEK after AES Key Wrap.
const DEK_LEN: usize = 40;
/// The GCM tag.
const TAG_LEN: usize = 16;

/// The longest plaintext of a compartment, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// A sealed compartment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCompartment {
    /// Which.
    pub compartment: Compartment,
    /// How often it was sealed, from 1; part of its AAD.
    pub revision: u32,
    /// IV and ciphertext.
    pub part: SealedPart,
}

/// A record's sealed part: the wrapped DEK and what it seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which KEK wraps the DEK.
    pub epoch: Epoch,
    /// The DEK.
    pub dek: WrappedKey,
    /// At least one, at most one of each kind.
    pub compartments: Vec<SealedCompartment>,
}

impl Sealed {
    /// The stored form. What a [`super::Keys`] sealed always fits; any other value that does not is refused by
    /// [`Sealed::decode`], never misread.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, AES_GCM_UNDER_AES_KW];
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        push_short(&mut out, &self.dek.0);
        out.push(u8::try_from(self.compartments.len()).unwrap_or(u8::MAX));
        for sealed in &self.compartments {
            out.push(sealed.compartment.id());
            out.extend_from_slice(&sealed.revision.to_be_bytes());
            push_short(&mut out, &sealed.part.iv);
            out.extend_from_slice(&u32::try_from(sealed.part.text.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&sealed.part.text);
        }
        out
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] for a version or an algorithm that this program does not know; [`Error::Tampered`] for
    /// anything else that [`Sealed::encode`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader(bytes);
        if rest.byte()? > VERSION {
            return Err(Error::NewerFormat);
        }
        if bytes.first() != Some(&VERSION) {
            return Err(Error::Tampered);
        }
        match rest.byte()? {
            AES_GCM_UNDER_AES_KW => (),
            0 => return Err(Error::Tampered),
            _ => return Err(Error::NewerFormat),
        }
        let epoch = Epoch(rest.integer()?);
        let dek_len = usize::from(rest.byte()?);
        let dek = WrappedKey(rest.take(dek_len)?.to_vec());
        let count = rest.byte()?;
        let mut compartments = Vec::new();
        for _ in 0..count {
            let compartment = Compartment::from_id(rest.byte()?).ok_or(Error::Tampered)?;
            let revision = rest.integer()?;
            let iv_len = usize::from(rest.byte()?);
            let iv = rest.take(iv_len)?.to_vec();
            let text_len = usize::try_from(rest.integer()?).map_err(|_| Error::Tampered)?;
            let text = rest.take(text_len)?.to_vec();
            compartments.push(SealedCompartment {
                compartment,
                revision,
                part: SealedPart { iv, text },
            });
        }
        let sealed = Self {
            epoch,
            dek,
            compartments,
        };
        if rest.0.is_empty() && sealed.is_sound() {
            Ok(sealed)
        } else {
            Err(Error::Tampered)
        }
    }

    /// The compartment, if the record has it.
    pub fn compartment(&self, which: Compartment) -> Option<&SealedCompartment> {
        self.compartments.iter().find(|sealed| sealed.compartment == which)
    }

    /// Sets or adds one compartment.
    pub(super) fn put(&mut self, compartment: Compartment, revision: u32, part: SealedPart) {
        self.compartments.retain(|sealed| sealed.compartment != compartment);
        self.compartments.push(SealedCompartment {
            compartment,
            revision,
            part,
        });
    }

    /// Every length is one that this format has, and no compartment is there twice.
    pub(super) fn is_sound(&self) -> bool {
        let mut seen = [false; 2];
        let all_fit = self.compartments.iter().all(|sealed| {
            let slot = match sealed.compartment {
                Compartment::Pan => seen.first_mut(),
                Compartment::Profile => seen.last_mut(),
            };
            let first = slot.is_some_and(|seen| !std::mem::replace(seen, true));
            first
                && sealed.revision > 0
                && (12..=16).contains(&sealed.part.iv.len())
                && (TAG_LEN..=MAX_TEXT + TAG_LEN).contains(&sealed.part.text.len())
        });
        all_fit && !self.compartments.is_empty() && self.epoch.0 > 0 && self.dek.0.len() == DEK_LEN
    }
}

impl Place {
    /// What a compartment's ciphertext is bound to: format version, repository, record, compartment and compartment
    /// revision, each after its length. It opens nowhere else.
    pub fn aad(&self, compartment: Compartment, revision: u32) -> Vec<u8> {
        framed(&[
            &[VERSION],
            &self.repository.0.to_be_bytes(),
            &self.record.0,
            &[compartment.id()],
            &revision.to_be_bytes(),
        ])
    }
}

impl Compartment {
    /// Stored and bound: never used again for anything else.
    fn id(self) -> u8 {
        match self {
            Self::Pan => 1,
            Self::Profile => 2,
        }
    }

    fn from_id(id: u8) -> Option<Self> {
        [Self::Pan, Self::Profile].into_iter().find(|kind| kind.id() == id)
    }
}

fn push_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(bytes);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Error::Tampered)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take(1)?.first().copied().ok_or(Error::Tampered)
    }

    fn integer(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?.try_into().map_err(|_| Error::Tampered)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests;
