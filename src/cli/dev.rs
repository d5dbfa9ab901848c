//! `dev`: a vault of one's own under a directory, on a private SoftHSM token, for trying and for tests.
//!
//! The token, its PINs, the keys and the merchants are made once; a second start goes on with them.

mod files;
mod merchants;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use zeroize::Zeroizing;

use super::instance::{DevFile, DevHyperswitch, DevLocker, DevPayKka, Instance};
use super::serve::{Daemon, Extra};
use super::{Exit, key, loopback, terminal};
use crate::config::Config;
use crate::hsm::officer::Officer;
use crate::hsm::{PinSource, officer, read_pin};
use crate::id::fill_random;
use crate::jose::{RsaPublicKey, pem};
use crate::keys::Keyring;

/// Where distributions put SoftHSM's module.
const SOFTHSM: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
];
const TOKEN: &str = "panvault-dev";
/// Where the locker's key pair and the one of its test client stand.
const LOCKER_PUBLIC: &str = "locker-public.pem";
const CLIENT_PRIVATE: &str = "locker-client.pem";
const CLIENT_PUBLIC: &str = "locker-client-public.pem";
/// Likewise of PayKKa's dialect.
const PLATFORM_PUBLIC: &str = "paykka-platform-public.pem";
const MERCHANT_PRIVATE: &str = "paykka-merchant.pem";
const MERCHANT_PUBLIC: &str = "paykka-merchant-public.pem";
/// `dev.json` appears when the token is ready, or after this.
const READY: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where everything is kept; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Serve the API on loopback TCP too
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback)]
    tcp: Option<SocketAddr>,
    /// PKCS#11 module, if not SoftHSM's in its usual place
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

/// Sets up what is missing and serves until interrupted.
pub(super) fn run(args: &DevArgs) -> anyhow::Result<Exit> {
    let dir = directory(&args.dir)?;
    let config = configure(&dir, args.module.as_deref())?;
    super::restore::refuse_half(&config)?;
    super::key::refuse_moving(&config)?;
    let lacks_client = !clients(&dir, &config).is_empty();
    if !super::init::is_complete(&config) || super::init::lacks_a_key(&config) || lacks_client {
        set_up(&dir, &config)?;
    }
    let extra = Extra {
        tcp: args.tcp,
        metrics: true,
        checkout: true,
    };
    // The file says that the sockets serve: an old one must not say so meanwhile.
    let previous = previous(&dir);
    super::serve::process(config, extra, |daemon| {
        Box::pin(announce(dir.clone(), previous, daemon))
    })
}

/// The internal command that loads the module to make token and keys, and ends.
pub(super) fn make_token(dir: &Path) -> anyhow::Result<Exit> {
    let instance = Instance::unannounced(dir)?;
    let pin = |name| read_pin(&PinSource::File(dir.join(name))).map_err(anyhow::Error::msg);
    let (so, user) = (pin("so-pin")?, pin("user-pin")?);
    // A set-up that was cut short may have made the token: what is missing is made now. Where the mark says that there
    // was a token, a new one would hide that it is gone.
    if !dir.join("token-made").exists() {
        officer::create_token(&instance.config.hsm, &so, &user)?;
        private(&dir.join("token-made"), "")?;
    }
    super::init::quietly(&instance, &so, &user)?;
    for (private_key, public_key) in clients(dir, &instance.config) {
        let officer = Officer::open(&instance.config.hsm, None, &user)?;
        let made = officer.client_key();
        officer.close();
        let made = made?;
        private(&dir.join(private_key), &private_pem(&made.private))?;
        // the mark that both are there
        private(&dir.join(public_key), &pem(&made.public))?;
    }
    Ok(Exit::Ok)
}

/// The key pairs of test clients that are still to be made: private half, public half.
fn clients(dir: &Path, config: &Config) -> Vec<(&'static str, &'static str)> {
    let wanted = [
        (config.locker.needs_key(), CLIENT_PRIVATE, CLIENT_PUBLIC),
        (config.paykka.enabled, MERCHANT_PRIVATE, MERCHANT_PUBLIC),
    ];
    let missing = wanted
        .into_iter()
        .filter(|(wanted, _, public)| *wanted && !dir.join(public).exists());
    missing.map(|(_, private, public)| (private, public)).collect()
}

fn directory(dir: &Path) -> anyhow::Result<PathBuf> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    // sun_path holds 108 bytes with the closing zero.
    let longest = dir.join("admin.sock").as_os_str().len();
    if longest > 107 {
        bail!(
            "{} is too long: a Unix socket's path may have 107 bytes, this would need {longest}",
            dir.display()
        );
    }
    Ok(dir)
}

/// Writes the files that are missing and reads the configuration as `serve` would.
fn configure(dir: &Path, module: Option<&Path>) -> anyhow::Result<Config> {
    for sub in ["tokens", "state"] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join(sub))?;
    }
    for pin in ["so-pin", "user-pin"] {
        if !dir.join(pin).exists() {
            private(&dir.join(pin), &random_pin()?)?;
        }
    }
    // Both name this directory and this user, so they follow when it is moved or handed over.
    let tokens = dir.join("tokens");
    private(
        &dir.join("softhsm2.conf"),
        &format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        ),
    )?;
    private(&dir.join("policy.toml"), &files::policy(nix::unistd::getuid().as_raw()))?;
    let file = dir.join("panvault.toml");
    if !file.exists() {
        let module = match module {
            Some(module) => module.to_owned(),
            None => SOFTHSM.iter().map(PathBuf::from).find(|path| path.exists()).context(
                "SoftHSM's module is not in its usual places: install libsofthsm2, or name it with --module",
            )?,
        };
        private(&file, &files::configuration(&module, dir))?;
    }
    Ok(Instance::unannounced(dir)?.config)
}

