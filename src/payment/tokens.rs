//! Storing cards that are checked first: by rule, by the acquirer, or by the account updater. What does not pass is not
//! stored.

use super::acquirer::{CodeCheck, Verdict};
use super::money::Currency;
use super::{Error, Payments, Sources};
use crate::id::Token;
use crate::vault::types::{Actor, Verification, View};

/// A card to be stored.
pub struct SaveToken {
    /// The token to be made or changed; none: the repository's generation makes one.
    pub token: Option<Token>,
    /// Where the card comes from.
    pub sources: Sources,
    /// How it is checked; none: as the repository's rules say.
    pub verification: Option<Verification>,
    /// Needed where the acquirer or the account updater is asked.
    pub currency: Option<Currency>,
}

/// How the check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Nobody checked.
    NotChecked,
    /// Number and expiry are well formed.
    Basic,
    /// The acquirer approved.
    Acquirer(CodeCheck),
    /// The updater had nothing newer.
    UpdaterCurrent,
    /// The updater had newer details, which are stored now.
    UpdaterChanged,
    /// The updater says the account is closed: the token is invalid now.
    UpdaterClosed,
    /// The updater did not answer; the card is as it was given.
    UpdaterUnavailable,
    /// The acquirer refused, or did not decide: nothing was stored.
    Refused(Verdict),
}

/// A stored card, or a refusal by the check.
#[derive(Debug)]
pub struct Saved {
    /// How it was checked.
    pub verification: Verification,
    /// How the check went.
    pub checked: Checked,
    /// The token, where one was stored.
    pub view: Option<View>,
    /// The card as shown where nothing was stored: masked number, brand, expiry.
    pub refused_card: Option<RefusedCard>,
}

/// A card that was not stored, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCard {
    /// Masked number.
    pub masked: String,
    /// Brand, where known.
    pub brand: Option<String>,
}

impl Payments {
    /// Stores a card under the rules of the actor's repository.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Invalid`] for what the sources lack; [`Error::NoAcquirer`]; the core's.
    pub async fn save_token(&self, actor: &Actor, save: SaveToken) -> Result<Saved, Error> {
        let _ = (actor, save, &self.vault);
        unimplemented!()
    }
}
