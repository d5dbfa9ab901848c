//! Doing a transaction.

use data_encoding::HEXLOWER;

use super::asking::ask;
use super::plan::{Asked, Plan};
use super::standing::{Standing, is_overdue};
use super::stored::{HeldTransaction, Names, StoredTransaction};
use super::types::{Action, Instruction, OrderView, ShownCard, TransactionRecord, TransactionView};
use super::writing::Pending;
use super::{invalid, text};
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::sources::{Need, Resolved};
use crate::payment::{Error, Part, Payments};
use crate::vault::to_its_end;
use crate::vault::types::{Actor, Operation};

impl Payments {
    /// Does a transaction. The same request under the same ids again answers what it answered, and is not done again; one
    /// that is pending is completed by it, and the acquirer knows it again by its key. Where a security code waited in a
    /// session and is gone, it is asked without one, and its answer says so.
    ///
    /// It goes on to its end where the caller stops waiting: what the acquirer answers is written down all the same.
    ///
    /// What is pending is asked again for what it was asked for first, also where a session has changed since; where its
    /// card is another one now it is refused.
    ///
    /// A pending transaction keeps all others from its order for 10 minutes. The next one after that gives it up; so does
    /// its own request, where the card is not to be had from it any more. The acquirer may have done it all the same, and
    /// there is nothing to void it by: the merchant reconciles it with the acquirer. See [`TransactionView::given_up`].
    ///
    /// # Errors
    /// [`Error::Locked`] while another operation on the order is under way; [`Error::Invalid`] where it does not fit the
    /// order, or the ids were used for another request; [`Error::Missing`]; [`Error::NoAcquirer`]; the core's. After a
    /// failure of the HSM or the store the transaction may be pending; after [`Error::Unwritten`] it is.
    pub async fn transact(&self, actor: &Actor, instruction: Instruction) -> Result<TransactionRecord, Error> {
        // whether it is granted at all; how much of a cap it takes shows below
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        self.acquirer(actor)?;
        self.check(&instruction)?;
        let in_use = self
            .orders_in_use
            .take(&actor.merchant, &instruction.order)
            .ok_or(Error::Locked)?;
        let (payments, actor) = (self.clone(), actor.clone());
        to_its_end(async move {
            let _in_use = in_use;
            payments.transact_alone(&actor, instruction).await
        })
        .await
    }

    /// [`Self::transact`] while nobody else works on the order.
    async fn transact_alone(&self, actor: &Actor, mut instruction: Instruction) -> Result<TransactionRecord, Error> {
        let request = std::mem::replace(&mut instruction.request, SecretBytes::new(Vec::new()));
        let request_mac = HEXLOWER.encode(&self.vault.request_mac(request).await?);
        let names = Names::new(&instruction.order, &instruction.transaction);
        let before = self.load_transaction(actor, &names).await?;
        if let Some(before) = &before
            && before.stored.request_mac != request_mac
        {
            return Err(invalid(
                Part::Transaction,
                "The order has another transaction of this id",
            ));
        }
        match before {
            Some(done) if done.stored.view.verdict().is_some() => self.record(done).await,
            Some(pending) if is_overdue(&pending) => {
                let own = instruction.transaction.clone();
                match self.begin(actor, instruction, &names, request_mac, Some(pending)).await {
                    Err(error) if error.is_of_request() => self.give_up_own(actor, &names, &own).await,
                    ended => ended,
                }
            }
            pending => self.begin(actor, instruction, &names, request_mac, pending).await,
        }
    }

    async fn begin(
        &self,
        actor: &Actor,
        mut instruction: Instruction,
        names: &Names,
        request_mac: String,
        pending: Option<HeldTransaction>,
    ) -> Result<TransactionRecord, Error> {
        let standing = self.standing(actor, names, &instruction.transaction).await?;
        let fixed = standing.order.as_ref().map(|(_, order)| order.currency);
        let plan = match &pending {
            // a session that it takes from may hold other things now
            Some(pending) => Plan::again(&pending.stored.view, &standing.ledger),
            None => Asked::of(&instruction).plan(fixed, &standing.ledger)?,
        };
        let target = plan.target.and_then(|entry| standing.view(&entry.id));
        let resolved = match instruction.action.opens() {
            true => {
                let sources = std::mem::take(&mut instruction.sources);
                Some(self.resolve(actor, sources, Need::Number).await?)
            }
            false => None,
        };
        if !resolved.as_ref().is_some_and(|resolved| resolved.number_from_token) {
            // opening a token counts by itself
            self.vault.access().permit(actor, Operation::Pay, 1)?;
        }
        let card = match &resolved {
            Some(resolved) => Some(self.shown(resolved)?),
            None => target.and_then(|target| target.card.clone()),
        };
        if let Some(pending) = &pending
            && !same_card(card.as_ref(), pending.stored.view.card.as_ref())
        {
            let reason =
                "The transaction is pending, and its card is another one now than the acquirer was asked about";
            return Err(invalid(Part::Transaction, reason));
        }
        let personal = instruction.personal.take();
        let ask = ask(&instruction, &plan, resolved.as_ref(), target)?;
        let (pending, personal) = match pending {
            Some(transaction) => {
                let (order_rev, order) = standing.order.clone().ok_or_else(Error::damaged)?;
                let sealed = self.vault.document_secret(&transaction.document).await?;
                let pending = Pending {
                    order,
                    order_rev,
                    transaction,
                };
                (pending, sealed.map(text).transpose()?)
            }
            None => {
                let new = StoredTransaction {
                    ordinal: u32::try_from(standing.transactions.len()).unwrap_or(u32::MAX),
                    request_mac,
                    view: view(&instruction, &plan, &standing, target, card, UnixMillis::now()),
                };
                let before = standing.order.as_ref().map(|(rev, _)| *rev);
                let pending = self.write_pending(actor, names, before, new, personal.as_ref()).await?;
                (pending, personal)
            }
        };
        let answer = self
            .acquirer(actor)?
            .ask(&actor.merchant, names.transaction(), ask)
            .await;
        let record = self
            .complete(actor, names, pending, standing.ledger, Some(answer), personal)
            .await?;
        if instruction.recurring {
            self.look_ahead(actor, &record.view).await;
        }
        Ok(record)
    }

