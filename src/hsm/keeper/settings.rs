//! How a keeper is set, and what it tells.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hsm::share::SetId;
use crate::id::UnixMillis;

/// How the PIN is put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Holds what is kept of the sets of shares.
    pub state_dir: PathBuf,
    /// The panvault program, started as `panvault pin-keeper`.
    pub program: PathBuf,
    /// Users that may give a share. Without it everyone who can connect, but root.
    pub custodians: Option<Vec<u32>>,
    /// A user gives one share and no more. Off, one person can unseal: for trying only.
    pub one_share_each: bool,
    /// Shares are forgotten so long after the first one, unless they unsealed.
    pub window: Duration,
}

/// How the vault is sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// No new worker gets the PIN.
    pub sealed: bool,
    /// The set that unseals, where one was made.
    pub set: Option<SetId>,
    /// Shares needed; 0 where none were made.
    pub threshold: u8,
    /// Shares of the set.
    pub of: u8,
    /// Which were given, in the order they came.
    pub given: Vec<u8>,
    /// When those are forgotten.
    pub until: Option<UnixMillis>,
    /// What is wrong, beside that shares are missing.
    pub remark: Option<String>,
}

/// Who gave a share, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custodian {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id.
    pub pid: i32,
}

/// Something that belongs on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealEvent {
    /// What.
    pub outcome: SealOutcome,
    /// By whom, where somebody did it.
    pub by: Option<Custodian>,
    /// For people; no secret.
    pub detail: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealOutcome {
    /// Shares were forgotten: their time was over, or they did not fit.
    Forgotten,
    /// Another set of shares unseals from now on.
    NewSet,
    /// A share was not taken.
    Refused,
    /// The vault is sealed: at the start, by order, after a refused PIN, or because the keeper ended.
    Sealed,
    /// A share was taken.
    ShareGiven,
    /// Enough shares were given.
    Unsealed,
}

impl SealOutcome {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::NewSet => "new-set",
            Self::Refused => "refused",
            Self::Sealed => "sealed",
            Self::ShareGiven => "share-given",
            Self::Unsealed => "unsealed",
        }
    }
}

impl Seal {
    /// Sealed, and nothing more is known.
    pub(super) fn unknown(remark: &str) -> Self {
        Self {
            sealed: true,
            remark: Some(remark.to_owned()),
            ..Self::default()
        }
    }

    /// Shares that are missing.
    pub fn missing(&self) -> usize {
        match self.sealed {
            true => usize::from(self.threshold).saturating_sub(self.given.len()),
            false => 0,
        }
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sealed, self.threshold) {
            (false, _) => f.write_str("unsealed")?,
            (true, 0) => f.write_str("sealed")?,
            (true, threshold) => write!(f, "sealed: {} of {threshold} shares given", self.given.len())?,
        }
        match &self.remark {
            Some(remark) => write!(f, "; {remark}"),
            None => Ok(()),
        }
    }
}
