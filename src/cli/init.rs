//! `init`: makes the keys that are missing and the store of a new vault. Keeps no PIN.

mod operators;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::{Args, ValueEnum};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::check::findings;
use super::instance::Instance;
use super::offline::Offline;
use super::serve::own_peer;
use super::{Exit, Which, terminal};
use crate::audit::Event;
use crate::config::Config;
use crate::custody::NewOperator;
use crate::hsm::officer::{MOST_KEKS, OfficerError};
use crate::hsm::{KekMode, PinSource, Rotated, read_pin};
use crate::id::VaultId;
use crate::keys::Keyring;
use crate::keys::init::{self, InitError, Summary, Wanted};

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    which: Which,
    /// How KEKs are protected; as those that are there, or `session-source`
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// KEK epochs in all; as many as there are, or 8. Each new one needs the security officer, so several are made ahead
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_KEKS)))]
    epochs: Option<u32>,
    /// Prepares a key for `panvault key rotate --role` to go on to; takes the user PIN only
    #[arg(long, value_enum, value_name = "ROLE", value_delimiter = ',')]
    next: Vec<NextRole>,
    /// Security officer's PIN, from a file; asked for otherwise, where it is needed
    #[arg(long, value_name = "FILE")]
    so_pin_file: Option<PathBuf>,
    /// User PIN, from a file; the configured file, or asked for, otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// One of the first two operators: a name and the person's own user id; given twice. They enroll when the daemon serves
    #[arg(long = "operator", value_name = "NAME=UID", value_parser = operators::person)]
    operators: Vec<NewOperator>,
    /// These two take the place of all operators there are: the last resort, where fewer than two can act. Needs the security
    /// officer's PIN
    #[arg(long, requires = "operators")]
    replace_operators: bool,
    /// Only check the keys that are there; makes nothing
    #[arg(long, conflicts_with_all = ["mode", "epochs", "next", "so_pin_file", "operators"])]
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

/// A role whose keys are rotated.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum NextRole {
    Audit,
    Fingerprint,
    Transport,
}

impl From<NextRole> for Rotated {
    fn from(role: NextRole) -> Self {
        match role {
            NextRole::Audit => Self::Audit,
            NextRole::Fingerprint => Self::Fingerprint,
            NextRole::Transport => Self::Transport,
        }
    }
}

/// Runs it.
pub(super) fn run(args: &InitArgs) -> anyhow::Result<Exit> {
    if args.operators.len() == 1 {
        return Err(Exit::Failure.because("one operator can do nothing alone: give --operator twice"));
    }
    let instance = Instance::find(&args.which)?;
    let config = &instance.config;
    refuse_root(config)?;
    super::restore::refuse_half(config)?;
    super::key::refuse_moving(config)?;
    // A module reads its settings from the environment of the process that loads it, so the work is done in a process
    // that starts with them.
    if let Some(status) = again_with(config)? {
        return Ok(status);
    }
    let user = user_pin(config, args.pin_file.as_deref())?;
    if args.verify {
        let summary = init::verify(&config.hsm, &config.keyring_path(), &user).map_err(coded)?;
        if !args.json {
            findings(&summary.findings, terminal::say);
        }
        return tell(&summary, args.json);
    }
    let so = args.so_pin_file.as_deref().map(from_file).transpose()?;
    let wanted = Wanted {
        mode: args.mode.map(KekMode::from),
        keks: args.epochs,
        locker: config.locker.needs_key(),
        platform: config.paykka.enabled,
        next: args.next.iter().copied().map(Rotated::from).collect(),
    };
    let summary = match make(config, so.as_ref(), &user, &wanted) {
        Err(InitError::Officer(OfficerError::NeedsOfficerPin(_))) if so.is_none() => {
            let so = ask(config, "security officer's PIN")?;
            make(config, Some(&so), &user, &wanted)
        }
        other => other,
    };
    let summary = summary.map_err(coded)?;
    new_store(&instance, &summary.vault)?;
    note_keys(&instance, &summary);
    let replacing = match (args.replace_operators, so) {
        (true, None) => Some(ask(config, "security officer's PIN")?),
        (true, so) => so,
        (false, _) => None,
    };
    operators::make(&instance, &args.operators, &user, replacing.as_ref())?;
    if summary.made.is_empty() {
        terminal::remark("no key was missing");
    }
    for role in &summary.made {
        terminal::remark(format!("made {role}"));
    }
    tell(&summary, args.json)
}

/// Makes the keys and the store; for `dev`, whose process started with the module's environment.
pub(super) fn quietly(instance: &Instance, so: &SecretString, user: &SecretString) -> anyhow::Result<()> {
    let wanted = Wanted {
        locker: instance.config.locker.needs_key(),
        platform: instance.config.paykka.enabled,
        ..Wanted::default()
    };
    let summary = make(&instance.config, Some(so), user, &wanted).map_err(coded)?;
    new_store(instance, &summary.vault)?;
    note_keys(instance, &summary);
    Ok(())
}

fn make(
    config: &Config,
    so: Option<&SecretString>,
    user: &SecretString,
    wanted: &Wanted,
) -> Result<Summary, InitError> {
    init::init(&config.hsm, &config.keyring_path(), wanted, so, user)
}

/// Whether keys and store were made: the store is the last.
pub(super) fn is_complete(config: &Config) -> bool {
    store_mark(config).exists()
}

