//! The daemon itself as the one who asks: for work that nobody's request started.

use super::Access;
use crate::id::{NoRandom, RepositoryName, RequestId};
use crate::vault::accounts::{AccountStatus, Merchant, Repository};
use crate::vault::types::{Actor, Dialect, Peer, Reach};

impl Access {
    /// The daemon (`own` is its process), acting for each merchant that speaks `dialect` and is not suspended, in the
    /// merchant's repository. Policy and caps are about callers, so they are not asked: what the daemon does by itself its
    /// operators have configured. Who is suspended later is refused, and the audit trail names process, dialect and
    /// merchant as for anyone.
    ///
    /// # Errors
    /// No random bytes.
    pub fn own_actors(&self, own: Peer, dialect: Dialect) -> Result<Vec<Actor>, NoRandom> {
        let accounts = self.accounts.current();
        let acting = accounts
            .merchants()
            .filter(|merchant| merchant.status == AccountStatus::Active && merchant.dialects.contains(&dialect));
        let mut actors = Vec::new();
        for merchant in acting {
            let repository = accounts.repository(merchant.repository);
            if let Some(repository) = repository.filter(|row| row.status == AccountStatus::Active) {
                actors.push(acting_for(own, dialect, merchant, repository)?);
            }
        }
        Ok(actors)
    }

    /// An operator (`peer` is its process), looking after what each merchant that may act in the repository keeps there,
    /// suspended or not.
    ///
    /// # Errors
    /// No random bytes.
    pub fn operators_actors(&self, peer: Peer, repository: &RepositoryName) -> Result<Vec<Actor>, NoRandom> {
        let accounts = self.accounts.current();
        let Ok(repository) = accounts.known_repository(repository) else {
            return Ok(Vec::new());
        };
        let mut actors = Vec::new();
        for merchant in accounts.merchants() {
            if let Some(dialect) = merchant.dialects.first()
                && merchant.repositories.contains(&repository.id)
            {
                actors.push(acting_for(peer, *dialect, merchant, repository)?);
            }
        }
        Ok(actors)
    }

    /// The daemon, looking after what each merchant keeps, where one of its repositories has a longest life.
    ///
    /// # Errors
    /// No random bytes.
    pub fn actors_of_limited(&self, own: Peer) -> Result<Vec<Actor>, NoRandom> {
        let accounts = self.accounts.current();
        let mut actors = Vec::new();
        for merchant in accounts.merchants() {
            let limited = |id| accounts.repository(id).is_some_and(|row| row.longest_life().is_some());
            if merchant.repositories.iter().copied().any(limited)
                && let Some(dialect) = merchant.dialects.first()
                && let Some(repository) = accounts.repository(merchant.repository)
            {
                actors.push(acting_for(own, *dialect, merchant, repository)?);
            }
        }
        Ok(actors)
    }

    /// An operator, looking after what each merchant keeps, wherever that may act: in the repository, if it does there.
    ///
    /// # Errors
    /// No random bytes.
    pub fn actors_of_all(&self, peer: Peer, repository: &RepositoryName) -> Result<Vec<Actor>, NoRandom> {
        let mut actors = self.operators_actors(peer, repository)?;
        let accounts = self.accounts.current();
        for merchant in accounts.merchants() {
            if actors.iter().all(|actor| actor.merchant != merchant.id)
                && let Some(dialect) = merchant.dialects.first()
                && let Some(own) = accounts.repository(merchant.repository)
            {
                actors.push(acting_for(peer, *dialect, merchant, own)?);
            }
        }
        Ok(actors)
    }
}

fn acting_for(peer: Peer, dialect: Dialect, merchant: &Merchant, repository: &Repository) -> Result<Actor, NoRandom> {
    Ok(Actor {
        peer,
        dialect,
        merchant: merchant.id.clone(),
        repository: repository.id,
        repository_name: repository.name.clone(),
        rules: repository.rules,
        test: merchant.test,
        reach: Reach::All,
        request: RequestId::random()?,
        daemon: true,
    })
}
