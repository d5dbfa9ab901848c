//! Asking for a network token.

use zeroize::Zeroizing;

use super::documents::{Found, Held, New, Wrote};
use super::stored::{Kept, Stored};
use super::{ATTEMPTS, NetworkToken, ProvisionFrom, contended, event, reference};
use crate::card::{Expiry, Pan};
use crate::id::{Token, UnixMillis};
use crate::payment::network_token::CardToProvision;
use crate::payment::sources::Need;
use crate::payment::{Error, Part, Payments, Sources};
use crate::vault::to_its_end;
use crate::vault::types::{self as core, Actor, DocumentEvent, IntegrityError, Operation};

/// The card that it is asked for.
struct Card {
    pan: Pan,
    expiry: Expiry,
    holder: Option<Zeroizing<String>>,
}

impl Payments {
    /// Asks for a network token. While the merchant has one for the card it is that one again, under the same reference;
    /// what is new about it is taken over. It goes on to its end where the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a card past its expiry, or a token that does not exist or is not active; [`Error::Missing`]
    /// for a token without expiry; [`Error::NoNetworkTokens`]; [`Error::NetworkTokenService`]; not granted; the HSM's; the
    /// store's.
    pub async fn provision_network_token(&self, actor: &Actor, from: ProvisionFrom) -> Result<NetworkToken, Error> {
        // whether it is granted at all; the card takes its part of a cap below
        self.vault.access().permit(actor, Operation::Pay, 0)?;
        self.network_tokens(actor)?;
        let (payments, actor) = (self.clone(), actor.clone());
        to_its_end(async move { payments.provision(&actor, from).await }).await
    }

    async fn provision(&self, actor: &Actor, from: ProvisionFrom) -> Result<NetworkToken, Error> {
        let token = match &from {
            ProvisionFrom::Card { .. } => None,
            ProvisionFrom::Token(token) => Some(token.clone()),
        };
        let card = self.card_to_provision(actor, from).await?;
        if card.expiry.expired_at(UnixMillis::now().0) {
            return Err(Error::Invalid {
                part: Part::ExpiryYear,
                reason: "The card is past its expiry".to_owned(),
            });
        }
        // what cannot be written down is not asked for
        let by_card = self.name_by_card(actor, &card.pan).await?;
        let asked = CardToProvision {
            pan: &card.pan,
            expiry: card.expiry,
            holder: card.holder.as_ref().map(|holder| holder.as_str()),
        };
        let provision = self.network_tokens(actor)?.provision(&actor.merchant, asked).await;
        let provision = provision.map_err(|_| Error::NetworkTokenService)?;
        let (masked, _) = self.vault.look(&card.pan);
        let kept = Kept::new(card.pan, provision);
        let stored = Stored::new(&masked, card.expiry, &kept);
        self.keep(actor, token, &by_card, stored, kept).await
    }

    /// The card, taken out unseen where a token has it.
    async fn card_to_provision(&self, actor: &Actor, from: ProvisionFrom) -> Result<Card, Error> {
        match from {
            ProvisionFrom::Card { pan, expiry, holder } => {
                self.vault.access().permit(actor, Operation::Pay, 1)?;
                Ok(Card { pan, expiry, holder })
            }
            ProvisionFrom::Token(token) => {
                let sources = Sources {
                    token: Some(token),
                    ..Sources::default()
                };
                // counts by itself
                let card = self.resolve(actor, sources, Need::Number).await?.card;
                Ok(Card {
                    expiry: card.expiry()?,
                    pan: card.pan.ok_or(Error::Missing(Part::Number))?,
                    holder: card.holder,
                })
            }
        }
    }

    /// Writes down what the service gave, unless the card has it already.
    async fn keep(
        &self,
        actor: &Actor,
        token: Option<Token>,
        by_card: &str,
        stored: Stored,
        kept: Kept,
    ) -> Result<NetworkToken, Error> {
        let provisioned = |outcome, reference: &str| DocumentEvent {
            token: token.clone(),
            ..event("network-token-provision", outcome, reference)
        };
        let mut ended = contended();
        for _ in 0..ATTEMPTS {
            let before = match kept.card() {
                Some(card) => match self.of_card(actor, by_card, card).await {
                    // a backup brought it back; the service gave now what there was
                    Err(error) if is_dead(&error) => {
                        self.forget_dead(actor, by_card).await?;
                        None
                    }
                    found => found?,
                },
                // refused: the card keeps what it has
                None => None,
            };
            let before = match before {
                Some(Found { held, .. }) if !held.is_over && stays(&held, &stored, &kept) => {
                    let event = provisioned("reused", &held.reference);
                    self.vault.write_documents(actor, Vec::new(), event).await?;
                    return Ok(held.view());
                }
                before => before,
            };
            let reference = match &before {
                Some(found) => found.held.reference.clone(),
                None => reference::fresh().map_err(core::Error::from)?,
            };
            let new = New {
                reference: &reference,
                stored: &stored,
                kept: &kept,
                by_card: kept.card().map(|_| by_card),
            };
            let event = provisioned(kept.outcome(), &reference);
            match self.write_network_token(actor, new, before.as_ref(), event).await? {
                Wrote::Done => return Ok(stored.view(reference, kept)),
                Wrote::Changed => ended = contended(),
                Wrote::NumberTaken => ended = Error::NetworkTokenService,
            }
        }
        Err(ended)
    }
}

fn is_dead(error: &Error) -> bool {
    matches!(
        error,
        Error::Core(core::Error::Integrity(IntegrityError::KekDestroyed { .. }))
    )
}

/// Whether the card has already what the service gave now.
fn stays(held: &Held, stored: &Stored, kept: &Kept) -> bool {
    held.kept.stays(kept, held.stored.card_expiry == stored.card_expiry)
}
