//! Temporary names of payment methods: `token_` and 20 letters and digits. They are in memory only.

use crate::id::{NoRandom, UnixMillis, fill_random};
use crate::payment::Payments;
use crate::payment::wallet::Error;
use crate::vault::types::Actor;

/// What they begin with.
const PREFIX: &str = "token_";

impl Payments {
    /// A temporary name of a payment method, good until then.
    ///
    /// # Errors
    /// Too many are good now; no random bytes.
    pub(in crate::payment::wallet) fn name_method(
        &self,
        actor: &Actor,
        id: &str,
        until: UnixMillis,
    ) -> Result<String, Error> {
        let (merchant, now) = (&actor.merchant, UnixMillis::now());
        let there = self
            .handles
            .names(merchant, now, |there| there == id)
            .into_iter()
            .next();
        if let Some(handle) = there {
            let longer = self.handles.until(merchant, &handle, now).unwrap_or(until).max(until);
            // a list that is asked for again and again takes no more room
            if self.handles.extend(merchant, &handle, longer, now) {
                return Ok(handle);
            }
        }
        let handle = fresh()?;
        self.remember_handle(actor, &handle, id, until)?;
        Ok(handle)
    }

    /// Has a temporary name be good until then.
    ///
    /// # Errors
    /// Too many are.
    pub(in crate::payment::wallet) fn remember_handle(
        &self,
        actor: &Actor,
        handle: &str,
        id: &str,
        until: UnixMillis,
    ) -> Result<(), Error> {
        self.handles.put(&actor.merchant, handle, id.to_owned(), until)?;
        Ok(())
    }

    /// The payment method of a temporary name.
    ///
    /// # Errors
    /// [`Error::MethodUnknown`].
    pub fn method_named(&self, actor: &Actor, handle: &str) -> Result<String, Error> {
        let id = |id: &mut String, _| id.clone();
        let found = self.handles.look(&actor.merchant, handle, UnixMillis::now(), id);
        found.ok_or(Error::MethodUnknown)
    }

    /// The payment method that is meant: by a temporary name, or by its own.
    pub(in crate::payment::wallet) fn meant(&self, actor: &Actor, name: &str) -> Result<String, Error> {
        match name.starts_with(PREFIX) {
            true => self.method_named(actor, name),
            false => Ok(name.to_owned()),
        }
    }
}

/// 20 letters and digits: more than 100 random bits.
fn fresh() -> Result<String, NoRandom> {
    let mut raw = [0; 13];
    fill_random(&mut raw)?;
    let text = data_encoding::BASE32HEX_NOPAD.encode(&raw).to_ascii_lowercase();
    Ok(format!("{PREFIX}{}", text.get(..20).unwrap_or_default()))
}
