//! The verbs of ceremonies: open, approve, cancel, act, state.

use serde_json::{Map, Value};

use super::ceremony::{Act, Ceremony, CeremonyView, Standing};
use super::control::Guarded;
use super::operator::Operator;
use super::operators::Known;
use super::table::{Held, Row, all, commit, put, read};
use super::{Asking, Custody, Error};
use crate::audit::{Event, StatementKind};
use crate::id::{CeremonyId, UnixMillis};
use crate::store::{Cond, Write};
use crate::vault::types::Peer;

/// What an operation that may be under dual control is told.
pub enum Verdict {
    /// Not under dual control.
    Free,
    /// Nothing may happen yet: a second operator must approve this ceremony.
    Waiting(Box<CeremonyView>),
    /// Two agreed: do it now, and say how it ended.
    Granted(Box<Granted>),
}

/// The one use of an approved ceremony.
pub struct Granted {
    ceremony: Held<Ceremony>,
    peer: Peer,
}

impl Granted {
    /// Which ceremony.
    pub fn id(&self) -> &CeremonyId {
        &self.ceremony.row.id
    }
}

impl Custody {
    /// Whether `operation` on `subject` may happen now. `subject` is all that matters about it: what is approved is this and
    /// nothing else.
    ///
    /// # Errors
    /// Not an operator, or there are not two; the store does not work.
    pub async fn authorize(
        &self,
        asking: &Asking<'_>,
        operation: Guarded,
        subject: Map<String, Value>,
    ) -> Result<Verdict, Error> {
        if !self.guards(operation) {
            return Ok(Verdict::Free);
        }
        let operator = self.known(asking).await?;
        self.two_at_least(operation.as_str(), None).await?;
        let now = UnixMillis::now();
        let all = all::<Ceremony>(self.store.as_ref()).await?;
        let mine = |held: &&Held<Ceremony>| {
            held.row.operation == operation && held.row.subject == subject && held.row.opened.operator == operator.name
        };
        let mut waiting = None;
        for held in all.iter().filter(mine) {
            match held.row.standing(now, self.started) {
                Standing::Approved => {
                    if let Some(approver) = self.approver(&held.row).await? {
                        let granted = self.act(held, &approver, asking.peer, now).await?;
                        return Ok(Verdict::Granted(Box::new(granted)));
                    }
                }
                Standing::Open => waiting = Some(held.row.view(now, self.started)),
                Standing::Acting | Standing::CutShort | Standing::Done | Standing::Cancelled | Standing::Expired => (),
            }
        }
        let view = match waiting {
            Some(view) => view,
            None => self.open(&all, asking.peer, &operator, operation, subject, now).await?,
        };
        Ok(Verdict::Waiting(Box::new(view)))
    }

    /// A second operator agrees.
    ///
    /// # Errors
    /// Not another operator; no such ceremony, or it is over.
    pub async fn approve(&self, asking: &Asking<'_>, id: &CeremonyId) -> Result<CeremonyView, Error> {
        let operator = self.known(asking).await?;
        let held = self.ceremony(id).await?;
        let next = match held.row.approve(act(&operator)) {
            Err(Error::SamePerson) => {
                self.vault
                    .note(told(&held.row, "ceremony-approve", "denied", asking.peer, &operator))
                    .await?;
                return Err(Error::SamePerson);
            }
            other => other?,
        };
        let event = told(&next, "ceremony-approve", "ok", asking.peer, &operator);
        self.replace(&held, &next, event).await?;
        Ok(next.view(UnixMillis::now(), self.started))
    }

    /// An operator takes a ceremony back.
    ///
    /// # Errors
    /// Not an operator; no such ceremony, or it is over.
    pub async fn cancel(&self, asking: &Asking<'_>, id: &CeremonyId) -> Result<CeremonyView, Error> {
        let operator = self.known(asking).await?;
        let held = self.ceremony(id).await?;
        let next = held.row.cancel(act(&operator))?;
        let event = told(&next, "ceremony-cancel", "ok", asking.peer, &operator);
        self.replace(&held, &next, event).await?;
        Ok(next.view(UnixMillis::now(), self.started))
    }

    /// How what was granted ended, for its transcript.
    ///
    /// # Errors
    /// The store does not work. What was done stays done.
    pub async fn conclude(&self, granted: Box<Granted>, outcome: &str) -> Result<(), Error> {
        let done = granted.ceremony.row.conclude(outcome, UnixMillis::now())?;
        let event = Event {
            peer: Some(granted.peer),
            detail: Some(format!("{}: {outcome}", done.id)),
            ..Event::new("ceremony-done", "ok")
        };
        let done = match self.state(&done).await {
            Ok(text) => done.with_transcript(text),
            // it is signed when it is asked for
            Err(error) => {
                tracing::warn!(%error, ceremony = %done.id, "the transcript is not signed yet");
                done
            }
        };
        self.replace(&granted.ceremony, &done, event).await
    }

