//! What the floors below could not do, classed by whose fault it is.

use super::types::{CallerError, DependencyError, Error, IntegrityError};
use crate::id::NoRandom;
use crate::{hsm, keys, store};

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Full | store::Error::ReadOnly(_) => Self::Dependency(DependencyError::StoreReadOnly),
            store::Error::OutcomeUnknown | store::Error::Unavailable(_) => {
                Self::Dependency(DependencyError::StoreUnavailable)
            }
            store::Error::Corrupt(_) => Self::Integrity(IntegrityError::Damaged),
            store::Error::Invalid(text) => {
                tracing::error!(error = text, "the store refused a request");
                Self::Integrity(IntegrityError::Damaged)
            }
            store::Error::TooLarge => Self::Caller(CallerError::Field {
                field: "body",
                reason: "is too large to be stored".to_owned(),
            }),
        }
    }
}

impl From<keys::Error> for Error {
    fn from(error: keys::Error) -> Self {
        match error {
            keys::Error::Destroyed { epoch, on } => {
                Self::Integrity(IntegrityError::KekDestroyed { epoch: epoch.0, on })
            }
            keys::Error::Left { epoch, on } => Self::Integrity(IntegrityError::KekLeft { epoch: epoch.0, on }),
            keys::Error::Tampered => Self::Integrity(IntegrityError::Tampered),
            keys::Error::NewerFormat => Self::Integrity(IntegrityError::NewerFormat),
            keys::Error::Hsm(error) => error.into(),
        }
    }
}

impl From<hsm::Error> for Error {
    fn from(error: hsm::Error) -> Self {
        match error {
            hsm::Error::Busy => Self::Dependency(DependencyError::HsmBusy),
            hsm::Error::Down(_) | hsm::Error::Deadline => Self::Dependency(DependencyError::HsmDown),
            hsm::Error::Tampered => Self::Integrity(IntegrityError::Tampered),
            hsm::Error::Malformed(text) => {
                // a record under an epoch that the keyset does not have, or a defect
                tracing::error!(error = %text, "the HSM refused a job");
                Self::Integrity(IntegrityError::Damaged)
            }
        }
    }
}

impl From<NoRandom> for Error {
    fn from(_: NoRandom) -> Self {
        Self::Dependency(DependencyError::NoRandom)
    }
}

impl From<IntegrityError> for Error {
    fn from(error: IntegrityError) -> Self {
        Self::Integrity(error)
    }
}

impl From<CallerError> for Error {
    fn from(error: CallerError) -> Self {
        Self::Caller(error)
    }
}

impl Error {
    /// Its class, as the metrics name it.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Caller(_) => "caller",
            Self::Policy(_) => "policy",
            Self::Dependency(_) => "dependency",
            Self::Integrity(_) => "integrity",
        }
    }
}
