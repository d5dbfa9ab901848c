//! Hrefs. The last segment is base64url of one byte for the relation and the token's own random name, or a conflict's: it
//! says nothing of the card, is the same every time, and leads there without a table.

use data_encoding::{BASE32HEX_NOPAD, BASE64URL_NOPAD};
use serde::Serialize;
use serde::ser::SerializeMap;

use super::media::Version;
use crate::id::Token;
use crate::vault::types::ConflictId;

/// What hrefs begin with, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base(pub(super) String);

/// What a link is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rel {
    Token,
    Description,
    CardHolderName,
    CardExpiryDate,
    BillingAddress,
    SchemeTransactionReference,
}

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Token(Rel, Token),
    Conflict(ConflictId),
}

/// The relation under which network tokens are asked for.
pub(super) const NETWORK_TOKEN: &str = "tokens:networkToken";
const CONFLICT: u8 = 6;
/// A token's name: its time and its random bits.
const TOKEN_BYTES: usize = 22;
const TOKEN_PREFIX: &str = "tok_";

impl Rel {
    const ALL: [Self; 6] = [
        Self::Token,
        Self::Description,
        Self::CardHolderName,
        Self::CardExpiryDate,
        Self::BillingAddress,
        Self::SchemeTransactionReference,
    ];

    /// In every link of its kind that is out there.
    fn byte(self) -> u8 {
        match self {
            Self::Token => 0,
            Self::Description => 1,
            Self::CardHolderName => 2,
            Self::CardExpiryDate => 3,
            Self::BillingAddress => 4,
            Self::SchemeTransactionReference => 5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Token => "tokens:token",
            Self::Description => "tokens:description",
            Self::CardHolderName => "tokens:cardHolderName",
            Self::CardExpiryDate => "tokens:cardExpiryDate",
            Self::BillingAddress => "tokens:billingAddress",
            Self::SchemeTransactionReference => "tokens:schemeTransactionReference",
        }
    }
}

impl Target {
    /// Reads a path's last segment.
    pub(super) fn parse(segment: &str) -> Option<Self> {
        let raw = BASE64URL_NOPAD.decode(segment.as_bytes()).ok()?;
        let (kind, rest) = raw.split_first()?;
        if *kind == CONFLICT {
            return Some(Self::Conflict(ConflictId(rest.try_into().ok()?)));
        }
        let rel = Rel::ALL.into_iter().find(|rel| rel.byte() == *kind)?;
        let name = (rest.len() == TOKEN_BYTES).then(|| BASE32HEX_NOPAD.encode(rest).to_ascii_lowercase())?;
        Some(Self::Token(rel, Token::parse(&format!("{TOKEN_PREFIX}{name}")).ok()?))
    }

    /// Reads an absolute href of this vault's, or anybody's: only its last segment counts.
    pub(super) fn of_href(href: &str) -> Option<Self> {
        let (_, segment) = href.rsplit_once("/tokens/")?;
        Self::parse(segment)
    }

    /// `None` for a token that was not made for this dialect.
    fn segment(&self) -> Option<String> {
        let (kind, rest) = match self {
            Self::Conflict(id) => (CONFLICT, id.0.to_vec()),
            Self::Token(rel, token) => {
                let name = token.as_str().strip_prefix(TOKEN_PREFIX)?.to_ascii_uppercase();
                let raw = BASE32HEX_NOPAD.decode(name.as_bytes()).ok()?;
                (rel.byte(), Some(raw).filter(|raw| raw.len() == TOKEN_BYTES)?)
            }
        };
        Some(BASE64URL_NOPAD.encode(&[&[kind], rest.as_slice()].concat()))
    }
}

impl Base {
    /// The href of a token.
    pub(super) fn token(&self, token: &Token) -> String {
        self.href(&Target::Token(Rel::Token, token.clone()))
    }

    fn href(&self, target: &Target) -> String {
        format!("{}/tokens/{}", self.0, target.segment().unwrap_or_default())
    }

    /// An href of a path of the API's own.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// What a token's links are: everything that can be done with it, and its conflict, if there is one.
    pub(super) fn links(&self, version: Version, token: &Token, conflict: Option<ConflictId>) -> Links {
        let mut links = Links::default();
        for rel in Rel::ALL {
            links.add(rel.name(), self.href(&Target::Token(rel, token.clone())));
        }
        if let Some(id) = conflict {
            links.add("tokens:conflicts", self.href(&Target::Conflict(id)));
        }
        // the older versions are from before there were any
        if version == Version::V3 {
            links.add(NETWORK_TOKEN, self.path("/tokens/network"));
        }
        links.with_curie(self)
    }
}

/// A link.
#[derive(Debug, Clone, Serialize)]
struct Href {
    href: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    templated: bool,
}

/// `_links` of HAL: links by their names, in order, and the curies that expand the names.
#[derive(Debug, Default)]
pub(super) struct Links {
    named: Vec<(&'static str, Href)>,
    curies: Vec<Curie>,
}

#[derive(Debug, Serialize)]
struct Curie {
    href: String,
    name: &'static str,
    templated: bool,
}

impl Links {
    pub(super) fn add(&mut self, name: &'static str, href: String) {
        self.named.push((name, Href { href, templated: false }));
    }

    pub(super) fn add_template(&mut self, name: &'static str, href: String) {
        self.named.push((name, Href { href, templated: true }));
    }

    /// With the curie of the names `tokens:…`.
    pub(super) fn with_curie(mut self, base: &Base) -> Self {
        self.curie(base, "tokens", "/rels/tokens/{rel}.json");
        self
    }

    pub(super) fn curie(&mut self, base: &Base, name: &'static str, path: &str) {
        self.curies.push(Curie {
            href: format!("{}{path}", base.0),
            name,
            templated: true,
        });
    }
}

impl Serialize for Links {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, href) in &self.named {
            map.serialize_entry(name, href)?;
        }
        if !self.curies.is_empty() {
            map.serialize_entry("curies", &self.curies)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn links_lead_back(raw in any::<[u8; TOKEN_BYTES]>(), conflict in any::<[u8; 16]>()) {
            let name = BASE32HEX_NOPAD.encode(&raw).to_ascii_lowercase();
            let token = Token::parse(&format!("tok_{name}")).unwrap();
            let base = Base("https://vault.example".to_owned());
            for rel in Rel::ALL {
                let target = Target::Token(rel, token.clone());
                let href = base.href(&target);
                prop_assert_eq!(Target::of_href(&href), Some(target));
                prop_assert!(!href.contains(&name), "the name shows");
            }
            let target = Target::Conflict(ConflictId(conflict));
            prop_assert_eq!(Target::of_href(&base.href(&target)), Some(target));
        }

        #[test]
        fn any_segment_is_answered(segment in "[A-Za-z0-9_-]{0,40}|\\PC{0,20}") {
            if let Some(target) = Target::parse(&segment) {
                prop_assert_eq!(target.segment(), Some(segment));
            }
        }
    }
}
