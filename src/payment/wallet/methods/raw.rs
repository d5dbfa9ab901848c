//! A payment method with its card number. It needs the right to reveal, and the merchant must be on the list of those that
//! may see numbers at all; it is on record before it is given.

use super::Error;
use super::network::copy;
use super::view::{Method, MethodState, held};
use crate::card::{Expiry, Pan};
use crate::id::{Token, UnixMillis};
use crate::payment::network_token::Provisioned;
use crate::payment::network_tokens::NetworkTokenState;
use crate::payment::{self, Payments, SecurityCode};
use crate::vault::types::{Actor, CallerError, DocumentEvent, Error as CoreError, Operation};

/// A card as it is.
pub struct RawCard {
    /// Its number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: Expiry,
    /// Its security code, if one waited: it is gone from the vault now.
    pub code: Option<SecurityCode>,
    /// Its network token.
    pub network: Option<Provisioned>,
}

impl Payments {
    /// A payment method in use with its card as it is. Without the card where the merchant is not on the list.
    ///
    /// # Errors
    /// As [`Payments::method`], [`Vault::reveal`](crate::vault::Vault::reveal).
    pub async fn raw_method(&self, actor: &Actor, id: &str) -> Result<(Method, Option<RawCard>), Error> {
        if !self.wallet.raw_merchants.contains(&actor.merchant) {
            return Ok((self.method(actor, id).await?, None));
        }
        let id = &self.meant(actor, id)?;
        let token = Token::parse(id).map_err(|_| Error::MethodUnknown)?;
        if self.volatile.waits(&actor.merchant, id, UnixMillis::now()) {
            return self.raw_volatile(actor, id, token).await;
        }
        // what is no payment method in use is not opened
        let seen = self.held_method(actor, id).await?;
        seen.filter(|held| held.state() != MethodState::Inactive)
            .ok_or(Error::MethodUnknown)?;
        let revealed = match self.vault.reveal_record(actor, &token).await {
            Ok(revealed) => revealed,
            Err(CoreError::Caller(CallerError::Expired | CallerError::Inactive | CallerError::UnknownToken)) => {
                return Err(Error::MethodUnknown);
            }
            Err(error) => return Err(error.into()),
        };
        let held = held(token, revealed.record).ok_or(Error::MethodUnknown)?;
        let network = match &held.kept.network_token {
            Some(reference) => self.raw_network(actor, &held.token, reference).await?,
            None => None,
        };
        let mut method = self.method_view(actor, held).await?;
        // last: what fails before loses none
        let code = self.codes.take(&actor.merchant, id, UnixMillis::now());
        method.code_until = None;
        let raw = RawCard {
            pan: revealed.pan,
            expiry: method.card.expiry,
            code,
            network,
        };
        Ok((method, Some(raw)))
    }

    async fn raw_volatile(&self, actor: &Actor, id: &str, token: Token) -> Result<(Method, Option<RawCard>), Error> {
        self.vault.access().permit(actor, Operation::Reveal, 1)?;
        let event = DocumentEvent {
            action: Operation::Reveal.as_str(),
            outcome: "volatile",
            token: Some(token),
            detail: None,
        };
        self.vault.write_documents(actor, Vec::new(), event).await?;
        let (merchant, now) = (&actor.merchant, UnixMillis::now());
        let seen = self.volatile.look(merchant, id, now, |there, _| {
            copy(&there.pan).map(|pan| (pan, there.expiry, there.view(id, None)))
        });
        let (pan, expiry, method) = seen.ok_or(Error::MethodUnknown)??;
        let code = self.codes.take(merchant, id, now);
        let raw = RawCard {
            pan,
            expiry,
            code,
            network: None,
        };
        Ok((method, Some(raw)))
    }

    /// A network token's number is a number: it counts, and is on record, by itself.
    async fn raw_network(&self, actor: &Actor, token: &Token, reference: &str) -> Result<Option<Provisioned>, Error> {
        let provisioned = match self.network_token(actor, reference).await {
            Ok(found) => match found.state {
                NetworkTokenState::Active(provisioned) => provisioned,
                NetworkTokenState::Pending | NetworkTokenState::Refused(_) => return Ok(None),
            },
            Err(payment::Error::NoNetworkTokens | payment::Error::Unknown(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.vault.access().permit(actor, Operation::Reveal, 1)?;
        let event = DocumentEvent {
            action: "network-token-reveal",
            outcome: "ok",
            token: Some(token.clone()),
            detail: Some(format!("network token {reference}")),
        };
        self.vault.write_documents(actor, Vec::new(), event).await?;
        Ok(Some(provisioned))
    }
}
