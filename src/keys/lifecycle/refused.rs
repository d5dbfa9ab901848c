//! Why an epoch does not take a step.

use crate::hsm::Epoch;
use crate::id::UnixMillis;

/// Why a step is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such epoch.
    #[error("there is no KEK epoch {}: `panvault key status` lists them", .0.0)]
    Unknown(Epoch),
    /// It seals, or nothing else does.
    #[error("KEK epoch {} is the one in use: `panvault key rotate --wait` first", .0.0)]
    InUse(Epoch),
    /// It is prepared.
    #[error("KEK epoch {} is prepared and has sealed nothing: there is nothing to be destroyed with it", .0.0)]
    Unused(Epoch),
    /// It is compromised already.
    #[error("KEK epoch {} is compromised since {}", .0.0, .1)]
    Compromised(Epoch, UnixMillis),
    /// Its destruction is under way.
    #[error("KEK epoch {} is being destroyed: `panvault key destroy` finishes it", .0.0)]
    Destroying(Epoch),
    /// It is destroyed already.
    #[error("KEK epoch {} was destroyed on {}: `panvault key certificate --epoch {}` prints its shred certificate", .0.0, .1, .0.0)]
    Destroyed(Epoch, UnixMillis),
    /// It is in another HSM.
    #[error(
        "KEK epoch {} is in a HSM that this vault left on {}: nothing here can use or destroy it, its vendor's tool erases that HSM",
        .0.0, .1
    )]
    Left(Epoch, UnixMillis),
    /// There is no destruction to be ended.
    #[error("KEK epoch {} is not being destroyed", .0.0)]
    NotDestroying(Epoch),
    /// No epoch is prepared.
    #[error("no prepared KEK epoch is left: the security officer makes more by `panvault init --epochs`")]
    NoneLeft,
}
