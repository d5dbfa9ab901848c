//! Why a backup or a restoration came to nothing, by whose fault.

use crate::store;

/// Why it came to nothing. Unless it says otherwise nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operator's to settle: what stands in the way, and what to do.
    #[error("{0}")]
    InTheWay(String),
    /// The backup is not what was written.
    #[error("the backup is not as it was made: {0}; use another backup, nothing was changed")]
    Damaged(String),
    /// A newer program made it.
    #[error("the backup was made by a newer version (format {0}): use that version of panvault; nothing was changed")]
    Newer(u64),
    /// The file system.
    #[error("{0}")]
    Files(String),
    /// The HSM did not sign.
    #[error("the HSM did not sign the backup: {0}")]
    Hsm(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
}
