//! What the acquirer is asked.

use super::plan::Plan;
use super::types::{Action, Instruction, TransactionView};
use crate::payment::acquirer::{Ask, Presented};
use crate::payment::sources::Resolved;
use crate::payment::{Error, Part};

/// What `plan` comes to: with the card for an action that opens an order, with the target's reference for one that does not.
///
/// # Errors
/// [`Error::Missing`] for what the card lacks.
pub(super) fn ask<'a>(
    instruction: &'a Instruction,
    plan: &Plan<'_>,
    resolved: Option<&'a Resolved>,
    target: Option<&'a TransactionView>,
) -> Result<Ask<'a>, Error> {
    let card = || -> Result<Presented<'a>, Error> {
        let card = &resolved.ok_or_else(Error::damaged)?.card;
        Ok(Presented {
            pan: card.pan.as_ref().ok_or(Error::Missing(Part::Number))?,
            expiry: Some(card.expiry()?),
            security_code: card.security_code.as_ref(),
            street: instruction.street.as_ref().map(|street| street.as_str()),
        })
    };
    let reference = || -> Result<&'a str, Error> {
        let answer = target.and_then(|target| target.answer.as_ref());
        Ok(&answer.ok_or_else(Error::damaged)?.reference)
    };
    let (amount, currency) = (plan.amount, plan.currency);
    Ok(match instruction.action {
        Action::Verify => Ask::Verify {
            card: card()?,
            currency,
            on_file: false,
        },
        Action::Authorize => Ask::Authorize {
            card: card()?,
            amount,
            currency,
        },
        Action::Pay => Ask::Pay {
            card: card()?,
            amount,
            currency,
        },
        Action::UpdateAuthorization => Ask::UpdateAuthorization {
            reference: reference()?,
            amount,
            currency,
        },
        Action::Capture => Ask::Capture {
            reference: reference()?,
            amount,
            currency,
        },
        Action::Refund => Ask::Refund {
            reference: reference()?,
            amount,
            currency,
        },
        Action::Void => Ask::Void {
            reference: reference()?,
        },
    })
}
