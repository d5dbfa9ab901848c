//! One run over what is due.

use std::time::Duration;

use tokio::sync::watch;

use super::Maintained;
use super::plan::Plan;
use crate::id::{Token, UnixMillis};
use crate::payment::tokens::Checked;
use crate::payment::{Error, Payments};
use crate::vault::types::{
    Actor, CallerError, Dialect, Document, DocumentEvent, DocumentKind, Error as CoreError, Expect, Peer, Status,
};

/// How looking after a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It is not there any more, or out of use: nothing is to be asked.
    Gone,
    /// Nothing is newer.
    Current,
    /// Another number or expiry.
    Updated,
    /// Another token has taken over.
    Replaced,
    /// The account is closed.
    Closed,
    /// No answer.
    Unavailable,
}

impl Payments {
    /// Asks about every token that is due at `now`, of every merchant that has an account updater, until `stopped`.
    ///
    /// # Errors
    /// No random bytes. What goes wrong with a merchant or a token is counted and logged, and the others go on.
    pub(super) async fn maintain(
        &self,
        own: Peer,
        look_ahead: Duration,
        now: UnixMillis,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Maintained, Error> {
        let mut done = Maintained::default();
        let actors = self
            .vault
            .access()
            .own_actors(own, Dialect::Mastercard)
            .map_err(CoreError::from)?;
        for actor in actors.iter().filter(|actor| self.updater(actor).is_ok()) {
            if let Err(error) = self.maintain_merchant(actor, look_ahead, now, stopped, &mut done).await {
                tracing::warn!(%error, merchant = %actor.merchant, "tokens of a merchant wait for maintenance");
                done.failed += 1;
            }
        }
        Ok(done)
    }

    async fn maintain_merchant(
        &self,
        actor: &Actor,
        look_ahead: Duration,
        now: UnixMillis,
        stopped: &watch::Receiver<bool>,
        done: &mut Maintained,
    ) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self
                .vault
                .documents(actor, DocumentKind::Maintenance, "", after.as_deref(), PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            for document in &page {
                if *stopped.borrow() {
                    return Ok(());
                }
                let plan = Plan::decode(&document.clear)?;
                done.looked_at += 1;
                if !plan.is_due(now, look_ahead) {
                    continue;
                }
                match self.maintain_token(actor, document, &plan, now).await {
                    Ok(ended) => done.count(ended),
                    Err(error) => {
                        tracing::warn!(%error, request = %actor.request, "a token waits for maintenance");
                        done.failed += 1;
                    }
                }
            }
        }
    }

    /// Asks about one token and keeps in mind that it was asked about.
    async fn maintain_token(
        &self,
        actor: &Actor,
        document: &Document,
        plan: &Plan,
        now: UnixMillis,
    ) -> Result<Ended, Error> {
        let Ok(token) = Token::parse(&document.name) else {
            return Ok(Ended::Gone);
        };
        let ended = self.ask_about(actor, &token).await?;
        let (outcome, plan) = match ended {
            Ended::Gone => ("gone", None),
            Ended::Current => ("current", Some(plan.asked(now, true))),
            Ended::Updated => ("updated", Some(plan.asked(now, true))),
            Ended::Replaced => ("replaced", Some(plan.asked(now, true))),
            Ended::Closed => ("closed", Some(plan.asked(now, true))),
            Ended::Unavailable => ("unavailable", Some(plan.asked(now, false))),
        };
        let event = DocumentEvent {
            action: "maintenance",
            outcome,
            token: Some(token),
            detail: None,
        };
        // charged in between: the plan of that charge stands, and it may be asked about once more
        self.write_plan(actor, &document.name, Expect::Rev(document.rev), plan.as_ref(), event)
            .await?;
        Ok(ended)
    }

    async fn ask_about(&self, actor: &Actor, token: &Token) -> Result<Ended, Error> {
        let rules = actor.rules;
        let view = match self.vault.inspect(actor, token).await {
            Ok(view) if view.status == Status::Active => view,
            Ok(_) | Err(CoreError::Caller(CallerError::UnknownToken | CallerError::Expired)) => return Ok(Ended::Gone),
            Err(error) => return Err(Error::Core(error)),
        };
        let Some(rules) = rules else {
            return Ok(Ended::Gone);
        };
        let card = self.vault.card_for_payment(actor, token).await?;
        let update = self
            .updater(actor)?
            .look_up(&actor.merchant, &card.pan, card.expiry)
            .await;
        let before = view.replacement.clone();
        let (checked, view) = self
            .apply_update(actor, rules, view, card.profile.holder, update)
            .await?;
        Ok(match checked {
            Checked::UpdaterChanged if view.replacement != before => Ended::Replaced,
            Checked::UpdaterChanged => Ended::Updated,
            Checked::UpdaterClosed => Ended::Closed,
            Checked::UpdaterUnavailable => Ended::Unavailable,
            Checked::Acquirer
            | Checked::Basic
            | Checked::NotChecked
            | Checked::Refused(_)
            | Checked::UpdaterCurrent => Ended::Current,
        })
    }
}

impl Maintained {
    /// Tokens that the updater was asked about.
    pub(super) fn asked(&self) -> u64 {
        self.current + self.updated + self.replaced + self.closed + self.unavailable
    }

    fn count(&mut self, ended: Ended) {
        let count = match ended {
            Ended::Gone => return,
            Ended::Current => &mut self.current,
            Ended::Updated => &mut self.updated,
            Ended::Replaced => &mut self.replaced,
            Ended::Closed => &mut self.closed,
            Ended::Unavailable => &mut self.unavailable,
        };
        *count += 1;
    }
}

/// Plans read at once.
const PAGE: u32 = 256;
