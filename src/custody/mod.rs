//! Dual control (PCI DSS 3.7.6): what changes keys, takes cards out, or has another policy come into force needs two operators.
//!
//! An operator is a person: a user of the host, by the kernel's word, and a credential that only this person has. The
//! first operator's command opens a **ceremony** for just this operation on just this subject; a second operator, another
//! user with another credential, approves it; then the first one's command, given again, does it, once, within the window.
//! Until then nothing has happened, and nothing does when the window is over. What was done is stated in a transcript,
//! signed by the audit key.

mod approval;
mod ceremonies;
mod ceremony;
mod control;
mod error;
mod files;
mod offline;
mod operator;
mod operators;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::approval::{APPROVAL_MAX, ShownApproval, agreed, approval, must_agree};
pub use self::ceremonies::{Granted, Verdict};
pub use self::ceremony::{Act, Ceremony, CeremonyView, Standing};
pub use self::control::{Control, Guarded};
pub use self::error::Error;
pub use self::files::{Files, Unapproved, approve_offline};
pub use self::offline::OfflineCeremony;
pub use self::operator::{ACKNOWLEDGEMENT, OperatorView};
pub use self::operators::{NewOperator, first_operators, has_operators};

use crate::id::UnixMillis;
use crate::store::Store;
use crate::vault::Vault;
use crate::vault::credential::Comparison;
use crate::vault::types::Peer;

/// Operators, their ceremonies, and which files they have approved.
pub struct Custody {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    control: Control,
    comparison: Comparison,
    /// Who are operators is looked at and changed by one at a time.
    changing: tokio::sync::Mutex<()>,
    /// What was being done before has been cut short.
    started: UnixMillis,
}

/// Who asks: a process, and what it showed.
pub struct Asking<'a> {
    /// The process, by the kernel's word.
    pub peer: Peer,
    /// An operator's credential, not believed yet.
    pub credential: Option<&'a str>,
}

impl Custody {
    /// Over the tables in `store`.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new(store: Arc<dyn Store>, vault: Arc<Vault>, control: Control) -> Result<Self, Error> {
        Ok(Self {
            store,
            vault,
            control,
            comparison: Comparison::new()?,
            changing: tokio::sync::Mutex::default(),
            started: UnixMillis::now(),
        })
    }

    /// Whether `operation` needs two.
    pub fn guards(&self, operation: Guarded) -> bool {
        self.control.guards(operation)
    }
}
