//! Payment methods: adding, seeing, listing, changing and deleting them.

mod add;
mod delete;
mod handle;
mod intent;
mod keep;
mod list;
mod network;
mod psp;
mod raw;
mod stored;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod volatile;

pub use self::add::{AddedMethod, NewCard, NewMethod, Outcome};
pub use self::intent::{Intent, NewIntent};
pub use self::network::NetworkCard;
pub use self::psp::{PspTokenization, TokenizationType};
pub use self::raw::RawCard;
pub use self::stored::{Acknowledgement, ConnectorToken, ConnectorTokenStatus};
pub use self::update::MethodUpdate;
pub use self::view::{CardView, Method, MethodState};
pub(in crate::payment) use self::volatile::Volatile;
use super::{ATTEMPTS, Error, contended, pause};

/// Where a payment method is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In the vault, for good.
    Persistent,
    /// In memory, for a time.
    Volatile,
}

/// How long a security code waits, milliseconds.
const CODE_LIFE: u64 = 900 * 1_000;
/// The longest that is kept beside the card, as JSON, bytes: what the vault takes as a profile's rest.
const KEPT_MAX: usize = 8 * 1024;
