//! A ceremony's life, without a clock and a store of its own.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Error;
use super::control::Guarded;
use super::table::Row;
use crate::id::{CeremonyId, CredentialId, OperatorName, UnixMillis};
use crate::store::Key;

/// What one operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// Who.
    pub operator: OperatorName,
    /// As which user of the host.
    pub uid: u32,
    /// By which credential.
    pub credential: CredentialId,
    /// When.
    pub at: UnixMillis,
}

/// An operation on a subject that two operators do together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceremony {
    /// Which.
    pub id: CeremonyId,
    /// What is to be done.
    #[serde(with = "by_name")]
    pub operation: Guarded,
    /// To what: what both of them see.
    pub subject: Map<String, Value>,
    /// By whom it was opened.
    pub opened: Act,
    /// From then on nothing comes of it.
    pub ends_at: UnixMillis,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stage {
    Open,
    Approved(Act),
    /// Being done since.
    Acting(Act, UnixMillis),
    Done(Box<Done>),
    Cancelled(Act),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    approved: Act,
    acted_at: UnixMillis,
    done_at: UnixMillis,
    outcome: String,
    /// Signed; nothing while the HSM did not sign.
    transcript: Option<String>,
}

/// How a ceremony stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It waits for a second operator.
    Open,
    /// It waits for the first one's command.
    Approved,
    /// It is being done.
    Acting,
    /// The daemon ended while it was being done: the audit trail says how far it came.
    CutShort,
    /// It was done, or was tried and failed.
    Done,
    /// An operator took it back.
    Cancelled,
    /// The window is over and nothing was done.
    Expired,
}

/// As it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct CeremonyView {
    /// Which.
    pub id: CeremonyId,
    /// What.
    pub operation: &'static str,
    /// To what.
    pub subject: Map<String, Value>,
    /// How it stands.
    pub state: Standing,
    /// The first operator.
    pub opened_by: OperatorName,
    /// RFC 3339.
    pub opened_at: String,
    /// RFC 3339.
    pub ends_at: String,
    /// The second one.
    pub approved_by: Option<OperatorName>,
    /// How what it was for ended.
    pub outcome: Option<String>,
}

impl Ceremony {
    /// Opened by `act`, good for `window`.
    pub(super) fn open(
        id: CeremonyId,
        operation: Guarded,
        subject: Map<String, Value>,
        act: Act,
        window: Duration,
    ) -> Self {
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self {
            id,
            operation,
            subject,
            ends_at: act.at.plus(millis),
            opened: act,
            stage: Stage::Open,
        }
    }

    /// A second operator agrees.
    ///
    /// # Errors
    /// The same person, or not open any more.
    pub(super) fn approve(&self, act: Act) -> Result<Self, Error> {
        self.expect(Standing::Open, act.at)?;
        if act.operator == self.opened.operator || act.uid == self.opened.uid {
            return Err(Error::SamePerson);
        }
        Ok(self.at(Stage::Approved(act)))
    }

    /// An operator takes it back: anyone of them may.
    ///
    /// # Errors
    /// Nothing to take back.
    pub(super) fn cancel(&self, act: Act) -> Result<Self, Error> {
        match self.standing(act.at, UnixMillis(0)) {
            Standing::Open | Standing::Approved => Ok(self.at(Stage::Cancelled(act))),
            standing => Err(Error::Over(self.id.clone(), standing)),
        }
    }

    /// What it is for is done now: once.
    ///
    /// # Errors
    /// Not approved, or not any more.
    pub(super) fn act(&self, now: UnixMillis) -> Result<Self, Error> {
        self.expect(Standing::Approved, now)?;
        match &self.stage {
            Stage::Approved(approved) => Ok(self.at(Stage::Acting(approved.clone(), now))),
            _ => Err(Error::Over(self.id.clone(), self.standing(now, UnixMillis(0)))),
        }
    }

    /// It was done, and ended like this.
    ///
    /// # Errors
    /// It was not being done.
    pub(super) fn conclude(&self, outcome: &str, now: UnixMillis) -> Result<Self, Error> {
        match &self.stage {
            Stage::Acting(approved, acted_at) => Ok(self.at(Stage::Done(Box::new(Done {
                approved: approved.clone(),
                acted_at: *acted_at,
                done_at: now,
                outcome: outcome.to_owned(),
                transcript: None,
            })))),
            _ => Err(Error::Over(self.id.clone(), self.standing(now, UnixMillis(0)))),
        }
    }

