//! Whether a transaction fits its order, and what the acquirer is to be asked then. Pure.

use super::ledger::{Entry, Ledger, less};
use super::types::{Action, Instruction, TransactionView};
use super::{MAX_TRANSACTIONS, invalid};
use crate::payment::money::{Amount, Currency};
use crate::payment::{Error, Part};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    pub(super) amount: Amount,
    pub(super) currency: Currency,
    /// The transaction it works on, where it opens nothing.
    pub(super) target: Option<&'a Entry>,
}

impl<'a> Plan<'a> {
    /// The plan of a transaction that is pending.
    pub(super) fn again(pending: &TransactionView, ledger: &'a Ledger) -> Self {
        Self {
            amount: pending.amount,
            currency: pending.currency,
            target: pending.target.as_deref().and_then(|id| ledger.find(id)),
        }
    }
}

/// What of an instruction decides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) action: Action,
    pub(super) amount: Option<Amount>,
    pub(super) currency: Option<Currency>,
    pub(super) target: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(instruction: &'a Instruction) -> Self {
        Self {
            action: instruction.action,
            amount: instruction.amount,
            currency: instruction.currency,
            target: instruction.target.as_deref(),
        }
    }

    /// The plan for an order with these transactions, whose currency is `fixed`; none: there is no such order yet.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Invalid`].
    pub(super) fn plan<'l>(&self, fixed: Option<Currency>, ledger: &'l Ledger) -> Result<Plan<'l>, Error> {
        if u32::try_from(ledger.len()).is_ok_and(|so_far| so_far >= MAX_TRANSACTIONS) {
            return Err(invalid(Part::Order, "The order cannot take more transactions"));
        }
        let (currency, amount) = match self.action {
            Action::UpdateAuthorization | Action::Void => (self.currency.or(fixed), self.amount),
            Action::Verify => (self.currency, Some(self.amount.unwrap_or_default())),
            Action::Authorize | Action::Capture | Action::Pay | Action::Refund => {
                (self.currency, Some(self.amount.ok_or(Error::Missing(Part::Amount))?))
            }
        };
        let currency = currency.ok_or_else(|| match self.action {
            // neither named nor known: there is no order
            Action::UpdateAuthorization | Action::Void => self.nothing(),
            Action::Authorize | Action::Capture | Action::Pay | Action::Refund | Action::Verify => {
                Error::Missing(Part::Currency)
            }
        })?;
        if fixed.is_some_and(|fixed| fixed != currency) {
            return Err(invalid(Part::Currency, "The order has another currency"));
        }
        if let Some(amount) = amount {
            let money_moves = !matches!(self.action, Action::Verify | Action::Void);
            if money_moves && amount == Amount::ZERO {
                return Err(invalid(Part::Amount, "The amount must be more than zero"));
            }
            amount
                .checked_in(currency)
                .map_err(|bad| invalid(Part::Amount, &bad.to_string()))?;
        }
        let (amount, target) = match self.action {
            Action::Authorize | Action::Pay if ledger.opened() => {
                let reason = "The order has a successful authorization or payment already";
                return Err(invalid(Part::Operation, reason));
            }
            Action::Authorize | Action::Pay | Action::Verify => (amount.unwrap_or_default(), None),
            Action::Capture => self.capture(ledger, amount.unwrap_or_default())?,
            Action::Refund => self.refund(ledger, amount.unwrap_or_default())?,
            Action::UpdateAuthorization => self.update(ledger, amount)?,
            Action::Void => self.void(ledger)?,
        };
        Ok(Plan {
            amount,
            currency,
            target,
        })
    }

    fn capture<'l>(&self, ledger: &'l Ledger, amount: Amount) -> Result<(Amount, Option<&'l Entry>), Error> {
        let authorization = self.authorization(ledger)?;
        let totals = ledger.totals();
        if amount > less(totals.authorized, totals.captured) {
            let reason = "The amount is more than what is authorized and not captured yet";
            return Err(invalid(Part::Amount, reason));
        }
        Ok((amount, Some(authorization)))
    }

    fn refund<'l>(&self, ledger: &'l Ledger, amount: Amount) -> Result<(Amount, Option<&'l Entry>), Error> {
        let fits = |taken: &&Entry| amount <= ledger.left(taken);
        let found = match self.named(ledger)? {
            Some(named) => match ledger.taken().find(|taken| taken.id == named.id) {
                Some(taken) => Some(taken).filter(fits),
                None => {
                    return Err(invalid(
                        Part::Target,
                        "The transaction is no capture or payment in force",
                    ));
                }
            },
            None if ledger.taken().next().is_none() => return Err(self.nothing()),
            None => ledger.taken().find(fits),
        };
        match found {
            Some(taken) => Ok((amount, Some(taken))),
            None if self.target.is_none() && amount <= less(ledger.totals().captured, ledger.totals().refunded) => {
                // the acquirer gives back of one reference at a time
                let reason = "No single capture has that much left: name the target transaction, and refund them one \
                              by one";
                Err(invalid(Part::Amount, reason))
            }
            None => Err(invalid(
                Part::Amount,
                "The amount is more than what is captured and not refunded yet",
            )),
        }
    }

    fn update<'l>(&self, ledger: &'l Ledger, amount: Option<Amount>) -> Result<(Amount, Option<&'l Entry>), Error> {
        let authorization = self.authorization(ledger)?;
        let totals = ledger.totals();
        // without an amount it only lives longer
        let amount = amount.unwrap_or(totals.authorized);
        if amount < totals.captured {
            return Err(invalid(
                Part::Amount,
                "The amount is less than what is captured already",
            ));
        }
        Ok((amount, Some(authorization)))
    }

    fn void<'l>(&self, ledger: &'l Ledger) -> Result<(Amount, Option<&'l Entry>), Error> {
        let target = match self.named(ledger)? {
            Some(named) => match ledger.not_voidable(named) {
                Some(reason) => return Err(invalid(Part::Operation, reason)),
                None => named,
            },
            None => ledger.last_voidable().ok_or_else(|| self.nothing())?,
        };
        Ok((target.amount, Some(target)))
    }

    /// The authorization in force; it is the one that is named, if one is.
    fn authorization<'l>(&self, ledger: &'l Ledger) -> Result<&'l Entry, Error> {
        let named = self.named(ledger)?;
        let authorization = ledger.authorization().ok_or_else(|| self.nothing())?;
        match named {
            Some(named) if named.id != authorization.id => {
                Err(invalid(Part::Target, "The transaction is no authorization in force"))
            }
            Some(_) | None => Ok(authorization),
        }
    }

    fn named<'l>(&self, ledger: &'l Ledger) -> Result<Option<&'l Entry>, Error> {
        let find = |id| {
            let reason = "There is no such transaction in the order";
            ledger.find(id).ok_or_else(|| invalid(Part::Target, reason))
        };
        self.target.map(find).transpose()
    }

    /// The order has nothing that the action could work on.
    fn nothing(&self) -> Error {
        let reason = match self.action {
            Action::Capture => "There is no authorization to capture",
            Action::Refund => "There is no transaction to refund",
            Action::UpdateAuthorization => "There is no authorization to update",
            Action::Void => "There is no transaction to void",
            Action::Authorize | Action::Pay | Action::Verify => "There is no such order",
        };
        invalid(Part::Operation, reason)
    }
}
