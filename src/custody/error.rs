//! Why an operator was not heard.

use super::ceremony::Standing;
use super::control::Guarded;
use crate::id::{CeremonyId, NoRandom, OperatorName};
use crate::vault::types::{DependencyError, Error as VaultError};

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// It needs an operator, and none has shown a credential.
    #[error(
        "this needs an operator: run it as the operator's own user, with the credential from `panvault operator enroll`"
    )]
    NoCredential,
    /// Not this user's, or not an operator's any more.
    #[error("the operator's credential is not one of this user (uid {0})")]
    BadCredential(u32),
    /// Of this user nobody has said that it is an operator.
    #[error("user {0} is no operator: an operator runs `panvault operator add`")]
    NoOperator(u32),
    /// The user has a credential.
    #[error("operator {0} has a credential; if it is lost, another operator runs `panvault operator reset {0}`")]
    Enrolled(OperatorName),
    /// The responsibility was not accepted.
    #[error("an operator's responsibility must be accepted to get a credential")]
    NotAccepted,
    /// Fewer than two can act.
    #[error("{0} needs two operators with credentials, and there are {1}: see `panvault operator list`")]
    TooFew(&'static str, usize),
    /// Fewer than two would be left.
    #[error("fewer than two operators with credentials would be left, and nobody could add one any more")]
    LastTwo,
    /// The opener approves, or another name of the same user.
    #[error("the one who opened a ceremony cannot approve it: it takes another person")]
    SamePerson,
    /// It is not in a state in which that can be done.
    #[error("ceremony {0} is {1}: run the command again to open another")]
    Over(CeremonyId, Standing),
    /// No such ceremony.
    #[error("there is no ceremony {0}; see `panvault ceremony list`")]
    NoCeremony(CeremonyId),
    /// Nothing was done in it, so there is nothing to state.
    #[error("ceremony {0} has no transcript: it is {1}")]
    NoTranscript(CeremonyId, Standing),
    /// No such operator.
    #[error("there is no operator {0}; see `panvault operator list`")]
    Unknown(OperatorName),
    /// The name or the user is taken.
    #[error("operator {0} has that name or that user (uid {1}): a person is one operator")]
    Exists(OperatorName, u32),
    /// A user that is nobody's own.
    #[error("user {0} is not a person's own: root and the daemon's user cannot be operators")]
    NotAPerson(u32),
    /// The limit.
    #[error("there are {0} {1} already: no more are taken")]
    TooMany(usize, &'static str),
    /// There are operators already.
    #[error("there are operators already: `panvault operator add` adds one, and two of them must agree")]
    NotTheFirst,
    /// The configuration does not have it under dual control.
    #[error("{0} is not under dual control here: `dual_control.operations` does not list it")]
    NotGuarded(Guarded),
    /// A file's SHA-256 that is none.
    #[error("not a SHA-256 in hex: {0}")]
    NotADigest(&'static str),
    /// A file that is no approval of this.
    #[error("an approval counts for nothing: {0}")]
    BadApproval(&'static str),
    /// Fewer than two operators approved.
    #[error("approvals of two operators are needed, {0} given")]
    TooFewApprovals(usize),
    /// Somebody else has changed it in the same moment.
    #[error("somebody else changed it in the same moment: look again")]
    Changed,
    /// The store or the HSM.
    #[error(transparent)]
    Vault(VaultError),
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<NoRandom> for Error {
    fn from(_: NoRandom) -> Self {
        Self::Vault(VaultError::Dependency(DependencyError::NoRandom))
    }
}
