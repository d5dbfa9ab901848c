//! Changes to a record.

use zeroize::Zeroizing;

use super::Status;
use crate::card::Expiry;
use crate::id::{Revision, UnixMillis};

/// A field of a patch: left alone, cleared, or set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// Gone.
    Clear,
    /// New value.
    Set(T),
}

/// Changes to a record.
#[derive(Default)]
pub struct Patch {
    /// Card's expiry.
    pub expiry: Change<Expiry>,
    /// Holder.
    pub holder: Change<Zeroizing<String>>,
    /// The rest of the profile.
    pub extra: Change<Zeroizing<String>>,
    /// Metadata.
    pub metadata: Change<String>,
    /// When it is removed.
    pub expires_at: Change<UnixMillis>,
    /// `Active` or `Inactive`.
    pub status: Option<Status>,
    /// Only if the record still has this revision.
    pub if_revision: Option<Revision>,
}
