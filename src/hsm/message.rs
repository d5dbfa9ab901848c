//! What the server and a worker say to each other, one message a frame.

use serde::{Deserialize, Serialize};

use super::{Config, Epoch, Fault, Keyset, ProbeReport, Reply, StartFault};

/// Says which program speaks. Both ends are the same file, unless it was replaced under a running server.
pub(super) const PROTOCOL: &str = concat!(env!("CARGO_PKG_VERSION"), "/7");

/// A job's number, unique within a [`super::Client`]'s life; a job that is handed over again gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct JobId(pub(super) u64);

/// From the server to a worker. `J` is a `Job`, or a reference to one on the sending side.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker<J> {
    /// First, and once.
    Hello(Box<Hello>),
    /// Work, in the order it came.
    Jobs(Vec<(JobId, J)>),
}

/// All that a worker needs to start, but for the PIN, which it reads itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hello {
    /// [`PROTOCOL`].
    pub(super) protocol: String,
    /// How to reach the HSM.
    pub(super) config: Config,
    /// Which keys to find in it.
    #[serde(with = "json")]
    pub(super) keyset: Keyset,
}

/// From a worker to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToServer {
    /// Cannot start; the worker ends.
    Failed(StartFault),
    /// Lives and has nothing else to say.
    Heartbeat,
    /// Started: jobs may come.
    Ready(ProbeReport),
    /// Answers, in any order.
    Replies(Vec<(JobId, Result<Reply, Fault>)>),
    /// So many DEKs were wrapped beside one for each job that seals.
    Wrapped(Vec<(Epoch, u32)>),
}

/// A keyset has tagged enums, which postcard cannot read back; it crosses as the JSON that `init` writes.
mod json {
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Error as _, Serializer};

    use crate::hsm::Keyset;

    pub(super) fn serialize<S: Serializer>(keyset: &Keyset, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&serde_json::to_string(keyset).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Keyset, D::Error> {
        serde_json::from_str(<&str>::deserialize(from)?).map_err(D::Error::custom)
    }
}
