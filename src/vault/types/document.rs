//! Documents: what the floors above keep beside tokens (orders, sessions, …). The clear part is theirs; the secret part is
//! sealed under a data key of the document's own, as a token's profile is.

use crate::id::{MerchantId, Token, UnixMillis};
use crate::keys::SecretBytes;

/// What a document is. Each kind is a table of its own; the order is the stored order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// An order and its totals.
    Order,
    /// A transaction of an order.
    Transaction,
    /// Payment details on their way, for minutes.
    Session,
    /// What the account updater was asked and said.
    Maintenance,
}

/// A document as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// Whose.
    pub merchant: MerchantId,
    /// Its name, unique for kind and merchant: 1 to 200 bytes.
    pub name: String,
    /// Which commit wrote it.
    pub rev: u64,
    /// The part in clear.
    pub clear: Vec<u8>,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
    /// The sealed part, as stored; opened by [`Vault::document_secret`](crate::vault::Vault::document_secret).
    pub sealed: Option<SealedSecret>,
}

/// A document's sealed part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub(in crate::vault) repository: crate::id::RepositoryId,
    pub(in crate::vault) record: crate::id::RecordId,
    pub(in crate::vault) sealed: Vec<u8>,
}

/// What must be there before a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// None of that name.
    Absent,
    /// The one that this revision wrote.
    Rev(u64),
}

/// What becomes of a document's sealed part.
pub enum Secret {
    /// As it is in this document, as read before.
    Keep(Option<SealedSecret>),
    /// None.
    Nothing,
    /// This; sealed anew.
    Seal(SecretBytes),
}

/// A document to be written.
pub struct DocumentWrite {
    /// What it is.
    pub kind: DocumentKind,
    /// Its name.
    pub name: String,
    /// What must be there.
    pub expect: Expect,
    /// The part in clear, at most 48 KiB. The writer answers for it holding no card number.
    pub clear: Vec<u8>,
    /// The sealed part, at most [`MAX_TEXT`](crate::keys::MAX_TEXT) bytes.
    pub secret: Secret,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
}

/// How a change of documents stands in the audit trail.
pub struct DocumentEvent {
    /// What happened, e.g. `order-authorize`.
    pub action: &'static str,
    /// How it ended, e.g. `approved`.
    pub outcome: &'static str,
    /// The token that was used.
    pub token: Option<Token>,
    /// A line for people; no card data.
    pub detail: Option<String>,
}

/// How a write of documents ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All are durable, with this revision.
    Done {
        /// Of all that was written.
        rev: u64,
    },
    /// An expectation did not hold; nothing was written.
    Changed,
}
