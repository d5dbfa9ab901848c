//! Sessions: payment details that are collected for minutes before they are used. The card is sealed; the security code
//! stays in memory and is gone after the first use.

mod stored;
#[cfg(test)]
mod tests;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use zeroize::Zeroizing;

use self::stored::{Contents, Stored};
use super::{CardDetails, Error, Part, Payments};
use crate::id::{Token, UnixMillis, fill_random};
use crate::vault::types::{
    self as core, Actor, CallerError, DependencyError, Document, DocumentEvent, DocumentKind, DocumentWrite, Expect,
    Operation, Secret, Written,
};

/// What a session is given; what is absent stays as it was.
#[derive(Default)]
pub struct SessionUpdate {
    /// The version that the session must have.
    pub version: Option<String>,
    /// Card details.
    pub card: CardDetails,
    /// A stored token.
    pub token: Option<Token>,
    /// Everything else, as the dialect keeps it: one JSON object's text, sealed with the card, with no card number in it.
    /// Members replace members of the same name; there may be up to 400.
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

/// What an operation gets from a session that it names.
pub(super) struct Used {
    /// Its card, with the security code if that still waited.
    pub(super) card: CardDetails,
    /// Its token.
    pub(super) token: Option<Token>,
}

impl Payments {
    /// Opens an empty session. It ends 15 minutes after its last change, and an hour after it was opened at the latest.
    ///
    /// # Errors
    /// Not granted; the store's.
    pub async fn open_session(&self, actor: &Actor, api_version: u16) -> Result<SessionView, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 1)?;
        let now = UnixMillis::now();
        let id = format!("{PREFIX}{}", BASE32_NOPAD.encode(&random::<15>()?));
        let stored = Stored::new(new_version()?, api_version, now);
        let expires_at = ends_at(now, now);
        let write = DocumentWrite {
            kind: DocumentKind::Session,
            name: id.clone(),
            expect: Expect::Absent,
            clear: stored.encode()?,
            secret: Secret::Nothing,
            expires_at: Some(expires_at),
        };
        match self
            .vault
            .write_documents(actor, vec![write], event("session-open"))
            .await?
        {
            Written::Done { .. } => Ok(stored.view(id, Contents::default(), false, expires_at)),
            // 120 random bits met others
            Written::Changed => Err(Error::Core(CallerError::Contended.into())),
        }
    }

    /// Puts details into a session.
    ///
    /// # Errors
    /// [`Error::Unknown`], another version of the session or of the API, [`Error::Invalid`] for more than a session may
    /// hold; not granted; too many security codes wait; the HSM's; the store's.
    pub async fn update_session(
        &self,
        actor: &Actor,
        id: &str,
        api_version: u16,
        update: SessionUpdate,
    ) -> Result<SessionView, Error> {
        self.vault.access().permit(actor, Operation::Tokenize, 1)?;
        if let Some(other) = &update.other {
            self.vault.screen_object("session", other, MAX_OTHER, true)?;
        }
        for _ in 0..ATTEMPTS {
            let (held, stored) = self
                .load_session(actor, id, update.version.as_deref(), Some(api_version))
                .await?;
            let mut contents = self.open_contents(&held).await?;
            let another_card = replaces_card(&contents, &stored, &update);
            contents.take_over(&update)?;
            let now = UnixMillis::now();
            let expires_at = ends_at(stored.created_at, now);
            let look = update.card.pan.as_ref().map(|pan| self.vault.look(pan));
            let stored = stored.changed(new_version()?, &update, look);
            let write = DocumentWrite {
                kind: DocumentKind::Session,
                name: id.to_owned(),
                expect: Expect::Rev(held.rev),
                clear: stored.encode()?,
                secret: Secret::Seal(contents.encode()?),
                expires_at: Some(expires_at),
            };
            if another_card {
                // before the other card can be used with it
                self.codes.take(&actor.merchant, id, now);
            }
            let written = self
                .vault
                .write_documents(actor, vec![write], event("session-update"))
                .await?;
            if written == Written::Changed {
                continue;
            }
            let waiting = match update.card.security_code {
                Some(code) => self.codes.put(&actor.merchant, id, code, expires_at)?,
                None => self.codes.extend(&actor.merchant, id, expires_at, now),
            };
            return Ok(stored.view(id.to_owned(), contents, waiting, expires_at));
        }
        Err(Error::Core(CallerError::Contended.into()))
    }

    /// What a session holds, masked.
    ///
    /// # Errors
    /// [`Error::Unknown`]; not granted; the HSM's; the store's.
    pub async fn session(&self, actor: &Actor, id: &str) -> Result<SessionView, Error> {
        self.vault.access().permit(actor, Operation::Inspect, 1)?;
        let (held, stored) = self.load_session(actor, id, None, None).await?;
        let contents = self.open_contents(&held).await?;
        let waiting = self.codes.waits(&actor.merchant, id, UnixMillis::now());
        let expires_at = held.expires_at.unwrap_or(stored.created_at);
        Ok(stored.view(held.name, contents, waiting, expires_at))
    }

    /// What the session holds beside card and token, for an operation that names it: [`SessionUpdate::other`]. No right is
    /// asked for: the operation asks for its own.
    ///
    /// # Errors
    /// [`Error::Unknown`]; the HSM's; the store's.
    pub async fn session_fields(&self, actor: &Actor, id: &str) -> Result<Option<Zeroizing<String>>, Error> {
        let (held, _) = self.load_session(actor, id, None, None).await?;
        Ok(self.open_contents(&held).await?.other)
    }

    /// The details of a session for an operation that names it. Its security code is taken out and gone.
    pub(super) async fn use_session(
        &self,
        actor: &Actor,
        id: &str,
        version: Option<&str>,
        api_version: Option<u16>,
    ) -> Result<Used, Error> {
        let (held, stored) = self.load_session(actor, id, version, api_version).await?;
        let security_code = self.codes.take(&actor.merchant, id, UnixMillis::now());
        let contents = self.open_contents(&held).await?;
        Ok(Used {
            card: CardDetails {
                pan: contents.pan,
                month: stored.month,
                year: stored.year,
                holder: contents.holder,
                security_code,
            },
            token: stored.token,
        })
    }

    async fn load_session(
        &self,
        actor: &Actor,
        id: &str,
        version: Option<&str>,
        api_version: Option<u16>,
    ) -> Result<(Document, Stored), Error> {
        if !is_id(id) {
            return Err(Error::Unknown(Part::Session));
        }
        let held = self.vault.document(actor, DocumentKind::Session, id).await?;
        let held = held.ok_or(Error::Unknown(Part::Session))?;
        let stored = Stored::decode(&held.clear)?;
        if api_version.is_some_and(|asked| asked != stored.api_version) {
            return Err(Error::Invalid {
                part: Part::Session,
                reason: "The session was made by another version of the API".to_owned(),
            });
        }
        if version.is_some_and(|asked| asked != stored.version) {
            return Err(Error::Invalid {
                part: Part::SessionVersion,
                reason: "The session has changed since".to_owned(),
            });
        }
        Ok((held, stored))
    }

    async fn open_contents(&self, held: &Document) -> Result<Contents, Error> {
        match self.vault.document_secret(held).await? {
            Some(secret) => Contents::decode(&secret),
            None => Ok(Contents::default()),
        }
    }
}

