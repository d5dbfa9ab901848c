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

/// What to look for, composed; within the limits of [`FilterSize`].
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
    /// Nothing: what is looked for cannot be there.
    Nothing,
}

/// How large a filter is: at most 32 parts in all, 8 of them card numbers, nested at most 4 deep. A dialect whose
/// filters cost something to read measures them first.
#[derive(Debug, Default)]
pub struct FilterSize {
    parts: usize,
    pans: usize,
    depth: usize,
    empty: bool,
}

impl FilterSize {
    /// Adds a group of so many parts at `depth`, from 1. Whether to go on to its parts: not where it is too deep
    /// already.
    pub fn group(&mut self, depth: usize, parts: usize) -> bool {
        self.parts += 1;
        self.depth = self.depth.max(depth);
        self.empty |= parts == 0;
        depth <= DEPTH_MAX
    }

    /// Adds a part that is no group.
    pub fn part(&mut self, depth: usize, is_pan: bool) {
        self.parts += 1;
        self.pans += usize::from(is_pan);
        self.depth = self.depth.max(depth);
    }

    /// The number of its card numbers.
    ///
    /// # Errors
    /// Which limit it is beyond.
    pub fn pans(&self) -> Result<usize, &'static str> {
        match *self {
            Self { empty: true, .. } => Err("has a group without parts"),
            Self { depth, .. } if depth > DEPTH_MAX => Err("is nested more than 4 deep"),
            Self { parts, .. } if parts > PARTS_MAX => Err("has more than 32 parts"),
            // each costs the HSM an operation, and an encrypted one two
            Self { pans, .. } if pans > PANS_MAX => Err("has more than 8 card numbers"),
            Self { pans, .. } => Ok(pans),
        }
    }
}

const PARTS_MAX: usize = 32;
const PANS_MAX: usize = 8;
const DEPTH_MAX: usize = 4;

/// A composed search, or its next page.
pub enum Search {
    /// The first page.
    Begin {
        /// What to look for.
        filter: Filter,
        /// At most so many per page, 1 to 1,000.
        limit: u32,
        /// So many of its card numbers the vault has opened for it: they were counted then.
        opened: usize,
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
