//! Which receipts the summary of an erasure covers: their number, and a digest over all of them in order.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{Context, SHA256};

use super::statement::{Kind, Statement, StatementFault};

/// The receipts of an erasure, one after another.
#[derive(Clone)]
pub struct Receipts {
    count: u64,
    sha256: Context,
}

/// Why a summary does not cover the receipts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// It is no summary of an erasure.
    #[error("it is no summary of an erasure")]
    Kind,
    /// A member is missing.
    #[error("{0}")]
    Member(#[from] StatementFault),
    /// Receipts are missing or too many.
    #[error("it covers {covered} receipts, here are {here}")]
    Count {
        /// By the summary.
        covered: u64,
        /// Here.
        here: u64,
    },
    /// Others, or in another order.
    #[error("it covers other receipts, or these in another order")]
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

    /// SHA-256 over the receipts' lines with their ends, base64url.
    pub fn digest(&self) -> String {
        BASE64URL_NOPAD.encode(self.sha256.clone().finish().as_ref())
    }

    /// That `summary` covers just these.
    ///
    /// # Errors
    /// Why not.
    pub fn covered_by(&self, summary: &Statement) -> Result<(), NotCovered> {
        if summary.kind() != Kind::Erasure {
            return Err(NotCovered::Kind);
        }
        let covered = summary.number("tokens")?;
        if covered != self.count {
            return Err(NotCovered::Count {
                covered,
                here: self.count,
            });
        }
        match summary.member("receipts_sha256")? == self.digest() {
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
