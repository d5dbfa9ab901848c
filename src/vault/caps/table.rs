//! What limits which operation: by configuration, and otherwise by a grant.

use serde::{Deserialize, Serialize};

use crate::vault::types::Operation;

/// The limits of one operation. 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cap {
    /// Records per second, over time.
    pub per_second: u32,
    /// Records at once after a pause; 0 is twice `per_second`.
    pub burst: u32,
    /// Records per UTC day.
    pub per_day: u64,
}

/// The limits of every operation that has any, for each caller (user id and merchant). The default limits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CapTable {
    /// Cards taken out in bulk.
    pub export: Cap,
    /// Cards shown.
    pub reveal: Cap,
    /// Searches by anything but the card number.
    pub search: Cap,
    /// Searches by card number: each one tells whether a card is known.
    pub search_by_pan: Cap,
}

/// What a grant says otherwise than the configuration (`[grant.caps]`); 0 lifts the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "named as operation and limit of `Cap`")]
pub struct CapOverrides {
    pub export_per_second: Option<u32>,
    pub export_burst: Option<u32>,
    pub export_per_day: Option<u64>,
    pub reveal_per_second: Option<u32>,
    pub reveal_burst: Option<u32>,
    pub reveal_per_day: Option<u64>,
    pub search_per_second: Option<u32>,
    pub search_burst: Option<u32>,
    pub search_per_day: Option<u64>,
    pub search_by_pan_per_second: Option<u32>,
    pub search_by_pan_burst: Option<u32>,
    pub search_by_pan_per_day: Option<u64>,
}

impl Cap {
    fn is_off(self) -> bool {
        self.per_second == 0 && self.per_day == 0
    }

    /// How many records may be taken at once after a pause.
    pub(super) fn full_burst(self) -> u64 {
        match self.burst {
            0 => u64::from(self.per_second) * 2,
            burst => u64::from(burst),
        }
    }
}

impl CapTable {
    /// What production starts from (PCI DSS 3.4.2: no bulk way out).
    pub fn production() -> Self {
        let cap = |per_second, burst, per_day| Cap {
            per_second,
            burst,
            per_day,
        };
        Self {
            export: cap(50, 100, 100_000),
            reveal: cap(50, 100, 100_000),
            search: cap(50, 100, 1_000_000),
            search_by_pan: cap(5, 10, 1_000),
        }
    }

    /// The cap of `op` under these and a grant's own; `None` where nothing limits it.
    pub(in crate::vault) fn effective(&self, own: &CapOverrides, op: Operation) -> Option<Cap> {
        let (base, per_second, burst, per_day) = match op {
            Operation::Export => (self.export, own.export_per_second, own.export_burst, own.export_per_day),
            Operation::Reveal => (self.reveal, own.reveal_per_second, own.reveal_burst, own.reveal_per_day),
            Operation::Search => (self.search, own.search_per_second, own.search_burst, own.search_per_day),
            Operation::SearchByPan => (
                self.search_by_pan,
                own.search_by_pan_per_second,
                own.search_by_pan_burst,
                own.search_by_pan_per_day,
            ),
            Operation::Delete | Operation::Inspect | Operation::Pay | Operation::Tokenize | Operation::Update => {
                return None;
            }
        };
        let cap = Cap {
            per_second: per_second.unwrap_or(base.per_second),
            // a rate of its own does not go with the burst of another
            burst: burst.unwrap_or(if per_second.is_some() { 0 } else { base.burst }),
            per_day: per_day.unwrap_or(base.per_day),
        };
        (!cap.is_off()).then_some(cap)
    }
}

impl CapOverrides {
    /// Lifts every limit.
    pub fn unlimited() -> Self {
        let (rate, volume) = (Some(0), Some(0));
        Self {
            export_per_second: rate,
            export_burst: rate,
            export_per_day: volume,
            reveal_per_second: rate,
            reveal_burst: rate,
            reveal_per_day: volume,
            search_per_second: rate,
            search_burst: rate,
            search_per_day: volume,
            search_by_pan_per_second: rate,
            search_by_pan_burst: rate,
            search_by_pan_per_day: volume,
        }
    }
}
