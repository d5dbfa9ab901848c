//! A record's identity: made once at random, never changed, and bound to the token it was made for.
//!
//! Everything sealed for a record is bound to its identity, but the identity itself lies in the stored row. Were it
//! random alone, who can write to the disk could copy a whole row, put another token's name into it and have the card
//! opened under that token. So an identity carries a check of its place: 6 random bytes, then the first 10 bytes of
//! SHA-256 over them, the repository and the token. Under another token the check fails; with another identity nothing
//! in the row opens. A second token for one identity takes 2^80 tries. No key is needed: what is bound by the seal needs
//! no other secret. A document's sealed part has an identity of the same make, bound to merchant, kind and name.

use ring::digest::{Context, SHA256};

use super::documents::Address;
use crate::id::{NoRandom, RecordId, RepositoryId, Token, fill_random};

/// How many of the 16 bytes are random; the others are the check.
const RANDOM: usize = 6;

/// An identity for the record of `token`.
///
/// # Errors
/// No random bytes.
pub(super) fn fresh(repository: RepositoryId, token: &Token) -> Result<RecordId, NoRandom> {
    Ok(of_token(random()?, repository, token))
}

/// Whether `id` was made for the record of `token`.
pub(super) fn belongs(id: RecordId, repository: RepositoryId, token: &Token) -> bool {
    id.0.first_chunk()
        .is_some_and(|random| of_token(*random, repository, token) == id)
}

/// An identity for the sealed part of a document.
///
/// # Errors
/// No random bytes.
pub(super) fn fresh_for(document: &Address) -> Result<RecordId, NoRandom> {
    Ok(of_document(random()?, document))
}

/// Whether `id` was made for that document.
pub(super) fn belongs_to(id: RecordId, document: &Address) -> bool {
    id.0.first_chunk()
        .is_some_and(|random| of_document(*random, document) == id)
}

fn random() -> Result<[u8; RANDOM], NoRandom> {
    let mut random = [0; RANDOM];
    fill_random(&mut random)?;
    Ok(random)
}

fn of_token(random: [u8; RANDOM], repository: RepositoryId, token: &Token) -> RecordId {
    // the token is last, so its length needs no saying
    let parts: [&[u8]; 3] = [
        b"panvault record v1\0",
        &repository.0.to_be_bytes(),
        token.as_str().as_bytes(),
    ];
    of(random, parts)
}

fn of_document(random: [u8; RANDOM], document: &Address) -> RecordId {
    // the key under which it is stored: one for each merchant, kind and name
    of(random, [b"panvault document v1\0", &document.key().0, &[]])
}

fn of(random: [u8; RANDOM], [label, place, name]: [&[u8]; 3]) -> RecordId {
    let mut hash = Context::new(&SHA256);
    hash.update(label);
    hash.update(&random);
    hash.update(place);
    hash.update(name);
    let hash = hash.finish();
    let mut id = [0; 16];
    let bytes = random.iter().chain(hash.as_ref());
    id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    RecordId(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MerchantId;
    use crate::vault::types::DocumentKind;

    #[test]
    fn an_identity_belongs_to_its_token_alone() {
        let (here, one, two) = (RepositoryId(1), Token::parse("a").unwrap(), Token::parse("b").unwrap());
        let id = fresh(here, &one).unwrap();
        assert!(belongs(id, here, &one));
        assert!(!belongs(id, here, &two));
        assert!(!belongs(id, RepositoryId(2), &one));
        for bit in 0..128 {
            let mut changed = id;
            changed.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!belongs(changed, here, &one), "bit {bit}");
        }
        assert_ne!(id, fresh(here, &one).unwrap(), "a token made again is another record");
    }

    /// Stored identities must be recognised for ever.
    #[test]
    fn identities_that_were_made_before_still_belong() {
        let token = Token::parse("tok_x").unwrap();
        let id = of_token([1, 2, 3, 4, 5, 6], RepositoryId(7), &token);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&id.0),
            "010203040506a72ef0ff6f9d9e60e515"
        );
    }

    #[test]
    fn an_identity_belongs_to_its_document_alone() {
        let address = |merchant: &str, kind, name: &str| Address {
            merchant: MerchantId::parse(merchant).unwrap(),
            kind,
            name: name.to_owned(),
        };
        let mine = address("ab", DocumentKind::Order, "1");
        let id = fresh_for(&mine).unwrap();
        assert!(belongs_to(id, &mine));
        for other in [
            address("a", DocumentKind::Order, "b1"),
            address("ab", DocumentKind::Session, "1"),
            address("ab", DocumentKind::Order, "2"),
        ] {
            assert!(!belongs_to(id, &other), "{other:?}");
        }
        assert_ne!(id, fresh_for(&mine).unwrap());
    }
}
