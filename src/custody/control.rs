//! Which operations are under dual control.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What can be put under dual control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarded {
    /// Another token takes the HSM's place.
    KeyAdopt,
    /// An epoch's KEK is destroyed, or called compromised.
    KeyDestroy,
    /// The vault moves to a HSM with other keys.
    KeyMove,
    /// A key is replaced by the next.
    KeyRotate,
    /// Cards leave in bulk.
    Export,
    /// Every token of a namespace or a repository is erased.
    Erase,
    /// Who are operators. Not listed: it is under dual control as soon as anything is.
    #[serde(skip_deserializing)]
    Operators,
    /// Another policy or configuration comes into force.
    Policy,
    /// A backup is restored without the audit trail that says what was deleted since.
    Restore,
}

impl Guarded {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::KeyAdopt,
        Self::KeyDestroy,
        Self::KeyMove,
        Self::KeyRotate,
        Self::Export,
        Self::Erase,
        Self::Operators,
        Self::Policy,
        Self::Restore,
    ];

    /// Its name in configuration, ceremonies and the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyAdopt => "key-adopt",
            Self::KeyDestroy => "key-destroy",
            Self::KeyMove => "key-move",
            Self::KeyRotate => "key-rotate",
            Self::Export => "export",
            Self::Erase => "erase",
            Self::Operators => "operators",
            Self::Policy => "policy",
            Self::Restore => "restore",
        }
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is under dual control, and how long two people have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Which operations.
    pub operations: BTreeSet<Guarded>,
    /// From the opening of a ceremony to what it is for.
    pub window: Duration,
}

impl Control {
    /// Whether `operation` needs two.
    pub fn guards(&self, operation: Guarded) -> bool {
        match operation {
            Guarded::Operators => !self.operations.is_empty(),
            _ => self.operations.contains(&operation),
        }
    }
}
