//! `[audit]`: when the audit trail's head is signed, and whether records are copied to the journal.

use std::time::Duration;

use serde::Deserialize;

use super::{Error, Reader};
use crate::vault::TrailConfig;

/// The audit trail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditSpec {
    /// A signed head after so many records, 1 to 30000: a verifier looks no further back than twice that.
    pub(super) sign_every_records: u64,
    /// And so long after the first record that has none. Seconds, 1 to 300.
    pub(super) sign_every_s: u64,
    /// Each record is copied to the journal as well.
    pub(super) journal: bool,
}

impl Default for AuditSpec {
    fn default() -> Self {
        Self {
            sign_every_records: 1_000,
            sign_every_s: 60,
            journal: false,
        }
    }
}

impl Reader<'_> {
    pub(super) fn audit(&self, spec: &AuditSpec) -> Result<TrailConfig, Error> {
        let seconds = self.within("audit.sign_every_s", spec.sign_every_s, 300)?;
        Ok(TrailConfig {
            every_records: self.within("audit.sign_every_records", spec.sign_every_records, 30_000)?,
            every: Duration::from_secs(seconds),
        })
    }
}
