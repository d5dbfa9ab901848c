//! Payments with stored cards: orders and their transactions, sessions, tokens that are checked before they are stored,
//! network tokens, tokens of payment service providers, and the traits behind which the world stands. Every trait has a deterministic simulator, for TEST
//! merchants only; a live merchant without the real thing is refused.

pub mod acquirer;
pub mod erasure;
mod error;
pub mod maintenance;
pub mod money;
pub mod network_token;
pub mod network_tokens;
pub mod orders;
mod outgoing;
pub mod psp;
mod security_code;
pub mod sessions;
pub mod shopper;
mod simulator;
mod sources;
mod timed;
pub mod tokens;
mod trust;
pub mod updater;
pub mod wallet;

use std::sync::Arc;

pub use error::{Error, Part};
pub use security_code::SecurityCode;
pub use sources::{CardDetails, Sources};

use self::acquirer::Acquirer;
use self::network_token::NetworkTokenService;
use self::orders::OrdersInUse;
use self::psp::{Connectors, PspConnector};
use self::simulator::{SimulatedAcquirer, SimulatedNetworkTokens, SimulatedPsp, SimulatedUpdater};
use self::timed::{SecurityCodes, Timed};
use self::updater::AccountUpdater;
use self::wallet::Volatile;
use crate::vault::types::Actor;
use crate::vault::{Turns, Vault};

/// What dialects with payments call. A clone is the same payments: work that goes on without its caller holds one.
#[derive(Clone)]
pub struct Payments {
    vault: Arc<Vault>,
    codes: Arc<SecurityCodes>,
    /// Payment methods that are not stored.
    volatile: Arc<Timed<Volatile>>,
    /// Names of payment methods that are good for some minutes.
    handles: Arc<Timed<String>>,
    wallet: Arc<wallet::Config>,
    orders_in_use: Arc<OrdersInUse>,
    /// Of network tokens: payment methods that share one come to it and go from it one after another.
    network_turns: Arc<Turns>,
    shopper: Arc<shopper::Config>,
    /// Of shoppers' payments: one thing at a time is done with each.
    payment_turns: Arc<Turns>,
    outbox: Arc<shopper::Outbox>,
    /// For TEST merchants.
    acquirer: Arc<dyn Acquirer>,
    /// For TEST merchants.
    updater: Arc<dyn AccountUpdater>,
    /// For TEST merchants.
    network_tokens: Arc<dyn NetworkTokenService>,
    /// For TEST merchants.
    psp_simulator: Arc<dyn PspConnector>,
    /// Who is configured.
    connectors: Arc<Connectors>,
}

impl Payments {
    /// Payments over this vault. TEST merchants get the simulators; others have the connectors to payment service
    /// providers that are configured, and nobody else yet.
    pub fn new(vault: Arc<Vault>) -> Self {
        let acquirer = SimulatedAcquirer::new(Arc::clone(&vault));
        Self::with(vault, Arc::new(acquirer), Arc::new(SimulatedUpdater))
    }

    /// Payments whose TEST merchants get these, and the simulated network tokens.
    fn with(vault: Arc<Vault>, acquirer: Arc<dyn Acquirer>, updater: Arc<dyn AccountUpdater>) -> Self {
        let network_tokens = Arc::new(SimulatedNetworkTokens::new(Arc::clone(&vault)));
        let psp_simulator = Arc::new(SimulatedPsp::new(Arc::clone(&vault)));
        Self {
            vault,
            codes: Arc::default(),
            volatile: Arc::new(Timed::new(Volatile::CAPACITY)),
            handles: Arc::new(Timed::new(wallet::HANDLES)),
            wallet: Arc::default(),
            orders_in_use: Arc::default(),
            network_turns: Arc::default(),
            shopper: Arc::default(),
            payment_turns: Arc::default(),
            outbox: Arc::default(),
            acquirer,
            updater,
            network_tokens,
            psp_simulator,
            connectors: Arc::default(),
        }
    }

    /// With these connectors to payment service providers.
    #[must_use]
    pub fn with_connectors(self, connectors: Connectors) -> Self {
        Self {
            connectors: Arc::new(connectors),
            ..self
        }
    }

    /// With these settings of customers and payment methods.
    #[must_use]
    pub fn with_wallet(self, wallet: wallet::Config) -> Self {
        Self {
            wallet: Arc::new(wallet),
            ..self
        }
    }

    /// With these settings of shoppers' payments.
    #[must_use]
    pub fn with_shopper(self, shopper: shopper::Config) -> Self {
        Self {
            shopper: Arc::new(shopper),
            ..self
        }
    }

    /// Who checks the merchant's cards and moves its money.
    ///
    /// # Errors
    /// [`Error::NoAcquirer`].
    fn acquirer(&self, actor: &Actor) -> Result<&dyn Acquirer, Error> {
        match actor.test {
            true => Ok(self.acquirer.as_ref()),
            false => Err(Error::NoAcquirer),
        }
    }

    /// The name of who checks the merchant's cards and moves its money, if there is anyone. A simulator's says that it is one.
    pub fn acquirer_name(&self, actor: &Actor) -> Option<&'static str> {
        self.acquirer(actor).ok().map(Acquirer::name)
    }

    /// Who knows what is newer than the merchant's cards.
    ///
    /// # Errors
    /// [`Error::NoAcquirer`].
    fn updater(&self, actor: &Actor) -> Result<&dyn AccountUpdater, Error> {
        match actor.test {
            true => Ok(self.updater.as_ref()),
            false => Err(Error::NoAcquirer),
        }
    }

    /// Who gives network tokens for the merchant's cards.
    ///
    /// # Errors
    /// [`Error::NoNetworkTokens`].
    fn network_tokens(&self, actor: &Actor) -> Result<&dyn NetworkTokenService, Error> {
        match actor.test {
            true => Ok(self.network_tokens.as_ref()),
            false => Err(Error::NoNetworkTokens),
        }
    }

    /// The name of who gives network tokens for the merchant's cards, if there is anyone. A simulator's says that it is one.
    pub fn network_token_service_name(&self, actor: &Actor) -> Option<&'static str> {
        self.network_tokens(actor).ok().map(NetworkTokenService::name)
    }
}
