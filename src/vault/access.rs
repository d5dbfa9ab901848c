//! Who may do what: the one question the verbs ask before they do anything.

use super::types::{Actor, Error, Operation};

/// The policy and the caps, as the verbs see them.
pub struct Access {}

impl Access {
    /// Whether `actor` may do `op` on its repository now. `volume` is how many records it asks for; it counts against
    /// the caller's caps. A refusal has been audited and counted when this returns.
    ///
    /// # Errors
    /// [`Error::Policy`]: not granted, suspended, capped.
    pub fn permit(&self, _actor: &Actor, _op: Operation, _volume: u64) -> Result<(), Error> {
        unimplemented!()
    }
}
