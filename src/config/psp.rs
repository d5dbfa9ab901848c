//! `[[psp]]`.

use std::time::Duration;

use super::spec::{PspKindSpec, PspSpec};
use super::{Error, Reader};
use crate::id::{ConnectorId, MerchantId, RepositoryName};
use crate::payment::psp::{BaseUrl, Owner, PspConfig, PspKind};

impl Reader<'_> {
    pub(super) fn psp(&self, specs: Vec<PspSpec>) -> Result<Vec<PspConfig>, Error> {
        specs.into_iter().map(|spec| self.connector(spec)).collect()
    }

    fn connector(&self, spec: PspSpec) -> Result<PspConfig, Error> {
        let connector_id = ConnectorId::parse(&spec.connector_id)
            .map_err(|fault| self.value("psp.connector_id", fault.to_string()))?;
        let owner = match (&spec.merchant, &spec.repository) {
            (Some(id), None) => MerchantId::parse(id)
                .map(Owner::Merchant)
                .map_err(|fault| self.value("psp.merchant", fault.to_string()))?,
            (None, Some(name)) => RepositoryName::parse(name)
                .map(Owner::Repository)
                .map_err(|fault| self.value("psp.repository", fault.to_string()))?,
            (None, None) | (Some(_), Some(_)) => {
                let reason = format!("of {connector_id}: name either a merchant or a repository");
                return Err(self.value("psp.merchant", reason));
            }
        };
        let base_url = BaseUrl::parse(&spec.base_url)
            .map_err(|reason| self.value("psp.base_url", format!("of {connector_id}: {reason}")))?;
        if !(100..=120_000).contains(&spec.timeout_ms) {
            return Err(self.value("psp.timeout_ms", format!("of {connector_id}: must be 100 to 120000")));
        }
        Ok(PspConfig {
            owner,
            kind: match spec.kind {
                PspKindSpec::Stripe => PspKind::Stripe,
            },
            base_url,
            api_key_file: self.absolute(&spec.api_key_file),
            ca_file: spec.ca_file.as_deref().map(|path| self.absolute(path)),
            timeout: Duration::from_millis(spec.timeout_ms),
            connector_id,
        })
    }
}
