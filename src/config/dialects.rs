//! Settings of the dialects.

use super::spec::WorldpaySpec;
use super::{Error, Reader};
use crate::api::worldpay;

/// The longest life of a token that may be set: a hundred years.
const MAX_LIFE_DAYS: u32 = 36_525;

impl Reader<'_> {
    pub(super) fn worldpay(&self, spec: WorldpaySpec) -> Result<worldpay::Config, Error> {
        if let Some(base) = &spec.base_url
            && !is_base(base)
        {
            let reason = "must begin with https:// or http:// and a host, without a query".to_owned();
            return Err(self.value("worldpay.base_url", reason));
        }
        if spec.longest_life_days < spec.life_days.max(spec.test_life_days) {
            let reason = "must not be less than life_days and test_life_days".to_owned();
            return Err(self.value("worldpay.longest_life_days", reason));
        }
        let life = |key, days| {
            let days = self.within(key, days, MAX_LIFE_DAYS)?;
            Ok(worldpay::days(u64::from(days)))
        };
        Ok(worldpay::Config {
            base_url: spec.base_url,
            life: life("worldpay.life_days", spec.life_days)?,
            test_life: life("worldpay.test_life_days", spec.test_life_days)?,
            longest_life: life("worldpay.longest_life_days", spec.longest_life_days)?,
            renew_on_use: spec.renew_on_use,
            past_card_expiry: spec.past_card_expiry,
        })
    }
}

pub(super) fn is_base(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
    rest.is_some_and(|rest| rest.chars().all(plain) && !rest.is_empty() && !rest.starts_with('/'))
}
