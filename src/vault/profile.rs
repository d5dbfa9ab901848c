//! The profile compartment's plaintext: `{"holder":"…","extra":{…}}`, both optional.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::types::{IntegrityError, Profile};
use crate::keys::SecretBytes;

#[derive(Serialize)]
struct Out<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct In<'a> {
    holder: Option<String>,
    #[serde(borrow)]
    extra: Option<&'a RawValue>,
}

impl Profile {
    /// Whether there is nothing to seal.
    pub(super) fn is_empty(&self) -> bool {
        self.holder.is_none() && self.extra.is_none()
    }

    /// The compartment's plaintext. `extra` has been checked to be one JSON object.
    pub(super) fn encode(&self) -> Result<SecretBytes, IntegrityError> {
        let holder = self.holder.as_ref().map(|text| text.as_str());
        let extra = self.extra.as_ref().map(|text| text.as_str());
        // an escaped character takes up to 6 bytes: with this room no growing leaves a copy behind
        let room = 32 + 6 * holder.map_or(0, str::len) + extra.map_or(0, str::len);
        let mut bytes = Vec::with_capacity(room);
        let out = Out {
            holder,
            extra: extra
                .map(serde_json::from_str)
                .transpose()
                .map_err(|_| IntegrityError::Damaged)?,
        };
        serde_json::to_writer(&mut bytes, &out).map_err(|_| IntegrityError::Damaged)?;
        Ok(SecretBytes::new(bytes))
    }

    /// Reads what [`Profile::encode`] wrote.
    pub(super) fn decode(text: &SecretBytes) -> Result<Self, IntegrityError> {
        let read: In<'_> = serde_json::from_slice(text.expose()).map_err(|_| IntegrityError::Damaged)?;
        Ok(Self {
            holder: read.holder.map(Zeroizing::new),
            extra: read.extra.map(|raw| Zeroizing::new(raw.get().to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_absent_takes_no_room() {
        let empty = Profile::default().encode().unwrap();
        assert_eq!(empty.expose(), b"{}");
        assert!(Profile::decode(&empty).unwrap().is_empty());
    }

    #[test]
    fn the_rest_keeps_its_text() {
        let extra = r#"{"n": 12345678901234567890123, "a":[ ] }"#;
        let profile = Profile {
            holder: None,
            extra: Some(Zeroizing::new(extra.to_owned())),
        };
        let read = Profile::decode(&profile.encode().unwrap()).unwrap();
        assert_eq!(read.extra.as_deref().map(String::as_str), Some(extra));
    }

    proptest! {
        #[test]
        fn profiles_come_back(holder in proptest::option::of("\\PC{0,40}|[\\x00-\\x1f\"\\\\]{0,40}"), value in "[a-z]{0,9}") {
            let profile = Profile {
                holder: holder.clone().map(Zeroizing::new),
                extra: Some(Zeroizing::new(format!("{{\"a\":\"{value}\"}}"))),
            };
            let room = 32 + 6 * holder.as_ref().map_or(0, String::len) + 8 + value.len();
            let text = profile.encode().unwrap();
            prop_assert!(text.expose().len() <= room, "it grew, and left a copy behind");
            let read = Profile::decode(&text).unwrap();
            prop_assert_eq!(read.holder.as_deref(), holder.as_ref());
            prop_assert_eq!(read.extra.as_deref(), profile.extra.as_deref());
        }
    }
}
