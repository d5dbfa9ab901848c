//! Shared by the integration tests.

#![allow(dead_code, reason = "each test program uses its part of this")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic fails the test"
)]

pub(crate) mod clock;
pub(crate) mod daemon;
pub(crate) mod http;
pub(crate) mod readme;
pub(crate) mod scenarios;
pub(crate) mod skip;

/// Whether tests take their long form.
pub(crate) fn long() -> bool {
    std::env::var_os("PANVAULT_LONG").is_some()
}
