//! Exit codes: the same meaning in every command.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Failed.
    Failure,
    /// A verification found a fault: something was changed, removed or does not check out.
    Fault,
    /// The daemon or the HSM cannot be reached.
    Unavailable,
    /// The HSM's policy has a gap, or keys are missing, weak or swapped: do not restart, look.
    Refused,
    /// A second operator is needed, and nothing has happened yet.
    Waits,
    /// The configuration is wrong.
    Config,
}

/// For `--help` and the manual.
pub(super) const HELP: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 a verification found a fault; \
69 daemon or HSM not reachable; 75 waits for a second operator; 77 refused: policy gap, or keys missing, weak or swapped; 78 configuration wrong.";

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Coded {
    /// How the command ends.
    pub(super) exit: Exit,
    /// For people.
    pub(super) message: String,
}

impl Exit {
    /// What the shell sees.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Fault => 3,
            Self::Unavailable => 69,
            Self::Waits => 75,
            Self::Refused => 77,
            Self::Config => 78,
        }
    }

    /// The code of an error: its own where it has one.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Coded>())
            .map_or(Self::Failure, |coded| coded.exit)
    }

    /// An error that ends the command with this code.
    pub(super) fn because(self, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Coded {
            exit: self,
            message: message.into(),
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
