//! sled 0.34.7 as the engine, contained: on Linux its `flush` makes nothing durable, a lost file opens as an empty store,
//! and damage panics. What is done about it:
//!
//! - one tree, the key's first byte is the table; only `apply_batch`, only on one thread (`committer`), followed by
//!   `flush` and our own `fdatasync` (`disk`), then the answers; a failure of these ends writing for good
//! - creation in an order that leaves nothing half made, a marker file, checks before and after opening, a copy of the
//!   files before a recovery (`open`, `dir`)
//! - a check in front of every value, a header that changes with every batch (`entry`)
//! - panics become errors (`contain`), and writes stop before the disk is full (`space`)
//! - a checkpoint is a scan and what was committed meanwhile (`checkpoint`), and is loaded into a new store (`load`)
//! - the audit chain in blocks (`window`), its older part in files (`segments`, `archiver`)

mod archiver;
mod checkpoint;
mod committer;
mod contain;
mod create;
mod dir;
mod disk;
mod entry;
mod files;
mod linger;
mod load;
mod open;
mod segments;
mod shared;
mod space;
mod store;
mod trail;
mod verify;
mod window;

pub use entry::StoreId;
pub use load::Loader;
pub use store::SledStore;

use shared::{Shared, engine_error};
