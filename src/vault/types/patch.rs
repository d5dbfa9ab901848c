//! Changes to a record.

use std::collections::BTreeMap;

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

/// How often a record may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateLimit {
    /// So many times.
    pub changes: u8,
    /// Within so many milliseconds, at any time.
    pub within: u64,
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
    /// Members of the rest of the profile, by name, while the others stay as they are: a JSON text, or none to remove it.
    /// Not together with `extra`.
    pub members: BTreeMap<String, Option<Zeroizing<String>>>,
    /// Metadata.
    pub metadata: Change<String>,
    /// When it is removed.
    pub expires_at: Change<UnixMillis>,
    /// `Active` or `Inactive`.
    pub status: Option<Status>,
    /// Only if the record still has this revision.
    pub if_revision: Option<Revision>,
    /// Changes under a limit are counted in the record; one that is over it is refused.
    pub limit: Option<UpdateLimit>,
}