fn set_up(dir: &Path, config: &Config) -> anyhow::Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .arg("dev-token")
        .arg("--dir")
        .arg(dir)
        .envs(&config.hsm.environment)
        .stdout(std::process::Stdio::null())
        .status()
        .context("starting the token's set-up")?;
    if !status.success() {
        bail!("the token could not be set up; the reason is above");
    }
    Ok(())
}

fn previous(dir: &Path) -> Option<DevFile> {
    let text = fs::read_to_string(dir.join("dev.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// Makes the merchants and their credentials if they are not there, and writes `dev.json`.
async fn announce(dir: PathBuf, previous: Option<DevFile>, daemon: Daemon) -> anyhow::Result<()> {
    let (native, mastercard, worldpay, hyperswitch) = match previous {
        Some(file) => (Some(file.native), file.mastercard, file.worldpay, file.hyperswitch),
        None => (None, Vec::new(), None, None),
    };
    let native = merchants::native(daemon.access(), native).await?;
    let mastercard = merchants::mastercard(daemon.access(), &mastercard).await?;
    let worldpay = merchants::worldpay(daemon.access(), worldpay).await?;
    let hyperswitch = merchants::hyperswitch(daemon.access(), hyperswitch).await?;
    let locker = match &daemon.locker {
        locker if !locker.enabled => None,
        locker => Some(announce_locker(&dir, locker.needs_key(), &daemon).await?),
    };
    let paykka = match daemon.paykka {
        true => Some(announce_paykka(&dir, &daemon).await?),
        false => None,
    };
    daemon.settled(READY).await;
    let file = DevFile {
        socket: PathBuf::from("api.sock"),
        admin_socket: PathBuf::from("admin.sock"),
        tcp: daemon.tcp.map(|address| address.to_string()),
        metrics: daemon.metrics.map(|address| address.to_string()),
        native,
        mastercard,
        worldpay: Some(worldpay),
        hyperswitch: Some(DevHyperswitch { locker, ..hyperswitch }),
        paykka,
    };
    let path = dir.join("dev.json");
    private(&path, &serde_json::to_string_pretty(&file)?)?;
    terminal::remark(format!("panvault dev serves; credentials are in {}", path.display()));
    Ok(())
}

/// The locker's tenant, and the keys beside `dev.json`.
async fn announce_locker(dir: &Path, has_keys: bool, daemon: &Daemon) -> anyhow::Result<DevLocker> {
    let mut client = None;
    if has_keys {
        let keyring = Keyring::load(&Instance::unannounced(dir)?.config.keyring_path())?;
        let public = key::shown(&keyring, key::Key::Locker).context("there is no locker key")?;
        private(&dir.join(LOCKER_PUBLIC), &public)?;
        client = Some(RsaPublicKey::of_pem(&fs::read_to_string(dir.join(CLIENT_PUBLIC))?)?);
    }
    let named = |name: &str| has_keys.then(|| PathBuf::from(name));
    Ok(DevLocker {
        tenant_id: merchants::locker(daemon.access(), client).await?,
        locker_public_key: named(LOCKER_PUBLIC),
        client_private_key: named(CLIENT_PRIVATE),
    })
}

/// PayKKa's test merchant, and the keys beside `dev.json`.
async fn announce_paykka(dir: &Path, daemon: &Daemon) -> anyhow::Result<DevPayKka> {
    let keyring = Keyring::load(&Instance::unannounced(dir)?.config.keyring_path())?;
    let public = key::shown(&keyring, key::Key::Platform).context("there is no platform key")?;
    private(&dir.join(PLATFORM_PUBLIC), &public)?;
    let client = RsaPublicKey::of_pem(&fs::read_to_string(dir.join(MERCHANT_PUBLIC))?)?;
    let merchant = merchants::paykka(daemon.access(), client).await?;
    Ok(DevPayKka {
        appid: merchant.clone(),
        merchant_id: merchant,
        private_key: PathBuf::from(MERCHANT_PRIVATE),
        platform_public_key: PathBuf::from(PLATFORM_PUBLIC),
    })
}

/// A private key as `PRIVATE KEY` in PEM (RFC 7468).
fn private_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(data_encoding::BASE64.encode(pkcs8));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 64));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (at, character) in body.char_indices() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END PRIVATE KEY-----\n");
    text
}

/// Writes a file for its owner only; it is there as a whole or not at all.
fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(|| format!("cannot write {}", fresh.display()))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path).with_context(|| format!("cannot write {}", path.display()))
}

fn random_pin() -> anyhow::Result<Zeroizing<String>> {
    let mut raw = Zeroizing::new([0u8; 12]);
    fill_random(raw.as_mut())?;
    Ok(Zeroizing::new(data_encoding::HEXLOWER.encode(raw.as_ref())))
}
