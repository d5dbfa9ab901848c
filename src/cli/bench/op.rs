//! What requests of a load do.

use clap::ValueEnum;

use super::locker;

/// What each request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Op {
    /// A new card, a new token
    Create,
    /// Remove a token (made before the clock starts)
    Delete,
    /// The masked view of a token
    Inspect,
    /// The same through the Mastercard gateway's dialect: Retrieve Token over REST
    MastercardRetrieve,
    /// A new card, then its reveal: one request is the pair
    Pair,
    /// The card of a token
    Reveal,
    /// A new card of a customer's through Hyperswitch's locker, plain
    LockerAdd,
    /// The same as JWE over JWS; the requests are made before the clock starts
    LockerJweAdd,
    /// The card of a reference as JWE over JWS; the requests are made before the clock starts, and come again
    LockerJweRetrieve,
    /// The card of a reference through Hyperswitch's locker, plain
    LockerRetrieve,
    /// Change the metadata of a token
    Update,
}

impl Op {
    /// Its name in results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Inspect => "inspect",
            Self::LockerAdd => "locker-add",
            Self::LockerJweAdd => "locker-jwe-add",
            Self::LockerJweRetrieve => "locker-jwe-retrieve",
            Self::LockerRetrieve => "locker-retrieve",
            Self::MastercardRetrieve => "mastercard-retrieve",
            Self::Pair => "pair",
            Self::Reveal => "reveal",
            Self::Update => "update",
        }
    }

    /// Whether it works on cards that were stored before.
    pub(super) fn needs_tokens(self) -> bool {
        match self {
            Self::Create | Self::LockerAdd | Self::LockerJweAdd | Self::Pair => false,
            Self::Delete
            | Self::Inspect
            | Self::LockerJweRetrieve
            | Self::LockerRetrieve
            | Self::MastercardRetrieve
            | Self::Reveal
            | Self::Update => true,
        }
    }

    /// Whether it is one of the locker's.
    pub(super) fn is_lockers(self) -> bool {
        match self {
            Self::LockerAdd | Self::LockerRetrieve | Self::LockerJweAdd | Self::LockerJweRetrieve => true,
            Self::Create
            | Self::Delete
            | Self::Inspect
            | Self::MastercardRetrieve
            | Self::Pair
            | Self::Reveal
            | Self::Update => false,
        }
    }

    /// Whether its requests are encrypted.
    pub(super) fn is_encrypted(self) -> bool {
        match self {
            Self::LockerJweAdd | Self::LockerJweRetrieve => true,
            Self::Create
            | Self::Delete
            | Self::Inspect
            | Self::LockerAdd
            | Self::LockerRetrieve
            | Self::MastercardRetrieve
            | Self::Pair
            | Self::Reveal
            | Self::Update => false,
        }
    }

    /// The body that stores a made-up card.
    pub(super) fn card(self, number: &str) -> String {
        match self {
            Self::LockerAdd | Self::LockerJweAdd | Self::LockerJweRetrieve | Self::LockerRetrieve => {
                locker::card(number)
            }
            Self::MastercardRetrieve => format!(
                "{{\"sourceOfFunds\":{{\"type\":\"CARD\",\"provided\":{{\"card\":{{\"number\":\"{number}\",\
                 \"expiry\":{{\"month\":\"12\",\"year\":\"30\"}}}}}}}}}}"
            ),
            Self::Create | Self::Delete | Self::Inspect | Self::Pair | Self::Reveal | Self::Update => format!(
                "{{\"card\":{{\"number\":\"{number}\",\"expiry\":{{\"month\":12,\"year\":2030}},\"holder\":\"LOAD TEST\"}}}}"
            ),
        }
    }
}
