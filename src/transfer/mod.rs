//! Taking the vault's data elsewhere and back: backups and their restoration.
//!
//! A backup is a directory:
//!
//! ```text
//! manifest.json                     what is in it, signed by the audit key; written last
//! keyring.json                      which keys in the HSM are the vault's, as it is
//! store/00000001.entries            the store's entries, in the order of their keys
//! changes/00000001.entries          what was changed while they were read: behind all of them it is the state at one revision
//! audit/00000000000000000001.jsonl  the audit trail up to that revision, its files by their first record
//! BACKUP-UNFINISHED                 while it is written: whose it is, and which files are whole
//! ```
//!
//! Cards are in it as in the store, sealed under keys that are in the HSM alone. Who makes it ([`Source`]) names and hashes
//! the files and signs; who writes it ([`Writing`]) may be another process, and holds what it wrote against the signed
//! digests; where it was cut it offers what it has ([`Kept`]). A restoration ([`restore`]) believes nothing of it before all of it was read.

mod compose;
mod entries;
mod error;
mod export;
mod files;
mod found;
mod kept;
mod later;
mod later_keyring;
mod make;
mod manifest;
mod mark;
mod name;
mod piece;
mod proof;
mod restore;
mod sending;
mod stage;
mod verify;
mod write;

pub use error::Error;
pub use export::{Export, ExportError};
pub use kept::Kept;
pub use later::Later;
pub use later_keyring::LaterKeyring;
pub use make::Source;
pub use manifest::{Manifest, ManifestFault, Verdict};
pub use name::FileName;
pub use piece::{Piece, Pieces};
pub use restore::{Agreed, Agreeing, Plan, Restored, Target, restore};
pub use stage::is_half_restored;
pub use verify::Backup;
pub use write::Writing;
