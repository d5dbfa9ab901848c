//! The names by which the store knows persons: letters made of a keyed MAC, so that nobody who reads the disk learns who
//! they are or can try names out.
//!
//! A name takes the HSM a job, and whether a person is on record a look. Both are kept in memory for those who were here
//! lately, by a hash of what the name is made of.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use super::tables;
use super::types::{Actor, Error, IntegrityError, Person};
use super::{Vault, types};
use crate::id::Namespace;
use crate::keys::SecretBytes;

/// The MAC's domain.
const DOMAIN: &str = "panvault person v1";

/// Entries kept, half of them at least.
const KEPT: usize = 16_384;

/// What is known of persons, in memory.
#[derive(Default)]
pub(super) struct Persons {
    /// Their names.
    names: Recent<Namespace>,
    /// Since when they are on record with a merchant. What is on record stays as long as the merchant, unless its repository
    /// is erased.
    entered: Recent<Arc<str>>,
}

/// What was used lately, by a hash.
struct Recent<V>(Mutex<Generations<V>>);

/// When the young ones are many, they become the old ones, and those are forgotten.
struct Generations<V> {
    young: HashMap<[u8; 32], V>,
    old: HashMap<[u8; 32], V>,
}

impl Vault {
    /// The name of `person` in the actor's repository.
    ///
    /// # Errors
    /// The HSM's.
    pub(super) async fn person_name(&self, actor: &Actor, person: &Person) -> Result<Namespace, Error> {
        let framed = person.framed(actor.repository);
        let key = hash(&framed);
        if let Some(name) = self.persons.names.get(&key) {
            return Ok(name);
        }
        let name = named(&self.sealer.mac(DOMAIN, framed).await?)?;
        self.persons.names.put(key, name.clone());
        Ok(name)
    }

    /// Since when `person` is on record, if that is known without a look.
    pub(super) fn known_since(&self, actor: &Actor, person: &Person) -> Option<Arc<str>> {
        self.persons.entered.get(&self.place_of(actor, person)?)
    }

    /// Keeps in mind that `person` is on record since then.
    pub(super) fn keep_in_mind(&self, actor: &Actor, person: &Person, since: &str) -> Arc<str> {
        let since: Arc<str> = Arc::from(since);
        if let Some(key) = self.place_of(actor, person) {
            self.persons.entered.put(key, Arc::clone(&since));
        }
        since
    }

    /// The person, and the merchant as it is now: another one that gets its id later is another.
    fn place_of(&self, actor: &Actor, person: &Person) -> Option<[u8; 32]> {
        let added_at = self.access.merchant_added_at(&actor.merchant)?.0.to_be_bytes();
        let framed = person.framed(actor.repository);
        let parts: [&[u8]; 3] = [actor.merchant.as_str().as_bytes(), &added_at, framed.expose()];
        Some(hash(&SecretBytes::new(crate::hsm::framed(&parts))))
    }

    /// A name of what holds a card number or other secrets: nothing of it is kept in memory.
    pub(super) async fn secret_name(&self, actor: &Actor, what: &Person) -> Result<(Namespace, [u8; 32]), Error> {
        let mac = self.sealer.mac(DOMAIN, what.framed(actor.repository)).await?;
        Ok((named(&mac)?, mac))
    }
}

impl Persons {
    /// Forgets who is on record: some are no longer.
    pub(super) fn forget_entered(&self) {
        self.entered.clear();
    }
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self(Mutex::new(Generations {
            young: HashMap::new(),
            old: HashMap::new(),
        }))
    }
}

impl<V: Clone> Recent<V> {
    fn get(&self, key: &[u8; 32]) -> Option<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.young.get(key) {
            return Some(value.clone());
        }
        let value = kept.old.remove(key)?;
        kept.put(*key, value.clone());
        Some(value)
    }

    fn clear(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.young.clear();
        kept.old.clear();
    }

    fn put(&self, key: [u8; 32], value: V) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, value);
    }
}

impl<V> Generations<V> {
    fn put(&mut self, key: [u8; 32], value: V) {
        if self.young.len() >= KEPT / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

fn hash(framed: &SecretBytes) -> [u8; 32] {
    let mut key = [0; 32];
    let hash = digest(&SHA256, framed.expose());
    key.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    key
}

/// 32 letters: digits could look like a card number.
fn named(mac: &[u8; 32]) -> Result<Namespace, types::Error> {
    let letters = tables::half(mac)
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(b'a' + nibble));
    let name: String = "ps_".chars().chain(letters).collect();
    Namespace::parse(&name).map_err(|_| IntegrityError::Damaged.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept_and_those_in_use_stay() {
        let persons = Recent::default();
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            key
        };
        let name = |n: usize| Namespace::parse(&format!("ps_{n}")).unwrap();
        for n in 0..3 * KEPT {
            persons.put(key(n), name(n));
            assert_eq!(persons.get(&key(0)), Some(name(0)), "used all the time");
        }
        let kept = persons.0.lock().unwrap();
        assert!(kept.young.len() + kept.old.len() <= KEPT);
        drop(kept);
        assert_eq!(persons.get(&key(1)), None);
        assert_eq!(persons.get(&key(3 * KEPT - 1)), Some(name(3 * KEPT - 1)));
    }

    #[test]
    fn a_name_is_letters() {
        let name = named(&[0x9f; 32]).unwrap();
        assert_eq!(name.as_str(), format!("ps_{}", "jp".repeat(16)));
    }
}
