//! The configuration: one file, read into the settings that each floor declares for itself.

mod audit;
mod caps;
mod custodians;
mod custody;
mod dialects;
mod error;
mod hsm;
mod hyperswitch;
mod locker;
mod paykka;
mod psp;
mod spec;
mod upkeep;

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User};

use self::caps::caps;
use self::custodians::UnsealSpec;
pub use self::error::Error;
use self::spec::{ListenSpec, Spec};
use crate::api::{locker as locker_api, paykka as paykka_api, worldpay};
use crate::custody::{Control, NewOperator};
use crate::hsm as tokens;
use crate::keys::KekLimits;
use crate::payment::maintenance::MaintenanceConfig;
use crate::payment::psp::PspConfig;
use crate::payment::wallet;
use crate::server::{self, Limits, Socket};
use crate::store;
use crate::telemetry::logs::Filter;
use crate::vault::caps::CapTable;
use crate::vault::{RECORD_TABLE, TrailConfig};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Everything the daemon is told.
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// SHA-256 of the file, hex.
    pub digest: String,
    /// Everything that must last.
    pub state_dir: PathBuf,
    /// Who may do what.
    pub policy: PathBuf,
    /// Card ranges that replace or extend the built-in table.
    pub bin_table: Option<PathBuf>,
    /// The HSM.
    pub hsm: tokens::Config,
    /// How custodians unseal it, where no PIN is stored.
    pub custodians: Option<tokens::keeper::Settings>,
    /// The store.
    pub store: store::Config,
    /// When the audit trail's head is signed.
    pub audit: TrailConfig,
    /// Whether audit records are copied to the journal.
    pub audit_journal: bool,
    /// Where it listens.
    pub server: server::Config,
    /// Bounds on connections.
    pub limits: Limits,
    /// Users that may use admin.sock, beside root and the daemon's own.
    pub admin_users: Vec<u32>,
    /// Primary groups of users that may use it.
    pub admin_gids: Vec<u32>,
    /// The TLS front's user: its word on a client's certificate is taken.
    pub front_uid: Option<u32>,
    /// Caps per caller and merchant, where a grant has none of its own.
    pub caps: CapTable,
    /// How long and how much a KEK epoch seals.
    pub kek_limits: KekLimits,
    /// How long a transport key opens after the next one came.
    pub transport_overlap: Duration,
    /// The most records that a rotation moves in a second; 0: as many as the HSM can.
    pub rewraps_per_second: u32,
    /// What needs two operators.
    pub dual_control: Control,
    /// Who are to be the first of them.
    pub first_operators: Vec<NewOperator>,
    /// Whether operators may take cards out in bulk.
    pub exports: bool,
    /// When stored cards are held against the account updater.
    pub maintenance: MaintenanceConfig,
    /// Worldpay's dialect.
    pub worldpay: worldpay::Config,
    /// Hyperswitch's card vault.
    pub locker: locker_api::Config,
    /// Connectors to payment service providers.
    pub psp: Vec<PspConfig>,
    /// Customers and payment methods, of Hyperswitch's dialect.
    pub wallet: wallet::Config,
    /// PayKKa's dialect.
    pub paykka: paykka_api::Config,
    /// The log.
    pub log_filter: String,
}

impl Config {
    /// Reads a file. Relative paths in it are relative to it.
    ///
    /// # Errors
    /// [`Error`], naming file and key.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let length = fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE {
            return Err(unreadable(std::io::Error::other(
                "larger than a configuration may be (1 MiB)",
            )));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let spec = parse(&text).map_err(|text| Error::Shape {
            path: path.to_owned(),
            text,
        })?;
        let path = &std::path::absolute(path).map_err(unreadable)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        Reader { path }.config(spec, data_encoding::HEXLOWER.encode(digest.as_ref()))
    }

    /// Holds how far audit records were copied to the journal.
    pub fn journal_mark_path(&self) -> PathBuf {
        self.state_dir.join("journal-copied")
    }

    /// The keyring file.
    pub fn keyring_path(&self) -> PathBuf {
        self.state_dir.join("keyring.json")
    }
}

/// Reads TOML. What is said of a fault names line and key and shows no value: a PIN may stand there by mistake, and
/// this goes to the journal.
fn parse(text: &str) -> Result<Spec, String> {
    let place = |error: &toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}", before.matches('\n').count() + 1)
    };
    let document =
        toml::Deserializer::parse(text).map_err(|error| format!("{}: {}", place(&error), error.message()))?;
    serde_path_to_error::deserialize(document).map_err(|fault| {
        let (key, error) = (fault.path().to_string(), fault.inner());
        let message = match error.message().rsplit_once(", expected ") {
            Some((found, expected)) if found.starts_with("invalid ") => match expected.starts_with("struct ") {
                true => "must be a table".to_owned(),
                false => format!("must be {expected}"),
            },
            _ => error.message().to_owned(),
        };
        format!("{}: {key}: {message}", place(error))
    })
}

