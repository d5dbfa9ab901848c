//! The simulators that serve TEST merchants. Deterministic: the same request gets the same answer, until a card passes its
//! expiry; only cryptograms are fresh each time. They say that they are simulators wherever a user meets them.

mod acquirer;
mod network_token;
mod psp;
mod updater;

pub(super) use self::acquirer::SimulatedAcquirer;
pub(super) use self::network_token::SimulatedNetworkTokens;
pub(super) use self::psp::SimulatedPsp;
pub(super) use self::updater::SimulatedUpdater;
