//! Why the policy decides as it does, for people: `panvault policy explain`.

use std::fmt;

use serde::Serialize;

use super::{Grant, Policy, Set};
use crate::id::RepositoryName;
use crate::vault::caps::CapOverrides;
use crate::vault::types::{Dialect, Operation, Peer};

/// Every grant, held against one caller and operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The caller's user id.
    pub uid: u32,
    /// The caller's primary group id.
    pub gid: u32,
    /// The operation, by name.
    pub operation: &'static str,
    /// Whether any grant allows it somewhere.
    pub allowed: bool,
    /// In the order of the file: the first that allows decides, its caps hold.
    pub grants: Vec<GrantVerdict>,
}

/// What one grant does for the caller and operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantVerdict {
    /// The grant.
    pub name: String,
    /// Whether it allows the operation to the caller.
    pub allows: bool,
    /// Why not, one reason each; empty where it allows.
    pub because: Vec<String>,
    /// The dialects it is for; `*` is all.
    pub dialects: Vec<String>,
    /// The repositories it is for; `*` is all.
    pub repositories: Vec<String>,
    /// Its own caps, 0 is no limit; where null, the configuration's hold.
    pub caps: CapOverrides,
}

impl Policy {
    /// Which grants allow `op` to `peer`, and why the others do not.
    pub fn explain(&self, peer: &Peer, op: Operation) -> Explanation {
        let grants: Vec<_> = self.grants.iter().map(|grant| grant.explain(peer, op)).collect();
        Explanation {
            uid: peer.uid,
            gid: peer.gid,
            operation: op.as_str(),
            allowed: grants.iter().any(|grant| grant.allows),
            grants,
        }
    }
}

impl Grant {
    fn explain(&self, peer: &Peer, op: Operation) -> GrantVerdict {
        let mut because = Vec::new();
        for (kind, wanted, is) in [
            ("user", self.caller.uid, peer.uid),
            ("group", self.caller.gid, peer.gid),
        ] {
            if let Some(wanted) = wanted
                && wanted != is
            {
                because.push(format!("is for {kind} {wanted}, not {is}"));
            }
        }
        if !self.operations.covers(&op) {
            let listed = self.operations.names(|op| op.as_str().to_owned()).join(", ");
            because.push(match listed.as_str() {
                "" => "lists no operation".to_owned(),
                listed => format!("allows {listed}, not {}", op.as_str()),
            });
        }
        let dialects = self.dialects.names(|dialect: &Dialect| dialect.as_str().to_owned());
        if dialects.is_empty() {
            because.push("lists no dialect".to_owned());
        }
        let repositories = self.repositories.names(RepositoryName::to_string);
        if repositories.is_empty() {
            because.push("lists no repository".to_owned());
        }
        GrantVerdict {
            name: self.name.clone(),
            allows: because.is_empty(),
            because,
            dialects,
            repositories,
            caps: self.caps,
        }
    }
}

impl<T> Set<T> {
    fn names(&self, name: impl Fn(&T) -> String) -> Vec<String> {
        match self {
            Self::Any => vec!["*".to_owned()],
            Self::Listed(values) => values.iter().map(name).collect(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        writeln!(
            f,
            "{} to user {}, group {}: {verdict}",
            self.operation, self.uid, self.gid
        )?;
        if self.grants.is_empty() {
            writeln!(f, "  the policy has no grants")?;
        }
        for grant in &self.grants {
            write!(f, "  {}: ", grant.name)?;
            if grant.allows {
                let (dialects, repositories) = (grant.dialects.join(", "), grant.repositories.join(", "));
                writeln!(f, "allows it; dialects: {dialects}; repositories: {repositories}")?;
            } else {
                writeln!(f, "does not: {}", grant.because.join("; "))?;
            }
        }
        Ok(())
    }
}
