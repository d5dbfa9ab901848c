//! The account updater: who knows of new numbers, new expiries and closed accounts.

use super::acquirer::Fut;
use crate::card::{Expiry, Pan};
use crate::id::MerchantId;

/// What the updater says of a card.
pub enum Update {
    /// Nothing is newer.
    Current,
    /// Another expiry.
    Expiry(Expiry),
    /// Another number, with its expiry.
    Number(Pan, Expiry),
    /// The account is closed.
    Closed,
    /// The updater did not answer.
    Unavailable,
}

/// An account updater. Implementations keep no card.
pub trait AccountUpdater: Send + Sync {
    /// What is newer than these details.
    fn look_up<'a>(&'a self, merchant: &'a MerchantId, pan: &'a Pan, expiry: Option<Expiry>) -> Fut<'a, Update>;
}
