//! Which connectors there are, and whose.

use std::sync::Arc;

use super::PspConnector;
use crate::id::{ConnectorId, MerchantId, RepositoryName};
use crate::vault::types::Actor;

/// Who may use a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This merchant.
    Merchant(MerchantId),
    /// Every merchant of this repository.
    Repository(RepositoryName),
}

/// The configured connectors.
#[derive(Default)]
pub struct Connectors(Vec<Configured>);

struct Configured {
    id: ConnectorId,
    owner: Owner,
    connector: Arc<dyn PspConnector>,
}

impl Connectors {
    /// One more.
    ///
    /// # Errors
    /// The id is the simulator's, or its owner has one of this id.
    pub fn add(&mut self, id: ConnectorId, owner: Owner, connector: Arc<dyn PspConnector>) -> Result<(), &'static str> {
        if is_simulator(&id) {
            return Err("ids that begin with `mca_simulator` are the simulator's");
        }
        if self.0.iter().any(|there| there.id == id && there.owner == owner) {
            return Err("its owner has another connector of this id");
        }
        self.0.push(Configured { id, owner, connector });
        Ok(())
    }

    /// The actor's connector of that id: the merchant's own before its repository's.
    pub(super) fn find(&self, actor: &Actor, id: &ConnectorId) -> Option<Arc<dyn PspConnector>> {
        let of = |owner: &Owner| match owner {
            Owner::Merchant(merchant) => *merchant == actor.merchant,
            Owner::Repository(_) => false,
        };
        let shared = |owner: &Owner| match owner {
            Owner::Repository(repository) => *repository == actor.repository_name,
            Owner::Merchant(_) => false,
        };
        let there = |who: &dyn Fn(&Owner) -> bool| self.0.iter().find(|one| one.id == *id && who(&one.owner));
        let found = there(&of).or_else(|| there(&shared));
        found.map(|configured| Arc::clone(&configured.connector))
    }
}

/// Whether the id is one under which TEST merchants have the simulator: it begins with [`SIMULATOR`], and is short enough to
/// hold no card number.
pub(super) fn is_simulator(id: &ConnectorId) -> bool {
    id.as_str().starts_with(SIMULATOR) && id.as_str().len() <= SIMULATOR.len() + 11
}

/// What the simulator's ids begin with; by itself one of them.
pub const SIMULATOR: &str = "mca_simulator";