/// Turns the file's text into settings, naming the file in errors.
struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn config(&self, spec: Spec, digest: String) -> Result<Config, Error> {
        if spec.version != 1 {
            return Err(self.value(
                "version",
                format!("{} is not a version that this program reads (1)", spec.version),
            ));
        }
        Filter::parse(&spec.log.filter).map_err(|error| self.value("log.filter", error.to_string()))?;
        let state_dir = self.absolute(&spec.state_dir);
        let mut store = store::Config::new(state_dir.join("store"));
        store.cache_bytes = self.mib("store.cache_mib", spec.store.cache_mib)?;
        store.min_free_bytes = self.mib("store.min_free_mib", spec.store.min_free_mib)?;
        store.audit_window = spec.store.audit_window;
        store.record_table = Some(RECORD_TABLE);
        store.audit_dir = Some(state_dir.join("audit"));
        let mut admin_users = Vec::with_capacity(spec.listen.admin_users.len());
        for name in &spec.listen.admin_users {
            admin_users.push(self.user("listen.admin_users", name)?);
        }
        let front_user = spec.listen.front_user.as_deref();
        let mut admin_gids = Vec::new();
        if let Some(name) = &spec.listen.admin_group {
            let group = self.group("listen.admin_group", name)?;
            admin_gids.push(group.gid.as_raw());
            // The kernel tells a caller's primary group only: who is in the group beside that is known by name.
            let members = group.mem.iter().filter_map(|name| User::from_name(name).ok().flatten());
            admin_users.extend(members.map(|user| user.uid.as_raw()));
        }
        Ok(Config {
            file: self.path.to_owned(),
            digest,
            policy: self.absolute(&spec.policy),
            bin_table: spec.bin_table.as_deref().map(|path| self.absolute(path)),
            custodians: self.custodians(spec.custodians, spec.hsm.unseal, &state_dir)?,
            store,
            audit: self.audit(&spec.audit)?,
            audit_journal: spec.audit.journal,
            admin_users,
            admin_gids,
            front_uid: front_user
                .map(|name| self.user("listen.front_user", name))
                .transpose()?,
            limits: Limits {
                max_connections: self.within("listen.max_connections", spec.listen.max_connections, 1 << 20)?,
                drain: Duration::from_secs(spec.listen.drain_s),
                ignore_malformed_headers: spec.listen.ignore_malformed_headers,
                ..Limits::default()
            },
            server: self.server(spec.listen, spec.hsm.unseal)?,
            hsm: self.hsm(spec.hsm, &state_dir)?,
            caps: caps(&spec.caps),
            kek_limits: self.kek_limits(&spec.keys)?,
            transport_overlap: self.transport_overlap(&spec.keys)?,
            rewraps_per_second: spec.keys.rewraps_per_second,
            first_operators: self.first_operators(&spec.dual_control)?,
            dual_control: self.dual_control(spec.dual_control)?,
            exports: spec.export.enabled,
            maintenance: self.maintenance(&spec.maintenance)?,
            worldpay: self.worldpay(spec.worldpay)?,
            locker: self.locker(&spec.locker)?,
            psp: self.psp(spec.psp)?,
            wallet: self.wallet(spec.hyperswitch)?,
            paykka: self.paykka(spec.paykka)?,
            log_filter: spec.log.filter,
            state_dir,
        })
    }

    fn server(&self, spec: ListenSpec, unseal: UnsealSpec) -> Result<server::Config, Error> {
        if let Some(name) = &spec.api_group {
            self.group("listen.api_group", name)?;
        }
        if let Some(name) = &spec.checkout_group {
            self.group("listen.checkout_group", name)?;
        }
        if let Some(address) = spec.metrics
            && !address.ip().is_loopback()
        {
            return Err(self.value("listen.metrics", "must be a loopback address".to_owned()));
        }
        Ok(server::Config {
            unseal_socket: self.unseal_socket(&spec, unseal)?,
            api_socket: Socket {
                path: self.absolute(&spec.api),
                mode: self.mode("listen.api_mode", &spec.api_mode)?,
                group: spec.api_group,
            },
            admin_socket: Socket {
                path: self.absolute(&spec.admin),
                mode: self.mode("listen.admin_mode", &spec.admin_mode)?,
                group: spec.admin_group,
            },
            checkout_socket: match &spec.checkout {
                Some(path) => Some(Socket {
                    path: self.absolute(path),
                    mode: self.mode("listen.checkout_mode", &spec.checkout_mode)?,
                    group: spec.checkout_group,
                }),
                None => None,
            },
            tcp: None,
            metrics: spec.metrics,
            metrics_any_port: false,
        })
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("/")).join(path)
    }

    fn mib(&self, key: &'static str, mib: u64) -> Result<u64, Error> {
        match mib.checked_mul(1 << 20) {
            Some(bytes) if mib > 0 => Ok(bytes),
            _ => Err(self.value(key, "must be at least 1 and a size that exists".to_owned())),
        }
    }

    fn within<T: PartialOrd + Default + Display>(&self, key: &'static str, value: T, most: T) -> Result<T, Error> {
        if value == T::default() || value > most {
            return Err(self.value(key, format!("must be 1 to {most}")));
        }
        Ok(value)
    }

    fn at_least_one(&self, key: &'static str, value: u64) -> Result<u64, Error> {
        if value == 0 {
            return Err(self.value(key, "must be at least 1".to_owned()));
        }
        Ok(value)
    }

    fn mode(&self, key: &'static str, text: &str) -> Result<u32, Error> {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| self.value(key, "must be octal access bits such as \"0660\"".to_owned()))
    }

    fn user(&self, key: &'static str, name: &str) -> Result<u32, Error> {
        User::from_name(name)
            .ok()
            .flatten()
            .map(|user| user.uid.as_raw())
            .ok_or_else(|| self.value(key, format!("there is no user {name}")))
    }

    fn group(&self, key: &'static str, name: &str) -> Result<Group, Error> {
        Group::from_name(name)
            .ok()
            .flatten()
            .ok_or_else(|| self.value(key, format!("there is no group {name}")))
    }

    fn value(&self, key: &'static str, reason: String) -> Error {
        Error::Value {
            path: self.path.to_owned(),
            key,
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
