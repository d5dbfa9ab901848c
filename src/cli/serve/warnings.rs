//! What a start tells its operator although it goes on.

use crate::config::Config;
use crate::vault::Vault;
use crate::vault::types::Dialect;

/// Clients of Worldpay's dialect follow hrefs, with their password and with cards.
pub(super) fn warn_of_plain_hrefs(config: &Config, vault: &Vault) -> anyhow::Result<()> {
    let secure = config
        .worldpay
        .base_url
        .as_ref()
        .is_some_and(|base| base.starts_with("https://"));
    let merchants = vault.access().accounts().merchants()?;
    let mut live = merchants.iter().filter(|merchant| !merchant.test);
    if !secure && live.any(|merchant| merchant.dialects.contains(&Dialect::Worldpay)) {
        tracing::warn!(
            "worldpay.base_url does not begin with https://: clients that come through a TLS front would follow hrefs past it"
        );
    }
    Ok(())
}
