//! What an operator sets.

use std::time::Duration;

/// Settings of the dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What hrefs begin with, as clients see it, e.g. `https://vault.example.com`; without it `http://` and the host that the
    /// request names.
    pub base_url: Option<String>,
    /// How long a token lives where the request does not say. Vendor: 4 years in Live.
    pub life: Duration,
    /// Likewise of TEST merchants. Vendor: 90 days in Try.
    pub test_life: Duration,
    /// The longest that a request may say.
    pub longest_life: Duration,
    /// A use in the second half of a token's life begins it anew; never of TEST merchants. Vendor: so in Live.
    pub renew_on_use: bool,
    /// A card that is past its expiry may be stored.
    pub past_card_expiry: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: None,
            life: days(4 * 365 + 1),
            test_life: days(90),
            longest_life: days(10 * 365 + 2),
            renew_on_use: true,
            past_card_expiry: true,
        }
    }
}

/// So many days.
pub const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}
