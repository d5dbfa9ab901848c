//! Records that a new one takes the place of: cards under a KEK that was destroyed, which a backup brought back. They open
//! nowhere, so they are nobody's answer, and must not keep their card, their name or their place from who has the card again.

use super::making::Making;
use crate::audit::Event;
use crate::store::{Cond, Key, Write};
use crate::vault::events::grouped;
use crate::vault::record::Record;
use crate::vault::types::Error;
use crate::vault::{Held, Vault};

impl Vault {
    /// Whether the card of a record opens nowhere any more: its KEK is destroyed, or is being, and that is never taken back.
    ///
    /// # Errors
    /// The record is damaged.
    pub(in crate::vault) fn is_dead(&self, record: &Record) -> Result<bool, Error> {
        match record.sealed {
            Some(_) => Ok(self.sealer.is_destroyed(record.sealed()?.epoch)),
            // a spent token's card went with its use
            None => Ok(false),
        }
    }

    /// Removes such a record, where it stands in the way of a change, with an audit event. `false`: others changed or removed
    /// it first.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::vault) async fn remove_dead(&self, held: &Held) -> Result<bool, Error> {
        let epoch = held.record.sealed()?.epoch.0;
        let accounts = self.access.accounts().current();
        let event = Event {
            merchant: Some(held.record.merchant.clone()),
            token: Some(held.record.token.clone()),
            repository: accounts.repository(held.record.repository).map(|row| row.name.clone()),
            detail: Some(format!("the card's KEK epoch {epoch} was destroyed")),
            ..Event::new("delete", "key-destroyed")
        };
        self.remove(held, event).await
    }
}

impl Making<'_> {
    /// The new record takes the place of `held` too.
    pub(super) fn give_up(&mut self, held: Held) {
        self.dead.retain(|there| there.record.token != held.record.token);
        self.dead.push(held);
    }

    /// Whether a condition's key is that of a record whose place is taken.
    pub(super) fn is_given_up(&self, key: &Key) -> bool {
        self.dead.iter().any(|held| held.record.key() == *key)
    }

    /// That those whose place is taken are as they were read, and that nothing but them stands where there may be one.
    pub(super) fn conds_of(&self, unique: impl Iterator<Item = Key>) -> Vec<Cond> {
        let mut conds: Vec<_> = self
            .dead
            .iter()
            .map(|held| Cond::Rev(held.record.key(), held.rev))
            .collect();
        // its entries come and go with the record
        let freed = |key: &Key| self.dead.iter().any(|held| held.record.leads_here(key));
        conds.extend(unique.filter(|key| !freed(key)).map(Cond::Absent));
        conds
    }

    pub(super) fn removal_of_dead(&self) -> Vec<Write> {
        self.dead.iter().flat_map(|held| held.record.removal()).collect()
    }

    pub(super) fn count_of_dead(&self) -> i64 {
        i64::try_from(self.dead.len()).unwrap_or(i64::MAX)
    }

    /// For the audit trail: which went. Tokens in a card's form are written so that they are not masked as numbers.
    pub(super) fn told_of_dead(&self) -> Option<String> {
        let told = self.dead.iter().map(|held| {
            let epoch = held.record.sealed().map_or(0, |sealed| sealed.epoch.0);
            let token = held.record.token.as_str();
            let token = match token.bytes().all(|byte| byte.is_ascii_digit()) {
                true => grouped(token),
                false => token.to_owned(),
            };
            format!("{token}, whose KEK epoch {epoch} was destroyed")
        });
        let told: Vec<_> = told.collect();
        (!told.is_empty()).then(|| format!("in place of {}", told.join(" and of ")))
    }
}
