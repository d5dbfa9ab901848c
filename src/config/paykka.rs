//! `[paykka]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::dialects::is_base;
use super::{Error, Reader};
use crate::api::paykka;
use crate::id::MerchantId;
use crate::payment::shopper::{self, Hosts};

/// The longest time in which a merchant is told, in seconds: 30 days.
const MAX_GIVE_UP: u64 = 30 * 24 * 3_600;

/// PayKKa's dialect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PayKkaSpec {
    /// It is served.
    pub(super) enabled: bool,
    /// What the addresses of hosted pages begin with, as payers see it.
    pub(super) checkout_url: Option<String>,
    /// Merchants that may send card numbers in plain.
    pub(super) pci_merchants: Vec<String>,
    /// Hosts that a merchant may be told at, each with its port where that is not 443; who has none is not told.
    pub(super) notify_hosts: BTreeMap<String, Vec<String>>,
    /// The authorities, PEM, that may vouch for those hosts; relative to the file. Without it those that browsers trust.
    pub(super) ca_file: Option<PathBuf>,
    /// One attempt to tell a merchant takes no longer. Milliseconds, 100 to 60000.
    pub(super) timeout_ms: u64,
    /// A notification is attempted for so long, then it is given up. Seconds, 1 to 2592000.
    pub(super) give_up_s: u64,
    /// What a payment with a token that cannot be used is answered.
    pub(super) unknown_token_code: String,
    /// What the removal of a token that is not there is answered.
    pub(super) unknown_token_on_remove_code: String,
}

impl Default for PayKkaSpec {
    fn default() -> Self {
        let config = paykka::Config::default();
        Self {
            enabled: config.enabled,
            checkout_url: None,
            pci_merchants: Vec::new(),
            notify_hosts: BTreeMap::new(),
            ca_file: None,
            timeout_ms: 10_000,
            give_up_s: config.give_up.as_secs(),
            unknown_token_code: config.unknown_token_code,
            unknown_token_on_remove_code: config.unknown_token_on_remove_code,
        }
    }
}

impl Reader<'_> {
    pub(super) fn paykka(&self, spec: PayKkaSpec) -> Result<paykka::Config, Error> {
        if spec.checkout_url.as_deref().is_some_and(|url| !is_base(url)) {
            let reason = "must begin with https:// or http:// and a host, without a query".to_owned();
            return Err(self.value("paykka.checkout_url", reason));
        }
        let pci_merchants = spec.pci_merchants.iter().map(|id| {
            MerchantId::parse(id).map_err(|fault| self.value("paykka.pci_merchants", format!("an id {fault}")))
        });
        let hosts = Hosts::parse(&spec.notify_hosts).map_err(|why| self.value("paykka.notify_hosts", why))?;
        if !(100..=60_000).contains(&spec.timeout_ms) {
            return Err(self.value("paykka.timeout_ms", "must be 100 to 60000".to_owned()));
        }
        if !(1..=MAX_GIVE_UP).contains(&spec.give_up_s) {
            return Err(self.value("paykka.give_up_s", format!("must be 1 to {MAX_GIVE_UP}")));
        }
        for (key, code) in [
            ("paykka.unknown_token_code", &spec.unknown_token_code),
            (
                "paykka.unknown_token_on_remove_code",
                &spec.unknown_token_on_remove_code,
            ),
        ] {
            if !matches!(code.len(), 4 | 6) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(self.value(key, "must have 4 or 6 digits".to_owned()));
            }
        }
        Ok(paykka::Config {
            enabled: spec.enabled,
            checkout_url: spec.checkout_url,
            shopper: shopper::Config {
                pci_merchants: pci_merchants.collect::<Result<_, _>>()?,
                hosts,
            },
            ca_file: spec.ca_file.as_deref().map(|path| self.absolute(path)),
            timeout: Duration::from_millis(spec.timeout_ms),
            give_up: Duration::from_secs(spec.give_up_s),
            unknown_token_code: spec.unknown_token_code,
            unknown_token_on_remove_code: spec.unknown_token_on_remove_code,
        })
    }
}
