//! The configuration file as people write it: TOML, every key checked, unknown keys refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::hsm::AddressFamily;

use super::audit::AuditSpec;
use super::caps::CapsSpec;
use super::custodians::{CustodiansSpec, UnsealSpec};
use super::custody::DualControlSpec;
use super::hyperswitch::HyperswitchSpec;
use super::locker::LockerSpec;
use super::paykka::PayKkaSpec;
use super::upkeep::{ExportSpec, KeysSpec, MaintenanceSpec};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// Format of the file: 1.
    pub(super) version: u32,
    /// Everything that must last: store, audit segments, keyring.
    pub(super) state_dir: PathBuf,
    /// Who may do what; relative to the file.
    pub(super) policy: PathBuf,
    /// Card ranges that replace or extend the built-in table; relative to the file.
    pub(super) bin_table: Option<PathBuf>,
    /// Which token, and how it is used.
    pub(super) hsm: HsmSpec,
    #[serde(default)]
    pub(super) store: StoreSpec,
    #[serde(default)]
    pub(super) audit: AuditSpec,
    #[serde(default)]
    #[serde(alias = "ceremony")]
    pub(super) custodians: CustodiansSpec,
    #[serde(default)]
    pub(super) listen: ListenSpec,
    #[serde(default)]
    pub(super) caps: CapsSpec,
    #[serde(default)]
    pub(super) keys: KeysSpec,
    #[serde(default)]
    pub(super) dual_control: DualControlSpec,
    #[serde(default)]
    pub(super) export: ExportSpec,
    #[serde(default)]
    pub(super) maintenance: MaintenanceSpec,
    #[serde(default)]
    pub(super) worldpay: WorldpaySpec,
    #[serde(default)]
    pub(super) locker: LockerSpec,
    /// Connectors to payment service providers: `[[psp]]`.
    #[serde(default)]
    pub(super) psp: Vec<PspSpec>,
    #[serde(default)]
    pub(super) hyperswitch: HyperswitchSpec,
    #[serde(default)]
    pub(super) paykka: PayKkaSpec,
    #[serde(default)]
    pub(super) log: LogSpec,
}

/// The HSM.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HsmSpec {
    /// The PKCS#11 module; relative to the file.
    pub(super) module: PathBuf,
    /// The token's label.
    pub(super) token: String,
    /// The token's serial number, where labels are not unique.
    pub(super) serial: Option<String>,
    /// Where the user PIN comes from.
    #[serde(default)]
    pub(super) unseal: UnsealSpec,
    /// Holds the user PIN; relative to the file. Without it the PIN is the systemd credential `hsm-pin`.
    pub(super) pin_file: Option<PathBuf>,
    /// Worker processes. Without it one per core.
    pub(super) workers: Option<usize>,
    /// Sessions per worker: more than 1 is for network HSMs.
    #[serde(default = "one")]
    pub(super) sessions: usize,
    /// Jobs waiting or at work, in all.
    #[serde(default = "queue")]
    pub(super) queue: usize,
    /// A worker that does not answer for so long is killed. Milliseconds.
    #[serde(default = "deadline_ms")]
    pub(super) deadline_ms: u64,
    /// Jobs after which a worker is replaced; 0 is never.
    #[serde(default = "recycle_after")]
    pub(super) recycle_after: u64,
    /// Refuse a token whose policy has a gap.
    #[serde(default = "yes")]
    pub(super) strict: bool,
    /// Data keys made ahead per session; for network HSMs.
    #[serde(default)]
    pub(super) pregenerate: usize,
    /// Destroy session objects after the answer; for network HSMs.
    #[serde(default)]
    pub(super) deferred_destroy: bool,
    /// Sockets that the module may make beside Unix sockets: none where it is not said.
    #[serde(default)]
    pub(super) address_families: Vec<AddressFamily>,
    /// Opens per second and worker, by the worker's own count; 0 is no cap.
    #[serde(default = "open_rate")]
    pub(super) open_rate: u32,
    /// Set for the processes that load the module. No place for secrets: others may read a process's environment.
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
}

/// The store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreSpec {
    /// Page cache, MiB; memory use reaches about twice this.
    pub(super) cache_mib: u64,
    /// Writes are refused while the disk has less room than this, MiB.
    pub(super) min_free_mib: u64,
    /// Audit records kept in the store before they move to segment files.
    pub(super) audit_window: u64,
}

