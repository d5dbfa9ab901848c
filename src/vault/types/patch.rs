//! Changes to a record.

use zeroize::Zeroizing;

use super::{Status, Verification};
use crate::card::{Expiry, Pan};
use crate::id::{Revision, Token, UnixMillis};

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

/// Who makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Author {
    /// The merchant that asks.
    #[default]
    Merchant,
    /// The account updater: the record then names no merchant as its last author.
    Updater,
}

/// Changes to a record.
#[derive(Default)]
pub struct Patch {
    /// The card number; the one that is there may be given again. Another is refused where the token keeps digits of the
    /// old one, or where the scope of the record's reuse key has it already. The updater may change it below a token that
    /// was replaced, or is by this patch, also where the token keeps digits; the replacement has its place in the scope.
    pub pan: Option<Pan>,
    /// How the card was checked.
    pub verification: Option<Verification>,
    /// A token of the repository that takes over from this one: from then on only the updater changes it.
    pub replacement: Change<Token>,
    /// Who changes.
    pub author: Author,
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
