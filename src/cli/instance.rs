//! Which instance a command is about: a configuration file, or a dev directory with its `dev.json`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Exit, PinArg, Which, shredded};
use crate::config::Config;
use crate::hsm::PinSource;
use crate::keys::Keyring;
use crate::store::Store;
use crate::vault::owner;
use crate::vault::types::{Generation, Management, Verification};

/// The file that a serving dev instance leaves for its users; paths are relative to its directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DevFile {
    pub(super) socket: PathBuf,
    pub(super) admin_socket: PathBuf,
    pub(super) tcp: Option<String>,
    pub(super) metrics: Option<String>,
    pub(super) native: DevNative,
    #[serde(default)]
    pub(super) mastercard: Vec<DevMastercard>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) worldpay: Option<DevWorldpay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hyperswitch: Option<DevHyperswitch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) paykka: Option<DevPayKka>,
}

/// PayKKa's test merchant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DevPayKka {
    pub(super) merchant_id: String,
    pub(super) appid: String,
    /// What signs requests: PEM.
    pub(super) private_key: PathBuf,
    /// What answers and notifications are signed by: PEM.
    pub(super) platform_public_key: PathBuf,
}

/// The test tenant of its card vault.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DevLocker {
    pub(super) tenant_id: String,
    /// What requests are encrypted to, and what signs answers: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) locker_public_key: Option<PathBuf>,
    /// What signs requests, and what answers are encrypted to: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_private_key: Option<PathBuf>,
}

/// The native dialect's test merchant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DevNative {
    pub(super) merchant: String,
    pub(super) api_key: String,
}

/// A TEST merchant of the Mastercard gateway's dialect, and how tokens are made where it acts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DevMastercard {
    pub(super) merchant: String,
    pub(super) password: String,
    pub(super) repository: String,
    pub(super) management: Management,
    pub(super) generation: Generation,
    pub(super) verification: Verification,
}

/// Worldpay's test merchant: a login for everything but seeing cards, and one for that alone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DevWorldpay {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) detokenize_username: String,
    pub(super) detokenize_password: String,
    pub(super) entity: String,
}

/// Hyperswitch's test merchant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DevHyperswitch {
    pub(super) merchant_id: String,
    pub(super) profile_id: String,
    pub(super) api_key: String,
    pub(super) connector_id: String,
    /// Its card vault's tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) locker: Option<DevLocker>,
}

/// An instance, by its configuration.
pub(super) struct Instance {
    pub(super) config: Config,
    dev: Option<DevFile>,
    /// `--config FILE` or `--dir DIR`, as given: for programs started for the same instance.
    pub(super) arguments: Vec<PathBuf>,
}

impl Instance {
    /// Reads the configuration that the arguments name.
    pub(super) fn find(which: &Which) -> anyhow::Result<Self> {
        let Some(dir) = &which.dir else {
            return Ok(Self {
                config: load(&which.config)?,
                dev: None,
                arguments: vec![PathBuf::from("--config"), which.config.clone()],
            });
        };
        let path = dir.join("dev.json");
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{} is not a dev directory: cannot read {}",
                dir.display(),
                path.display()
            )
        })?;
        let mut dev: DevFile =
            serde_json::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))?;
        dev.socket = dir.join(&dev.socket);
        dev.admin_socket = dir.join(&dev.admin_socket);
        Ok(Self {
            dev: Some(dev),
            ..Self::unannounced(dir)?
        })
    }

    /// A dev instance that may not have served yet.
    pub(super) fn unannounced(dir: &Path) -> anyhow::Result<Self> {
        let mut config = load(&dir.join("panvault.toml"))?;
        // SoftHSM's settings belong to the directory, wherever that is now.
        let softhsm = std::path::absolute(dir.join("softhsm2.conf"))?;
        config
            .hsm
            .environment
            .insert("SOFTHSM2_CONF".to_owned(), softhsm.to_string_lossy().into_owned());
        Ok(Self {
            config,
            dev: None,
            arguments: vec![PathBuf::from("--dir"), dir.to_owned()],
        })
    }

    /// With the PIN from a file, where one is named.
    pub(super) fn with_pin(mut self, pin: &PinArg) -> Self {
        if let Some(file) = &pin.pin_file {
            self.config.hsm.pin = PinSource::File(file.clone());
            self.arguments.extend([PathBuf::from("--pin-file"), file.clone()]);
        }
        self
    }

    /// The API's socket.
    pub(super) fn api_socket(&self) -> &Path {
        self.dev
            .as_ref()
            .map_or(&self.config.server.api_socket.path, |dev| &dev.socket)
    }

    /// The operators' socket.
    pub(super) fn admin_socket(&self) -> &Path {
        self.dev
            .as_ref()
            .map_or(&self.config.server.admin_socket.path, |dev| &dev.admin_socket)
    }

    /// An API key of the native dialect: from a file, else the dev instance's own.
    pub(super) fn api_key(&self, file: Option<&Path>) -> anyhow::Result<String> {
        if let Some(file) = file {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(text.trim().to_owned());
        }
        self.dev
            .as_ref()
            .map(|dev| dev.native.api_key.clone())
            .context("an API key is needed: --api-key-file FILE, or --dir of a dev instance")
    }

    /// A dev instance's tenant of Hyperswitch's card vault.
    pub(super) fn locker(&self) -> Option<&DevLocker> {
        self.dev.as_ref()?.hyperswitch.as_ref()?.locker.as_ref()
    }

    /// A dev instance's merchant of the Mastercard gateway's dialect whose tokens the vault makes, any number for a card.
    pub(super) fn mastercard(&self) -> Option<&DevMastercard> {
        let merchants = &self.dev.as_ref()?.mastercard;
        merchants.iter().find(|merchant| {
            merchant.management == Management::UniqueToken && merchant.generation == Generation::RandomWithLuhn
        })
    }
}

/// The vault's keys, after what shred certificates beside them say; one that cannot be believed is refused.
pub(super) fn keyring(config: &Config) -> anyhow::Result<Keyring> {
    let keyring = Keyring::load(&config.keyring_path()).map_err(|error| Exit::Refused.because(error.to_string()))?;
    let certificates = shredded::beside(config, &keyring)?;
    shredded::applied(keyring, &certificates)
}

/// Refuses a store and a keyring of two vaults.
pub(super) async fn of_one_vault(store: &dyn Store, keyring: &Keyring) -> anyhow::Result<()> {
    let owner = owner::owner(store).await?;
    if owner == *keyring.vault() {
        return Ok(());
    }
    Err(Exit::Refused.because(format!(
        "the store belongs to vault {owner}, the keyring to vault {}: put the right one of the two in place",
        keyring.vault()
    )))
}

fn load(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).map_err(|error| Exit::Config.because(error.to_string()))
}
