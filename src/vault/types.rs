//! What the dialects hand to the core and get back.

mod actor;
mod document;
mod error;
mod patch;
mod rules;
mod search;
mod token;

pub use self::actor::{Actor, Dialect, Operation};
pub use self::document::{Document, DocumentEvent, DocumentKind, DocumentWrite, Expect, SealedSecret, Secret, Written};
pub use self::error::{CallerError, DependencyError, Error, IntegrityError, PolicyError};
pub use self::patch::{Author, Change, Patch};
pub use self::rules::{Generation, Management, TokenRules, Verification};
pub use self::search::{Filter, FilterSize, Found, Query, Search};
pub use self::token::{
    DeletionReceipt, Format, Idempotency, NewToken, Profile, Put, Reuse, Revealed, Status, Tokenized, Uses, View,
};
pub use crate::audit::Peer;