    /// The second operator, once there is one.
    pub(super) fn approved(&self) -> Option<&Act> {
        match &self.stage {
            Stage::Open | Stage::Cancelled(_) => None,
            Stage::Approved(act) | Stage::Acting(act, _) => Some(act),
            Stage::Done(done) => Some(&done.approved),
        }
    }

    pub(super) fn transcript(&self) -> Option<&str> {
        match &self.stage {
            Stage::Done(done) => done.transcript.as_deref(),
            _ => None,
        }
    }

    /// With its transcript, where it was done.
    pub(super) fn with_transcript(mut self, text: String) -> Self {
        if let Stage::Done(done) = &mut self.stage {
            done.transcript = Some(text);
        }
        self
    }

    /// What the transcript states; nothing before it was done.
    pub(super) fn says(&self) -> Option<Map<String, Value>> {
        let Stage::Done(done) = &self.stage else {
            return None;
        };
        let act = |act: &Act| {
            let mut says = Map::new();
            says.insert("operator".to_owned(), act.operator.as_str().into());
            says.insert("uid".to_owned(), act.uid.into());
            says.insert("credential".to_owned(), act.credential.as_str().into());
            says.insert("at".to_owned(), act.at.to_string().into());
            Value::Object(says)
        };
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("ceremony", self.id.as_str().into());
        set("operation", self.operation.as_str().into());
        set("subject", Value::Object(self.subject.clone()));
        set("opened", act(&self.opened));
        set("approved", act(&done.approved));
        set("acted_at", done.acted_at.to_string().into());
        set("done_at", done.done_at.to_string().into());
        set("outcome", done.outcome.as_str().into());
        Some(says)
    }

    /// How it stands at `now`, in a daemon that runs since `started`.
    pub(super) fn standing(&self, now: UnixMillis, started: UnixMillis) -> Standing {
        match &self.stage {
            Stage::Cancelled(_) => Standing::Cancelled,
            Stage::Done(_) => Standing::Done,
            Stage::Acting(_, since) if *since < started => Standing::CutShort,
            Stage::Acting(..) => Standing::Acting,
            Stage::Open | Stage::Approved(_) if now >= self.ends_at => Standing::Expired,
            Stage::Open => Standing::Open,
            Stage::Approved(_) => Standing::Approved,
        }
    }

    pub(super) fn view(&self, now: UnixMillis, started: UnixMillis) -> CeremonyView {
        CeremonyView {
            id: self.id.clone(),
            operation: self.operation.as_str(),
            subject: self.subject.clone(),
            state: self.standing(now, started),
            opened_by: self.opened.operator.clone(),
            opened_at: self.opened.at.to_string(),
            ends_at: self.ends_at.to_string(),
            approved_by: self.approved().map(|act| act.operator.clone()),
            outcome: match &self.stage {
                Stage::Done(done) => Some(done.outcome.clone()),
                _ => None,
            },
        }
    }

    fn expect(&self, wanted: Standing, now: UnixMillis) -> Result<(), Error> {
        match self.standing(now, UnixMillis(0)) {
            standing if standing == wanted => Ok(()),
            standing => Err(Error::Over(self.id.clone(), standing)),
        }
    }

    fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }
}

impl Row for Ceremony {
    const TABLE: u8 = 0x41;

    fn key(&self) -> Key {
        Self::key_of(self.id.as_str())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "still open",
            Self::Approved => "approved",
            Self::Acting => "being done",
            Self::CutShort => "cut short by a stop of the daemon",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        })
    }
}

/// All operations, also those that no configuration names.
mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Guarded;

    pub(super) fn serialize<S: Serializer>(operation: &Guarded, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(operation.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Guarded, D::Error> {
        let name = String::deserialize(from)?;
        let known = Guarded::ALL.into_iter().find(|operation| operation.as_str() == name);
        known.ok_or_else(|| de::Error::custom("an operation that is not known"))
    }
}
