//! The policy: which process may do what, in which dialect, in which repositories. Nothing is allowed but by a grant.
//!
//! A process is known by the user and the primary group that the kernel reports for the connection (`SO_PEERCRED`).
//! The kernel does not report supplementary groups: a grant to a group reaches only processes whose primary group it
//! is (systemd: `Group=`).

mod explain;
mod file;

pub use explain::{Explanation, GrantVerdict};
pub use file::BadPolicy;

use super::caps::CapOverrides;
use super::types::{Dialect, Operation, Peer};
use crate::id::RepositoryName;

/// All grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    grants: Vec<Grant>,
    /// SHA-256 of the file's text, hex; empty where there is no file.
    digest: String,
}

/// What the policy says to one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The first grant in the file that allows it; `None`: denied.
    pub allowed_by: Option<&'a str>,
    /// That grant's own caps.
    pub caps: CapOverrides,
}

/// One grant: everything in it must match.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    name: String,
    caller: CallerMatch,
    dialects: Set<Dialect>,
    repositories: Set<RepositoryName>,
    operations: Set<Operation>,
    caps: CapOverrides,
}

/// Which processes; at least one of the two is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CallerMatch {
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Listed values, or all there are and will be (`"*"`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Set<T> {
    Any,
    Listed(Vec<T>),
}

impl Policy {
    /// Everything to one user, without caps: where no file is read.
    pub fn dev(uid: u32) -> Self {
        Self {
            grants: vec![Grant {
                name: "dev".to_owned(),
                caller: CallerMatch {
                    uid: Some(uid),
                    gid: None,
                },
                dialects: Set::Any,
                repositories: Set::Any,
                operations: Set::Any,
                caps: CapOverrides::unlimited(),
            }],
            digest: String::new(),
        }
    }

    /// Whether `peer` may do `op` in `repository`, speaking `dialect`. Looks at nothing else.
    pub fn decide(&self, peer: &Peer, dialect: Dialect, repository: &RepositoryName, op: Operation) -> Decision<'_> {
        let grant = self.grants.iter().find(|grant| {
            grant.caller.covers(peer)
                && grant.operations.covers(&op)
                && grant.dialects.covers(&dialect)
                && grant.repositories.covers(repository)
        });
        Decision {
            allowed_by: grant.map(|grant| grant.name.as_str()),
            caps: grant.map(|grant| grant.caps).unwrap_or_default(),
        }
    }

    /// SHA-256 of the file's text, hex; empty where there is no file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many grants there are.
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    /// Whether it grants nothing to anyone.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }
}

impl CallerMatch {
    fn covers(self, peer: &Peer) -> bool {
        let same = |wanted: Option<u32>, is: u32| wanted.is_none_or(|wanted| wanted == is);
        (self.uid.is_some() || self.gid.is_some()) && same(self.uid, peer.uid) && same(self.gid, peer.gid)
    }
}

impl<T: PartialEq> Set<T> {
    fn covers(&self, value: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(values) => values.contains(value),
        }
    }
}

#[cfg(test)]
mod tests;
