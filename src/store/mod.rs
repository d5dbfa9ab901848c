//! Durable storage behind a trait of a few verbs.
//!
//! `Ok` from [`Store::commit`] means the writes and the audit event are on disk. The engine numbers the events, chains
//! them by hash and keeps them; one chain per daemon. [`sled::SledStore`] is the engine,
//! [`memory::MemoryStore`] one without a disk, for tests, and [`conformance`] what every engine must pass.

pub mod chain;
pub mod conformance;
mod limits;
pub mod memory;
pub mod sled;

use std::future::Future;
use std::ops::Bound;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::sync::mpsc;

pub use limits::{COMMIT_MAX, EVENT_MAX, FIRST_TABLE, KEY_MAX, SCAN_MAX, VALUE_MAX, WRITES_MAX};

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its directory. Everything in it is the engine's.
    pub dir: PathBuf,
    /// Make a new store where there is none. Without it an empty directory is refused: it may be a disk not mounted.
    pub create: bool,
    /// The engine's page cache in bytes. Memory use reaches about twice this, and 160 bytes per record.
    pub cache_bytes: u64,
    /// Writes are refused with [`Error::Full`] while the disk has fewer free bytes than this.
    pub min_free_bytes: u64,
    /// How many audit records stay in the engine before the oldest go to segment files.
    pub audit_window: u64,
    /// Where the audit segment files go; inside `dir` if not given.
    pub audit_dir: Option<PathBuf>,
    /// A segment file that has reached this many bytes is followed by a new one, as one is whose UTC day is over.
    pub audit_segment_bytes: u64,
    /// The table (first key byte) whose entries are the records that [`Commit::records`] counts, so that
    /// [`Store::verify`] can count them again. `None`: not compared.
    pub record_table: Option<u8>,
}

impl Config {
    /// The defaults for a store in `dir`: 256 MiB cache, 256 MiB kept free, 100,000 audit records in the engine,
    /// 64 MiB segments; no store is made.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            create: false,
            cache_bytes: 256 << 20,
            min_free_bytes: 256 << 20,
            audit_window: 100_000,
            audit_dir: None,
            audit_segment_bytes: 64 << 20,
            record_table: None,
        }
    }
}

/// A partition. A commit stays inside one; sled has only partition 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Part(pub u16);

/// Table byte, then the ordered key. Tables below [`FIRST_TABLE`] are the engine's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Vec<u8>);

/// A value and the store revision that wrote it. Revisions grow with every commit and are never used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Which commit wrote it.
    pub rev: u64,
    /// The bytes.
    pub value: Vec<u8>,
}

/// What must hold for a commit to happen. Checked against the store and the commits before it in the same batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cond {
    /// No value under the key.
    Absent(Key),
    /// Some value under the key.
    Exists(Key),
    /// The value under the key was written by just this revision.
    Rev(Key, u64),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the value under the key.
    Put(Key, Vec<u8>),
    /// Removes it; nothing there is no error.
    Del(Key),
}

/// Conditions, writes and an audit event that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The partition of all its keys.
    pub part: Part,
    /// All must hold.
    pub conds: Vec<Cond>,
    /// Applied in order.
    pub writes: Vec<Write>,
    /// The audit record of this commit: one JSON object's bytes, on one line. The engine gives it a place in the chain.
    pub event: Option<Vec<u8>>,
    /// By how much the number of records changes ([`Health::records`]).
    pub records: i64,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Done {
        /// The revision of everything it wrote.
        rev: u64,
    },
    /// A condition did not hold: nothing was written.
    CondFailed {
        /// The key of the first condition that did not hold.
        key: Key,
        /// What stands there now.
        now: Option<Versioned>,
    },
}