/// Whether `update` puts another card in the place of the one that is there. A security code that waits is not its code.
fn replaces_card(contents: &Contents, stored: &Stored, update: &SessionUpdate) -> bool {
    let number = update.card.pan.as_ref();
    match (&contents.pan, &stored.token) {
        (Some(before), _) => number.is_some_and(|pan| pan.expose() != before.expose()),
        (None, Some(before)) => number.is_some() || update.token.as_ref().is_some_and(|token| token != before),
        (None, None) => false,
    }
}

fn is_id(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == RANDOM_LENGTH
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

fn ends_at(created_at: UnixMillis, now: UnixMillis) -> UnixMillis {
    now.plus(LIFE_MS).min(created_at.plus(LIFE_IN_ALL_MS))
}

/// 40 random bits: two versions of one session are hardly ever the same.
fn new_version() -> Result<String, Error> {
    Ok(HEXLOWER.encode(&random::<5>()?))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fill_random(&mut bytes).map_err(|_| core::Error::Dependency(DependencyError::NoRandom))?;
    Ok(bytes)
}

fn event(action: &'static str) -> DocumentEvent {
    DocumentEvent {
        action,
        outcome: "ok",
        token: None,
        detail: None,
    }
}

const PREFIX: &str = "SESSION";
/// 15 random bytes in base 32.
const RANDOM_LENGTH: usize = 24;
const LIFE_MS: u64 = 15 * 60 * 1000;
const LIFE_IN_ALL_MS: u64 = 60 * 60 * 1000;
/// The longest [`SessionUpdate::other`], bytes, alone and merged.
const MAX_OTHER: usize = 32 * 1024;
/// Members of [`SessionUpdate::other`], merged: a request that takes them all has room for some of its own.
const MAX_MEMBERS: usize = 400;
/// Rounds against others who change the same session.
const ATTEMPTS: usize = 8;
