//! What a request asks to be done to an order.

use std::iter::once;

use zeroize::Zeroizing;

use super::call::Call;
use super::faults::Names;
use super::fields::Fields;
use super::kept::{Kept, kept, read};
use super::known::known;
use super::operation::ApiOperation;
use super::refusal::Refusal;
use super::sources::sources;
use crate::api::Services;
use crate::keys::SecretBytes;
use crate::payment::money::{Amount, Currency};
use crate::payment::orders::{Action, Instruction};
use crate::payment::{self, Sources};
use crate::vault::Vault;

/// The instruction in `call`; `request` is what [`canonical`] made of it. What only the order can tell to be missing is
/// left to it.
///
/// # Errors
/// A field that is missing or cannot be taken.
pub(super) fn instruction(
    vault: &Vault,
    call: &Call,
    action: Action,
    request: SecretBytes,
) -> Result<Instruction, Refusal> {
    let fields = &call.fields;
    let (amount, currency) = match action {
        Action::Authorize | Action::Pay => (Some("order.amount"), Some("order.currency")),
        // no money moves, whatever the amount says
        Action::Verify => (None, Some("order.currency")),
        Action::Capture | Action::Refund | Action::UpdateAuthorization => {
            (Some("transaction.amount"), Some("transaction.currency"))
        }
        Action::Void => (None, None),
    };
    let target = match action {
        Action::Void => Some(fields.required(TARGET)?),
        Action::Authorize
        | Action::Capture
        | Action::Pay
        | Action::Refund
        | Action::UpdateAuthorization
        | Action::Verify => fields.text(TARGET),
    };
    let follows = |name| matches!(fields.text(name), Some("RECURRING" | "INSTALLMENT"));
    let Kept { echo, personal } = kept(vault, call)?;
    Ok(Instruction {
        action,
        order: fields.required("order.id")?.to_owned(),
        transaction: fields.required("transaction.id")?.to_owned(),
        amount: match amount {
            Some(name) => fields.read(name, AMOUNT, |text| Amount::parse(text).ok())?,
            None => None,
        },
        currency: match currency {
            Some(name) => fields.read(name, CURRENCY, Currency::parse)?,
            None => None,
        },
        target: target.map(str::to_owned),
        sources: match action {
            Action::Authorize | Action::Pay | Action::Verify => sources(fields, call.version)?,
            // its card is its target's
            Action::Capture | Action::Refund | Action::UpdateAuthorization | Action::Void => Sources::default(),
        },
        recurring: follows("transaction.frequency") || follows("agreement.type"),
        street: fields
            .text("billing.address.street")
            .map(|street| Zeroizing::new(street.to_owned())),
        echo,
        personal,
        request,
    })
}

/// What makes a request the same when it comes again: all that it asks for. The correlation id is another each time. The
/// security code has no part in it: a MAC of this is stored, and of three digits nothing may be.
pub(super) fn canonical(operation: ApiOperation, fields: &Fields) -> SecretBytes {
    let fields = fields
        .iter()
        .filter(|(name, _)| !matches!(*name, "correlationId" | "sourceOfFunds.provided.card.securityCode"));
    let texts: Vec<&str> = once(operation.name())
        .chain(fields.flat_map(|(name, value)| [name, value]))
        .collect();
    let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum());
    for text in texts {
        bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    SecretBytes::new(bytes)
}

/// Adds what the session has and the request itself does not give. Card and token stay where they are: they are taken
/// when they are needed.
///
/// # Errors
/// The session cannot be read; one that does not exist is told later, since a repetition needs none.
pub(super) async fn take_from_session(services: &Services, call: &mut Call) -> Result<(), Refusal> {
    let Some(id) = call.fields.text("session.id") else {
        return Ok(());
    };
    let other = match services.payments.session_fields(&call.actor, id).await {
        Ok(other) => other,
        Err(payment::Error::Unknown(_)) => None,
        Err(error) => return Err(Names::of(call).refusal(error)),
    };
    let Some(other) = other else { return Ok(()) };
    for (name, value) in read(&other)?.iter() {
        if known(call.operation, name).is_some() && call.fields.text(name).is_none() {
            call.fields.add(name, Zeroizing::new(value.to_owned()))?;
        }
    }
    Ok(())
}

/// What is taken as an amount.
pub(super) const AMOUNT: &str = "An amount is a decimal number of 1 to 14 characters, with no sign and no exponent.";
/// What is taken as a currency.
pub(super) const CURRENCY: &str = "A currency is three capital letters.";
const TARGET: &str = "transaction.targetTransactionId";

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(operation: ApiOperation, fields: &Fields) -> Vec<u8> {
        canonical(operation, fields).expose().to_vec()
    }

    fn form(text: &str) -> Fields {
        let mut fields = Fields::default();
        fields.read_form(text.as_bytes()).unwrap();
        fields
    }

    #[test]
    fn a_request_is_the_same_by_what_it_asks_for() {
        let pay = |text: &str| bytes(ApiOperation::Pay, &form(text));
        let mut json = Fields::default();
        json.read_json(br#"{"order":{"currency":"EUR","amount":1.00},"billing":{}}"#)
            .unwrap();
        let one = pay("order.amount=1.00&order.currency=EUR");
        assert_eq!(one, bytes(ApiOperation::Pay, &json));
        assert_eq!(one, pay("correlationId=c&order.currency=EUR&order.amount=1.00"));
        assert_ne!(one, bytes(ApiOperation::Authorize, &json));
        assert_ne!(one, pay("order.amount=1.01&order.currency=EUR"));
        assert_ne!(one, pay("order.amount=1.00&order.currency=EUR&session.version=1"));
        let code = pay("order.amount=1.00&order.currency=EUR&sourceOfFunds.provided.card.securityCode=123");
        assert_eq!(one, code);
        // a value cannot run over into the next name
        assert_ne!(
            pay("order.custom=ab&order.reference=c"),
            pay("order.custom=a&order.reference=bc")
        );
    }
}
