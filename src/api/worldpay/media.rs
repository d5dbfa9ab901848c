//! Which version of the API a request speaks: by its `Accept`, its `Content-Type`, or the newest.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::refusal::Refusal;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
    V3,
}

/// An API of its own, by its media types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Tokens,
    VerifiedTokens,
}

/// What a request speaks and wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) family: Family,
    pub(super) version: Version,
    /// Card numbers are to be shown: `masked=false`.
    pub(super) shown: bool,
}

impl Family {
    /// Its newest version, masked.
    pub(super) fn newest(self) -> Media {
        Media {
            family: self,
            version: Version::V3,
            shown: false,
        }
    }

    fn parse(self, essence: &str) -> Option<Version> {
        let known: &[_] = match self {
            Self::Tokens => &[Version::V1, Version::V2, Version::V3],
            Self::VerifiedTokens => &[Version::V3],
        };
        known
            .iter()
            .copied()
            .find(|version| essence.eq_ignore_ascii_case(self.essence(*version)))
    }

    fn essence(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Tokens, Version::V1) => "application/vnd.worldpay.tokens-v1.hal+json",
            (Self::Tokens, Version::V2) => "application/vnd.worldpay.tokens-v2.hal+json",
            (Self::Tokens, Version::V3) => "application/vnd.worldpay.tokens-v3.hal+json",
            (Self::VerifiedTokens, _) => "application/vnd.worldpay.verified-tokens-v3.hal+json",
        }
    }

    /// What the headers of a request say. `body`: it must have one, so its type counts; of others it is not looked at,
    /// because clients send types of other APIs with those.
    ///
    /// # Errors
    /// 406, 415; 400 where the two differ.
    pub(super) fn negotiate(self, headers: &HeaderMap, body: bool) -> Result<Media, Refusal> {
        let content = match headers.get(header::CONTENT_TYPE).filter(|_| body) {
            Some(value) => {
                let essence = text(value).split(';').next().unwrap_or_default().trim();
                Some(self.parse(essence).ok_or_else(|| {
                    Refusal::new(
                        StatusCode::UNSUPPORTED_MEDIA_TYPE,
                        "unsupportedContentType",
                        "Content-type header is not supported",
                    )
                })?)
            }
            None if body => {
                return Err(Refusal::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupportedContentType",
                    "Content-type header is not supported",
                ));
            }
            None => None,
        };
        let accepted = headers.get_all(header::ACCEPT);
        let mut any = accepted.iter().next().is_none();
        let mut known = Vec::new();
        for range in accepted.iter().flat_map(|value| text(value).split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default();
            any |= matches!(essence, "*/*" | "application/*");
            known.extend(self.parse(essence).map(|version| Media {
                family: self,
                version,
                shown: parts.any(|parameter| parameter.replace(' ', "").eq_ignore_ascii_case("masked=false")),
            }));
        }
        let fits = |media: &&Media| content.is_none_or(|content| content == media.version);
        match known.iter().find(fits) {
            Some(media) => return Ok(*media),
            None if known.is_empty() => {}
            None => {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "headerHasInvalidValue",
                    "Accept header does not match Content-type header",
                ));
            }
        }
        if !any {
            return Err(Refusal::new(
                StatusCode::NOT_ACCEPTABLE,
                "headerHasInvalidValue",
                "Accept header is not supported",
            ));
        }
        Ok(Media {
            version: content.unwrap_or(Version::V3),
            ..self.newest()
        })
    }
}

impl Media {
    /// The type of the answer.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.family.essence(self.version))
    }
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(family: Family, accept: Option<&str>, content: Option<&str>, body: bool) -> Result<(Version, bool), u16> {
        let mut headers = HeaderMap::new();
        let mut put = |name, value: Option<&str>| {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        put(header::ACCEPT, accept);
        put(header::CONTENT_TYPE, content);
        family
            .negotiate(&headers, body)
            .map(|media| (media.version, media.shown))
            .map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn the_version_comes_from_accept_then_from_the_body_then_it_is_the_newest() {
        let of = |version: u8| format!("application/vnd.worldpay.tokens-v{version}.hal+json");
        let (v1, v2, v3) = (of(1), of(2), of(3));
        let tokens = |accept, content, body| said(Family::Tokens, accept, content, body);
        for (accept, content, body, expected) in [
            (Some(v1.as_str()), Some(v1.as_str()), true, Ok((Version::V1, false))),
            (None, Some(&v2), true, Ok((Version::V2, false))),
            (Some("*/*"), Some(&v2), true, Ok((Version::V2, false))),
            (None, None, false, Ok((Version::V3, false))),
            (Some(&v1), None, false, Ok((Version::V1, false))),
            (Some(&v1), Some("text/plain"), false, Ok((Version::V1, false))),
            (Some(&v1), Some(&v3), true, Err(400)),
            (Some("application/json"), Some(&v3), true, Err(406)),
            (Some("text/html"), None, false, Err(406)),
            (Some(&v3), Some("application/json"), true, Err(415)),
            (Some(&v3), None, true, Err(415)),
        ] {
            assert_eq!(tokens(accept, content, body), expected, "{accept:?} {content:?}");
        }
        let several = format!("{v3}, {v2}");
        assert_eq!(tokens(Some(&several), Some(&v2), true), Ok((Version::V2, false)));
        assert_eq!(tokens(Some(&several), Some(&v1), true), Err(400));
        let upper = v3.to_uppercase();
        let unmasked = format!("text/html, {v3}; masked = false");
        assert_eq!(tokens(Some(&upper), None, false), Ok((Version::V3, false)));
        assert_eq!(tokens(Some(&unmasked), None, false), Ok((Version::V3, true)));
        let verified = "application/vnd.worldpay.verified-tokens-v3.hal+json";
        assert_eq!(
            said(Family::VerifiedTokens, Some(verified), Some(verified), true),
            Ok((Version::V3, false))
        );
        assert_eq!(said(Family::VerifiedTokens, Some(&v3), None, false), Err(406));
    }
}
