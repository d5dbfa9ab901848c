//! Removing a token: record, wrapped DEK, index entries, with an audit event and a signed receipt.

use ring::digest::{SHA256, digest};

use super::record::Record;
use super::types::{Actor, CallerError, DeletionReceipt, Error, Operation};
use super::{ATTEMPTS, Held, Vault, event};
use crate::audit::{Deletion, Event, SealedDigest};
use crate::id::{MerchantId, RepositoryName, Token, UnixMillis};
use crate::store::{Commit, Cond, Outcome};

impl Vault {
    /// Removes `token` and everything that leads to it.
    ///
    /// The receipt is signed before the commit and leaves this process only after it, so none exists for a deletion that
    /// did not happen, and none is missing because the HSM went down in between.
    ///
    /// # Errors
    /// Not granted; no such token, expired; the HSM or the store does not work.
    pub async fn delete(&self, actor: &Actor, token: &Token) -> Result<DeletionReceipt, Error> {
        let result = self.delete_record(actor, token).await;
        self.conclude(actor, Operation::Delete, Some(token), "ok", result).await
    }

    async fn delete_record(&self, actor: &Actor, token: &Token) -> Result<DeletionReceipt, Error> {
        self.access.permit(actor, Operation::Delete, 1)?;
        let mut turn = None;
        for _ in 0..ATTEMPTS {
            let held = self.load_live(actor, token).await?;
            let event = event(actor, Operation::Delete, "ok", Some(token));
            let whose = (&actor.repository_name, &actor.merchant);
            let receipt = self.sign_receipt(whose, &held.record, event.at).await?;
            if self.remove(&held, event).await? {
                return Ok(receipt);
            }
            // changed in between: from now on in line with those who change it
            if turn.is_none() {
                turn = self.turns.wait(actor.repository, token).await;
            }
        }
        Err(CallerError::Contended.into())
    }

    /// A receipt that names repository and merchant; to be given once the deletion is durable.
    pub(super) async fn sign_receipt(
        &self,
        (repository, merchant): (&RepositoryName, &MerchantId),
        record: &Record,
        at: UnixMillis,
    ) -> Result<DeletionReceipt, Error> {
        let sealed = match &record.sealed {
            Some(bytes) => {
                let mut sha256 = [0; 32];
                let digest = digest(&SHA256, bytes);
                sha256
                    .iter_mut()
                    .zip(digest.as_ref())
                    .for_each(|(to, from)| *to = *from);
                let epoch = record.sealed()?.epoch;
                let kek = self.sealer.keys().and_then(|keys| keys.kek_name(epoch));
                Some(SealedDigest {
                    epoch,
                    kek: kek.map(str::to_owned),
                    sha256,
                })
            }
            None => None,
        };
        let deletion = Deletion {
            vault: self.id.clone(),
            repository: repository.clone(),
            merchant: merchant.clone(),
            token: record.token.clone(),
            record: record.id,
            sealed,
            deleted_at: at,
        };
        let by = self.sealer.audit_public();
        let receipt = self.signed(deletion.receipt(by), by).await?;
        Ok(DeletionReceipt(receipt.to_json()))
    }

    /// One commit that removes the record, if it is still as it was read. `false`: it is not.
    pub(super) async fn remove(&self, held: &Held, event: Event) -> Result<bool, Error> {
        let commit = Commit {
            conds: vec![Cond::Rev(held.record.key(), held.rev)],
            writes: held.record.removal(),
            event: Some(event.encode()),
            records: -1,
            ..Commit::default()
        };
        Ok(matches!(self.store.commit(commit).await?, Outcome::Done { .. }))
    }
}
