//! Storing a card that may be there already with other details.

use super::{Described, Profile};
use crate::card::Expiry;
use crate::id::{NoRandom, UnixMillis, fill_random};

/// What of a card that is there is compared with what is given. Expiry and holder always are; so are these members of the
/// profile's rest. What is not given is no difference.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// Members that are compared.
    pub members: &'static [&'static str],
    /// Those of them that are taken over where none is stored; of the others that is a difference.
    pub filled: &'static [&'static str],
}

/// How storing ended.
pub enum Compared {
    /// A new token.
    Created(Described),
    /// The token that was there says the same.
    Same(Described),
    /// It says something else, which stays; what was given waits as a conflict.
    Different {
        /// The token that was there, as it is.
        there: Described,
        /// What was given.
        conflict: Conflict,
    },
}

/// What was given and is not what is stored. It waits for some time to be taken over.
pub struct Conflict {
    /// Its name.
    pub id: ConflictId,
    /// Gone after this.
    pub expires_at: UnixMillis,
    /// Another expiry.
    pub expiry: Option<Expiry>,
    /// Another holder, other members of the rest.
    pub profile: Profile,
}

/// A conflict's name: random, so that nobody guesses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConflictId(pub [u8; 16]);

impl ConflictId {
    /// A fresh one.
    ///
    /// # Errors
    /// No random bytes.
    pub(in crate::vault) fn random() -> Result<Self, NoRandom> {
        let mut raw = [0; 16];
        fill_random(&mut raw)?;
        Ok(Self(raw))
    }

    /// The name of its document.
    pub(in crate::vault) fn name(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}
