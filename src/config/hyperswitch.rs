//! `[hyperswitch]`.

use serde::Deserialize;

use super::{Error, Reader};
use crate::id::MerchantId;
use crate::payment::wallet;

/// Hyperswitch's dialect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HyperswitchSpec {
    /// What the names of customers and payment methods begin with: 1 to 16 letters and digits.
    pub(super) cell_id: String,
    /// What is said to a card that the customer has already: the payment method that is there, or 400 HE_01.
    pub(super) duplicates: DuplicatesSpec,
    /// How long a payment method of storage type `volatile` is kept in memory. Seconds, 1 to 86400.
    pub(super) volatile_s: u32,
    /// Merchants that see card numbers with `fetch_raw_detail`, where policy lets them reveal.
    pub(super) raw_merchants: Vec<String>,
}

/// What is said to a card that is there.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DuplicatesSpec {
    /// It is given again.
    Return,
    /// It is refused.
    Refuse,
}

impl Default for HyperswitchSpec {
    fn default() -> Self {
        Self {
            cell_id: "0a".to_owned(),
            duplicates: DuplicatesSpec::Return,
            volatile_s: 15 * 60,
            raw_merchants: Vec::new(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn wallet(&self, spec: HyperswitchSpec) -> Result<wallet::Config, Error> {
        let cell = wallet::Cell::parse(&spec.cell_id).ok_or_else(|| {
            let reason = "must be 1 to 16 ASCII letters and digits".to_owned();
            self.value("hyperswitch.cell_id", reason)
        })?;
        let raw_merchants = spec.raw_merchants.iter().map(|id| {
            MerchantId::parse(id).map_err(|fault| self.value("hyperswitch.raw_merchants", format!("an id {fault}")))
        });
        let seconds = self.within("hyperswitch.volatile_s", spec.volatile_s, 24 * 3_600)?;
        Ok(wallet::Config {
            cell,
            duplicates: match spec.duplicates {
                DuplicatesSpec::Return => wallet::Duplicates::Return,
                DuplicatesSpec::Refuse => wallet::Duplicates::Refuse,
            },
            volatile_life: u64::from(seconds) * 1_000,
            raw_merchants: raw_merchants.collect::<Result<_, _>>()?,
        })
    }
}
