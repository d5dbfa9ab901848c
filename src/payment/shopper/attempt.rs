//! One attempt to pay, and what follows from how the acquirer decided.

use super::open::field;
use super::settle::{instruction, outcome};
use super::stored::{Held, State, Step};
use super::types::{Consent, ShownCard, Usage};
use super::{Error, Event, event};
use crate::card::{Expiry, Pan};
use crate::hsm::framed;
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::acquirer::Verdict;
use crate::payment::orders::{Instruction, ShownCard as OrderCard, TransactionView};
use crate::payment::wallet::Text;
use crate::payment::{CardDetails, Part, Payments, SecurityCode, Sources};
use crate::vault::types::{Actor, CallerError, Operation};
use zeroize::Zeroizing;

/// A card that is going to be charged.
pub(super) struct Charge {
    sources: Sources,
    /// The card, to be kept if the payment succeeds.
    keep: Option<Keep>,
    /// What makes it the same card.
    request: SecretBytes,
}

/// A card to be stored.
pub(super) struct Keep {
    pub(super) pan: Pan,
    pub(super) expiry: Expiry,
    pub(super) holder: Option<Zeroizing<String>>,
}

impl Payments {
    /// A stored card. It must be the shopper's, and stored for what it is charged for: under an agreement, or with its shopper.
    ///
    /// # Errors
    /// [`Error::TokenUnknown`], [`Error::UsageDiffers`], [`Error::AgreementUnknown`], [`Error::AgreementInactive`]; the core's.
    pub(super) async fn charge_stored(
        &self,
        actor: &Actor,
        shopper: Option<&Text>,
        token: Token,
        code: Option<SecurityCode>,
        agreement: Option<&str>,
    ) -> Result<Charge, Error> {
        let shopper = shopper.ok_or(Error::ShopperMissing)?.expose();
        let there = match (self.stored_card(actor, shopper, &token).await, agreement) {
            // the card is gone, and what hung on it with it
            (Err(Error::TokenUnknown), Some(agreement)) => {
                return Err(self.gone_with_card(actor, agreement, &token, shopper).await?);
            }
            (there, _) => there?,
        };
        let wanted = match agreement {
            Some(agreement) => {
                self.check_agreement(actor, agreement, &token).await?;
                Usage::Subscription
            }
            None => Usage::CardOnFile,
        };
        if there.usage != wanted {
            return Err(Error::UsageDiffers);
        }
        Ok(Charge {
            request: SecretBytes::new(framed(&[b"token", token.as_str().as_bytes()])),
            sources: Sources {
                token: Some(token),
                card: CardDetails {
                    security_code: code,
                    ..CardDetails::default()
                },
                ..Sources::default()
            },
            keep: None,
        })
    }

    /// A card that the payer gave.
    pub(super) fn charge_given(&self, actor: &Actor, card: CardDetails, store: bool) -> Result<Charge, Error> {
        if store {
            // what could not be stored is not charged first
            self.vault.access().permit(actor, Operation::Tokenize, 0)?;
            if actor.rules.is_some() {
                return Err(field(
                    "payment",
                    "cannot be stored: the repository has rules of another dialect",
                ));
            }
        }
        let expiry = card.expiry()?;
        let pan = card.pan.as_ref().ok_or(crate::payment::Error::Missing(Part::Number))?;
        if let Some(holder) = &card.holder {
            self.vault.screen_holder(holder)?;
        }
        let when = [expiry.month(), u8::try_from(expiry.year() % 100).unwrap_or_default()];
        Ok(Charge {
            request: SecretBytes::new(framed(&[b"card", pan.expose().as_bytes(), &when])),
            keep: match store {
                true => Some(Keep {
                    pan: Pan::parse(pan.expose()).map_err(|_| crate::payment::Error::damaged())?,
                    expiry,
                    holder: card.holder.clone(),
                }),
                false => None,
            },
            sources: Sources {
                card,
                ..Sources::default()
            },
        })
    }

