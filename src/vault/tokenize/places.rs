//! What a token takes beside its own name: a second one, and a place in a namespace that holds only so many.
//!
//! A place is an entry of its own, as a reuse key is, and not a counter: each leads to the token that has it, so that it can
//! be checked, and goes with it whatever removes it.

use std::collections::BTreeMap;

use super::making::{Making, Names};
use crate::id::{Namespace, UnixMillis, fill_random};
use crate::store::Part;
use crate::vault::types::{CallerError, Error};
use crate::vault::{Vault, format, tables};

impl Vault {
    /// Names and place for the next attempt; `None`: one that was past its time had to go first, look again.
    ///
    /// # Errors
    /// [`CallerError::NamespaceFull`]; the store's; no random bytes.
    pub(super) async fn names_for(&self, making: &mut Making<'_>) -> Result<Option<Names>, Error> {
        let new = making.new;
        let terms = new.terms;
        let alias = match terms.alias {
            true => Some(format::alias(making.bins)?),
            false => None,
        };
        let slot = match (&new.namespace, terms.namespace_limit) {
            (Some(namespace), Some(limit)) => match self.free_slot(making, namespace, limit).await? {
                Some(slot) => Some(slot),
                None => return Ok(None),
            },
            _ => None,
        };
        Ok(Some(Names { alias, slot }))
    }

    /// A place that is free now, any of them: of many who come at once most find different ones.
    async fn free_slot(&self, making: &mut Making<'_>, namespace: &Namespace, limit: u8) -> Result<Option<u8>, Error> {
        let repository = making.actor.repository;
        let prefix = tables::slots(repository, namespace);
        let from = std::ops::Bound::Included(prefix.clone());
        let page = self
            .store
            .scan(Part::default(), from, tables::end_of(&prefix), u32::from(u8::MAX))
            .await?;
        let taken: BTreeMap<u8, Vec<u8>> = page
            .items
            .into_iter()
            // what it takes the place of makes room
            .filter(|(key, _)| !making.dead.iter().any(|held| held.record.leads_here(key)))
            .filter_map(|(key, found)| Some((*key.0.last()?, found.value)))
            .collect();
        let free: Vec<u8> = (0..limit).filter(|slot| !taken.contains_key(slot)).collect();
        let mut random = [0; 1];
        fill_random(&mut random)?;
        let at = usize::from(random[0]).checked_rem(free.len());
        if let Some(slot) = at.and_then(|at| free.get(at)) {
            return Ok(Some(*slot));
        }
        let now = UnixMillis::now();
        for (slot, value) in taken {
            match self.holder_of(repository, &value).await? {
                // the sweeper has not come by yet
                Some(held) if self.is_over(&held.record, now) => {
                    self.expire(&held).await?;
                    return Ok(None);
                }
                // whose card it was cannot use it any more
                Some(held) if self.is_dead(&held.record)? => {
                    making.give_up(held);
                    return Ok(Some(slot));
                }
                Some(_) => {}
                // removed just now
                None => return Ok(None),
            }
        }
        Err(CallerError::NamespaceFull.into())
    }
}
