//! The HSM: worker processes that load the PKCS#11 module, and the client that hands them whole jobs.

mod check;
mod client;
mod dek;
mod engine;
mod former;
mod frame;
mod handover;
mod inventory;
pub mod job;
mod jwe;
pub mod keeper;
mod later;
mod limits;
mod message;
pub mod officer;
#[cfg(test)]
mod on_softhsm;
mod pin;
mod pkcs11;
mod pool;
mod probe;
mod proof;
mod public_key;
mod rate;
pub mod raw_rate;
pub mod share;
mod shred;
mod signature;
mod token;
pub mod worker;

pub use client::Client;
pub use former::Former;
pub use handover::Handover;
pub use inventory::{Inventory, KeyFacts, Role, TokenFacts, inventory};
#[cfg(test)]
pub(crate) use jwe::open_padded;
pub use later::{Generation, Later, MacRef, Rotated};
#[cfg(test)]
pub(crate) use on_softhsm::client as jwe_client;
pub(crate) use pin::{NO_PIN, read as read_pin};
pub use raw_rate::probe;
pub use shred::{KekAct, KekObject, KekReport, TokenWords};
pub use signature::{KeyFingerprint, SignatureFault, framed, signed_form};
pub use token::StartFault;

pub use job::{Boxed, Epoch, Fault, Job, Plain, Reply, SealedPart, SecretBytes, WrappedKey};

use serde::{Deserialize, Serialize};

/// How the DEKs are kept from being carried away by a holder of the user PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KekMode {
    /// KEKs are not TRUSTED; the UNWRAP_TEMPLATE pins EXTRACTABLE=0, so an unwrapped DEK can never be wrapped again.
    NoTrusted,
    /// The vendor's officer marked the KEKs TRUSTED; DEKs carry WRAP_WITH_TRUSTED.
    OfficerSets,
    /// The security officer made a TRUSTED session key that the user copied; DEKs carry WRAP_WITH_TRUSTED.
    SessionSource,
}

impl KekMode {
    /// Whether the user cannot make keys that are TRUSTED, so that who marks them is the security officer.
    pub(crate) fn has_trusted(self) -> bool {
        match self {
            Self::NoTrusted => false,
            Self::OfficerSets | Self::SessionSource => true,
        }
    }
}

/// A public key whose private half is in the HSM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alg", rename_all = "kebab-case")]
pub enum PublicKey {
    /// 32 bytes.
    Ed25519 {
        /// base64url.
        x: String,
    },
    /// An uncompressed point, 65 bytes.
    P256 {
        /// base64url.
        point: String,
    },
    /// RSA.
    Rsa {
        /// Modulus, base64url of big-endian bytes.
        n: String,
        /// Public exponent, likewise.
        e: String,
    },
}

/// A ciphertext made at `init` that a healthy HSM with the right keys can open: it settles whether a failed open means
/// changed data or a broken HSM, and whether the KEK is the one that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Its DEK, wrapped by the KEK.
    pub dek: WrappedKey,
    /// Its one part; the AAD is `panvault canary v1` and the epoch as 4 big-endian bytes, the plaintext 16 times `0x50`.
    pub part: SealedPart,
}

/// One KEK as `init` made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KekRef {
    /// Its epoch.
    pub epoch: Epoch,
    /// CKA_ID, hex.
    pub id: String,
    /// Proof that it is the right one.
    pub canary: Canary,
}

/// The keys as `init` made them: what a worker looks for in the token and proves before it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyset {
    /// How the KEKs are protected.
    pub mode: KekMode,
    /// The token's label.
    pub token_label: String,
    /// The token's serial number.
    pub token_serial: String,
    /// The KEKs by epoch, lowest first.
    pub keks: Vec<KekRef>,
    /// KEKs whose destruction has begun. None is used; what is still, or again, in the token of them is to be destroyed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shredded: Vec<KekRef>,
    /// CKA_ID (hex) of the fingerprint key.
    pub fingerprint_id: String,
    /// HMAC of `panvault fingerprint check v1` under the fingerprint key, hex: another key gives another value.
    pub fingerprint_check: String,
    /// CKA_ID (hex) of the audit key pair.
    pub audit_id: String,
    /// The audit key's public half.
    pub audit_public: PublicKey,
    /// CKA_ID (hex) of the transport key pair.
    pub transport_id: String,
    /// The transport key's public half.
    pub transport_public: PublicKey,
    /// The locker key pair, where there is one: the one key with two uses. Hyperswitch's card vault decrypts JWE and signs
    /// JWS with one key, and its routers know one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locker: Option<PairRef>,
    /// The platform key pair, where there is one: it signs answers and notifications of PayKKa's dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PairRef>,
    /// The keys that follow the fingerprint, the audit and the transport key above.
    #[serde(default, skip_serializing_if = "Later::is_empty")]
    pub later: Later,
    /// Those of the keys above, and other KEKs, that are in HSMs which the vault has left.
    #[serde(default, skip_serializing_if = "Former::is_empty")]
    pub former: Former,
}

