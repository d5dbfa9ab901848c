//! Seeing payment methods, one or a customer's.

use super::view::{Held, Method, MethodState};
use super::{Error, Storage};
use crate::id::UnixMillis;
use crate::payment::Payments;
use crate::payment::wallet::id;
use crate::vault::types::{Actor, Query, Status, View};

impl Payments {
    /// A payment method in use, by its name or a temporary one.
    ///
    /// # Errors
    /// [`Error::MethodUnknown`]; not granted; the HSM's; the store's.
    pub async fn method(&self, actor: &Actor, id: &str) -> Result<Method, Error> {
        let id = &self.meant(actor, id)?;
        if let Some(method) = self.volatile_method(actor, id) {
            return Ok(method);
        }
        let held = self.held_method(actor, id).await?;
        match held.filter(|held| held.state() != MethodState::Inactive) {
            Some(held) => self.method_view(actor, held).await,
            None => Err(Error::MethodUnknown),
        }
    }

    /// The customer's payment method of that name, in use and stored.
    pub(in crate::payment::wallet) async fn method_of(
        &self,
        actor: &Actor,
        customer: &str,
        id: &str,
    ) -> Result<Method, Error> {
        let method = self.method(actor, id).await?;
        let own = method.customer.as_deref() == Some(customer) && method.storage == Storage::Persistent;
        own.then_some(method).ok_or(Error::MethodUnknown)
    }

    /// The customer's payment methods in use, those first that were used last, and which of them is the default.
    ///
    /// # Errors
    /// [`Error::CustomerUnknown`], [`Error::CustomerRedacted`]; not granted; the HSM's; the store's.
    pub async fn methods(&self, actor: &Actor, customer: &str) -> Result<(Vec<Method>, Option<String>), Error> {
        let default = self.active_customer(actor, customer).await?.stored.default_method;
        let mut methods = Vec::new();
        for held in self.held_methods_of(actor, customer).await? {
            if held.state() != MethodState::Inactive {
                methods.push(self.method_view(actor, held).await?);
            }
        }
        let used = |method: &Method| method.last_used_at.unwrap_or(method.created_at);
        methods.sort_by(|a, b| used(b).cmp(&used(a)).then_with(|| b.id.cmp(&a.id)));
        Ok((methods, default))
    }

    /// How many stored payment methods in use there are in the merchant's repository.
    ///
    /// # Errors
    /// Not granted, capped; the store's.
    pub async fn count_methods(&self, actor: &Actor) -> Result<usize, Error> {
        let mut count = 0;
        let active = Query {
            status: Some(Status::Active),
            limit: PAGE,
            ..Query::default()
        };
        self.each_page(actor, active, |page| {
            count += page.iter().filter(|view| id::is_method(view.token.as_str())).count();
        })
        .await?;
        Ok(count)
    }

    /// The stored payment methods of a customer, in whatever state.
    pub(super) async fn held_methods_of(&self, actor: &Actor, customer: &str) -> Result<Vec<Held>, Error> {
        let own = Query {
            namespace: Some(self.vault.personal_namespace(actor, customer).await?),
            limit: PAGE,
            ..Query::default()
        };
        let mut views = Vec::new();
        self.each_page(actor, own, |page| views.extend(page)).await?;
        let mut all = Vec::with_capacity(views.len());
        for view in views {
            let held = self.held_method(actor, view.token.as_str()).await?;
            // another token of that namespace is none, or is not the customer's
            all.extend(held.filter(|held| held.kept.customer.as_deref() == Some(customer)));
        }
        Ok(all)
    }

    async fn each_page(&self, actor: &Actor, query: Query, mut seen: impl FnMut(Vec<View>)) -> Result<(), Error> {
        let mut cursor = None;
        loop {
            let page = Query {
                pan: None,
                namespace: query.namespace.clone(),
                status: query.status,
                limit: query.limit,
                cursor: cursor.take(),
                ..Query::default()
            };
            let found = self.vault.search(actor, page).await?;
            seen(found.tokens);
            match found.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn volatile_method(&self, actor: &Actor, id: &str) -> Option<Method> {
        let now = UnixMillis::now();
        let code_until = self.codes.until(&actor.merchant, id, now);
        let look = |there: &mut super::Volatile, _| there.view(id, code_until);
        self.volatile.look(&actor.merchant, id, now, look)
    }
}

/// Records of one page.
const PAGE: u32 = 1_000;