    /// Has the account updater look ahead to the token's next use. The transaction is done; it does not fail with this.
    async fn look_ahead(&self, actor: &Actor, done: &TransactionView) {
        let Some(token) = done.card.as_ref().and_then(|card| card.token.as_ref()) else {
            return;
        };
        if done.approved()
            && let Err(error) = self.note_recurring_use(actor, token, done.at).await
        {
            tracing::warn!(%error, request = %actor.request, "a recurring use was not noted");
        }
    }

    /// Refuses ids and free text that cannot be kept.
    fn check(&self, instruction: &Instruction) -> Result<(), Error> {
        for (part, id) in [
            (Part::Order, &instruction.order),
            (Part::Transaction, &instruction.transaction),
        ] {
            if !(1..=ID_LENGTH).contains(&id.chars().count()) {
                return Err(invalid(part, "The id does not have 1 to 40 characters"));
            }
            if self.vault.holds_card_number(id) {
                return Err(invalid(part, "The id holds what looks like a card number"));
            }
        }
        if let Some(echo) = &instruction.echo {
            self.vault.screen_object("order", echo, MAX_ECHO, true)?;
        }
        if let Some(personal) = &instruction.personal {
            self.vault.screen_object("customer", personal, MAX_PERSONAL, false)?;
        }
        Ok(())
    }

    fn shown(&self, resolved: &Resolved) -> Result<ShownCard, Error> {
        let pan = resolved.card.pan.as_ref().ok_or(Error::Missing(Part::Number))?;
        let (masked, info) = self.vault.look(pan);
        Ok(ShownCard {
            masked: masked.text,
            brand: info.brand,
            funding: info.funding,
            expiry: Some(resolved.card.expiry()?),
            token: resolved.token.clone().filter(|_| resolved.number_from_token),
        })
    }
}

/// Whether the acquirer would be asked about the same card.
fn same_card(one: Option<&ShownCard>, other: Option<&ShownCard>) -> bool {
    // what its number says of its brand may be known better by now
    let same = |one: &ShownCard, other: &ShownCard| {
        (&one.masked, one.expiry, &one.token) == (&other.masked, other.expiry, &other.token)
    };
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The transaction before it is answered.
fn view(
    instruction: &Instruction,
    plan: &Plan<'_>,
    standing: &Standing,
    target: Option<&TransactionView>,
    card: Option<ShownCard>,
    now: UnixMillis,
) -> TransactionView {
    let mut order = match &standing.order {
        Some((_, order)) => order.clone(),
        None => OrderView {
            echo: instruction.echo.clone(),
            ..OrderView::unopened(instruction.order.clone(), plan.amount, plan.currency, now)
        },
    };
    order.updated_at = now;
    // a verification of a card may come at any time
    if matches!(instruction.action, Action::Authorize | Action::Pay) {
        order.amount = plan.amount;
        order.echo = instruction.echo.clone().or(order.echo);
    }
    TransactionView {
        id: instruction.transaction.clone(),
        action: instruction.action,
        undone: target
            .filter(|_| instruction.action == Action::Void)
            .map(|target| target.action),
        amount: plan.amount,
        currency: plan.currency,
        answer: None,
        given_up: false,
        card,
        target: target.map(|target| target.id.clone()),
        at: now,
        echo: instruction.echo.clone(),
        order,
    }
}

/// Characters of an id.
const ID_LENGTH: usize = 40;
/// The longest [`Instruction::echo`], bytes: a transaction's document holds the order's as well.
const MAX_ECHO: usize = 16 * 1024;
/// The longest [`Instruction::personal`], bytes.
const MAX_PERSONAL: usize = 32 * 1024;
