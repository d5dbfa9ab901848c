//! Where a provider is: the only host that a card goes out to.

use hyper::Uri;

/// A provider's address: `https://`, a host, a port where it is not 443, and what its paths begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads it. A `/` at its end is dropped.
    ///
    /// # Errors
    /// For operators.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['?', '#', '@', '%', '\\']) {
            return Err("is not an address without query, fragment and user");
        }
        let uri: Uri = text.parse().map_err(|_| "is not an address")?;
        if uri.scheme_str() != Some("https") {
            return Err("must begin with https://");
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err("names no host");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The address of a path that begins with `/`; none where it cannot be one.
    pub(super) fn join(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.0).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_addresses_are_taken() {
        for (text, joined) in [
            ("https://api.stripe.com", "https://api.stripe.com/v1/x"),
            ("https://localhost:8443/stripe/", "https://localhost:8443/stripe/v1/x"),
            ("https://[::1]:1/", "https://[::1]:1/v1/x"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().join("/v1/x").unwrap(), joined);
        }
        for text in [
            "",
            "https://",
            "https:///v1",
            "http://api.stripe.com",
            "api.stripe.com",
            "/v1",
            "https://user@host",
            "https://host?x",
            "https://host#x",
            "https://ho st",
            "https://host/%2e",
            "https://hörst",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }
}
