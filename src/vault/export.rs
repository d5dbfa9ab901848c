//! Cards taken out in bulk by operators, a page at a time. Each is what a reveal would give: it is opened first, then that it
//! was is durable in the audit trail, and only then it is given. What a reveal would not give is left out and counted.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::{AccountError, AdminActor};
use super::batch::each;
use super::types::{
    CallerError, DependencyError, Error, IntegrityError, Operation, PolicyError, RevealedRecord, Status, Uses,
};
use super::{ATTEMPTS, Held, Vault, tables};
use crate::audit::Event;
use crate::id::{RepositoryId, RepositoryName, Token, UnixMillis};
use crate::store::Part;

/// A cap that is used up for so long, seconds, or shorter is waited for.
const PATIENCE_S: u64 = 10;
/// Before a card is opened again that the workers had no time for, or were capped.
const PAUSE: Duration = Duration::from_millis(100);
/// So often; then the HSM is away.
const ROUNDS: u32 = 600;

/// Cards of a page, and how many tokens were left out of it.
#[derive(Default)]
pub struct ExportPage {
    /// With all that is known of them.
    pub cards: Vec<RevealedRecord>,
    /// Tokens that a reveal would not give.
    pub left_out: LeftOut,
    /// The last token that was looked at, where there may be more behind it.
    pub next: Option<Token>,
}

/// Tokens that are not exported, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// Taken out of use.
    pub inactive: u64,
    /// Good for one reveal, which an export would be.
    pub single_use: u64,
    /// Used already: the card is gone.
    pub spent: u64,
    /// Past their end, and about to be removed.
    pub expired: u64,
    /// Under a KEK that is destroyed: of a backup from before that.
    pub destroyed: u64,
    /// Do not open in their place. An alarm was raised for each.
    pub unreadable: u64,
}

/// What came of a token.
enum Taken {
    Card(Box<RevealedRecord>),
    LeftOut(LeftOut),
    Gone,
}

