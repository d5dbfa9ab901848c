//! `key move`: the vault moves to a HSM that has other keys.

mod grounds;
mod stated;
mod told;

pub(in crate::cli) use self::stated::detail as moved;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::audit::Event;
use crate::cli::approval::{self, ApprovalArgs};
use crate::cli::credential::OperatorArgs;
use crate::cli::instance::{self, Instance};
use crate::cli::offline::Offline;
use crate::cli::progress::Progress;
use crate::cli::serve::own_peer;
use crate::cli::{Exit, PinArg, Which, init, keyed, terminal};
use crate::config::Config;
use crate::custody::Guarded;
use crate::hsm::officer::{KEKS, OfficerError};
use crate::hsm::{KekMode, NO_PIN, PinSource, read_pin};
use crate::keys::Keyring;
use crate::keys::init::InitError;
use crate::keys::relocation::{self, Files, Stage, Token, Wanted};
use crate::store::Store;
use crate::vault::{Relocated, Relocation};

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The configuration of the vault in the new HSM: as the one in use, with another `[hsm]`
    #[arg(long, value_name = "FILE", required_unless_present = "approve")]
    to: Option<PathBuf>,
    /// The new token's serial number, as the vendor's tool shows it
    #[arg(long)]
    serial: String,
    /// A backup from right before: with the old HSM it brings the vault back, should the new one fail half-way. All of it is read
    /// first. To go on with a move it is not needed
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    /// KEK epochs to be made in the new HSM
    #[arg(long, default_value_t = KEKS, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// How the new HSM's KEKs are protected; as the old one's otherwise
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The old HSM's security officer's PIN, from a file; asked for otherwise, where it is needed
    #[arg(long, value_name = "FILE")]
    so_pin_file: Option<PathBuf>,
    /// The old HSM's user PIN, from a file; the configured one otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// The new HSM's security officer's PIN, from a file; asked for otherwise, where it is needed
    #[arg(long, value_name = "FILE")]
    to_so_pin_file: Option<PathBuf>,
    /// The new HSM's user PIN, from a file; the configured one otherwise
    #[arg(long, value_name = "FILE")]
    to_pin_file: Option<PathBuf>,
    /// Just so many records, which do not open in the old HSM and are named, may stay behind
    #[arg(long, value_name = "N", default_value_t = 0)]
    leave: u64,
    #[command(flatten)]
    approvals: ApprovalArgs,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A mode in which a vault can move.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    OfficerSets,
    SessionSource,
}

impl From<Mode> for KekMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::OfficerSets => Self::OfficerSets,
            Mode::SessionSource => Self::SessionSource,
        }
    }
}

/// What there is on both sides.
struct Sides<'a> {
    old: &'a Config,
    new: &'a Config,
    files: Files,
}

/// Nothing else is done with the vault while it is between two HSMs.
pub(in crate::cli) fn refuse_moving(config: &Config) -> anyhow::Result<()> {
    if Files::of(&config.keyring_path()).next().exists() {
        return Err(Exit::Refused.because(format!(
            "a move to another HSM is half-way in {}: `panvault key move` finishes it",
            config.state_dir.display()
        )));
    }
    Ok(())
}

