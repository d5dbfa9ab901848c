//! The names that files of a backup can have: no others, so that none leads out of its directory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A file of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FileName {
    /// The keyring.
    Keyring,
    /// Entries of the store; the first file is number 1.
    Entries(u32),
    /// What was changed while the entries were read, to be applied behind all of them; the first file is number 1.
    Changes(u32),
    /// Lines of the audit trail, by the number of the first.
    Audit(u64),
}

/// Not a name that a file of a backup has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no file of a backup has such a name")]
pub struct UnknownName;

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring => f.write_str("keyring.json"),
            Self::Entries(number) => write!(f, "store/{number:08}.entries"),
            Self::Changes(number) => write!(f, "changes/{number:08}.entries"),
            Self::Audit(first) => write!(f, "audit/{first:020}.jsonl"),
        }
    }
}

impl FromStr for FileName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let between = |before, after| text.strip_prefix(before)?.strip_suffix(after);
        let name = if text == "keyring.json" {
            Some(Self::Keyring)
        } else if let Some(number) = between("store/", ".entries") {
            number.parse().ok().map(Self::Entries)
        } else if let Some(number) = between("changes/", ".entries") {
            number.parse().ok().map(Self::Changes)
        } else {
            between("audit/", ".jsonl").and_then(|first| first.parse().ok().map(Self::Audit))
        };
        // each has one form
        name.filter(|name| name.to_string() == text).ok_or(UnknownName)
    }
}

impl TryFrom<String> for FileName {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            FileName::Keyring,
            FileName::Entries(1),
            FileName::Changes(u32::MAX),
            FileName::Audit(u64::MAX),
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        for text in [
            "",
            "manifest.json",
            "../keyring.json",
            "/keyring.json",
            "store/../keyring.json",
            "store/1.entries",
            "store/+0000001.entries",
            "store/000000001.entries",
            "changes/1.entries",
            "audit/1.jsonl",
            "audit/../../00000000000000000001.jsonl",
        ] {
            assert_eq!(text.parse::<FileName>(), Err(UnknownName), "{text}");
        }
    }
}
