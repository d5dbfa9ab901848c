//! Whose something is.

use zeroize::Zeroizing;

use crate::hsm::framed;
use crate::id::RepositoryId;
use crate::keys::SecretBytes;

/// Whose a card or a record is, by names that mean something to the caller alone: a shop of the merchant's, a customer of
/// the shop's. The store finds it by what is made of the names with a key in the HSM; the names themselves are sealed.
pub struct Person(Vec<Zeroizing<String>>);

impl Person {
    /// With these names, which mean it in this order.
    pub fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Zeroizing::new((*name).to_owned())).collect())
    }

    /// What is MACed: no names of one person come to the same as those of another, nor in another repository.
    pub(in crate::vault) fn framed(&self, repository: RepositoryId) -> SecretBytes {
        let repository = repository.0.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&repository];
        parts.extend(self.0.iter().map(|name| name.as_bytes()));
        SecretBytes::new(framed(&parts))
    }

    /// The names as a JSON list, for the sealed part.
    pub(in crate::vault) fn json(&self) -> Zeroizing<String> {
        // an escaped character takes up to 6 bytes: with this room no growing leaves a copy behind
        let room = self.0.iter().map(|name| 6 * name.len() + 3).sum::<usize>() + 2;
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        let names: Vec<&str> = self.0.iter().map(|name| name.as_str()).collect();
        // a list of strings is always written
        let _ = serde_json::to_writer(&mut *text, &names);
        Zeroizing::new(String::from_utf8_lossy(&text).into_owned())
    }

    /// Of a list that [`Person::json`] wrote.
    pub(in crate::vault) fn parse(json: &str) -> Option<Self> {
        let names: Vec<String> = serde_json::from_str(json).ok()?;
        Some(Self(names.into_iter().map(Zeroizing::new).collect()))
    }

    /// Whether a JSON list says just these names.
    pub(in crate::vault) fn is(&self, json: &str) -> bool {
        Self::parse(json).is_some_and(|named| named.0 == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_their_ends_and_their_order() {
        let here = RepositoryId(1);
        let person = Person::new(&["ab", "c"]);
        for other in [
            Person::new(&["a", "bc"]),
            Person::new(&["c", "ab"]),
            Person::new(&["ab", "c", ""]),
            Person::new(&["abc"]),
        ] {
            assert_ne!(person.framed(here), other.framed(here));
            assert!(!person.is(&other.json()));
        }
        assert_ne!(person.framed(here), person.framed(RepositoryId(2)));
        assert!(person.is(r#" ["\u0061b", "c"] "#));
    }

    #[test]
    fn names_of_any_script_come_back() {
        let person = Person::new(&["\"\\\u{0}\u{1f}", "é漢😀", ""]);
        assert!(person.is(&person.json()));
    }
}