/// Sockets and connections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenSpec {
    /// The API's socket.
    pub(super) api: PathBuf,
    /// The operators' socket.
    pub(super) admin: PathBuf,
    /// Access bits of api.sock, octal text.
    pub(super) api_mode: String,
    /// Group of api.sock.
    pub(super) api_group: Option<String>,
    /// The socket of the pages that payers open, for a front of their own; absent: they are not served.
    pub(super) checkout: Option<PathBuf>,
    /// Access bits of that socket, octal text.
    pub(super) checkout_mode: String,
    /// Its group.
    pub(super) checkout_group: Option<String>,
    /// The socket of custodians, where the vault starts sealed.
    pub(super) unseal: PathBuf,
    /// Access bits of that socket, octal text.
    pub(super) unseal_mode: String,
    /// Its group.
    pub(super) unseal_group: Option<String>,
    /// Access bits of admin.sock, octal text.
    pub(super) admin_mode: String,
    /// Group of admin.sock; its members may use it.
    pub(super) admin_group: Option<String>,
    /// Users that may use admin.sock, beside root and the daemon's own.
    pub(super) admin_users: Vec<String>,
    /// The user as which the TLS front runs. Of this user only a client's certificate is believed, forwarded in the header
    /// `X-Client-Certificate` as nginx's `$ssl_client_escaped_cert`. The front must have checked it, and must set the
    /// header itself on every request. Absent: of nobody.
    pub(super) front_user: Option<String>,
    /// Loopback TCP for Prometheus; absent: only on admin.sock.
    pub(super) metrics: Option<SocketAddr>,
    /// Open at once on api.sock; one user has at most half of them, or 64 if that is more.
    pub(super) max_connections: usize,
    /// Requests under way may take so long when the daemon stops. Seconds.
    pub(super) drain_s: u64,
    /// Leave out what is no header, which some clients send, and do not refuse the request. Not behind a front that takes it
    /// for a header.
    pub(super) ignore_malformed_headers: bool,
}

/// Worldpay's dialect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WorldpaySpec {
    /// What hrefs begin with, as clients see it; without it `http://` and the host that the request names.
    pub(super) base_url: Option<String>,
    /// How long a token lives where the request does not say. Days, 1 to 36525.
    pub(super) life_days: u32,
    /// Likewise of TEST merchants.
    pub(super) test_life_days: u32,
    /// The longest that a request may say. Days.
    pub(super) longest_life_days: u32,
    /// A use in the second half of a token's life begins it anew; never of TEST merchants.
    pub(super) renew_on_use: bool,
    /// A card that is past its expiry may be stored.
    pub(super) past_card_expiry: bool,
}

/// A connector to a payment service provider, for one merchant or for all of a repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PspSpec {
    /// What merchants call it, e.g. `mca_stripe`; ids that begin with `mca_simulator` are taken.
    pub(super) connector_id: String,
    /// Whose it is.
    pub(super) merchant: Option<String>,
    /// Or whose merchants have it.
    pub(super) repository: Option<String>,
    /// Which interface it speaks: `stripe`.
    pub(super) kind: PspKindSpec,
    /// Where it is: `https://` and a host. Cards go out to it and to no other.
    pub(super) base_url: String,
    /// Holds the account's key, mode 0400 or 0600; relative to the file.
    pub(super) api_key_file: PathBuf,
    /// The authorities, PEM, that may vouch for the provider, and no others; relative to the file. Without it those that
    /// browsers trust, as they were when this program was built.
    pub(super) ca_file: Option<PathBuf>,
    /// A tokenization with all its requests takes no longer. Milliseconds, 100 to 120000.
    #[serde(default = "psp_timeout_ms")]
    pub(super) timeout_ms: u64,
}

/// A provider's interface.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PspKindSpec {
    Stripe,
}

/// The log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogSpec {
    /// `info`, or `target=level` pairs, comma-separated.
    pub(super) filter: String,
}

fn one() -> usize {
    1
}
fn queue() -> usize {
    4096
}
fn deadline_ms() -> u64 {
    5_000
}
fn recycle_after() -> u64 {
    250_000
}
/// More than the callers' own caps let through; a server that was taken over gets no more than this.
fn open_rate() -> u32 {
    1_000
}
fn yes() -> bool {
    true
}
fn psp_timeout_ms() -> u64 {
    15_000
}

impl Default for StoreSpec {
    fn default() -> Self {
        Self {
            cache_mib: 512,
            min_free_mib: 256,
            audit_window: 100_000,
        }
    }
}

impl Default for ListenSpec {
    fn default() -> Self {
        Self {
            api: PathBuf::from("/run/panvault/api.sock"),
            admin: PathBuf::from("/run/panvault/admin.sock"),
            api_mode: "0660".to_owned(),
            api_group: None,
            checkout: None,
            checkout_mode: "0660".to_owned(),
            checkout_group: None,
            unseal: PathBuf::from("/run/panvault/unseal.sock"),
            unseal_mode: "0660".to_owned(),
            unseal_group: None,
            admin_mode: "0660".to_owned(),
            admin_group: None,
            admin_users: Vec::new(),
            front_user: None,
            metrics: None,
            max_connections: 1024,
            drain_s: 30,
            ignore_malformed_headers: false,
        }
    }
}

impl Default for WorldpaySpec {
    fn default() -> Self {
        Self {
            base_url: None,
            life_days: 4 * 365 + 1,
            test_life_days: 90,
            longest_life_days: 10 * 365 + 2,
            renew_on_use: true,
            past_card_expiry: true,
        }
    }
}

impl Default for LogSpec {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}
