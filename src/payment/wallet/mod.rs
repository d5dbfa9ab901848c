//! What customers keep with a merchant: payment methods, to be paid with later. A payment method is a token of the vault in
//! its customer's namespace; what its client sees beside the card is in the token's profile, sealed. One that is not to be
//! stored waits in memory for a time.

mod customers;
mod error;
mod id;
mod methods;
mod sessions;
mod text;

use std::collections::BTreeSet;
use std::time::Duration;

pub use self::customers::{Customer, CustomerDetails, CustomerPage, CustomerQuery, RedactedCustomer};
pub use self::error::Error;
pub use self::id::Cell;
pub(super) use self::methods::Volatile;
pub use self::methods::{
    Acknowledgement, AddedMethod, CardView, ConnectorToken, ConnectorTokenStatus, Intent, Method, MethodState,
    MethodUpdate, NetworkCard, NewCard, NewIntent, NewMethod, Outcome, PspTokenization, RawCard, Storage,
    TokenizationType,
};
pub use self::sessions::{MethodSession, SessionCard, SessionTerms, SessionUse};
pub use self::text::{Json, Text, written};
use crate::id::{MerchantId, fill_random};
use crate::vault::types::CallerError;

/// How customers and payment methods are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What their names begin with.
    pub cell: Cell,
    /// What is said to a card that the customer has already.
    pub duplicates: Duplicates,
    /// How long a payment method that is not to be stored waits in memory, milliseconds.
    pub volatile_life: u64,
    /// Merchants that may see card numbers, where policy lets them reveal.
    pub raw_merchants: BTreeSet<MerchantId>,
}

/// What is said to a card that the customer has already, with the same expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// The payment method that is there.
    #[default]
    Return,
    /// A refusal.
    Refuse,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cell: Cell::default(),
            duplicates: Duplicates::default(),
            volatile_life: 15 * 60 * 1_000,
            raw_merchants: BTreeSet::new(),
        }
    }
}

/// Before the next round against others: longer the more there were, and for each another time.
async fn pause(round: u32) {
    let Some(longest) = round.checked_sub(1).map(|round| 1_u64 << round.min(5)) else {
        return;
    };
    let mut random = [0; 1];
    // without random bytes all wait as long
    let _ = fill_random(&mut random);
    let ms = longest * u64::from(random[0]) / 255;
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Temporary names kept at most, of all merchants: some 30 MB.
pub(super) const HANDLES: usize = 100_000;

fn contended() -> Error {
    CallerError::Contended.into()
}

/// Rounds against others who change the same customer or payment method.
const ATTEMPTS: u32 = 16;
