//! `init`: makes the keys that are missing and the store of a new vault. Keeps no PIN.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::{Args, ValueEnum};
use secrecy::SecretString;

use super::instance::Instance;
use super::offline::Offline;
use super::{Exit, Which, terminal};
use crate::config::Config;
use crate::hsm::officer::OfficerError;
use crate::hsm::{KekMode, PinSource};
use crate::id::VaultId;
use crate::keys::init::{self, InitError, Summary, Wanted};

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    which: Which,
    /// How KEKs are protected; as those that are there, or `session-source`
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// KEK epochs in all: each new one needs the security officer, so several are made ahead
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    epochs: Option<u32>,
    /// Security officer's PIN, from a file; asked for otherwise, where it is needed
    #[arg(long, value_name = "FILE")]
    so_pin_file: Option<PathBuf>,
    /// User PIN, from a file; the configured file, or asked for, otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Only check the keys that are there
    #[arg(long)]
    verify: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    NoTrusted,
    OfficerSets,
    SessionSource,
}

/// Runs it.
pub(super) fn run(args: &InitArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let config = &instance.config;
    // A module reads its settings from the environment of the process that loads it, so the work is done in a process
    // that starts with them.
    if let Some(status) = again_with(config)? {
        return Ok(status);
    }
    let user = match (&args.pin_file, &config.hsm.pin) {
        (Some(file), _) | (None, PinSource::File(file)) => from_file(file)?,
        (None, PinSource::Credential(_)) => ask("User PIN: ")?,
    };
    if args.verify {
        let summary = init::verify(&config.hsm, &config.keyring_path(), &user).map_err(refused)?;
        return tell(&summary, args.json);
    }
    let so = match &args.so_pin_file {
        Some(file) => Some(from_file(file)?),
        None => None,
    };
    let wanted = Wanted {
        mode: args.mode.map(|mode| match mode {
            Mode::NoTrusted => KekMode::NoTrusted,
            Mode::OfficerSets => KekMode::OfficerSets,
            Mode::SessionSource => KekMode::SessionSource,
        }),
        ..Wanted::default()
    };
    let wanted = Wanted {
        keks: args.epochs.unwrap_or(wanted.keks),
        ..wanted
    };
    let summary = match make(config, so.as_ref(), &user, &wanted) {
        Err(InitError::Officer(OfficerError::NeedsOfficerPin(_))) if so.is_none() => {
            let so = ask("Security officer's PIN: ")?;
            make(config, Some(&so), &user, &wanted)
        }
        other => other,
    };
    let summary = summary.map_err(refused)?;
    new_store(&instance, &summary.vault)?;
    tell(&summary, args.json)
}

/// Makes the keys and the store; for `dev`, whose process started with the module's environment.
pub(super) fn quietly(instance: &Instance, so: &SecretString, user: &SecretString) -> anyhow::Result<()> {
    let summary = make(&instance.config, Some(so), user, &Wanted::default()).map_err(refused)?;
    new_store(instance, &summary.vault)
}

fn make(
    config: &Config,
    so: Option<&SecretString>,
    user: &SecretString,
    wanted: &Wanted,
) -> Result<Summary, InitError> {
    init::init(&config.hsm, &config.keyring_path(), wanted, so, user)
}

/// A vault's store is made once, with its keys: a daemon that finds none refuses, since its disk may not be mounted.
fn new_store(instance: &Instance, vault: &VaultId) -> anyhow::Result<()> {
    let mark = instance.config.state_dir.join("store-made");
    if mark.exists() {
        return Ok(());
    }
    if !Offline::create(instance)?.claim(vault)? {
        let store = instance.config.store.dir.display();
        return Err(Exit::Refused.because(format!(
            "{store} holds another vault's store: move it away, or put its keyring back"
        )));
    }
    let written = fs::File::create(&mark).and_then(|mut file| {
        file.write_all(b"the store was made; without this file `init` would make a new, empty one\n")?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", mark.display()))
}

fn tell(summary: &Summary, json: bool) -> anyhow::Result<Exit> {
    if json {
        terminal::json(summary)?;
        return Ok(Exit::Ok);
    }
    for role in &summary.made {
        terminal::remark(format!("made {role}"));
    }
    terminal::say(format!("vault          {}", summary.vault));
    terminal::say(format!(
        "token          {} ({})",
        summary.token_label, summary.token_serial
    ));
    terminal::say(format!("KEK epoch      {}", summary.active_epoch.0));
    terminal::say(format!("audit key      {}", summary.audit_fingerprint));
    terminal::remark("Write the audit key's fingerprint down: every offline verification takes it as its anchor.");
    Ok(Exit::Ok)
}

fn refused(error: InitError) -> anyhow::Error {
    Exit::Refused.because(error.to_string())
}

/// Runs this same command in a process with the module's environment, where this one does not have it yet.
fn again_with(config: &Config) -> anyhow::Result<Option<Exit>> {
    let environment = &config.hsm.environment;
    if environment
        .iter()
        .all(|(name, value)| std::env::var(name).is_ok_and(|set| set == *value))
    {
        return Ok(None);
    }
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .envs(environment)
        .status()
        .context("starting the process that loads the module")?;
    Ok(Some(match status.code() {
        Some(0) => Exit::Ok,
        Some(77) => Exit::Refused,
        Some(78) => Exit::Config,
        _ => Exit::Failure,
    }))
}

fn from_file(path: &Path) -> anyhow::Result<SecretString> {
    let text =
        zeroize::Zeroizing::new(fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
    Ok(SecretString::from(text.strip_suffix('\n').unwrap_or(&text)))
}

fn ask(prompt: &str) -> anyhow::Result<SecretString> {
    let pin = rpassword::prompt_password(prompt).context("a PIN is needed: give it in a file, or run on a terminal")?;
    Ok(SecretString::from(pin))
}
