//! Who asks without a credential of the accounts: by a merchant's name alone, which proves nothing. What stands behind it is
//! said at each.

use super::Access;
use crate::id::{MerchantId, RequestId};
use crate::vault::types::{Actor, Dialect, Error, Peer, PolicyError, Reach};

impl Access {
    /// Who asks with what a merchant gave out for one thing of its own: whoever serves that checks it, and does nothing else
    /// with this actor. It sees no card.
    ///
    /// # Errors
    /// As [`Self::authenticate_nobody`] where there is no such merchant of the dialect.
    pub fn authenticate_guest(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        merchant: &MerchantId,
    ) -> Result<Actor, Error> {
        match self.by_name(peer, dialect, &request, merchant, Reach::NoReveal) {
            Some(actor) => Ok(actor),
            None => self.authenticate_nobody(peer, dialect, request),
        }
    }

    /// Counts a secret of the merchant's own that is not right (see [`Self::authenticate_guest`]) as a login that failed.
    ///
    /// # Errors
    /// [`PolicyError::LoginThrottled`] during a pause.
    pub fn wrong_secret(&self, actor: &Actor) -> Result<(), Error> {
        match self.authenticate_nobody(actor.peer, actor.dialect, actor.request.clone()) {
            Err(error @ Error::Policy(PolicyError::LoginThrottled { .. })) => Err(error),
            Err(_) | Ok(_) => Ok(()),
        }
    }

    /// Who asks, by the kernel's word on the process alone: for dialects that ask for no credential. Which merchants it may
    /// act for is what policy grants it. Nothing secret can be guessed here, so there are no pauses.
    ///
    /// # Errors
    /// [`PolicyError::BadCredential`] where there is no such merchant of the dialect's.
    pub fn authenticate_process(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        merchant: Option<&MerchantId>,
    ) -> Result<Actor, Error> {
        let found = merchant.and_then(|merchant| self.by_name(peer, dialect, &request, merchant, Reach::All));
        found.ok_or_else(|| {
            self.count_auth_failure(peer, dialect, "wrong");
            Error::Policy(PolicyError::BadCredential)
        })
    }

    /// The merchant of that name, which nothing has proved.
    fn by_name(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: &RequestId,
        merchant: &MerchantId,
        reach: Reach,
    ) -> Option<Actor> {
        let accounts = self.accounts.current();
        let merchant = accounts.merchant(merchant)?;
        let repository = accounts.repository(merchant.repository)?;
        merchant.dialects.contains(&dialect).then(|| Actor {
            peer,
            dialect,
            merchant: merchant.id.clone(),
            repository: merchant.repository,
            repository_name: repository.name.clone(),
            rules: repository.rules,
            test: merchant.test,
            reach,
            request: request.clone(),
            daemon: false,
        })
    }
}
