//! What works now, tried out: for protocols whose clients ask.

use super::Vault;
use super::accounts::merchant_key;
use super::types::Actor;
use crate::keys::SecretBytes;
use crate::store::Part;

/// What works now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// The store can be read.
    pub reads: bool,
    /// The store takes writes.
    pub writes: bool,
    /// The HSM does jobs.
    pub keys: bool,
}

impl Vault {
    /// Tries the store and the HSM out, changing nothing.
    pub async fn diagnose(&self, actor: &Actor) -> Diagnosis {
        let merchant = merchant_key(&actor.merchant);
        let read = self.store.get(Part::default(), &merchant).await;
        let mac = self
            .sealer
            .mac("panvault diagnosis v1", SecretBytes::new(Vec::new()))
            .await;
        Diagnosis {
            reads: read.is_ok(),
            writes: self.store.health().writable,
            keys: mac.is_ok(),
        }
    }
}
