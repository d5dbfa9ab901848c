//! `[hyperswitch]`.

use super::spec::{DuplicatesSpec, HyperswitchSpec};
use super::{Error, Reader};
use crate::id::MerchantId;
use crate::payment::wallet;

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