impl Vault {
    /// The next `limit` tokens of a repository by name, after `after`. It is as fast as `[caps]` lets exports be.
    ///
    /// # Errors
    /// There is no such repository; the volume of the day is used up; the HSM's; the store's.
    pub async fn export_page(
        self: &Arc<Self>,
        admin: AdminActor,
        repository: &RepositoryName,
        after: Option<&Token>,
        limit: u32,
    ) -> Result<ExportPage, AccountError> {
        let id = self.access.accounts().current().known_repository(repository)?.id;
        let first = tables::record_prefix(id);
        let (length, end) = (first.0.len(), tables::end_of(&first));
        let from = match after {
            Some(token) => Bound::Excluded(tables::record(id, token)),
            None => Bound::Included(first),
        };
        let page = self.store.scan(Part::default(), from, end, limit).await;
        let page = page.map_err(Error::from)?;
        let named = |key: &crate::store::Key| {
            let token = key.0.get(length..).and_then(tables::parse_token);
            token.ok_or(Error::Integrity(IntegrityError::Damaged))
        };
        let tokens = page.items.iter().map(|(key, _)| named(key)).collect();
        let (vault, name) = (Arc::clone(self), repository.clone());
        let taken = each(tokens, move |_, token: Token| {
            let (vault, name) = (Arc::clone(&vault), name.clone());
            async move { vault.export_one(admin, id, &name, &token).await }
        });
        let mut exported = ExportPage {
            next: page.next.as_ref().map(named).transpose()?,
            ..ExportPage::default()
        };
        for taken in taken.await {
            match taken {
                Ok(Taken::Card(card)) => exported.cards.push(*card),
                Ok(Taken::LeftOut(why)) => exported.left_out = exported.left_out.and(why),
                Ok(Taken::Gone) => {}
                Err(Error::Integrity(IntegrityError::KekDestroyed { .. } | IntegrityError::KekLeft { .. })) => {
                    exported.left_out.destroyed += 1;
                }
                Err(Error::Integrity(_)) => exported.left_out.unreadable += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(exported)
    }

    async fn export_one(
        &self,
        admin: AdminActor,
        id: RepositoryId,
        name: &RepositoryName,
        token: &Token,
    ) -> Result<Taken, Error> {
        let event = || Event {
            peer: Some(admin.peer),
            repository: Some(name.clone()),
            token: Some(token.clone()),
            ..Event::new(Operation::Export.as_str(), "ok")
        };
        let taken = self.take_for_export(admin, id, token, event).await;
        let label = match &taken {
            Ok(_) => "ok",
            Err(error) => error.class(),
        };
        let operations = &self.metrics.operations;
        operations.with_label_values(&[Operation::Export.as_str(), label]).inc();
        let is_dead = matches!(
            &taken,
            Err(Error::Integrity(
                IntegrityError::KekDestroyed { .. } | IntegrityError::KekLeft { .. }
            ))
        );
        if !is_dead && let Err(Error::Integrity(_)) = &taken {
            self.alarm(Event {
                outcome: "tampered".to_owned(),
                ..event()
            })
            .await;
        }
        taken
    }

    async fn take_for_export(
        &self,
        admin: AdminActor,
        id: RepositoryId,
        token: &Token,
        event: impl Fn() -> Event,
    ) -> Result<Taken, Error> {
        let mut paid = false;
        for _ in 0..ATTEMPTS {
            let held = match self.load(id, token).await {
                Ok(held) => held,
                Err(Error::Caller(CallerError::UnknownToken)) => return Ok(Taken::Gone),
                Err(error) => return Err(error),
            };
            if let Some(why) = self.left_out(&held) {
                return Ok(Taken::LeftOut(why));
            }
            if !paid {
                self.await_export(admin, &held).await?;
                paid = true;
            }
            let revealed = self.open_patiently(&held).await?;
            let event = Event {
                merchant: Some(held.record.merchant.clone()),
                ..event()
            };
            if self.commit_if_unchanged(&held, Vec::new(), event).await? {
                return Ok(Taken::Card(Box::new(self.with_view(&held.record, revealed).await?)));
            }
        }
        Err(CallerError::Contended.into())
    }

    fn left_out(&self, held: &Held) -> Option<LeftOut> {
        let record = &held.record;
        let mut why = LeftOut::default();
        let count = match (record.status, record.uses) {
            _ if self.is_over(record, UnixMillis::now()) => &mut why.expired,
            (Status::Inactive, _) => &mut why.inactive,
            (Status::Spent, _) => &mut why.spent,
            (Status::Active, Uses::Single) => &mut why.single_use,
            (Status::Active, Uses::Multi) => return None,
        };
        *count = 1;
        Some(why)
    }

    /// Waits until the caps let one more out.
    async fn await_export(&self, admin: AdminActor, held: &Held) -> Result<(), Error> {
        loop {
            match self.access.take_export(admin.peer, &held.record.merchant) {
                Ok(()) => return Ok(()),
                Err(retry_after_s) if retry_after_s <= PATIENCE_S => {
                    tokio::time::sleep(Duration::from_secs(retry_after_s)).await;
                }
                Err(retry_after_s) => {
                    let op = Operation::Export.as_str();
                    self.metrics.cap_refusals.with_label_values(&[op]).inc();
                    return Err(Error::Policy(PolicyError::Capped { retry_after_s }));
                }
            }
        }
    }

    /// Callers come first: where the workers are busy or capped, this waits.
    async fn open_patiently(&self, held: &Held) -> Result<super::types::Revealed, Error> {
        let mut rounds = 0;
        loop {
            match self.open_card(held, true).await {
                Err(Error::Dependency(DependencyError::HsmBusy)) if rounds < ROUNDS => {
                    rounds += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                opened => return opened,
            }
        }
    }
}

impl LeftOut {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            inactive: self.inactive + other.inactive,
            single_use: self.single_use + other.single_use,
            spent: self.spent + other.spent,
            expired: self.expired + other.expired,
            destroyed: self.destroyed + other.destroyed,
            unreadable: self.unreadable + other.unreadable,
        }
    }
}