    /// All ceremonies that are remembered, the latest first.
    ///
    /// # Errors
    /// The store does not work.
    pub async fn ceremonies(&self) -> Result<Vec<CeremonyView>, Error> {
        let now = UnixMillis::now();
        let mut rows: Vec<Ceremony> = all(self.store.as_ref())
            .await?
            .into_iter()
            .map(|held| held.row)
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.opened.at));
        Ok(rows.iter().map(|row| row.view(now, self.started)).collect())
    }

    /// The signed transcript of a ceremony: JSON.
    ///
    /// # Errors
    /// No such ceremony, or nothing was done in it; the HSM does not sign.
    pub async fn transcript(&self, id: &CeremonyId) -> Result<String, Error> {
        let held = self.ceremony(id).await?;
        match held.row.transcript() {
            Some(text) => Ok(text.to_owned()),
            None => self.state(&held.row).await,
        }
    }

    async fn state(&self, done: &Ceremony) -> Result<String, Error> {
        let Some(says) = done.says() else {
            let standing = done.standing(UnixMillis::now(), self.started);
            return Err(Error::NoTranscript(done.id.clone(), standing));
        };
        Ok(self.vault.state(StatementKind::Ceremony, says).await?.to_json())
    }

    async fn ceremony(&self, id: &CeremonyId) -> Result<Held<Ceremony>, Error> {
        let held = read(self.store.as_ref(), &Ceremony::key_of(id.as_str())).await?;
        held.ok_or_else(|| Error::NoCeremony(id.clone()))
    }

    async fn open(
        &self,
        all: &[Held<Ceremony>],
        peer: Peer,
        operator: &Known,
        operation: Guarded,
        subject: Map<String, Value>,
        now: UnixMillis,
    ) -> Result<CeremonyView, Error> {
        let standing = |held: &&Held<Ceremony>| held.row.standing(now, self.started);
        let live = all
            .iter()
            .filter(|held| matches!(standing(held), Standing::Open | Standing::Approved));
        if live.count() >= LIVE_MAX {
            return Err(Error::TooMany(LIVE_MAX, "ceremonies waiting"));
        }
        // what came to nothing is in the audit trail; what was done is kept
        let forgotten = all
            .iter()
            .filter(|held| matches!(standing(held), Standing::Cancelled | Standing::Expired))
            .filter(|held| held.row.ends_at.plus(REMEMBERED_MS) < now)
            .take(FORGOTTEN_AT_ONCE)
            .map(|held| Write::Del(held.row.key()));
        let ceremony = Ceremony::open(
            CeremonyId::random()?,
            operation,
            subject,
            act(operator),
            self.control.window,
        );
        let mut writes = vec![put(&ceremony)?];
        writes.extend(forgotten);
        let event = told(&ceremony, "ceremony-open", "ok", peer, operator);
        commit(self.store.as_ref(), vec![Cond::Absent(ceremony.key())], writes, event).await?;
        Ok(ceremony.view(now, self.started))
    }

    /// Who approved it, as they are now. `None`: the one who did is no operator any more, or has another credential by now;
    /// then it is as if nobody had.
    async fn approver(&self, ceremony: &Ceremony) -> Result<Option<Held<Operator>>, Error> {
        let Some(approved) = ceremony.approved() else {
            return Ok(None);
        };
        let there = match self.operator(&approved.operator).await {
            Err(Error::Unknown(_)) => return Ok(None),
            other => other?,
        };
        let enrolled = there.row.enrolled.as_ref();
        let same = enrolled.is_some_and(|enrolled| enrolled.credential == approved.credential);
        Ok(Some(there).filter(|there| same && there.row.uid == approved.uid))
    }

    async fn act(
        &self,
        held: &Held<Ceremony>,
        approver: &Held<Operator>,
        peer: Peer,
        now: UnixMillis,
    ) -> Result<Granted, Error> {
        let next = held.row.act(now)?;
        let conds = vec![
            Cond::Rev(held.row.key(), held.rev),
            Cond::Rev(approver.row.key(), approver.rev),
        ];
        let event = Event {
            peer: Some(peer),
            detail: Some(format!("{}: {}", next.id, next.operation.as_str())),
            ..Event::new("ceremony-act", "ok")
        };
        commit(self.store.as_ref(), conds, vec![put(&next)?], event).await?;
        let ceremony = self.ceremony(&next.id).await?;
        Ok(Granted { ceremony, peer })
    }

    async fn replace(&self, held: &Held<Ceremony>, next: &Ceremony, event: Event) -> Result<(), Error> {
        let conds = vec![Cond::Rev(held.row.key(), held.rev)];
        commit(self.store.as_ref(), conds, vec![put(next)?], event).await
    }
}

fn act(operator: &Known) -> Act {
    Act {
        operator: operator.name.clone(),
        uid: operator.uid,
        credential: operator.credential.clone(),
        at: UnixMillis::now(),
    }
}

fn told(ceremony: &Ceremony, action: &str, outcome: &str, peer: Peer, operator: &Known) -> Event {
    let subject = Value::Object(ceremony.subject.clone());
    Event {
        peer: Some(peer),
        detail: Some(format!(
            "{}: {} {subject}, by operator {}",
            ceremony.id,
            ceremony.operation.as_str(),
            operator.name
        )),
        ..Event::new(action, outcome)
    }
}

/// Ceremonies that wait at once.
const LIVE_MAX: usize = 100;
/// Those that came to nothing are listed for 90 days.
const REMEMBERED_MS: u64 = 90 * 24 * 3_600_000;
const FORGOTTEN_AT_ONCE: usize = 100;
