//! What is done in a session.

use super::MethodSession;
use crate::payment::Payments;
use crate::payment::wallet::{AddedMethod, Error, Json, Method, MethodUpdate, NewCard, NewMethod};
use crate::vault::types::Actor;

/// The session in which something is done, and what its holder shows; a merchant shows none.
#[derive(Clone, Copy)]
pub struct SessionUse<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its secret.
    pub secret: Option<&'a str>,
}

/// A card that is added in a session.
pub struct SessionCard {
    /// The kind of card.
    pub subtype: Option<String>,
    /// The card.
    pub card: NewCard,
    /// Where bills go, if not where the session says.
    pub billing: Option<Json>,
}

/// The most payment methods that are added in one session.
const ADDED_MAX: usize = 32;

impl Payments {
    /// Adds a payment method for the session's customer, on its terms.
    ///
    /// # Errors
    /// As [`Payments::method_session`], [`Payments::add_method`]; [`Error::SessionFull`].
    pub async fn add_in_session(
        &self,
        actor: &Actor,
        session: SessionUse<'_>,
        given: SessionCard,
    ) -> Result<(MethodSession, AddedMethod), Error> {
        let SessionUse { id, secret } = session;
        let held = self.held_session(actor, id, secret).await?;
        // before anything is kept that no name of the session would lead to
        if held.sealed.added.len() >= ADDED_MAX {
            return Err(Error::SessionFull);
        }
        let ends_at = held.clear.ends_at;
        let terms = held.sealed.terms;
        let new = NewMethod {
            intent: None,
            storage: terms.storage(),
            customer: terms.customer,
            subtype: given.subtype,
            card: given.card,
            metadata: None,
            billing: given.billing.or(terms.billing),
            network_tokenization: terms.network_tokenization == Some(true),
            psp_tokenization: terms.psp_tokenization,
        };
        let added = self.add_method(actor, new).await?;
        let method = added.method.id.clone();
        let handle = self.name_method(actor, &method, ends_at)?;
        let session = self
            .rewrite_session(actor, id, secret, |sealed| {
                let excess = (sealed.added.len() + 1).saturating_sub(ADDED_MAX);
                sealed.added.drain(..excess);
                sealed.added.push((handle.clone(), method.clone()));
            })
            .await?;
        Ok((session, added))
    }

    /// The payment methods of the session's customer with their temporary names, and its default. None for nobody's session.
    ///
    /// # Errors
    /// As [`Payments::method_session`], [`Payments::methods`].
    pub async fn methods_in_session(
        &self,
        actor: &Actor,
        session: SessionUse<'_>,
    ) -> Result<(Vec<(String, Method)>, Option<String>), Error> {
        let held = self.held_session(actor, session.id, session.secret).await?;
        let Some(customer) = &held.sealed.terms.customer else {
            return Ok((Vec::new(), None));
        };
        let (methods, default) = self.methods(actor, customer).await?;
        let named = methods.into_iter().map(|method| {
            let handle = self.name_method(actor, &method.id, held.clear.ends_at)?;
            Ok::<_, Error>((handle, method))
        });
        Ok((named.collect::<Result<_, _>>()?, default))
    }

    /// Changes a payment method of the session's customer, by its temporary name or its own.
    ///
    /// # Errors
    /// As [`Payments::method_session`], [`Payments::update_method`].
    pub async fn update_in_session(
        &self,
        actor: &Actor,
        session: SessionUse<'_>,
        handle: &str,
        update: MethodUpdate,
    ) -> Result<(MethodSession, Method), Error> {
        let id = self.own_in_session(actor, session, handle).await?;
        let method = self.update_method(actor, &id, update).await?;
        let session = self.method_session(actor, session.id, session.secret).await?;
        Ok((session, method))
    }

    /// Deletes a payment method of the session's customer, by its temporary name or its own; gives its own.
    ///
    /// # Errors
    /// As [`Payments::method_session`], [`Payments::delete_method`].
    pub async fn delete_in_session(
        &self,
        actor: &Actor,
        session: SessionUse<'_>,
        handle: &str,
    ) -> Result<String, Error> {
        let id = self.own_in_session(actor, session, handle).await?;
        self.delete_method(actor, &id).await?;
        Ok(id)
    }

    /// The payment method of that name, temporary or its own, if it is the session's customer's, or was added with the session.
    async fn own_in_session(&self, actor: &Actor, session: SessionUse<'_>, handle: &str) -> Result<String, Error> {
        let held = self.held_session(actor, session.id, session.secret).await?;
        let added = held.sealed.added.iter().find(|(there, _)| there == handle);
        if let Some((_, id)) = added {
            return Ok(id.clone());
        }
        let id = self.meant(actor, handle)?;
        let customer = held.sealed.terms.customer.ok_or(Error::MethodUnknown)?;
        Ok(self.method_of(actor, &customer, &id).await?.id)
    }
}
