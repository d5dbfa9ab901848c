//! The daemon itself as the one who asks: for work that nobody's request started.

use super::Access;
use crate::id::{NoRandom, RequestId};
use crate::vault::accounts::AccountStatus;
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
                actors.push(Actor {
                    peer: own,
                    dialect,
                    merchant: merchant.id.clone(),
                    repository: merchant.repository,
                    repository_name: repository.name.clone(),
                    rules: repository.rules,
                    test: merchant.test,
                    reach: Reach::All,
                    request: RequestId::random()?,
                    daemon: true,
                });
            }
        }
        Ok(actors)
    }
}
