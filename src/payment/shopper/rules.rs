//! What fits together in a request. Pure.

use super::Error;
use super::types::{CardFrom, NewPayment, PaymentType, Terms, Usage};

/// A payment on a hosted page.
pub(super) fn of_session(terms: &Terms) -> Result<(), Error> {
    if terms.payment_type == PaymentType::Recurring && !begins_agreement(terms) {
        return Err(Error::MustBeStored);
    }
    of_storing(terms)
}

/// A payment by the merchant's server.
pub(super) fn of_payment(new: &NewPayment) -> Result<(), Error> {
    let terms = &new.terms;
    let stored = matches!(new.card, CardFrom::Stored { .. });
    if stored && terms.shopper.is_none() {
        return Err(Error::ShopperMissing);
    }
    if terms.payment_type == PaymentType::Purchase && new.agreement.is_some() {
        return Err(Error::AgreementUnknown);
    }
    match (terms.payment_type, new.mit) {
        (PaymentType::Purchase, Some(true)) => return Err(Error::MitSet),
        (PaymentType::Purchase, Some(false) | None) => {}
        (PaymentType::Recurring, None) => return Err(Error::MitMissing),
        // a token or an agreement: not the first
        (PaymentType::Recurring, Some(false)) if stored || new.agreement.is_some() => return Err(Error::MitNotSet),
        (PaymentType::Recurring, Some(true)) if stored => {
            return new.agreement.is_some().then_some(()).ok_or(Error::AgreementUnknown);
        }
        (PaymentType::Recurring, Some(true)) if new.agreement.is_some() => return Err(Error::TokenUnknown),
        (PaymentType::Recurring, Some(true)) => return Err(Error::MitSet),
        (PaymentType::Recurring, Some(false)) if !begins_agreement(terms) => return Err(Error::MustBeStored),
        (PaymentType::Recurring, Some(false)) => {}
    }
    of_storing(terms)
}

fn of_storing(terms: &Terms) -> Result<(), Error> {
    match terms.store {
        true if terms.shopper.is_none() => Err(Error::ShopperMissing),
        true if terms.usage.is_none() => Err(Error::UsageMissing),
        true | false => Ok(()),
    }
}

fn begins_agreement(terms: &Terms) -> bool {
    terms.store && terms.usage == Some(Usage::Subscription)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Token;
    use crate::keys::SecretBytes;
    use crate::payment::CardDetails;
    use crate::payment::money::{Amount, Currency};
    use crate::payment::shopper::Capture;
    use crate::payment::wallet::Text;

    fn payment(payment_type: PaymentType, mit: Option<bool>, stored: bool, agreement: bool) -> NewPayment {
        NewPayment {
            terms: Terms {
                trans_id: "t".to_owned(),
                payment_type,
                capture: Capture::Automatic,
                amount: Amount::ZERO,
                currency: Currency::parse("EUR").unwrap(),
                store: false,
                usage: None,
                shopper: Some(Text::new("s".to_owned())),
                notify_url: None,
                personal: None,
                request: SecretBytes::new(Vec::new()),
            },
            card: match stored {
                true => CardFrom::Stored {
                    token: Token::parse("TK1").unwrap(),
                    code: None,
                },
                false => CardFrom::Given(CardDetails::default()),
            },
            mit,
            agreement: agreement.then(|| "RA1".to_owned()),
        }
    }

    fn storing(usage: Option<Usage>, new: NewPayment) -> NewPayment {
        NewPayment {
            terms: Terms {
                store: true,
                usage,
                ..new.terms
            },
            ..new
        }
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        use PaymentType::{Purchase, Recurring};
        let refused = |new: &NewPayment| of_payment(new).unwrap_err().to_string();
        assert!(of_payment(&payment(Purchase, None, false, false)).is_ok());
        assert!(of_payment(&payment(Purchase, None, true, false)).is_ok());
        assert!(of_payment(&payment(Recurring, Some(true), true, true)).is_ok());
        let first = || storing(Some(Usage::Subscription), payment(Recurring, Some(false), false, false));
        assert!(of_payment(&first()).is_ok());
        for (new, expected) in [
            (payment(Purchase, Some(true), false, false), Error::MitSet),
            (payment(Purchase, None, true, true), Error::AgreementUnknown),
            (payment(Purchase, None, false, true), Error::AgreementUnknown),
            (payment(Recurring, None, false, false), Error::MitMissing),
            (payment(Recurring, Some(false), true, true), Error::MitNotSet),
            (payment(Recurring, Some(false), false, true), Error::MitNotSet),
            (payment(Recurring, Some(true), false, false), Error::MitSet),
            (payment(Recurring, Some(true), true, false), Error::AgreementUnknown),
            (payment(Recurring, Some(true), false, true), Error::TokenUnknown),
            (payment(Recurring, Some(false), false, false), Error::MustBeStored),
            (
                storing(Some(Usage::CardOnFile), payment(Recurring, Some(false), false, false)),
                Error::MustBeStored,
            ),
            (
                storing(None, payment(Purchase, None, false, false)),
                Error::UsageMissing,
            ),
        ] {
            assert_eq!(refused(&new), expected.to_string());
        }
        for mut new in [payment(Purchase, None, true, false), first()] {
            new.terms.shopper = None;
            assert_eq!(refused(&new), Error::ShopperMissing.to_string());
        }
    }

    #[test]
    fn a_recurring_page_stores_the_card() {
        let plain = payment(PaymentType::Recurring, None, false, false);
        assert!(matches!(of_session(&plain.terms), Err(Error::MustBeStored)));
        let storing = storing(Some(Usage::Subscription), plain);
        assert!(of_session(&storing.terms).is_ok());
    }
}
