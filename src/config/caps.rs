//! `[caps]`: how much a caller may see of stored cards, where its grant has no caps of its own.

use serde::Deserialize;

use crate::vault::caps::{Cap, CapTable};

/// Caps per caller and merchant: 0 is no cap, except that a burst of 0 is twice the rate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CapsSpec {
    pub(super) export_per_second: u32,
    pub(super) export_per_day: u64,
    pub(super) reveal_per_second: u32,
    pub(super) reveal_burst: u32,
    pub(super) reveal_per_day: u64,
    pub(super) search_per_second: u32,
    pub(super) search_burst: u32,
    pub(super) search_per_day: u64,
    pub(super) search_by_pan_per_second: u32,
    pub(super) search_by_pan_burst: u32,
    pub(super) search_by_pan_per_day: u64,
}

impl Default for CapsSpec {
    fn default() -> Self {
        Self {
            export_per_second: 1,
            export_per_day: 1_000,
            reveal_per_second: 50,
            reveal_burst: 0,
            reveal_per_day: 100_000,
            search_per_second: 20,
            search_burst: 0,
            search_per_day: 0,
            search_by_pan_per_second: 5,
            search_by_pan_burst: 0,
            search_by_pan_per_day: 1_000,
        }
    }
}

pub(super) fn caps(spec: &CapsSpec) -> CapTable {
    CapTable {
        export: Cap {
            per_second: spec.export_per_second,
            burst: 0,
            per_day: spec.export_per_day,
        },
        reveal: Cap {
            per_second: spec.reveal_per_second,
            burst: spec.reveal_burst,
            per_day: spec.reveal_per_day,
        },
        search: Cap {
            per_second: spec.search_per_second,
            burst: spec.search_burst,
            per_day: spec.search_per_day,
        },
        search_by_pan: Cap {
            per_second: spec.search_by_pan_per_second,
            burst: spec.search_by_pan_burst,
            per_day: spec.search_by_pan_per_day,
        },
    }
}
