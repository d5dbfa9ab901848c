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

/// How asking about a token ended.
enum Ended {
    /// It is not there any more, or out of use: nothing is to be asked.
    Gone,
    /// The updater was asked.
    Asked(Checked),
}

impl Payments {
    /// Asks about every token that is due at `now`, of every merchant that has an account updater, until `stopped`.
    ///
    /// # Errors
    /// No random bytes. What goes wrong with a merchant or a token is counted and logged, and the others go on.
    pub async fn maintain(
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
                if !plan.is_due(now, look_ahead) {
                    continue;
                }
                match self.maintain_token(actor, document, &plan, now).await {
                    Ok(Some(checked)) => done.count(checked),
                    Ok(None) => {}
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
    ) -> Result<Option<Checked>, Error> {
        let Ok(token) = Token::parse(&document.name) else {
            return Ok(None);
        };
        let (outcome, plan, checked) = match self.ask_about(actor, &token).await? {
            Ended::Gone => ("gone", None, None),
            Ended::Asked(checked) => {
                let (outcome, settled) = match checked {
                    Checked::UpdaterChanged => ("changed", true),
                    Checked::UpdaterClosed => ("closed", true),
                    Checked::UpdaterUnavailable => ("unavailable", false),
                    Checked::Acquirer
                    | Checked::Basic
                    | Checked::NotChecked
                    | Checked::Refused(_)
                    | Checked::UpdaterCurrent => ("current", true),
                };
                (outcome, Some(plan.asked(now, settled)), Some(checked))
            }
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
        Ok(checked)
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
        let (checked, _) = self
            .apply_update(actor, rules, view, card.profile.holder, update)
            .await?;
        Ok(Ended::Asked(checked))
    }
}

impl Maintained {
    fn count(&mut self, checked: Checked) {
        self.asked += 1;
        match checked {
            Checked::UpdaterChanged => self.changed += 1,
            Checked::UpdaterClosed => self.closed += 1,
            Checked::UpdaterUnavailable => self.unavailable += 1,
            Checked::Acquirer
            | Checked::Basic
            | Checked::NotChecked
            | Checked::Refused(_)
            | Checked::UpdaterCurrent => {}
        }
    }
}

/// Plans read at once.
const PAGE: u32 = 256;
