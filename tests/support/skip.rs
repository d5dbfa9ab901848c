//! A test that cannot be done here says so.

use std::io::Write;

/// Tells on the terminal which test is left out and why: the test runner keeps back what the print macros write.
pub(crate) fn skipped(test_and_reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test_and_reason}");
}
