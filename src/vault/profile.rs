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
