//! A record's identity: made once at random, never changed, and bound to the token it was made for.
//!
//! Everything sealed for a record is bound to its identity, but the identity itself lies in the stored row. Were it
//! random alone, who can write to the disk could copy a whole row, put another token's name into it and have the card
//! opened under that token. So an identity carries a check of its place: 6 random bytes, then the first 10 bytes of
//! SHA-256 over them, the repository and the token. Under another token the check fails; with another identity nothing
//! in the row opens. A second token for one identity takes 2^80 tries. No key is needed: what is bound by the seal needs
//! no other secret.

use ring::digest::{Context, SHA256};

use crate::id::{NoRandom, RecordId, RepositoryId, Token, fill_random};

/// How many of the 16 bytes are random; the others are the check.
const RANDOM: usize = 6;

/// An identity for the record of `token`.
///
/// # Errors
/// No random bytes.
pub(super) fn fresh(repository: RepositoryId, token: &Token) -> Result<RecordId, NoRandom> {
    let mut random = [0; RANDOM];
    fill_random(&mut random)?;
    Ok(of(random, repository, token))
}

/// Whether `id` was made for the record of `token`.
pub(super) fn belongs(id: RecordId, repository: RepositoryId, token: &Token) -> bool {
    id.0.first_chunk()
        .is_some_and(|random| of(*random, repository, token) == id)
}

fn of(random: [u8; RANDOM], repository: RepositoryId, token: &Token) -> RecordId {
    let mut hash = Context::new(&SHA256);
    hash.update(b"panvault record v1\0");
    hash.update(&random);
    hash.update(&repository.0.to_be_bytes());
    // last, so its length needs no saying
    hash.update(token.as_str().as_bytes());
    let hash = hash.finish();
    let mut id = [0; 16];
    let bytes = random.iter().chain(hash.as_ref());
    id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    RecordId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