/// Runs it.
pub(super) fn run(args: &MoveArgs) -> anyhow::Result<Exit> {
    let mut subject = Map::new();
    subject.insert("serial".to_owned(), Value::from(args.serial.as_str()));
    if let Some(file) = args.approvals.approving() {
        args.approvals.write(file, &args.operator, Guarded::KeyMove, &subject)?;
        return Ok(Exit::Ok);
    }
    let with_pin = |file: &Option<PathBuf>| PinArg { pin_file: file.clone() };
    let old = Instance::find(&args.which)?.with_pin(&with_pin(&args.pin_file));
    // clap has seen to it that it is given
    let to = args.to.clone().unwrap_or_default();
    let new = Instance::find(&Which { config: to, dir: None })?.with_pin(&with_pin(&args.to_pin_file));
    grounds::of_one_vault(&old.config, &new.config)?;
    init::refuse_root(&old.config)?;
    crate::cli::restore::refuse_half(&old.config)?;
    if let Some(ended) = init::again_in(&grounds::environment(&old.config, &new.config)?)? {
        return Ok(ended);
    }
    let sides = Sides {
        old: &old.config,
        new: &new.config,
        files: Files::of(&old.config.keyring_path()),
    };
    // nobody serves while it is open
    let store = Offline::open(&old)?;
    let keyring = instance::keyring(sides.old)?;
    store.run(instance::of_one_vault(store.store().as_ref(), &keyring))?;
    let next = match sides
        .files
        .stage()
        .map_err(|error| Exit::Refused.because(error.to_string()))?
    {
        Some(Stage::HalfWay(next)) => *next,
        Some(Stage::Done) => {
            sides.files.forget()?;
            return told::already(args, &keyring);
        }
        Some(Stage::Begun(_)) | None if keyring.keyset().token_serial == args.serial => {
            return told::already(args, &keyring);
        }
        stage => sides.begin(args, &store, &keyring, stage, &subject)?,
    };
    grounds::of_one_move(&keyring, &next, &args.serial)?;
    let done = sides.records(&store, &keyring, &next, args.leave)?;
    if !is_accepted(&done, args.leave) {
        return told::unopened(args, &done);
    }
    let transcript = stated::leave(&sides, &subject, &keyring, &done)?;
    let kept = sides
        .files
        .take_place(&next)
        .map_err(|error| Exit::Failure.because(format!("{error}: run this again")))?;
    told::done(args, &keyring, &next, &done, (&kept, transcript.as_deref()))
}

