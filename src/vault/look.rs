//! What the floors above may know of a card or a text that is not stored (yet): nothing of the store is shown, so no
//! right is asked.

use super::types::Error;
use super::{Vault, format, screen};
use crate::card::{BinInfo, Masked, Pan, contains_live_pan};
use crate::id::{Token, UnixMillis};

impl Vault {
    /// How a card number may be shown, and what its first digits say.
    pub fn look(&self, pan: &Pan) -> (Masked, BinInfo) {
        let info = self.bins().lookup(pan);
        (Masked::new(pan, info.bin_len), info)
    }

    /// A name for something new, as opaque tokens look.
    ///
    /// # Errors
    /// No random bytes.
    pub fn fresh_token(&self) -> Result<Token, Error> {
        format::opaque(UnixMillis::now())
    }

    /// Whether `text` holds what looks like a card number in use.
    pub fn holds_card_number(&self, text: &str) -> bool {
        contains_live_pan(text, &self.bins())
    }

    /// Refuses a holder's name that no profile could have.
    ///
    /// # Errors
    /// [`CallerError::Field`](super::types::CallerError::Field) with `card.holder` and why.
    pub fn screen_holder(&self, text: &str) -> Result<(), Error> {
        screen::holder(text, &self.bins())
    }

    /// Refuses `text` unless it is one JSON object of at most `max` bytes without security codes, track and PIN data; to be
    /// kept `in_clear` it may hold no card number either.
    ///
    /// # Errors
    /// [`CallerError::Field`](super::types::CallerError::Field) with `field` and why.
    pub fn screen_object(&self, field: &'static str, text: &str, max: usize, in_clear: bool) -> Result<(), Error> {
        let bins = self.bins();
        screen::object(field, text, max, in_clear.then_some(&*bins))
    }
}
