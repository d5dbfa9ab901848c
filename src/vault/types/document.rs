//! Documents: what the floors above keep beside tokens (orders, sessions, …). The clear part is theirs; the secret part is
//! sealed under a data key of the document's own, as a token's profile is.

use serde::{Deserialize, Serialize};

use crate::id::{MerchantId, RecordId, RepositoryId, Token, UnixMillis};
use crate::keys::SecretBytes;

/// What a document is. Each kind has names of its own.
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
    /// What was given for a card that is stored with other details.
    Conflict,
    /// A network token and the card it stands for.
    NetworkToken,
    /// Which network token a number belongs to: its own, or its card's.
    NetworkTokenNumber,
    /// A customer of the merchant.
    Customer,
    /// Which customer the merchant calls so.
    CustomerReference,
    /// That a payment method was there and was deleted.
    DeletedMethod,
    /// A payment method whose card is still to come.
    MethodIntent,
    /// What a customer's browser may do for some minutes.
    MethodSession,
    /// A sealed text under names of the caller's.
    Record,
    /// Which token a record of some content was given.
    RecordContent,
    /// The id of a text under a key of the caller's.
    Fingerprint,
    /// Since when somebody is on record.
    Person,
    /// A payment of a shopper's, made or to be made.
    ShopperPayment,
    /// Which payment the merchant or a session calls so.
    ShopperPaymentName,
    /// What a shopper agreed to be charged for again.
    Agreement,
    /// That an agreement hangs on a token.
    AgreementOfToken,
    /// What a merchant is to be told.
    Notification,
    /// A notification that was given up.
    DeadNotification,
    /// That a signed request came.
    Nonce,
}

impl DocumentKind {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Maintenance => "maintenance",
            Self::Conflict => "conflict",
            Self::NetworkToken => "network-token",
            Self::NetworkTokenNumber => "network-token-number",
            Self::Customer => "customer",
            Self::CustomerReference => "customer-reference",
            Self::DeletedMethod => "deleted-method",
            Self::MethodIntent => "method-intent",
            Self::MethodSession => "method-session",
            Self::Record => "record",
            Self::RecordContent => "record-content",
            Self::Fingerprint => "fingerprint",
            Self::Person => "person",
            Self::ShopperPayment => "shopper-payment",
            Self::ShopperPaymentName => "shopper-payment-name",
            Self::Agreement => "agreement",
            Self::AgreementOfToken => "agreement-of-token",
            Self::Notification => "notification",
            Self::DeadNotification => "dead-notification",
            Self::Nonce => "nonce",
        }
    }
}

/// A document as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// Whose.
    pub merchant: MerchantId,
    /// Its name, unique for kind and merchant: 1 to [`Document::NAME_MAX`] bytes.
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

impl Document {
    /// The longest name in bytes.
    pub const NAME_MAX: usize = 200;
    /// The longest clear part in bytes.
    pub const CLEAR_MAX: usize = 48 << 10;
    /// The longest sealed part in bytes, but of a [`DocumentKind::Record`].
    pub const SECRET_MAX: usize = 64 << 10;
    /// The longest text of a [`DocumentKind::Record`] in bytes: with the names and what the seal adds it fits into the
    /// store.
    pub const RECORD_MAX: usize = (1 << 20) - (64 << 10);
    /// The most documents of one write.
    pub const WRITES_MAX: usize = 32;
}

/// A document's sealed part. The order of the fields is the stored order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Where its ciphertext belongs: the repository it was written in, and an identity made for the document.
    pub(in crate::vault) repository: RepositoryId,
    pub(in crate::vault) record: RecordId,
    /// [`Sealed`](crate::keys::Sealed) as it encodes itself.
    pub(in crate::vault) sealed: Vec<u8>,
}

/// What must be there before a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// None of that name; one past its time counts as none.
    Absent,
    /// The one that this revision wrote.
    Rev(u64),
}

/// What becomes of a document's sealed part.
pub enum Secret {
    /// As it is in the document that is replaced, as read before.
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
    /// The part in clear, at most [`Document::CLEAR_MAX`] bytes. The writer answers for it holding no card number.
    pub clear: Vec<u8>,
    /// The sealed part, at most [`Document::SECRET_MAX`] bytes.
    pub secret: Secret,
    /// Removed after this. A time that is past removes it at once.
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
