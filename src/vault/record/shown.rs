//! What a record shows of its card's number.

use serde::{Deserialize, Serialize};

use crate::card::{BinTable, Masked, Pan};

/// What may be seen of a number, and what the BIN table says of it. The order of the fields is the stored order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::vault) struct Shown {
    pub(in crate::vault) bin: String,
    pub(in crate::vault) last4: String,
    /// Digits of the PAN.
    pub(in crate::vault) length: u8,
    pub(in crate::vault) brand: Option<String>,
    pub(in crate::vault) funding: Option<String>,
    pub(in crate::vault) country: Option<String>,
}

impl Shown {
    pub(in crate::vault) fn of(pan: &Pan, bins: &BinTable) -> Self {
        let info = bins.lookup(pan);
        let Masked { bin, last4, .. } = Masked::new(pan, info.bin_len);
        Self {
            bin,
            last4,
            // a PAN has at most 19 digits
            length: u8::try_from(pan.expose().len()).unwrap_or(u8::MAX),
            brand: info.brand,
            funding: info.funding,
            country: info.country,
        }
    }

    /// The number with the middle hidden.
    pub(in crate::vault) fn masked(&self) -> String {
        let hidden = usize::from(self.length).saturating_sub(self.bin.len() + self.last4.len());
        format!("{}{}{}", self.bin, "*".repeat(hidden), self.last4)
    }
}
