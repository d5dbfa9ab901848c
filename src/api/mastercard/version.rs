//! The version of the API that a request is written for: it stands in the URL, and answers follow it where shapes differ.

use axum::http::StatusCode;

use super::refusal::Refusal;

/// A version that is served: 30 to 79, and 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u16);

impl Version {
    /// The version of that number, written without leading zeros.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = text.parse().ok()?;
        matches!(number, 30..=79 | 100).then_some(Self(number))
    }

    /// The version in a path.
    ///
    /// # Errors
    /// It is not served.
    pub(super) fn of(text: &str) -> Result<Self, Refusal> {
        let refused = || {
            Refusal::request(
                StatusCode::BAD_REQUEST,
                "The URL must name a version from 30 to 79, or 100.",
            )
        };
        Self::parse(text).ok_or_else(refused)
    }

    /// The number.
    pub(super) fn number(self) -> u16 {
        self.0
    }

    /// `usage` names merchant and time in groups. Seen in 70 and not in 64; that it begins with 70 is inferred.
    pub(super) fn groups_usage(self) -> bool {
        self.0 >= 70
    }

    /// A token names the one that takes over from it.
    pub(super) fn names_replacement(self) -> bool {
        self.0 >= 69
    }

    /// The gateway tells its own version with its status. Seen in 51 to 59, and gone in 100; the end is inferred.
    pub(super) fn tells_gateway_version(self) -> bool {
        self.0 < 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_30_to_79_and_100_are_served() {
        for text in ["30", "51", "79", "100"] {
            assert_eq!(Version::parse(text).unwrap().number().to_string(), text);
        }
        for text in [
            "", "0", "29", "80", "99", "101", "051", "+51", "51a", "-51", "٥١", "99999999",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
