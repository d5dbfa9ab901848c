//! The protected header of a JWE: a JSON object with each member once.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// What a header says, as far as it matters here. Members that say nothing about how to open it are passed over, as
/// RFC 7516 section 4 wants it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) alg: Option<String>,
    pub(super) enc: Option<String>,
    pub(super) kid: Option<String>,
    /// There is a `crit` or a `zip`.
    pub(super) extended: bool,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Header;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut seen = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "alg" => header.alg = Some(members.next_value()?),
                "enc" => header.enc = Some(members.next_value()?),
                "kid" => header.kid = Some(members.next_value()?),
                other => {
                    header.extended |= matches!(other, "crit" | "zip");
                    members.next_value::<IgnoredAny>()?;
                }
            }
            if !seen.insert(name) {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(header)
    }
}
