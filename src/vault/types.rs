//! What the dialects hand to the core and get back.

mod actor;
mod error;
mod patch;
mod search;
mod token;

pub use self::actor::{Actor, Dialect, Operation};
pub use self::error::{CallerError, DependencyError, Error, IntegrityError, PolicyError};
pub use self::patch::{Change, Patch};
pub use self::search::{Found, Query};
pub use self::token::{
    DeletionReceipt, Format, Idempotency, NewToken, Profile, Reuse, Revealed, Status, Tokenized, Uses, View,
};
pub use crate::audit::Peer;
