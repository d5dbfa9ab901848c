//! Texts that are wiped when dropped, and how what is kept is written.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::keys::SecretBytes;
use crate::payment::Error;

/// A text that may be personal. It is not printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

/// A JSON value's text, as it was given; wiped as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Zeroizing<String>);

impl Text {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text, still wiped when dropped.
    pub fn into_zeroizing(self) -> Zeroizing<String> {
        self.0
    }
}

impl From<Zeroizing<String>> for Text {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl Json {
    /// The value as JSON.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let bytes = written(value)?;
        let text = std::str::from_utf8(&bytes).map_err(serde::ser::Error::custom)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The JSON text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Zeroizing::new(String::from(Box::<str>::from(raw)))))
    }
}

/// JSON in memory of its full size from the start: a buffer that grows leaves copies behind.
///
/// # Errors
/// It cannot be written.
pub fn written(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut size = Size(0);
    serde_json::to_writer(&mut size, value)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *bytes, value)?;
    Ok(bytes)
}

/// What is to be sealed.
pub(super) fn encoded(value: &impl Serialize) -> Result<SecretBytes, Error> {
    written(value).map(SecretBytes::from).map_err(|_| Error::damaged())
}

/// Reads what [`encoded`] wrote.
pub(super) fn decoded<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|_| Error::damaged())
}

/// Counts what is written.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_as_it_was_written() {
        let text = r#"{"n": 12345678901234567890123, "a":[ ]}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(json.expose(), text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        let list = Json::of(&[json.clone(), json]).unwrap();
        assert_eq!(list.expose(), format!("[{text},{text}]"));
    }

    #[test]
    fn what_is_written_fits_just() {
        let bytes = written(&Text::new("a \"quoted\" \u{1} text".to_owned())).unwrap();
        assert_eq!(bytes.len(), bytes.capacity());
        let back: Text = decoded(&bytes).unwrap();
        assert_eq!(back.expose(), "a \"quoted\" \u{1} text");
    }
}
