//! What an operator sets.

use std::path::PathBuf;
use std::time::Duration;

use crate::payment::shopper;

/// How the dialect is served; by default not at all.
#[derive(Debug, Clone)]
pub struct Config {
    /// It is served.
    pub enabled: bool,
    /// What the addresses of hosted pages begin with, as payers see it, e.g. `https://pay.example.com`.
    pub checkout_url: Option<String>,
    /// Who may send cards in plain, and where merchants may be told.
    pub shopper: shopper::Config,
    /// PEM of the authorities that may vouch for merchants; without it those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// One attempt to tell a merchant takes no longer.
    pub timeout: Duration,
    /// A merchant is told for so long, then it is given up.
    pub give_up: Duration,
    /// What is said to a payment with a token that cannot be used: no source says it.
    pub unknown_token_code: String,
    /// What is said to the removal of a token that is not there: no source says it.
    pub unknown_token_on_remove_code: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            checkout_url: None,
            shopper: shopper::Config::default(),
            ca_file: None,
            timeout: Duration::from_secs(10),
            give_up: Duration::from_secs(24 * 3_600),
            unknown_token_code: "2099".to_owned(),
            unknown_token_on_remove_code: "010000".to_owned(),
        }
    }
}
