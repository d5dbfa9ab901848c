//! What the dialects hand to the core and get back.

mod actor;
mod compare;
mod document;
mod error;
mod patch;
mod person;
mod records;
mod rules;
mod search;
mod token;

pub use self::actor::{Actor, Dialect, Operation, Reach};
pub use self::compare::{Compared, Comparison, Conflict, ConflictId};
pub use self::document::{Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, SealedSecret, Secret, Written};
pub use self::error::{CallerError, DependencyError, Error, IntegrityError, PolicyError};
pub use self::patch::{Author, Change, Patch, UpdateLimit};
pub use self::person::Person;
pub use self::records::{Content, Kept, NewRecord, PutMode};
pub use self::rules::{Generation, Management, TokenRules, Verification};
pub use self::search::{Filter, FilterSize, Found, Query, Search};
pub use self::token::{
    DeletionReceipt, Described, Format, Idempotency, NewToken, Profile, Put, Reuse, Revealed, RevealedRecord, Status,
    Stored, Terms, Tokenized, Uses, View,
};
pub use crate::audit::Peer;