/// Whether a dialect's key is wanted and not there; a keyring that cannot be read is told by who needs it.
pub(super) fn lacks_a_key(config: &Config) -> bool {
    Keyring::load(&config.keyring_path()).is_ok_and(|keyring| {
        let keyset = keyring.keyset();
        config.locker.needs_key() && keyset.locker.is_none() || config.paykka.enabled && keyset.platform.is_none()
    })
}

/// A vault's store is made once, with its keys: a daemon that finds none refuses, since its disk may not be mounted.
fn new_store(instance: &Instance, vault: &VaultId) -> anyhow::Result<()> {
    let mark = store_mark(&instance.config);
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
        file.write_all(STORE_MADE.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", mark.display()))
}

/// Keys that were made are on record. They are there whatever comes of that, so it is no fault of `init`.
fn note_keys(instance: &Instance, summary: &Summary) {
    if summary.made.is_empty() {
        return;
    }
    let made: Vec<String> = summary.made.iter().map(ToString::to_string).collect();
    let event = Event {
        peer: Some(own_peer()),
        detail: Some(format!("{}; audit key {}", made.join(", "), summary.audit_fingerprint)),
        ..Event::new("keys-made", "ok")
    };
    if let Err(error) = Offline::open(instance).and_then(|store| store.note(&event)) {
        terminal::remark(format!("that keys were made is not in the audit trail: {error:#}"));
    }
}

/// What stands in the mark.
pub(super) const STORE_MADE: &str = "the store was made; without this file `init` would make a new, empty one\n";

/// The mark that the store was made.
pub(super) fn store_mark(config: &Config) -> PathBuf {
    config.state_dir.join("store-made")
}

fn tell(summary: &Summary, json: bool) -> anyhow::Result<Exit> {
    if json {
        terminal::json(summary)?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!("vault          {}", summary.vault));
    terminal::say(format!(
        "token          {} ({})",
        summary.token_label, summary.token_serial
    ));
    terminal::say(format!("KEK epoch      {}", summary.active_epoch.0));
    terminal::say(format!("audit key      {}", summary.audit_fingerprint));
    terminal::remark("Write the audit key's fingerprint down: `receipt verify --key` takes it as its anchor.");
    Ok(Exit::Ok)
}

/// With the exit code that `check hsm` and `serve` give for the same.
pub(super) fn coded(error: InitError) -> anyhow::Error {
    let exit = match &error {
        InitError::Officer(OfficerError::NoToken(_) | OfficerError::PinRefused(..) | OfficerError::Unavailable(_)) => {
            Exit::Unavailable
        }
        InitError::Officer(
            OfficerError::Keys(_)
            | OfficerError::LostKeyring(_)
            | OfficerError::NotYetTrusted(_)
            | OfficerError::Policy(_),
        )
        | InitError::Keyring(_)
        | InitError::Replaced(_) => Exit::Refused,
        InitError::Officer(OfficerError::NeedsOfficerPin(_) | OfficerError::Plan(_))
        | InitError::NoRandom(_)
        | InitError::NotWritten { .. } => Exit::Failure,
    };
    exit.because(error.to_string())
}

/// The daemon could not read what root writes into a directory of the daemon's own user.
pub(super) fn refuse_root(config: &Config) -> anyhow::Result<()> {
    let Ok(about) = fs::metadata(&config.state_dir) else {
        return Ok(());
    };
    if nix::unistd::geteuid().is_root() && about.uid() != 0 {
        return Err(Exit::Config.because(format!(
            "{} belongs to user {}: run init as that user, or the daemon cannot read what it writes",
            config.state_dir.display(),
            about.uid()
        )));
    }
    Ok(())
}

/// Runs this same command in a process with the module's environment, where this one does not have it yet.
pub(super) fn again_with(config: &Config) -> anyhow::Result<Option<Exit>> {
    again_in(&config.hsm.environment)
}

/// Likewise, of any environment.
pub(super) fn again_in(environment: &BTreeMap<String, String>) -> anyhow::Result<Option<Exit>> {
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
    let exits = [Exit::Ok, Exit::Fault, Exit::Unavailable, Exit::Refused, Exit::Config];
    let same = |exit: &Exit| status.code() == Some(i32::from(exit.code()));
    Ok(Some(exits.into_iter().find(same).unwrap_or(Exit::Failure)))
}

/// The user PIN from a file, the configured one, or a person.
pub(super) fn user_pin(config: &Config, file: Option<&Path>) -> anyhow::Result<SecretString> {
    match (file, &config.hsm.pin) {
        (Some(file), _) => from_file(file),
        (None, source @ PinSource::File(_)) => read_pin(source).map_err(anyhow::Error::msg),
        (None, PinSource::Credential(_) | PinSource::Keeper) => ask(config, "user PIN"),
    }
}

pub(super) fn from_file(path: &Path) -> anyhow::Result<SecretString> {
    read_pin(&PinSource::File(path.to_owned())).map_err(anyhow::Error::msg)
}

pub(super) fn ask(config: &Config, what: &str) -> anyhow::Result<SecretString> {
    let prompt = format!("Token {}, {what}: ", config.hsm.token_label);
    let pin = rpassword::prompt_password(prompt).context("a PIN is needed: give it in a file, or run on a terminal")?;
    let pin = Zeroizing::new(pin);
    // The token would count it as a wrong one.
    if pin.is_empty() {
        anyhow::bail!("no PIN was given");
    }
    Ok(SecretString::from(pin.as_str()))
}

impl From<Mode> for KekMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::NoTrusted => Self::NoTrusted,
            Mode::OfficerSets => Self::OfficerSets,
            Mode::SessionSource => Self::SessionSource,
        }
    }
}
