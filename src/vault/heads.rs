//! Signed heads of the audit trail: the HSM's word on how far it had come. They come behind the records that they cover and
//! hold nobody up.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use super::Vault;
use super::sealer::Sealer;
use super::types::{Error, IntegrityError};
use crate::audit::{Head, REACH, SignedHead};
use crate::id::{UnixMillis, VaultId};
use crate::store::Store;

/// How many of the newest records are looked through for the last signed head at the start.
const LOOK_BACK: u32 = 10_000;

/// What was signed.
#[derive(Default)]
pub(super) struct Heads {
    /// Heads are made one at a time.
    turn: Mutex<()>,
    /// Records that need no head any more: those up to the one that the last head names, and that head.
    settled: AtomicU64,
}

#[cfg(test)]
impl Heads {
    /// As a new process begins.
    pub(super) fn forget(&self) {
        self.settled.store(0, Ordering::Release);
    }
}

impl Vault {
    /// Audit records that no signed head covers yet.
    pub fn unsigned_records(&self) -> u64 {
        let settled = self.heads.settled.load(Ordering::Acquire);
        self.store.health().audit_seq.saturating_sub(settled)
    }

    /// Has the HSM sign the trail's end, if something was recorded since the last time, and puts that on record.
    ///
    /// The head is read when it is durable, and signed before it is recorded: a crash in between leaves no head, never a
    /// wrong one.
    ///
    /// # Errors
    /// The HSM or the store does not work; the records wait for the next head.
    pub async fn sign_head(&self) -> Result<(), Error> {
        let turn = self.heads_turn().await;
        self.record_handovers().await?;
        self.sign_end(&turn).await
    }

    /// The right to sign heads.
    pub(super) async fn heads_turn(&self) -> MutexGuard<'_, ()> {
        self.heads.turn.lock().await
    }

    /// As [`Vault::sign_head`], for who has the turn.
    ///
    /// # Errors
    /// As of that.
    pub(super) async fn sign_end(&self, _: &MutexGuard<'_, ()>) -> Result<(), Error> {
        if self.unsigned_records() == 0 {
            return Ok(());
        }
        let signed = signed_end(self.store.as_ref(), &self.id, self.sealer.as_ref()).await?;
        let seq = signed.head.seq;
        // a verifier looks no further back for what a head names; half of that leaves room for commits under way
        let behind = self.store.health().audit_seq.saturating_sub(seq);
        if behind > u64::try_from(REACH / 2).unwrap_or(u64::MAX) {
            tracing::warn!(
                behind,
                "signing the audit trail's head took too long; it is signed anew"
            );
            return Ok(());
        }
        self.note(signed.event()).await?;
        self.heads.settled.store(seq.saturating_add(1), Ordering::Release);
        Ok(())
    }

    /// Looks up how far the heads of earlier runs reach.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn recall_head(&self) -> Result<(), Error> {
        let last = self.store.health().audit_seq;
        let from = last.saturating_sub(u64::from(LOOK_BACK) - 1).max(1);
        let lines = self.store.audit(from, LOOK_BACK).await?;
        let mut heads = lines.iter().rev().filter_map(|line| SignedHead::of_line(&line.line));
        if let Some(Ok(head)) = heads.next() {
            let settled = head.head.seq.saturating_add(1);
            self.heads.settled.fetch_max(settled, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// The word of the audit key in use on how far the trail has come. It is not on record yet.
///
/// # Errors
/// The HSM or the store does not work.
pub(super) async fn signed_end(store: &dyn Store, id: &VaultId, sealer: &dyn Sealer) -> Result<SignedHead, Error> {
    let seq = store.health().audit_seq;
    let lines = store.audit(seq, 1).await?;
    let last = lines.iter().find(|line| line.seq == seq);
    let head = Head::after(last.ok_or(IntegrityError::Damaged)?);
    let at = UnixMillis::now();
    let statement = SignedHead::statement(id, head, at);
    let by = sealer.audit_public();
    let signed = SignedHead {
        vault: id.clone(),
        head,
        at,
        public_key: by.clone(),
        signature: sealer.sign(SignedHead::DOMAIN, &statement, by).await?,
    };
    // one that nobody can verify would look like a forgery for ever
    if let Err(fault) = signed.verify() {
        tracing::error!(%fault, "the HSM's signature of the audit trail's head does not hold");
        return Err(IntegrityError::Damaged.into());
    }
    Ok(signed)
}