impl Sides<'_> {
    /// All that comes before the records; gives the keyring of the new HSM.
    fn begin(
        &self,
        args: &MoveArgs,
        store: &Offline,
        keyring: &Keyring,
        stage: Option<Stage>,
        subject: &Map<String, Value>,
    ) -> anyhow::Result<Keyring> {
        let unchanged = |why: String| Exit::Failure.because(format!("{why}; nothing was changed"));
        let shown = args.approvals.shown()?;
        let asked = approval::ask(
            store.store().as_ref(),
            &self.old.dual_control,
            Guarded::KeyMove,
            subject,
            &shown,
        );
        let by = store.run(asked).map_err(unchanged)?;
        let backup = grounds::backup(args.backup.as_deref(), store, keyring)?;
        grounds::nothing_is_being_destroyed(keyring)?;
        let (old_user, new_user) = (user_pin(self.old)?, user_pin(self.new)?);
        let cut = match stage {
            Some(Stage::Begun(journal)) if journal.to.serial == args.serial => Some(*journal),
            Some(Stage::Begun(journal)) => {
                terminal::remark(format!(
                    "A move to the token {} ({}) was begun before and is given up: keys that it made may be there, and protect nothing.",
                    journal.to.label, journal.to.serial
                ));
                None
            }
            Some(Stage::HalfWay(_) | Stage::Done) | None => None,
        };
        let mode = args.mode.map_or(keyring.keyset().mode, KekMode::from);
        let mode = cut
            .as_ref()
            .and_then(|cut| cut.goes_on(keyring.keyset()))
            .unwrap_or(mode);
        let old_so = so_pin(keyring.keyset().mode, self.old, args.so_pin_file.as_deref())?;
        let new_so = so_pin(mode, self.new, args.to_so_pin_file.as_deref())?;
        let old = Token {
            config: &self.old.hsm,
            user: &old_user,
            so: old_so.as_ref(),
        };
        let new = Token {
            config: &self.new.hsm,
            user: &new_user,
            so: new_so.as_ref(),
        };
        let to = relocation::may_move(keyring, &old, &new, &args.serial, mode, cut.as_ref()).map_err(init::coded)?;
        let from = &keyring.keyset().token_serial;
        note(
            store,
            "begun",
            format!(
                "from the token with serial {from} to the one with {}{}; {backup}",
                to.serial,
                stated::by(by.as_deref())
            ),
        )?;
        let wanted = Wanted {
            mode,
            epochs: args.epochs,
            approved_by: by,
        };
        match relocation::begin(&self.files, keyring, &old, &new, &to, wanted, cut) {
            Ok((next, findings)) => {
                told::findings(&findings);
                Ok(next)
            }
            Err(error) => {
                let waits = matches!(&error, InitError::Officer(OfficerError::NotYetTrusted(_)));
                note(store, if waits { "waits" } else { "failed" }, error.to_string())?;
                Err(init::coded(error))
            }
        }
    }

    /// Moves the records, and puts the end on record where what stays behind may.
    fn records(&self, store: &Offline, keyring: &Keyring, next: &Keyring, leave: u64) -> anyhow::Result<Relocated> {
        let progress = Progress::start();
        let journal = self.files.begun()?;
        let by = journal.as_ref().and_then(|journal| journal.approved_by.as_deref());
        let serials = (
            keyring.keyset().token_serial.as_str(),
            next.keyset().token_serial.as_str(),
        );
        let detail = stated::detail(serials, by);
        self.with_workers(store, keyring, next, async |relocation| {
            relocation.hand_over().await?;
            let told = |moved| progress.say(format!("{moved} records moved"));
            let done = relocation.records(told).await?;
            if is_accepted(&done, leave) {
                relocation.conclude(&done, &detail).await?;
            }
            Ok(done)
        })
    }

    /// With workers of both HSMs.
    fn with_workers<T>(
        &self,
        store: &Offline,
        keyring: &Keyring,
        next: &Keyring,
        work: impl AsyncFnOnce(&Relocation) -> Result<T, crate::vault::types::Error>,
    ) -> anyhow::Result<T> {
        // the cap is for a daemon: here every record is opened once
        let mut hsm = self.old.hsm.clone();
        hsm.open_rate = 0;
        store.run(async {
            let (old, first) = keyed::workers(&hsm, keyring, &self.old.keyring_path()).await?;
            let started = keyed::workers(&self.new.hsm, next, &self.files.next()).await;
            let (new, second) = match started {
                Ok(started) => started,
                Err(error) => {
                    first.shutdown().await;
                    return Err(error);
                }
            };
            let store: Arc<dyn Store> = store.store().clone();
            let relocation = Relocation {
                vault: keyring.vault().clone(),
                store,
                old,
                new,
                asked_by: own_peer(),
            };
            let done = work(&relocation).await;
            first.shutdown().await;
            second.shutdown().await;
            done.map_err(|error| {
                Exit::Unavailable.because(format!("the move stopped: {error}; the same command goes on with it"))
            })
        })
    }
}

/// Whether what does not open may stay behind: just so many were said, or it is on record.
fn is_accepted(done: &Relocated, leave: u64) -> bool {
    done.concluded || done.faults == 0 || done.faults == leave
}

fn note(store: &Offline, outcome: &str, detail: String) -> anyhow::Result<()> {
    store.note(&Event {
        peer: Some(own_peer()),
        detail: Some(detail),
        ..Event::new("key-move", outcome)
    })
}

/// Workers read it too, so it is in a file.
fn user_pin(config: &Config) -> anyhow::Result<SecretString> {
    match &config.hsm.pin {
        PinSource::Keeper => Err(Exit::Unavailable.because(NO_PIN)),
        source @ (PinSource::Credential(_) | PinSource::File(_)) => read_pin(source).map_err(anyhow::Error::msg),
    }
}

/// Where keys are marked by the vendor's tool it is in nobody's hands here.
fn so_pin(mode: KekMode, config: &Config, file: Option<&Path>) -> anyhow::Result<Option<SecretString>> {
    match (mode, file) {
        (KekMode::OfficerSets | KekMode::NoTrusted, _) => Ok(None),
        (KekMode::SessionSource, Some(file)) => init::from_file(file).map(Some),
        (KekMode::SessionSource, None) => init::ask(config, "security officer's PIN").map(Some),
    }
}
