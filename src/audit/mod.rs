//! The audit trail: events, their chain, signed statements, and how a stranger verifies them offline.

pub(crate) mod canonical;
mod erasure;
mod event;
mod export;
mod handover;
mod head;
mod line;
mod receipt;
mod segments;
mod statement;
mod verifier;

pub use erasure::{NotCovered, Receipts};
pub use event::{AUDIT_HEAD, Event, Peer};
pub use export::{Export, ExportFault, Exported, exported_head};
pub use head::SignedHead;
pub use line::{Head, LINE_MAX, MalformedHead};
pub use receipt::{Deletion, SealedDigest};
pub use segments::{read_segments, segment_files};
pub use statement::{Kind as StatementKind, Statement, StatementFault, Verdict};
pub use verifier::{At, Fault, Finding, REACH, Report, SignedPart, Verifier};
