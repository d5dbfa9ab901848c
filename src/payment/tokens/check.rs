//! The checks before a card is stored.

use super::Checked;
use super::gather::Given;
use crate::card::{Expiry, Pan};
use crate::id::{RequestId, UnixMillis};
use crate::payment::acquirer::{Answer, Ask, Presented, Verdict};
use crate::payment::money::Currency;
use crate::payment::updater::Update;
use crate::payment::{Error, Part, Payments, SecurityCode};
use crate::vault::types::{Actor, DocumentEvent, Error as CoreError, Operation, Verification};

/// What came of a check.
pub(super) enum Answered {
    /// The card is to be stored.
    Passed(Checked),
    /// It is not.
    Refused(Verdict),
    /// It is to be stored, and this is newer.
    Newer(Update),
}

impl Payments {
    /// Checks the card as `verification` says.
    ///
    /// # Errors
    /// What the rules refuse; [`Error::Missing`] currency; [`Error::NoAcquirer`].
    pub(super) async fn check_card(
        &self,
        actor: &Actor,
        given: &Given,
        verification: Verification,
        currency: Option<Currency>,
    ) -> Result<Answered, Error> {
        match verification {
            Verification::None => Ok(Answered::Passed(Checked::NotChecked)),
            Verification::Basic => {
                let expiry = given.expiry.ok_or(Error::Missing(Part::ExpiryMonth))?;
                if expiry.expired_at(UnixMillis::now().0) {
                    return Err(Error::Invalid {
                        part: Part::ExpiryYear,
                        reason: "The card is past its expiry".to_owned(),
                    });
                }
                Ok(Answered::Passed(Checked::Basic))
            }
            Verification::Acquirer => {
                let currency = currency.ok_or(Error::Missing(Part::Currency))?;
                let card = presented(given)?;
                let key = own_key()?;
                let ask = Ask::Verify {
                    card,
                    currency,
                    on_file: false,
                };
                let answer = self.acquirer(actor)?.ask(&actor.merchant, &key, ask).await;
                Ok(match answer.verdict {
                    Verdict::Approved => Answered::Passed(Checked::Acquirer),
                    refused => Answered::Refused(refused),
                })
            }
            Verification::AccountUpdater => {
                currency.ok_or(Error::Missing(Part::Currency))?;
                let pan = given.pan.as_ref().ok_or(Error::Missing(Part::Number))?;
                let updater = self.updater(actor)?;
                Ok(Answered::Newer(
                    updater.look_up(&actor.merchant, pan, given.expiry).await,
                ))
            }
        }
    }
}

/// A card to be checked that the vault has not, or not yet.
pub struct CheckedCard<'a> {
    /// The number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: Expiry,
    /// The security code, where the payer gave it.
    pub security_code: Option<&'a SecurityCode>,
    /// In which currency it is going to be used.
    pub currency: Currency,
    /// It is going to be kept for later payments.
    pub on_file: bool,
}

impl Payments {
    /// What the merchant's acquirer says of a card that is going to be stored. Nothing is stored yet, and no money moves; that
    /// it was asked is on record before this returns.
    ///
    /// # Errors
    /// [`Error::NoAcquirer`]; not granted to store cards; no random bytes; the store's.
    pub async fn verify_card(&self, actor: &Actor, card: CheckedCard<'_>) -> Result<Answer, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 0)?;
        let ask = Ask::Verify {
            card: Presented {
                pan: card.pan,
                expiry: Some(card.expiry),
                security_code: card.security_code,
                street: None,
            },
            currency: card.currency,
            on_file: card.on_file,
        };
        let key = own_key()?;
        let answer = self.acquirer(actor)?.ask(&actor.merchant, &key, ask).await;
        let event = DocumentEvent {
            action: "card-verify",
            outcome: match answer.verdict {
                Verdict::Approved => "approved",
                Verdict::Declined
                | Verdict::ExpiredCard
                | Verdict::InsufficientFunds
                | Verdict::InvalidSecurityCode => "declined",
                Verdict::SystemError | Verdict::TimedOut | Verdict::Unknown | Verdict::UnspecifiedFailure => {
                    "undecided"
                }
            },
            token: None,
            detail: None,
        };
        self.vault.write_documents(actor, Vec::new(), event).await?;
        Ok(answer)
    }
}

/// A key for a verification of its own: one that the client chose could bring the answer about another card.
fn own_key() -> Result<String, Error> {
    Ok(format!("token/{}", RequestId::random().map_err(CoreError::from)?))
}

/// The card as an acquirer gets it.
pub(super) fn presented(given: &Given) -> Result<Presented<'_>, Error> {
    Ok(Presented {
        pan: given.pan.as_ref().ok_or(Error::Missing(Part::Number))?,
        expiry: given.expiry,
        security_code: given.security_code.as_ref(),
        street: None,
    })
}
