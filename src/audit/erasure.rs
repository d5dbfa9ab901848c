//! Which lines a statement covers that comes behind them: their number, and a digest over all of them in order. The
//! receipts of an erasure, and its summary; the chunks of an export, and its manifest.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{Context, SHA256};

use super::statement::{Kind, Statement, StatementFault};

/// The receipts of an erasure or the chunks of an export, one after another.
#[derive(Clone)]
pub struct Receipts {
    count: u64,
    sha256: Context,
}

/// Why a summary does not cover the receipts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// It is another statement.
    #[error("it is no summary of an erasure and no manifest of an export")]
    Kind,
    /// A member is missing.
    #[error("{0}")]
    Member(#[from] StatementFault),
    /// Some are missing or too many.
    #[error("it covers {covered} lines, here are {here}")]
    Count {
        /// By the summary.
        covered: u64,
        /// Here.
        here: u64,
    },
    /// Others, or in another order.
    #[error("it covers other lines, or these in another order")]
    Digest,
}

impl Receipts {
    /// Takes the next one: its line without the end.
    pub fn add(&mut self, line: &[u8]) {
        self.count += 1;
        self.sha256.update(line);
        self.sha256.update(b"\n");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// SHA-256 over the lines with their ends, base64url.
    pub fn digest(&self) -> String {
        BASE64URL_NOPAD.encode(self.sha256.clone().finish().as_ref())
    }

    /// That `summary` covers just these.
    ///
    /// # Errors
    /// Why not.
    pub fn covered_by(&self, summary: &Statement) -> Result<(), NotCovered> {
        let (count, digest) = match summary.kind() {
            Kind::Erasure => ("tokens", "receipts_sha256"),
            Kind::Export => ("chunks", "chunks_sha256"),
            Kind::Deletion | Kind::Shred | Kind::Ceremony => return Err(NotCovered::Kind),
        };
        let covered = summary.number(count)?;
        if covered != self.count {
            return Err(NotCovered::Count {
                covered,
                here: self.count,
            });
        }
        match summary.member(digest)? == self.digest() {
            true => Ok(()),
            false => Err(NotCovered::Digest),
        }
    }
}

impl Default for Receipts {
    fn default() -> Self {
        Self {
            count: 0,
            sha256: Context::new(&SHA256),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_their_ends_and_their_order() {
        let of = |lines: &[&str]| {
            let mut all = Receipts::default();
            lines.iter().for_each(|line| all.add(line.as_bytes()));
            (all.count(), all.digest())
        };
        // printf 'a\nb\n' | openssl dgst -sha256 -binary | base64 | tr +/ -_
        assert_eq!(
            of(&["a", "b"]),
            (2, "kRFp3arxRq_1OfWMJsSJrzuJLf8P4oPBwmTGWuWqWaI".to_owned())
        );
        for other in [&["b", "a"][..], &["ab"], &["a", "b", ""], &["", "a", "b"]] {
            assert_ne!(of(other).1, of(&["a", "b"]).1, "{other:?}");
        }
    }
}
