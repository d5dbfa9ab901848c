//! Backups of the real daemon, restored: under load, cut, damaged, and in the wrong place.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program: a panic fails the test"
)]

#[path = "backup/bad.rs"]
mod bad;
#[path = "backup/cut.rs"]
mod cut;
#[path = "backup/goes_on.rs"]
mod goes_on;
#[path = "backup/later.rs"]
mod later;
#[path = "backup/load.rs"]
mod load;
#[path = "backup/place.rs"]
mod place;
mod support;