/// A key pair that a dialect needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRef {
    /// CKA_ID, hex.
    pub id: String,
    /// Its public half: RSA.
    pub public: PublicKey,
}

/// One line of the start-up check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked, as a short stable name (`kek-attributes`, `unwrap-extractable`, …).
    pub check: String,
    /// Passed; a gap that `strict` refuses; a remark.
    pub verdict: Verdict,
    /// For people.
    pub text: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A policy gap: `strict` refuses to start.
    Gap,
    /// Worth knowing; refused by nobody.
    Note,
    /// As it should be.
    Pass,
}

/// What the start-up check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The module's own words: manufacturer, library version.
    pub module: String,
    /// The token: label, model, serial, firmware.
    pub token: String,
    /// How the KEKs are protected.
    pub mode: KekMode,
    /// Check by check.
    pub findings: Vec<Finding>,
}

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where a worker reads the user PIN. Never argv, never the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinSource {
    /// The credential of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file; a trailing newline is not part of the PIN.
    File(PathBuf),
    /// Nowhere: custodians' shares give it to the keeper, which hands it on.
    Keeper,
}

/// How the HSM is reached and used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// Set in the environment of the processes that load the module (`SOFTHSM2_CONF`, a vendor's variable).
    pub environment: BTreeMap<String, String>,
    /// The token's label.
    pub token_label: String,
    /// Its serial number, where labels are not unique.
    pub token_serial: Option<String>,
    /// Where the user PIN is read.
    pub pin: PinSource,
    /// Worker processes.
    pub workers: usize,
    /// Session threads per worker: 1 for SoftHSM, more for a network HSM.
    pub sessions: usize,
    /// Jobs waiting or at work, in all; more are refused as busy.
    pub queue: usize,
    /// A job not answered in this time: its worker is killed and replaced.
    pub deadline: Duration,
    /// Jobs after which a worker is replaced by a successor that is already warm. 0: never.
    pub recycle_after: u64,
    /// Refuse to start on a policy gap.
    pub strict: bool,
    /// DEKs made ahead per session (network HSMs). 0: none.
    pub pregenerate: usize,
    /// Destroy session objects after the answer (network HSMs).
    pub deferred_destroy: bool,
    /// Sockets that the module may make beside Unix sockets; the kernel refuses all others to the worker.
    pub address_families: Vec<AddressFamily>,
    /// Opens per second and worker that a worker grants. 0: no cap.
    pub open_rate: u32,
    /// Holds the start-up lock and the mark of a refused PIN.
    pub state_dir: PathBuf,
    /// The panvault program, started as `panvault hsm-worker`.
    pub program: PathBuf,
}

/// Sockets that a module needs for its HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressFamily {
    /// IPv4 and IPv6: a HSM on the network.
    Inet,
    /// The kernel's own: a HSM on USB that may come and go.
    Netlink,
}

/// Why a job was not done, for the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The queue is full, or a worker's open cap is used up: try again later.
    #[error("the HSM is busy")]
    Busy,
    /// No worker can work.
    #[error("the HSM is down: {0}")]
    Down(String),
    /// No answer in time.
    #[error("the HSM did not answer in time")]
    Deadline,
    /// A defect of the caller.
    #[error("malformed HSM job: {0}")]
    Malformed(String),
    /// The ciphertext, its DEK or its place was changed.
    #[error("the sealed data does not open: it was changed or belongs elsewhere")]
    Tampered,
}

/// One worker, as the supervisor sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerState {
    /// Ends after its last jobs.
    Draining,
    /// Ended; a new one starts after a pause.
    Down,
    /// Loads the module, logs in, checks.
    Starting,
    /// Works.
    Up,
}

/// The HSM as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// At least one worker is up.
    pub ready: bool,
    /// State of each worker.
    pub workers: Vec<WorkerState>,
    /// Process ids of the workers that live.
    pub pids: Vec<u32>,
    /// Why not all are up, for people.
    pub reason: Option<String>,
    /// How the vault is sealed, where custodians unseal it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<keeper::Seal>,
}
