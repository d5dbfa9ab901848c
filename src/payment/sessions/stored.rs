//! A session as it is stored: what may be seen in clear, the number and all that is personal sealed. The security code has
//! no place in either.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{MAX_MEMBERS, MAX_OTHER, SessionUpdate, SessionView};
use crate::card::{BinInfo, Masked, Pan};
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::{Error, Part};

/// The part in clear.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) version: String,
    pub(super) api_version: u16,
    pub(super) created_at: UnixMillis,
    pub(super) month: Option<u8>,
    pub(super) year: Option<u16>,
    pub(super) token: Option<Token>,
    masked: Option<String>,
    brand: Option<String>,
}

/// The sealed part.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) pan: Option<Pan>,
    pub(super) holder: Option<Zeroizing<String>>,
    pub(super) other: Option<Zeroizing<String>>,
}

impl Stored {
    pub(super) fn new(version: String, api_version: u16, created_at: UnixMillis) -> Self {
        Self {
            version,
            api_version,
            created_at,
            month: None,
            year: None,
            token: None,
            masked: None,
            brand: None,
        }
    }

    /// With what `update` gives; `look` is how its number looks.
    pub(super) fn changed(self, version: String, update: &SessionUpdate, look: Option<(Masked, BinInfo)>) -> Self {
        let (masked, brand) = match look {
            Some((masked, info)) => (Some(masked.text), info.brand),
            None => (self.masked, self.brand),
        };
        Self {
            version,
            month: update.card.month.or(self.month),
            year: update.card.year.or(self.year),
            token: update.token.clone().or(self.token),
            masked,
            brand,
            ..self
        }
    }

    pub(super) fn view(
        &self,
        id: String,
        contents: Contents,
        has_security_code: bool,
        expires_at: UnixMillis,
    ) -> SessionView {
        SessionView {
            id,
            version: self.version.clone(),
            masked: self.masked.clone(),
            brand: self.brand.clone(),
            month: self.month,
            year: self.year,
            holder: contents.holder,
            has_security_code,
            token: self.token.clone(),
            other: contents.other,
            api_version: self.api_version,
            expires_at,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|_| Error::damaged())
    }

    pub(super) fn decode(clear: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(clear).map_err(|_| Error::damaged())
    }
}

#[derive(Serialize)]
struct Out<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pan: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct In<'a> {
    /// Digits: never escaped, so always borrowed.
    pan: Option<&'a str>,
    holder: Option<String>,
    #[serde(borrow)]
    other: Option<&'a RawValue>,
}

impl Contents {
    /// Takes over what `update` gives.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than a session may hold. `other` is a JSON object, as was checked.
    pub(super) fn take_over(&mut self, update: &SessionUpdate) -> Result<(), Error> {
        if let Some(pan) = &update.card.pan {
            self.pan = Some(Pan::parse(pan.expose()).map_err(|_| Error::damaged())?);
        }
        if let Some(holder) = &update.card.holder {
            self.holder = Some(holder.clone());
        }
        if let Some(newer) = &update.other {
            let older = self.other.as_ref().map_or("{}", |text| text.as_str());
            self.other = Some(merged(older, newer)?);
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Result<SecretBytes, Error> {
        let holder = self.holder.as_ref().map(|text| text.as_str());
        let other = self.other.as_ref().map(|text| text.as_str());
        // an escaped character takes up to 6 bytes: with this room no growing leaves a copy behind
        let mut bytes = Vec::with_capacity(64 + 6 * holder.map_or(0, str::len) + other.map_or(0, str::len));
        let out = Out {
            pan: self.pan.as_ref().map(Pan::expose),
            holder,
            other: other
                .map(serde_json::from_str)
                .transpose()
                .map_err(|_| Error::damaged())?,
        };
        serde_json::to_writer(&mut bytes, &out).map_err(|_| Error::damaged())?;
        Ok(SecretBytes::new(bytes))
    }

    pub(super) fn decode(secret: &SecretBytes) -> Result<Self, Error> {
        let read: In<'_> = serde_json::from_slice(secret.expose()).map_err(|_| Error::damaged())?;
        Ok(Self {
            pan: read.pan.map(Pan::parse).transpose().map_err(|_| Error::damaged())?,
            holder: read.holder.map(Zeroizing::new),
            other: read.other.map(|raw| Zeroizing::new(raw.get().to_owned())),
        })
    }
}

/// Both objects' members; of equal names the newer one's.
///
/// # Errors
/// More than a session may hold; no JSON object.
fn merged(older: &str, newer: &str) -> Result<Zeroizing<String>, Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Members<'a>(#[serde(borrow)] BTreeMap<Name<'a>, &'a RawValue>);

    /// Borrowed where nothing in it is escaped.
    #[derive(Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
    #[serde(transparent)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    let read = |text| serde_json::from_str::<Members<'_>>(text).map_err(|_| Error::damaged());
    let mut members = read(older)?.0;
    members.extend(read(newer)?.0);
    let too_much = || Error::Invalid {
        part: Part::Session,
        reason: "The session cannot hold so much".to_owned(),
    };
    if members.len() > MAX_MEMBERS {
        return Err(too_much());
    }
    // names are written with the escapes they need, at most 6 bytes a character
    let mut bytes = Zeroizing::new(Vec::with_capacity(6 * (older.len() + newer.len())));
    serde_json::to_writer(&mut *bytes, &members).map_err(|_| Error::damaged())?;
    if bytes.len() > MAX_OTHER {
        return Err(too_much());
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|_| Error::damaged())?;
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_members_replace_older_ones() {
        let older = r#"{"order":{"amount":"1.00","currency":"EUR"},"a\"b":1,"n":12345678901234567890123}"#;
        let merged = merged(older, r#"{"order":{"amount":2},"a\u0022b":[2],"z":null}"#).unwrap();
        assert_eq!(
            merged.as_str(),
            r#"{"a\"b":[2],"n":12345678901234567890123,"order":{"amount":2},"z":null}"#
        );
    }

    #[test]
    fn contents_come_back() {
        let contents = Contents {
            pan: Some(Pan::parse("4111111111111111").unwrap()),
            holder: Some(Zeroizing::new("Ada \"Countess\" \u{1} Lovelace".to_owned())),
            other: Some(Zeroizing::new(r#"{"a":{"b":[1, 2]}}"#.to_owned())),
        };
        let read = Contents::decode(&contents.encode().unwrap()).unwrap();
        assert_eq!(read.pan.unwrap().expose(), "4111111111111111");
        assert_eq!(read.holder, contents.holder);
        assert_eq!(read.other, contents.other);
        let empty = Contents::default().encode().unwrap();
        assert_eq!(empty.expose(), b"{}");
        assert!(Contents::decode(&empty).unwrap().pan.is_none());
    }
}
