//! `[keys]` and `[maintenance]`: what the daemon does by itself. `[export]`: what it does for operators only where it is said.

use std::time::Duration;

use serde::Deserialize;

use super::{Error, Reader};
use crate::keys::KekLimits;
use crate::payment::maintenance::MaintenanceConfig;

/// Fewer uses of a KEK are counted in blocks that are too small.
const MIN_OPS: u64 = 1_000;

/// The life of keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeysSpec {
    /// How long a KEK epoch seals: its cryptoperiod. Days, up to 3650; 0 is no limit.
    pub(super) kek_days: u32,
    /// How many data keys a KEK epoch wraps at most. 0 is no limit, else 1000 and more.
    pub(super) kek_max_ops: u64,
    /// The most records that a rotation of the KEK or of the fingerprint key moves in a second; 0 is no limit.
    pub(super) rewraps_per_second: u32,
    /// How long a transport key opens after the next one came. Days, up to 3650; 0: not at all.
    pub(super) transport_overlap_days: u32,
}

impl Default for KeysSpec {
    fn default() -> Self {
        Self {
            // a symmetric key that wraps others: at most two years (NIST SP 800-57 part 1, table 1)
            kek_days: 730,
            // AES Key Wrap names no bound of its own (NIST SP 800-38F). With 24 blocks a wrap, the chance that two blocks meet
            // is below 2^-54 then: as far from any attack as the bound of GCM with random IVs, whose number it is
            kek_max_ops: 1 << 32,
            rewraps_per_second: 500,
            transport_overlap_days: 30,
        }
    }
}

/// Stored cards that are charged again and again, held against the account updater before the next charge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MaintenanceSpec {
    /// Whether it is done without being asked for; `panvault maintenance run` does it at any time.
    pub(super) enabled: bool,
    /// A card is asked about so long before its next charge is expected. Days, 1 to 400.
    pub(super) look_ahead_days: u32,
    /// How often it is looked which cards are due. Minutes, 1 to 1440.
    pub(super) every_minutes: u32,
}

impl Default for MaintenanceSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            look_ahead_days: 7,
            every_minutes: 60,
        }
    }
}

/// Cards taken out in bulk by operators.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExportSpec {
    /// Off where it is not said: a bulk way out is there only while somebody who may write this file wants one (PCI DSS
    /// 3.4.2), and who may use admin.sock alone cannot open it.
    pub(super) enabled: bool,
}

impl Reader<'_> {
    pub(super) fn kek_limits(&self, spec: &KeysSpec) -> Result<KekLimits, Error> {
        let period = match spec.kek_days {
            0 => None,
            days => {
                let days = self.within("keys.kek_days", days, 3650)?;
                Some(Duration::from_secs(u64::from(days) * 24 * 3_600))
            }
        };
        if (1..MIN_OPS).contains(&spec.kek_max_ops) {
            return Err(self.value(
                "keys.kek_max_ops",
                format!("must be 0 (no limit), or {MIN_OPS} or more"),
            ));
        }
        let max_ops = Some(spec.kek_max_ops).filter(|max| *max > 0);
        Ok(KekLimits { period, max_ops })
    }

    pub(super) fn transport_overlap(&self, spec: &KeysSpec) -> Result<Duration, Error> {
        let days = match spec.transport_overlap_days {
            0 => 0,
            days => self.within("keys.transport_overlap_days", days, 3650)?,
        };
        Ok(Duration::from_secs(u64::from(days) * 24 * 3_600))
    }

    pub(super) fn maintenance(&self, spec: &MaintenanceSpec) -> Result<MaintenanceConfig, Error> {
        let days = self.within("maintenance.look_ahead_days", spec.look_ahead_days, 400)?;
        let minutes = self.within("maintenance.every_minutes", spec.every_minutes, 24 * 60)?;
        Ok(MaintenanceConfig {
            enabled: spec.enabled,
            look_ahead: Duration::from_secs(u64::from(days) * 24 * 3_600),
            every: Duration::from_secs(u64::from(minutes) * 60),
        })
    }
}
