//! Many scenarios in one test.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs all; each says its name when it fails, and the others still run.
pub(crate) fn each<N: Debug, S>(scenarios: impl IntoIterator<Item = (N, S)>, run: impl Fn(S)) {
    let failed: Vec<N> = scenarios
        .into_iter()
        .filter_map(|(name, scenario)| {
            let ran = catch_unwind(AssertUnwindSafe(|| run(scenario)));
            ran.is_err().then_some(name)
        })
        .collect();
    assert!(failed.is_empty(), "failed: {failed:#?}");
}
