//! Where payment details come from, and which source counts: request before session before token, field by field.

use zeroize::Zeroizing;

use super::SecurityCode;
use crate::card::Pan;
use crate::id::Token;

/// Card details as far as one source gives them.
#[derive(Default)]
pub struct CardDetails {
    /// The number.
    pub pan: Option<Pan>,
    /// 1 to 12.
    pub month: Option<u8>,
    /// Four digits.
    pub year: Option<u16>,
    /// The name on the card.
    pub holder: Option<Zeroizing<String>>,
    /// The security code.
    pub security_code: Option<SecurityCode>,
}

/// Everything that a request says about where the card comes from.
#[derive(Default)]
pub struct Sources {
    /// What the request itself gives.
    pub card: CardDetails,
    /// The session that it names.
    pub session: Option<String>,
    /// The version that the session must have.
    pub session_version: Option<String>,
    /// The stored token that it names.
    pub token: Option<Token>,
}
