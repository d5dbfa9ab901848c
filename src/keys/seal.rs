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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{RecordId, RepositoryId};

    fn compartment(compartment: Compartment) -> impl Strategy<Value = SealedCompartment> {
        let iv = prop_oneof![
            proptest::collection::vec(any::<u8>(), 12),
            proptest::collection::vec(any::<u8>(), 16)
        ];
        let text = proptest::collection::vec(any::<u8>(), 16..64);
        (1..=u32::MAX, iv, text).prop_map(move |(revision, iv, text)| SealedCompartment {
            compartment,
            revision,
            part: SealedPart { iv, text },
        })
    }

    fn sealed() -> impl Strategy<Value = Sealed> {
        let dek = proptest::collection::vec(any::<u8>(), DEK_LEN);
        let profile = proptest::option::of(compartment(Compartment::Profile));
        (1..=u32::MAX, dek, compartment(Compartment::Pan), profile).prop_map(|(epoch, dek, pan, profile)| Sealed {
            epoch: Epoch(epoch),
            dek: WrappedKey(dek),
            compartments: [pan].into_iter().chain(profile).collect(),
        })
    }

    fn place() -> impl Strategy<Value = (Place, Compartment, u32)> {
        // few values, so that places that differ in one member only come up often
        let kind = prop_oneof![Just(Compartment::Pan), Just(Compartment::Profile)];
        let number = prop_oneof![0..3u32, any::<u32>()];
        (number.clone(), 0..3u8, kind, number).prop_map(|(repository, record, kind, revision)| {
            let place = Place {
                repository: RepositoryId(repository),
                record: RecordId([record; 16]),
            };
            (place, kind, revision)
        })
    }

    fn sample() -> Sealed {
        let part = |fill: u8| SealedPart {
            iv: vec![fill; 12],
            text: vec![fill; 32],
        };
        Sealed {
            epoch: Epoch(3),
            dek: WrappedKey(vec![9; DEK_LEN]),
            compartments: vec![
                SealedCompartment {
                    compartment: Compartment::Pan,
                    revision: 1,
                    part: part(1),
                },
                SealedCompartment {
                    compartment: Compartment::Profile,
                    revision: 7,
                    part: part(2),
                },
            ],
        }
    }

    #[test]
    fn the_stored_form_stays_what_it_is() {
        let hex = data_encoding::HEXLOWER.encode(&sample().encode());
        let (dek, one, two) = ("09".repeat(40), "01".repeat(32), "02".repeat(32));
        let (iv1, iv2) = ("01".repeat(12), "02".repeat(12));
        assert_eq!(
            hex,
            format!("01010000000328{dek}0201000000010c{iv1}00000020{one}02000000070c{iv2}00000020{two}")
        );
    }

    #[test]
    fn newer_forms_are_told_from_damage() {
        let mut bytes = sample().encode();
        bytes[0] = 2;
        assert_eq!(Sealed::decode(&bytes), Err(Error::NewerFormat));
        bytes[0] = 0;
        assert_eq!(Sealed::decode(&bytes), Err(Error::Tampered));
        bytes[0] = 1;
        bytes[1] = 2;
        assert_eq!(Sealed::decode(&bytes), Err(Error::NewerFormat));
        assert_eq!(Sealed::decode(&[]), Err(Error::Tampered));
    }

    #[test]
    fn twice_the_same_compartment_is_refused() {
        let mut twice = sample();
        twice.compartments[1].compartment = Compartment::Pan;
        assert_eq!(Sealed::decode(&twice.encode()), Err(Error::Tampered));
    }

    #[test]
    fn values_that_do_not_fit_the_format_are_refused_not_misread() {
        let changed = |change: fn(&mut Sealed)| {
            let mut sealed = sample();
            change(&mut sealed);
            Sealed::decode(&sealed.encode())
        };
        for result in [
            changed(|s| s.epoch = Epoch(0)),
            changed(|s| s.dek.0.truncate(39)),
            changed(|s| s.dek.0 = vec![0; 300]),
            changed(|s| s.compartments.clear()),
            changed(|s| s.compartments[0].revision = 0),
            changed(|s| s.compartments[0].part.iv.truncate(11)),
            changed(|s| s.compartments[0].part.iv = vec![0; 17]),
            changed(|s| s.compartments[0].part.text.truncate(15)),
            changed(|s| s.compartments[0].part.text = vec![0; MAX_TEXT + TAG_LEN + 1]),
        ] {
            assert_eq!(result, Err(Error::Tampered));
        }
        assert!(changed(|s| s.compartments[0].part.text = vec![0; MAX_TEXT + TAG_LEN]).is_ok());
    }

    proptest! {
        #[test]
        fn decode_reads_what_encode_writes(sealed in sealed()) {
            prop_assert_eq!(Sealed::decode(&sealed.encode()), Ok(sealed));
        }

        #[test]
        fn cut_or_longer_forms_are_refused(sealed in sealed(), cut in any::<prop::sample::Index>(), more in any::<u8>()) {
            let mut bytes = sealed.encode();
            prop_assert_eq!(Sealed::decode(&bytes[..cut.index(bytes.len())]), Err(Error::Tampered));
            bytes.push(more);
            prop_assert_eq!(Sealed::decode(&bytes), Err(Error::Tampered));
        }

        #[test]
        fn whatever_is_accepted_has_one_form(
            sealed in sealed(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX
        ) {
            let mut bytes = sealed.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = Sealed::decode(&bytes) {
                prop_assert_ne!(&other, &sealed);
                prop_assert_eq!(other.encode(), bytes);
            }
        }

        #[test]
        fn no_two_places_share_an_aad(a in place(), b in place()) {
            prop_assert_eq!(a == b, a.0.aad(a.1, a.2) == b.0.aad(b.1, b.2));
        }
    }
}
