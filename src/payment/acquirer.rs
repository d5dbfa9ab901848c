//! The acquirer: who is asked to check a card or to move money.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use super::SecurityCode;
use super::money::{Amount, Currency};
use crate::card::{Expiry, Pan};
use crate::id::{MerchantId, Token};

/// A future of the acquirer.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A card on its way to the acquirer; borrowed, so that nothing keeps it.
pub struct Presented<'a> {
    /// The number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: Option<Expiry>,
    /// The security code, where the payer gave it.
    pub security_code: Option<&'a SecurityCode>,
    /// The street of the billing address, where given, for address verification.
    pub street: Option<&'a str>,
}

/// What the acquirer is asked to do.
pub enum Ask<'a> {
    /// Check the card; no money moves.
    Verify {
        /// The card.
        card: Presented<'a>,
        /// In which currency it is going to be used.
        currency: Currency,
        /// It is going to be kept for later payments: the scheme gives a reference for them.
        on_file: bool,
    },
    /// Reserve an amount.
    Authorize {
        /// The card.
        card: Presented<'a>,
        /// How much.
        amount: Amount,
        /// Of what.
        currency: Currency,
    },
    /// Reserve and take an amount at once.
    Pay {
        /// The card.
        card: Presented<'a>,
        /// How much.
        amount: Amount,
        /// Of what.
        currency: Currency,
    },
    /// Change how much is reserved.
    UpdateAuthorization {
        /// [`Answer::reference`] of the authorization.
        reference: &'a str,
        /// How much from now on.
        amount: Amount,
        /// Of what.
        currency: Currency,
    },
    /// Take what was reserved.
    Capture {
        /// [`Answer::reference`] of the authorization.
        reference: &'a str,
        /// How much.
        amount: Amount,
        /// Of what.
        currency: Currency,
    },
    /// Give back what was taken.
    Refund {
        /// [`Answer::reference`] of the capture or payment.
        reference: &'a str,
        /// How much.
        amount: Amount,
        /// Of what.
        currency: Currency,
    },
    /// Undo a transaction that is not settled.
    Void {
        /// [`Answer::reference`] of that transaction.
        reference: &'a str,
    },
}

/// How the acquirer decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Done.
    Approved,
    /// The issuer said no.
    Declined,
    /// Declined: the card is past its expiry.
    ExpiredCard,
    /// Declined: the security code does not fit.
    InvalidSecurityCode,
    /// Declined: not enough money.
    InsufficientFunds,
    /// Nobody answered in time.
    TimedOut,
    /// The acquirer's system failed.
    SystemError,
    /// It failed for another reason.
    UnspecifiedFailure,
    /// The outcome is not known.
    Unknown,
}

/// What the issuer said of the security code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeCheck {
    /// It fits.
    Match,
    /// It does not.
    NoMatch,
    /// Not looked at.
    NotProcessed,
    /// None was sent.
    NotPresented,
}

/// The acquirer's answer. Its texts have at most [`Self::TEXT_MAX`] bytes together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// How it decided.
    pub verdict: Verdict,
    /// Its own code.
    pub code: String,
    /// Its own text.
    pub message: String,
    /// Six characters where approved.
    pub authorization_code: Option<String>,
    /// What later transactions refer to.
    pub reference: String,
    /// What became of the security code.
    pub security_code: CodeCheck,
    /// The receipt number.
    pub receipt: String,
    /// The system trace audit number, six digits.
    pub stan: String,
    /// The scheme's reference of a card that is kept for later payments: letters and digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_reference: Option<String>,
}

impl Answer {
    /// Bytes of all texts of an answer: a transaction is accepted only if that much more fits.
    pub const TEXT_MAX: usize = 1024;
}

/// A token that the acquirer gave for a card, or why not.
pub enum AcquirerToken {
    /// The token.
    Token(Token),
    /// Refused.
    Refused(Verdict),
}

/// An acquirer. Implementations keep no card.
pub trait Acquirer: Send + Sync {
    /// Its name, where users meet it. A simulator says that it is one.
    fn name(&self) -> &'static str;

    /// Does what is asked. `key` is the same for the same transaction: a repetition is done once.
    fn ask<'a>(&'a self, merchant: &'a MerchantId, key: &'a str, ask: Ask<'a>) -> Fut<'a, Answer>;

    /// The acquirer's own token for a card.
    fn tokenize<'a>(&'a self, merchant: &'a MerchantId, card: Presented<'a>) -> Fut<'a, AcquirerToken>;
}
