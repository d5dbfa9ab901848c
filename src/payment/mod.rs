//! Payments with stored cards: orders and their transactions, sessions, tokens that are checked before they are stored, and
//! the traits behind which the world stands. Every trait has a deterministic simulator, for TEST merchants only; a live
//! merchant without the real thing is refused.

pub mod acquirer;
mod error;
pub mod money;
pub mod orders;
mod security_code;
pub mod sessions;
mod simulator;
mod sources;
pub mod tokens;
pub mod updater;

use std::sync::Arc;

pub use error::{Error, Part};
pub use security_code::SecurityCode;
pub use sources::{CardDetails, Sources};

use self::sessions::SecurityCodes;
use crate::vault::Vault;

/// What dialects with payments call.
pub struct Payments {
    vault: Arc<Vault>,
    codes: SecurityCodes,
}

impl Payments {
    /// Payments over this vault. TEST merchants get the simulators; no acquirer is configured for others yet.
    pub fn new(vault: Arc<Vault>) -> Self {
        Self {
            vault,
            codes: SecurityCodes::default(),
        }
    }
}
