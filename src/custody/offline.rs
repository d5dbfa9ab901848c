//! What was done while no daemon served, as its transcript states it: no ceremony was opened for it, the operators' approvals
//! came in files.

use serde_json::{Map, Value};

use super::control::Guarded;
use crate::id::UnixMillis;

/// The name of a ceremony that no daemon held.
const OFFLINE: &str = "offline";

/// Something that was done offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineCeremony<'a> {
    /// What.
    pub operation: Guarded,
    /// On what.
    pub subject: &'a Map<String, Value>,
    /// The operators who agreed, where it is under dual control: `alice and bob`.
    pub approved_by: Option<&'a str>,
    /// When it began.
    pub acted_at: UnixMillis,
    /// When it was done.
    pub done_at: UnixMillis,
    /// What it came to.
    pub result: Map<String, Value>,
}

impl OfflineCeremony<'_> {
    /// What the transcript states, but for the audit record that it rests on.
    pub fn says(&self) -> Map<String, Value> {
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("ceremony", OFFLINE.into());
        set("operation", self.operation.as_str().into());
        set("subject", Value::Object(self.subject.clone()));
        set("approved_by", self.approved_by.into());
        set("acted_at", self.acted_at.to_string().into());
        set("done_at", self.done_at.to_string().into());
        set("outcome", "ok".into());
        set("result", Value::Object(self.result.clone()));
        says
    }
}
