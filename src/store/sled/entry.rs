//! What stands under a key in sled: the revision that wrote it, a check, the value. And the header record.

use ::sled::IVec;

use crate::store::chain::Head;
use crate::store::{Error, Versioned};

/// The newest layout of tables and values this code reads and writes.
pub(super) const FORMAT: u16 = 1;
/// The header's key: table 0.
pub(super) const HEADER_KEY: &[u8] = &[0];
/// The table of audit blocks.
const AUDIT_TABLE: u8 = 1;

const REV_LEN: usize = 8;
const CHECK_LEN: usize = 4;

/// The key of the audit block whose first line has number `seq`.
pub(super) fn audit_key(seq: u64) -> [u8; 9] {
    let mut key = [AUDIT_TABLE; 9];
    for (to, from) in key.iter_mut().skip(1).zip(seq.to_be_bytes()) {
        *to = from;
    }
    key
}

/// The first line's number out of an audit block's key.
pub(super) fn audit_seq(key: &[u8]) -> Option<u64> {
    let (table, seq) = key.split_first()?;
    (*table == AUDIT_TABLE).then_some(())?;
    seq.try_into().ok().map(u64::from_be_bytes)
}

/// Puts revision and check before `value`. `scratch` is reused between calls.
pub(super) fn frame(key: &[u8], rev: u64, value: &[u8], scratch: &mut Vec<u8>) -> IVec {
    let rev = rev.to_be_bytes();
    scratch.clear();
    scratch.extend_from_slice(&rev);
    scratch.extend_from_slice(&check(key, &rev, value));
    scratch.extend_from_slice(value);
    IVec::from(scratch.as_slice())
}

/// The revision and the value out of `framed`.
///
/// # Errors
/// [`Error::Corrupt`]: this is not what was written under `key`.
pub(super) fn unframe<'a>(key: &[u8], framed: &'a [u8]) -> Result<(u64, &'a [u8]), Error> {
    let damaged = || {
        Error::Corrupt(format!(
            "a value of table {:#04x} fails its check",
            key.first().unwrap_or(&0)
        ))
    };
    let (rev, rest) = framed.split_first_chunk::<REV_LEN>().ok_or_else(damaged)?;
    let (stored, value) = rest.split_first_chunk::<CHECK_LEN>().ok_or_else(damaged)?;
    if *stored != check(key, rev, value) {
        return Err(damaged());
    }
    Ok((u64::from_be_bytes(*rev), value))
}

/// As [`unframe`], owned.
pub(super) fn versioned(key: &[u8], framed: &[u8]) -> Result<Versioned, Error> {
    unframe(key, framed).map(|(rev, value)| Versioned {
        rev,
        value: value.to_vec(),
    })
}

/// Over the key too: a page that sled swapped for another does not pass.
fn check(key: &[u8], rev: &[u8; REV_LEN], value: &[u8]) -> [u8; CHECK_LEN] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(rev);
    crc.update(value);
    crc.finalize().to_be_bytes()
}

/// Which store this is: made at random when it is created, in the header and in the marker file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub [u8; 16]);

/// What the engine knows of the whole store; rewritten with every batch, in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Which store.
    pub(super) id: StoreId,
    /// The last revision given.
    pub(super) rev: u64,
    /// The sum of all `Commit::records`.
    pub(super) records: i64,
    /// The end of the audit chain.
    pub(super) head: Head,
    /// The last audit record that is in a segment file and no longer here.
    pub(super) archived: u64,
}

impl Header {
    const LEN: usize = 2 + 16 + 8 + 8 + 8 + 32 + 8;

    /// Of a new store.
    pub(super) fn new(id: StoreId) -> Self {
        Self {
            id,
            rev: 0,
            records: 0,
            head: Head::START,
            archived: 0,
        }
    }

    /// The bytes stored under [`HEADER_KEY`], before framing.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.rev.to_be_bytes());
        out.extend_from_slice(&self.records.to_be_bytes());
        out.extend_from_slice(&self.head.seq.to_be_bytes());
        out.extend_from_slice(&self.head.hash);
        out.extend_from_slice(&self.archived.to_be_bytes());
        out
    }

    /// The header out of its stored, framed form.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: damaged, or of a newer format.
    pub(super) fn decode(framed: &[u8]) -> Result<Self, Error> {
        let (_, bytes) = unframe(HEADER_KEY, framed)?;
        let (format, rest) = take::<2>(bytes)?;
        let format = u16::from_be_bytes(format);
        if format != FORMAT {
            return Err(Error::Corrupt(format!(
                "its format is {format}, this panvault reads {FORMAT}: use the panvault that wrote it, or a newer one"
            )));
        }
        let (id, rest) = take::<16>(rest)?;
        let (rev, rest) = take::<8>(rest)?;
        let (records, rest) = take::<8>(rest)?;
        let (seq, rest) = take::<8>(rest)?;
        let (hash, rest) = take::<32>(rest)?;
        let (archived, _) = take::<8>(rest)?;
        Ok(Self {
            id: StoreId(id),
            rev: u64::from_be_bytes(rev),
            records: i64::from_be_bytes(records),
            head: Head {
                seq: u64::from_be_bytes(seq),
                hash,
            },
            archived: u64::from_be_bytes(archived),
        })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Error> {
    bytes
        .split_first_chunk::<N>()
        .map(|(part, rest)| (*part, rest))
        .ok_or_else(|| Error::Corrupt("its header is too short".to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_gives_back_what_went_in(key: Vec<u8>, rev: u64, value: Vec<u8>) {
            let framed = frame(&key, rev, &value, &mut Vec::new());
            prop_assert_eq!(unframe(&key, &framed), Ok((rev, value.as_slice())));
        }

        #[test]
        fn one_changed_byte_is_seen(rev: u64, value: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
            let mut framed = frame(b"\x10key", rev, &value, &mut Vec::new()).to_vec();
            let at = at.index(framed.len());
            framed[at] ^= flip;
            prop_assert!(unframe(b"\x10key", &framed).is_err());
        }
    }

    #[test]
    fn a_value_under_another_key_is_seen() {
        let framed = frame(b"\x10a", 1, b"value", &mut Vec::new());
        assert!(unframe(b"\x10b", &framed).is_err());
        assert!(unframe(b"\x10a", b"short").is_err());
    }

    #[test]
    fn the_header_survives_and_a_newer_one_is_refused() {
        let header = Header {
            id: StoreId([7; 16]),
            rev: 12,
            records: -3,
            head: Head { seq: 9, hash: [3; 32] },
            archived: 4,
        };
        let framed = frame(HEADER_KEY, 12, &header.encode(), &mut Vec::new());
        assert_eq!(Header::decode(&framed), Ok(header.clone()));
        let mut newer = header.encode();
        newer[1] = 2;
        let framed = frame(HEADER_KEY, 12, &newer, &mut Vec::new());
        assert!(matches!(Header::decode(&framed), Err(Error::Corrupt(text)) if text.contains("format is 2")));
    }

    #[test]
    fn audit_keys_sort_by_number() {
        assert!(audit_key(255) < audit_key(256));
        assert_eq!(audit_seq(&audit_key(77)), Some(77));
        assert_eq!(audit_seq(HEADER_KEY), None);
    }
}
