//! The network token of a payment method's card.

use super::add::Outcome;
use super::view::Held;
use super::{ATTEMPTS, Error, contended, pause};
use crate::card::{Expiry, Pan};
use crate::id::Token;
use crate::payment::network_token::PaymentAccountReference;
use crate::payment::network_tokens::{NetworkTokenState, ProvisionFrom};
use crate::payment::{self, Payments};
use crate::vault::types::{Actor, CallerError, Change, Error as CoreError, Operation, Patch};

/// A network token, masked.
pub struct NetworkCard {
    /// Its first six digits.
    pub first_six: String,
    /// Its last four digits.
    pub last_four: String,
    /// Its expiry, which is not the card's.
    pub expiry: Expiry,
    /// Which account it belongs to.
    pub account_reference: PaymentAccountReference,
}

impl Payments {
    /// The network token of that reference, if it can be paid with.
    pub(super) async fn network_card(&self, actor: &Actor, reference: &str) -> Result<Option<NetworkCard>, Error> {
        let token = match self.network_token(actor, reference).await {
            Ok(token) => token,
            // deleted by itself, or its service is gone
            Err(payment::Error::NoNetworkTokens | payment::Error::Unknown(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let NetworkTokenState::Active(provisioned) = token.state else {
            return Ok(None);
        };
        let (masked, _) = self.vault.look(&provisioned.number);
        Ok(Some(NetworkCard {
            first_six: masked.bin.get(..6).unwrap_or_default().to_owned(),
            last_four: masked.last4,
            expiry: provisioned.expiry,
            account_reference: provisioned.account_reference,
        }))
    }

    /// Asks for a network token of the payment method's card and keeps where it is. What goes wrong is told, and is no
    /// reason not to keep the card.
    pub(super) async fn add_network_token(&self, actor: &Actor, id: &str, from: ProvisionFrom) -> Outcome {
        // what could not be kept is not asked for
        if let Err(error) = self.vault.access().permit(actor, Operation::Update, 0) {
            return failed(&error.into());
        }
        let token = match self.provision_network_token(actor, from).await {
            Ok(token) => token,
            Err(error) => return failed(&error),
        };
        let outcome = match token.state {
            NetworkTokenState::Active(_) => Outcome::Done,
            NetworkTokenState::Pending => Outcome::Pending,
            NetworkTokenState::Refused(refusal) => {
                return Outcome::Failed {
                    code: refusal.provider_error_code,
                    message: refusal.message,
                };
            }
        };
        match self.keep_network_token(actor, id, token.reference).await {
            Ok(()) => outcome,
            Err(error) => {
                tracing::warn!(%error, request = actor.request.as_str(), "a network token is not kept with its card");
                Outcome::Failed {
                    code: "not_kept".to_owned(),
                    message: "The network token could not be kept".to_owned(),
                }
            }
        }
    }

    async fn keep_network_token(&self, actor: &Actor, id: &str, reference: String) -> Result<(), Error> {
        let name = Token::parse(&reference).map_err(|_| payment::Error::damaged())?;
        let _turn = self.network_turns.wait(actor.repository, &name).await;
        // another payment method that had it may have gone meanwhile, and it with that
        self.network_token(actor, &reference).await?;
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = self.held_method(actor, id).await?.ok_or(Error::MethodUnknown)?;
            if held.kept.network_token.as_ref() == Some(&reference) {
                return Ok(());
            }
            let mut kept = held.kept.clone();
            kept.network_token = Some(reference.clone());
            if self.rewrite(actor, &held, &kept, Patch::default()).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Writes what is kept of a payment method, with the rest of `patch`. `false`: it changed meanwhile.
    pub(super) async fn rewrite(
        &self,
        actor: &Actor,
        held: &Held,
        kept: &super::stored::Kept,
        patch: Patch,
    ) -> Result<bool, Error> {
        let patch = Patch {
            extra: Change::Set(kept.encode()?),
            if_revision: Some(held.described.view.revision),
            ..patch
        };
        match self.vault.update(actor, &held.token, patch).await {
            Ok(_) => Ok(true),
            Err(CoreError::Caller(CallerError::Revision { .. })) => Ok(false),
            Err(CoreError::Caller(CallerError::Expired | CallerError::UnknownToken)) => Err(Error::MethodUnknown),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the network token of that reference. One that cannot be ended now stays: its card is gone all the same, and
    /// its own name leads to it.
    pub(super) async fn end_network_token_of(&self, actor: &Actor, reference: &str) {
        let ended = async {
            let token = self.network_token(actor, reference).await?;
            match token.state {
                NetworkTokenState::Active(provisioned) => self.delete_network_token(actor, &provisioned.number).await,
                NetworkTokenState::Pending | NetworkTokenState::Refused(_) => Ok(()),
            }
        };
        match ended.await {
            Ok(()) | Err(payment::Error::Unknown(_)) => {}
            Err(error) => {
                tracing::warn!(%error, reference, request = actor.request.as_str(), "a network token was not ended");
            }
        }
    }
}

/// A second one, for who takes it over.
pub(super) fn copy(pan: &Pan) -> Result<Pan, Error> {
    Pan::parse(pan.expose()).map_err(|_| payment::Error::damaged().into())
}

fn failed(error: &payment::Error) -> Outcome {
    let code = match error {
        payment::Error::NoNetworkTokens => "not_configured",
        payment::Error::NetworkTokenService => "service_unavailable",
        payment::Error::Core(CoreError::Policy(_)) => "not_allowed",
        payment::Error::Core(CoreError::Caller(_) | CoreError::Dependency(_) | CoreError::Integrity(_))
        | payment::Error::Invalid { .. }
        | payment::Error::Locked
        | payment::Error::Missing(_)
        | payment::Error::NoAcquirer
        | payment::Error::Unknown(_)
        | payment::Error::Unwritten => "not_done",
    };
    tracing::warn!(%error, "a network token was not made");
    Outcome::Failed {
        code: code.to_owned(),
        message: error.to_string(),
    }
}