    /// Attempts to pay, for who has the payment's turn. One that was cut goes on under its own name, with the same card.
    ///
    /// # Errors
    /// [`Error::Busy`]; the ledger's; the core's. Where the acquirer was not asked, the payment is as before.
    pub(super) async fn attempt(
        &self,
        actor: &Actor,
        mut held: Held,
        charge: Charge,
        consent: Option<Consent>,
    ) -> Result<Held, Error> {
        match held.stored.step {
            Some(Step::Pay(_)) => {}
            Some(_) => return Err(Error::Busy),
            None => {
                let step = Step::Pay(held.stored.attempts + 1);
                held = self.begin_step(actor, held, step, Vec::new()).await?;
            }
        }
        let instruction = Instruction {
            sources: charge.sources,
            request: charge.request,
            ..instruction(&held, &Step::Pay(held.stored.attempts))?
        };
        let record = match self.transact(actor, instruction).await {
            Ok(record) => record,
            Err(error) => {
                self.left_undone(actor, held, &error).await;
                return Err(not_charged(error));
            }
        };
        let keep = charge
            .keep
            .filter(|_| consent.is_some() || held.stored.session.is_none());
        if record.view.approved() {
            held.stored.consent = consent.filter(|_| keep.is_some());
        }
        self.finish_pay(actor, held, &record.view, keep).await
    }

    /// Stores the card of a payment that was settled without it.
    pub(super) async fn keep_late(&self, actor: &Actor, mut held: Held, charge: Charge) -> Result<Held, Error> {
        let Some(keep) = charge.keep else { return Ok(held) };
        let more = self.keep_paid(actor, &mut held, keep).await?;
        let event = event("payment-card", "stored", held.stored.token.as_ref(), &held.order);
        self.must_write_payment(actor, held, more, event).await
    }

    /// Writes down how an attempt ended. The card is stored first: what is told of it is there.
    pub(super) async fn finish_pay(
        &self,
        actor: &Actor,
        mut held: Held,
        done: &TransactionView,
        keep: Option<Keep>,
    ) -> Result<Held, Error> {
        let verdict = done.verdict().unwrap_or(Verdict::Unknown);
        held.stored.outcome = Some(outcome(done));
        held.stored.step = None;
        held.stored.finished_at = Some(UnixMillis::now());
        held.stored.card = done.card.as_ref().map(shown);
        held.stored.token = done.card.as_ref().and_then(|card| card.token.clone());
        let mut more = Vec::new();
        let (word, told) = match verdict {
            Verdict::Approved => {
                held.stored.state = State::Paid;
                if let Some(keep) = keep {
                    more = self.keep_paid(actor, &mut held, keep).await?;
                }
                let told = match held.stored.capture {
                    super::Capture::Automatic => Event::PaymentSuccess,
                    super::Capture::Manual => Event::PaymentAuthorization,
                };
                ("approved", Some(told))
            }
            // money may have moved: nobody is told what nobody knows, and it is not tried again
            Verdict::Unknown | Verdict::TimedOut => {
                held.stored.state = State::Unknown;
                ("unknown", None)
            }
            Verdict::Declined
            | Verdict::ExpiredCard
            | Verdict::InsufficientFunds
            | Verdict::InvalidSecurityCode
            | Verdict::SystemError
            | Verdict::UnspecifiedFailure => {
                // on a page the payer may try another card
                let again = held.stored.session.is_some() && held.stored.attempts < ATTEMPTS;
                if !again {
                    held.stored.state = State::Failed;
                }
                ("refused", (!again).then_some(Event::PaymentFailure))
            }
        };
        let mut event = event("payment", word, held.stored.token.as_ref(), &held.order);
        if let (Some(consent), Some(detail)) = (&held.stored.consent, &mut event.detail) {
            detail.push_str(&format!(", stored by consent to text {}", consent.text));
        }
        self.end_step(actor, held, told, None, more, event).await
    }
}

/// The card of a transaction, as it may be shown: of a masked number the first six digits and the last four.
fn shown(card: &OrderCard) -> ShownCard {
    let first = card.masked.chars().take_while(char::is_ascii_digit).take(6);
    let last4: String = card.masked.chars().rev().take(4).collect();
    ShownCard {
        bin: first.collect(),
        last4: last4.chars().rev().collect(),
        brand: card.brand.clone(),
    }
}

/// Why a card was not charged, as far as it is the card's fault.
fn not_charged(error: crate::payment::Error) -> Error {
    use crate::payment::Error as Why;
    match error {
        Why::Invalid { part: Part::Token, .. } => Error::TokenUnknown,
        Why::Locked => Error::Busy,
        Why::Core(crate::vault::types::Error::Caller(CallerError::UnknownToken | CallerError::Expired)) => {
            Error::TokenUnknown
        }
        error => error.into(),
    }
}

/// Cards that a payer may try on a page.
const ATTEMPTS: u32 = 10;
