//! Faults and places in words.

use std::fmt;

use super::fault::{At, Fault, Finding};

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.is_empty() {
            write!(f, "line {}", self.line)
        } else {
            write!(f, "{} line {}", self.source, self.line)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { record } => write!(f, "record {record} was changed"),
            Self::ChangedOneOf { record } => {
                let next = record.saturating_add(1);
                write!(
                    f,
                    "record {record}, or its hash in the last record, {next}, was changed"
                )
            }
            Self::CutOff { from, to } if from == to => write!(f, "record {from} was cut off the end"),
            Self::CutOff { from, to } => write!(f, "records {from} to {to} were cut off the end"),
            Self::GaveUp => write!(f, "too much is wrong, the rest was not read"),
            Self::HandoverNotSigned { record } => write!(
                f,
                "record {record}, a handover of the audit key, was changed: the signature is wrong"
            ),
            Self::HandoverOfOtherKey { record, key } => write!(
                f,
                "record {record}, a handover of the audit key, is by another key, {key}: it is forged"
            ),
            Self::HeadNotSigned { record } => {
                write!(f, "record {record}, a signed head, was changed: the signature is wrong")
            }
            Self::HeadOfOtherKey { record, key } => {
                write!(
                    f,
                    "record {record}, a signed head, is by another key, {key}: it is forged"
                )
            }
            Self::HeadOfOtherVault { record } => write!(f, "record {record}, a signed head, is another vault's"),
            Self::Inserted { says: Some(says) } => {
                write!(f, "a line that calls itself record {says} was inserted")
            }
            Self::Inserted { says: None } => write!(f, "a line that is no record was inserted"),
            Self::Moved { record } => write!(f, "record {record} was moved here"),
            Self::NotAHead { record, why } => write!(f, "record {record}, a signed head, was changed: {why}"),
            Self::NotARecord { record, why } => write!(f, "record {record} was changed: {why}"),
            Self::NotAsNoted { record } => write!(f, "record {record} is not the one that was noted: it was changed"),
            Self::NotAsSigned { from, record, head } if from == record => write!(
                f,
                "record {record} is not the one that record {head}, a signed head, was signed for: it was changed"
            ),
            Self::NotAsSigned { from, record, head } => write!(
                f,
                "one of the records {from} to {record} was changed and the chain after it rewritten: record {record} is not \
                 the one that record {head}, a signed head, was signed for"
            ),
            Self::NothingSigned => write!(
                f,
                "no record is a signed head of this key: anyone could have written them"
            ),
            Self::Removed { from, to } if from == to => write!(f, "record {from} was removed before this line"),
            Self::Removed { from, to } => write!(f, "records {from} to {to} were removed before this line"),
            Self::Renumbered { record, says } => {
                write!(f, "record {record} was changed: it calls itself record {says}")
            }
            Self::StartsAgain { record } => {
                write!(
                    f,
                    "the chain starts again with record {record}: lines were inserted here or before"
                )
            }
        }
    }
}
