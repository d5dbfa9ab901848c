//! Sessions: payment details that are collected for minutes before they are used. The card is sealed; the security code
//! stays in memory and is gone after the first use.

use zeroize::Zeroizing;

use super::{CardDetails, Error, Payments};
use crate::id::{Token, UnixMillis};
use crate::vault::types::Actor;

/// What a session is given; what is absent stays as it was.
#[derive(Default)]
pub struct SessionUpdate {
    /// The version that the session must have.
    pub version: Option<String>,
    /// Card details.
    pub card: CardDetails,
    /// A stored token.
    pub token: Option<Token>,
    /// Everything else, as the dialect keeps it: one JSON object's text, sealed with the card. Members replace members of
    /// the same name.
    pub other: Option<Zeroizing<String>>,
}

/// A session as it is shown.
pub struct SessionView {
    /// Its id: `SESSION` and 24 digits or capitals.
    pub id: String,
    /// Changes with every update: 10 hexadecimal digits.
    pub version: String,
    /// The masked number.
    pub masked: Option<String>,
    /// The brand of the number.
    pub brand: Option<String>,
    /// Month and year as far as given.
    pub month: Option<u8>,
    /// Four digits.
    pub year: Option<u16>,
    /// The name on the card.
    pub holder: Option<Zeroizing<String>>,
    /// Whether a security code waits in memory.
    pub has_security_code: bool,
    /// The token.
    pub token: Option<Token>,
    /// Everything else.
    pub other: Option<Zeroizing<String>>,
    /// The API version that made it.
    pub api_version: u16,
    /// When it ends.
    pub expires_at: UnixMillis,
}

impl Payments {
    /// Opens an empty session for 15 minutes.
    ///
    /// # Errors
    /// Not granted; the store's.
    pub async fn open_session(&self, actor: &Actor, api_version: u16) -> Result<SessionView, Error> {
        let _ = (actor, api_version, &self.vault);
        unimplemented!()
    }

    /// Puts details into a session.
    ///
    /// # Errors
    /// [`Error::Unknown`], another version of the session or of the API; not granted; the HSM's; the store's.
    pub async fn update_session(
        &self,
        actor: &Actor,
        id: &str,
        api_version: u16,
        update: SessionUpdate,
    ) -> Result<SessionView, Error> {
        let _ = (actor, id, api_version, update);
        unimplemented!()
    }

    /// What a session holds, masked.
    ///
    /// # Errors
    /// [`Error::Unknown`]; not granted; the HSM's; the store's.
    pub async fn session(&self, actor: &Actor, id: &str) -> Result<SessionView, Error> {
        let _ = (actor, id);
        unimplemented!()
    }
}
