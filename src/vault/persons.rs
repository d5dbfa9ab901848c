//! The names by which the store knows persons: letters made of a keyed MAC, so that nobody who reads the disk learns who
//! they are or can try names out.
//!
//! A name takes the HSM a job. Those that were made lately are kept in memory, by a hash of what they were made of.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use super::tables;
use super::types::{Actor, Error, IntegrityError, Person};
use super::{Vault, types};
use crate::id::Namespace;
use crate::keys::SecretBytes;

/// The MAC's domain.
pub(super) const DOMAIN: &str = "panvault person v1";

/// Names kept, half of them at least.
const KEPT: usize = 16_384;

/// Names that were made lately.
#[derive(Default)]
pub(super) struct Persons(Mutex<Generations>);

/// When the young ones are many, they become the old ones, and those are forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<[u8; 32], Namespace>,
    old: HashMap<[u8; 32], Namespace>,
}

impl Vault {
    /// The name of `person` in the actor's repository.
    ///
    /// # Errors
    /// The HSM's.
    pub(super) async fn person_name(&self, actor: &Actor, person: &Person) -> Result<Namespace, Error> {
        let framed = person.framed(actor.repository);
        let key = hash(&framed);
        if let Some(name) = self.persons.get(&key) {
            return Ok(name);
        }
        let name = named(&self.sealer.mac(DOMAIN, framed).await?)?;
        self.persons.put(key, name.clone());
        Ok(name)
    }

    /// The name of a person who was here lately.
    pub(super) fn known_person(&self, actor: &Actor, person: &Person) -> Option<Namespace> {
        self.persons.get(&hash(&person.framed(actor.repository)))
    }

    /// The name that the HSM made of `person`'s MAC in another job.
    pub(super) fn person_named(&self, actor: &Actor, person: &Person, mac: &[u8; 32]) -> Result<Namespace, Error> {
        let name = named(mac)?;
        self.persons.put(hash(&person.framed(actor.repository)), name.clone());
        Ok(name)
    }

    /// A name of what holds a card number or other secrets: nothing of it is kept in memory.
    pub(super) async fn secret_name(&self, actor: &Actor, what: &Person) -> Result<(Namespace, [u8; 32]), Error> {
        let mac = self.sealer.mac(DOMAIN, what.framed(actor.repository)).await?;
        Ok((named(&mac)?, mac))
    }
}

impl Persons {
    fn get(&self, key: &[u8; 32]) -> Option<Namespace> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = kept.young.get(key) {
            return Some(name.clone());
        }
        let name = kept.old.remove(key)?;
        kept.put(*key, name.clone());
        Some(name)
    }

    fn put(&self, key: [u8; 32], name: Namespace) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, name);
    }
}

impl Generations {
    fn put(&mut self, key: [u8; 32], name: Namespace) {
        if self.young.len() >= KEPT / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, name);
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
        let persons = Persons::default();
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
