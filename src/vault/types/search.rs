//! A search: what is looked for, and a page of what was found.

use super::{Status, View};
use crate::card::{Expiry, Pan};
use crate::id::{Namespace, Token, UnixMillis};

/// What to look for; all that is given must hold.
#[derive(Default)]
pub struct Query {
    /// The card number.
    pub pan: Option<Pan>,
    /// The group.
    pub namespace: Option<Namespace>,
    /// The first 6 or 8 digits.
    pub bin: Option<String>,
    /// The last 4.
    pub last4: Option<String>,
    /// Card expires in this month or later.
    pub expiry_from: Option<Expiry>,
    /// Card expires in this month or earlier.
    pub expiry_to: Option<Expiry>,
    /// Changed then or later.
    pub updated_since: Option<UnixMillis>,
    /// State.
    pub status: Option<Status>,
    /// At most, 1 to 1,000.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// What to look for, composed. At most 32 parts in all, 8 of them card numbers, nested at most 4 deep.
pub enum Filter {
    /// All must hold.
    All(Vec<Self>),
    /// At least one must hold.
    Any(Vec<Self>),
    /// Just this token.
    Token(Token),
    /// The card number.
    Pan(Pan),
    /// Card expires in just this month.
    ExpiresIn(Expiry),
    /// Card expires in this month or earlier.
    ExpiresBy(Expiry),
    /// Changed later than this.
    UpdatedAfter(UnixMillis),
}

/// A composed search, or its next page.
pub enum Search {
    /// The first page.
    Begin {
        /// What to look for.
        filter: Filter,
        /// At most so many per page, 1 to 1,000.
        limit: u32,
    },
    /// The page after the one that gave this cursor: it holds filter and limit, sealed.
    Resume {
        /// [`Found::next`] of the page before.
        cursor: String,
    },
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In the order of the index that served it.
    pub tokens: Vec<View>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}
