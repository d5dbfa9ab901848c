//! What the writer of a backup has of a run before that was cut, as it offers it to who makes the backup.
//!
//! A chunk is a stretch of one file: the entries, or the audit lines, behind the chunk before and up to its end. The maker reads
//! its store as for any backup and holds each stretch of it against the chunk's SHA-256: where they are the same bytes it sends
//! the chunk's number in their place. So an offer saves sending and decides nothing.

use serde::{Deserialize, Serialize};

use super::FileName;
use super::manifest::Digest;
use crate::id::VaultId;
use crate::store::KEY_MAX;

/// The most chunks of an offer.
pub(super) const CHUNKS_MAX: usize = 1 << 16;
/// The longest chunk that is offered, in bytes. The maker holds as many in memory.
pub(super) const CHUNK_MAX: u32 = 16 << 20;

/// An offer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Offered", into = "Offered")]
pub struct Kept {
    vault: Option<VaultId>,
    entries: Vec<KeptFile>,
    audit: Vec<KeptFile>,
}

/// A file's chunks, from its beginning on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptFile {
    pub(super) name: FileName,
    pub(super) chunks: Vec<Chunk>,
}

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chunk {
    /// Where it ends, inclusive.
    pub(super) end: End,
    pub(super) bytes: u32,
    pub(super) sha256: Digest,
}

/// A place in the order of a kind of file: an entry's key, or an audit record's number in eight bytes, big-endian.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct End(pub(super) Vec<u8>);

/// As it comes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vault: Option<VaultId>,
    #[serde(default)]
    entries: Vec<KeptFile>,
    #[serde(default)]
    audit: Vec<KeptFile>,
}

impl Kept {
    /// An offer of these files.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn new(
        vault: Option<VaultId>,
        entries: Vec<KeptFile>,
        audit: Vec<KeptFile>,
    ) -> Result<Self, &'static str> {
        Offered { vault, entries, audit }.try_into()
    }

    /// Whose backup it was.
    pub fn vault(&self) -> Option<&VaultId> {
        self.vault.as_ref()
    }

    /// Files of entries.
    pub(super) fn entries(&self) -> &[KeptFile] {
        &self.entries
    }

    /// Files of the audit trail.
    pub(super) fn audit(&self) -> &[KeptFile] {
        &self.audit
    }

    /// Chunks of entries: the numbers of the audit trail's are behind theirs.
    pub(super) fn entry_chunks(&self) -> usize {
        self.entries.iter().map(|file| file.chunks.len()).sum()
    }
}

impl End {
    /// Of an audit record.
    pub(super) fn of(seq: u64) -> Self {
        Self(seq.to_be_bytes().to_vec())
    }

    fn seq(&self) -> Option<u64> {
        self.0.as_slice().try_into().ok().map(u64::from_be_bytes)
    }
}

impl TryFrom<Offered> for Kept {
    type Error = &'static str;

    fn try_from(offered: Offered) -> Result<Self, Self::Error> {
        let Offered { vault, entries, audit } = offered;
        let named = (1..)
            .zip(&entries)
            .all(|(number, file)| file.name == FileName::Entries(number));
        if !named {
            return Err("its files of entries are not numbered from 1 on");
        }
        let mut next = 1;
        for file in &audit {
            let last = file.chunks.last().and_then(|chunk| chunk.end.seq());
            match last {
                Some(last) if file.name == FileName::Audit(next) && last >= next && last < u64::MAX => next = last + 1,
                _ => return Err("its files of the audit trail do not follow one another"),
            }
        }
        let chunks = |files: &[KeptFile]| files.iter().map(|file| file.chunks.len()).sum::<usize>();
        if chunks(&entries) + chunks(&audit) > CHUNKS_MAX {
            return Err("more chunks than are taken");
        }
        for files in [&entries, &audit] {
            let all = || files.iter().flat_map(|file| &file.chunks);
            if !all().is_sorted_by(|a, b| a.end < b.end) {
                return Err("its chunks are not in order");
            }
            if all().any(|chunk| chunk.bytes > CHUNK_MAX || chunk.end.0.len() > KEY_MAX) {
                return Err("a chunk is longer than any");
            }
        }
        if audit
            .iter()
            .flat_map(|file| &file.chunks)
            .any(|chunk| chunk.end.seq().is_none())
        {
            return Err("a chunk of the audit trail ends nowhere");
        }
        Ok(Self { vault, entries, audit })
    }
}

impl From<Kept> for Offered {
    fn from(kept: Kept) -> Self {
        let Kept { vault, entries, audit } = kept;
        Self { vault, entries, audit }
    }
}

impl TryFrom<String> for End {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes());
        bytes.map(Self).map_err(|_| "not a place in base64url")
    }
}

impl From<End> for String {
    fn from(end: End) -> Self {
        data_encoding::BASE64URL_NOPAD.encode(&end.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: FileName, ends: &[End]) -> KeptFile {
        let chunk = |end: &End| Chunk {
            end: end.clone(),
            bytes: 7,
            sha256: Digest([1; 32]),
        };
        KeptFile {
            name,
            chunks: ends.iter().map(chunk).collect(),
        }
    }

    fn key(n: u8) -> End {
        End(vec![n])
    }

    #[test]
    fn an_offer_is_read_as_it_was_made() {
        let entries = vec![
            file(FileName::Entries(1), &[key(1), key(2)]),
            file(FileName::Entries(2), &[]),
            file(FileName::Entries(3), &[key(9)]),
        ];
        let audit = vec![
            file(FileName::Audit(1), &[End::of(4), End::of(300)]),
            file(FileName::Audit(301), &[End::of(301)]),
        ];
        let vault = VaultId::parse("vault_1").ok();
        let kept = Kept::new(vault, entries, audit).unwrap();
        assert_eq!(kept.entry_chunks(), 3);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
        assert_eq!(serde_json::from_str::<Kept>("{}").unwrap(), Kept::default());
    }

    #[test]
    fn what_no_writer_has_is_refused() {
        let one = |file| Kept::new(None, vec![file], Vec::new());
        assert!(one(file(FileName::Entries(2), &[key(1)])).is_err());
        assert!(one(file(FileName::Keyring, &[key(1)])).is_err());
        assert!(one(file(FileName::Entries(1), &[key(2), key(2)])).is_err());
        assert!(one(file(FileName::Entries(1), &[End(vec![1; KEY_MAX + 1])])).is_err());
        assert!(one(file(FileName::Entries(1), &[key(1)])).is_ok());
        let mut long = file(FileName::Entries(1), &[key(1)]);
        long.chunks[0].bytes = CHUNK_MAX + 1;
        assert!(one(long).is_err());
        let many: Vec<End> = (0..=u32::try_from(CHUNKS_MAX).unwrap())
            .map(|n| End(n.to_be_bytes().to_vec()))
            .collect();
        assert!(one(file(FileName::Entries(1), &many)).is_err());
        let trail = |files: Vec<KeptFile>| Kept::new(None, Vec::new(), files);
        assert!(trail(vec![file(FileName::Audit(2), &[End::of(3)])]).is_err());
        assert!(trail(vec![file(FileName::Audit(1), &[])]).is_err());
        assert!(trail(vec![file(FileName::Audit(1), &[key(1)])]).is_err());
        assert!(trail(vec![file(FileName::Audit(1), &[End::of(u64::MAX)])]).is_err());
        let gap = vec![
            file(FileName::Audit(1), &[End::of(3)]),
            file(FileName::Audit(5), &[End::of(9)]),
        ];
        assert!(trail(gap).is_err());
    }
}
