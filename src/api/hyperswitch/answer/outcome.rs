//! How tokenizations elsewhere ended. The contract has no place for that: they are told only where they were asked for, under
//! the name that the request has for them.

use serde::Serialize;

use crate::payment::wallet::{Outcome, PspTokenization};

#[derive(Serialize)]
pub(super) struct Network<'a> {
    enable: &'static str,
    #[serde(flatten)]
    ended: Ended<'a>,
}

#[derive(Serialize)]
pub(super) struct Psp<'a> {
    #[serde(flatten)]
    asked: &'a PspTokenization,
    #[serde(flatten)]
    ended: Ended<'a>,
}

#[derive(Serialize)]
struct Ended<'a> {
    status: &'static str,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
}

impl<'a> Network<'a> {
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        Self {
            enable: "Enable",
            ended: ended(outcome),
        }
    }
}

impl<'a> Psp<'a> {
    pub(super) fn of(asked: &'a PspTokenization, outcome: &'a Outcome) -> Self {
        Self {
            asked,
            ended: ended(outcome),
        }
    }
}

fn ended(outcome: &Outcome) -> Ended<'_> {
    let (status, error) = match outcome {
        Outcome::Done => ("succeeded", None),
        Outcome::Pending => ("pending", None),
        Outcome::Failed { code, message } => ("failed", Some((code.as_str(), message.as_str()))),
    };
    Ended {
        status,
        error_code: error.map(|(code, _)| code),
        error_message: error.map(|(_, message)| message),
    }
}