/// Entries of a scan in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many as asked for.
    pub items: Vec<(Key, Versioned)>,
    /// Where to go on (as an excluded bound), if there may be more.
    pub next: Option<Key>,
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not now; nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It may or may not have been written.
    #[error("the store did not say whether the commit was written")]
    OutcomeUnknown,
    /// A flush or sync failed: this process writes no more.
    #[error("the store is read-only after a failed write: {0}")]
    ReadOnly(String),
    /// Below the free-space limit; writing goes on by itself once there is room.
    #[error("the store's disk is full")]
    Full,
    /// What is on disk is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// A key, value or commit over the limits.
    #[error("too large for the store")]
    TooLarge,
    /// A defect of the caller: a key in the engine's own tables, an unknown partition, an event that is not one JSON
    /// object on one line, a scan of none.
    #[error("a request the store does not take: {0}")]
    Invalid(&'static str),
}

/// A future of the store.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// One audit record as the engine keeps it: a line of JSON,
/// `{"seq":N,"prev":"<base64url SHA-256 of the line before>","event":{…}}`, without the newline.
/// The first line's `prev` is 43 times `A` (32 zero bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number; the first is 1.
    pub seq: u64,
    /// The line's bytes: what the next line's `prev` is the hash of.
    pub line: Vec<u8>,
}

/// What the store says of itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// Writes are taken.
    pub writable: bool,
    /// Why not, for people.
    pub reason: Option<String>,
    /// Free bytes on its disk.
    pub free_bytes: u64,
    /// Bytes it takes on disk.
    pub disk_bytes: u64,
    /// Records counted in the header.
    pub records: u64,
    /// The last audit sequence number given.
    pub audit_seq: u64,
}

/// How much [`Store::verify`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A sample.
    Sampled,
    /// Everything.
    Full,
}

/// What [`Store::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Audit lines read and found chained.
    pub audit_lines: u64,
    /// What is wrong, a line each; empty is good.
    pub faults: Vec<String>,
}

/// The last word on one key, as far as a checkpoint has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// What stands there; `None`: nothing any more.
    pub now: Option<Versioned>,
}

/// What a checkpoint tells. Who applies all entries, and behind them all changes in their order, has the state at its mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The next entries, in the order of their keys, each key once. Each is as new as the checkpoint's beginning, or newer.
    Entries(Vec<(Key, Versioned)>),
    /// The next changes since the checkpoint began, of any keys, in the order in which they were made.
    Changes(Vec<Change>),
}

/// At which point of a store's life a checkpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last revision that is in it.
    pub rev: u64,
    /// Records counted.
    pub records: i64,
    /// The end of the audit chain.
    pub head: chain::Head,
}

/// The engine.
pub trait Store: Send + Sync {
    /// Commits; `Ok(Done)` means durable.
    fn commit(&self, commit: Commit) -> Fut<'_, Outcome>;

    /// The value under `key`, linearizable with acknowledged commits; never one that is not yet durable.
    fn get(&self, part: Part, key: &Key) -> Fut<'_, Option<Versioned>>;

    /// Entries between the bounds in key order, at most `limit` (1 to 10,000).
    fn scan(&self, part: Part, from: Bound<Key>, to: Bound<Key>, limit: u32) -> Fut<'_, Page>;

    /// Audit lines from sequence number `from` on, at most `limit` (and at most 10,000), whether still in the store or already in segments.
    fn audit(&self, from: u64, limit: u32) -> Fut<'_, Vec<AuditLine>>;

    /// Tells the state of all tables at one revision while others write, as [`Told`] says: a scan, and every change since
    /// it began. The state stands once the mark is given; the audit trail is in it up to the mark's head, for
    /// [`Store::audit`] to read. A few at a time; [`Error::Unavailable`] also where `to` is read so slowly that too many
    /// changes wait for it.
    fn checkpoint(&self, to: mpsc::Sender<Told>) -> Fut<'_, Mark>;

    /// What it says of itself; cheap.
    fn health(&self) -> Health;

    /// Reads its structure, counts and the audit chain.
    fn verify(&self, depth: Depth) -> Fut<'_, Report>;

    /// Ends writing after what was accepted is durable. Later commits are [`Error::Unavailable`].
    fn close(&self) -> Fut<'_, ()>;
}
