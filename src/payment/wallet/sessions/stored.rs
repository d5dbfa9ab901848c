//! A session as it is stored: all but its time is sealed, its secret too.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::id::{NoRandom, UnixMillis, fill_random};
use crate::payment::wallet::{Json, PspTokenization, Storage, Text};

/// The part in clear.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear {
    pub(super) ends_at: UnixMillis,
}

/// What a session is opened with.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTerms {
    /// Whose it is.
    pub customer: Option<String>,
    /// Where bills go: one JSON object.
    pub billing: Option<Json>,
    /// Where the customer goes afterwards.
    pub return_url: Option<Text>,
    /// Whether cards get network tokens; none: it was not said.
    pub network_tokenization: Option<bool>,
    /// The token that is wanted of a payment service provider.
    pub psp_tokenization: Option<PspTokenization>,
    /// The merchant's own, given back.
    pub tokenization_data: Option<Json>,
    /// Whether cards are stored.
    pub stored: bool,
    /// The merchant's wish about cards that were not used yet.
    pub keep_alive: bool,
}

/// The sealed part.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    pub(super) terms: SessionTerms,
    pub(super) secret: Text,
    /// Temporary names of payment methods that were added with it, and their own.
    pub(super) added: Vec<(String, String)>,
}

impl SessionTerms {
    /// Where its cards are kept.
    pub fn storage(&self) -> Storage {
        match self.stored {
            true => Storage::Persistent,
            false => Storage::Volatile,
        }
    }
}

/// A secret for whoever the merchant gives it to: 160 random bits.
pub(super) fn fresh_secret() -> Result<Text, NoRandom> {
    let mut raw = Zeroizing::new([0; 20]);
    fill_random(&mut *raw)?;
    let mut text = data_encoding::BASE32HEX_NOPAD.encode(&*raw);
    text.make_ascii_lowercase();
    Ok(Text::new(format!("cs_{text}")))
}
