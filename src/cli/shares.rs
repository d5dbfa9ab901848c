//! `shares`: what custodians get. Run while people watch, as the daemon's user; the PIN is in this process only, which ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde_json::json;

use super::client::Client;
use super::init::{again_with, ask, from_file, refuse_root};
use super::instance::Instance;
use super::offline::Offline;
use super::serve::own_peer;
use super::{Exit, Which, terminal, unseal};
use crate::audit::Event;
use crate::config::Config;
use crate::hsm::officer::{Officer, OfficerError};
use crate::hsm::share::{MOST_SHARES, SetFile, Share, ShareSet, combine, split};

#[derive(Debug, Subcommand)]
pub(crate) enum SharesCommand {
    /// Split the PIN into shares, any so many of which unseal; earlier shares are stale from then on
    Split(SplitArgs),
    /// Make new shares from enough of the present ones, when a custodian or a share is lost: nobody sees the PIN
    Renew(RenewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    which: Which,
    /// How many shares there are to be, one for each custodian
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=i64::from(MOST_SHARES)))]
    shares: u8,
    /// How many of them unseal
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=i64::from(MOST_SHARES)))]
    threshold: u8,
    /// Directory to be made for them, a file for each custodian
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    set: SetArgs,
    /// User PIN, from a file; asked for otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    set: SetArgs,
    /// File with a present share, as often as shares are needed; asked for in turn, without echo, otherwise
    #[arg(long = "share", value_name = "FILE")]
    present: Vec<PathBuf>,
}

/// Runs it.
pub(super) fn run(command: &SharesCommand) -> anyhow::Result<Exit> {
    let args = match command {
        SharesCommand::Split(split) => &split.set,
        SharesCommand::Renew(renew) => &renew.set,
    };
    if args.threshold > args.shares {
        anyhow::bail!("{} shares cannot be needed of {}", args.threshold, args.shares);
    }
    let instance = Instance::find(&args.which)?;
    let config = &instance.config;
    refuse_root(config)?;
    if args.out.exists() {
        anyhow::bail!("{} is there already: name a directory that is not", args.out.display());
    }
    // the module reads its settings from the environment of the process that loads it
    if let Some(exit) = again_with(config)? {
        return Ok(exit);
    }
    let before = SetFile::load(&config.state_dir);
    let pin = match command {
        SharesCommand::Split(split) => match &split.pin_file {
            Some(file) => from_file(file)?,
            None => ask(config, "user PIN to be shared out")?,
        },
        SharesCommand::Renew(renew) => present(&renew.present, before.as_ref().ok().and_then(Option::as_ref))?,
    };
    let proved = prove(config, &pin)?;
    let (set, shares) = split(&pin, args.threshold, args.shares)?;
    let files = match written(&args.out, &shares).and_then(|files| check(&files, &set).map(|()| files)) {
        Ok(files) => files,
        Err(error) => {
            // only what was just made
            let _ = fs::remove_dir_all(&args.out);
            return Err(error);
        }
    };
    // What cannot be read is replaced: shares that it would know are lost with it.
    let next = SetFile::next(before.unwrap_or_default(), set);
    next.write(&config.state_dir).map_err(anyhow::Error::msg)?;
    note(&instance, &next.current, own_name(command));
    tell(args, &next, &files, proved)
}

/// The PIN from shares of the set that unseals, or, where none is known here, of one set.
fn present(files: &[PathBuf], known: Option<&SetFile>) -> anyhow::Result<SecretString> {
    let mut shares = Vec::new();
    let mut files = files.iter();
    let asking = files.len() == 0;
    loop {
        let (share, whose) = match files.next() {
            Some(file) => (unseal::from_file(file)?, file.display().to_string()),
            None if asking && missing(&shares) => {
                let whose = format!("share {} of those needed", shares.len() + 1);
                terminal::remark(format!("{whose}, line by line; nothing shows while you type."));
                (unseal::typed()?, whose)
            }
            None => break,
        };
        if let Some(known) = known {
            let judged = known.judge(&share);
            judged.with_context(|| format!("{whose}: nothing was changed"))?;
        }
        shares.push(share);
    }
    let shares: Vec<&Share> = shares.iter().collect();
    Ok(combine(&shares, known.map(|known| &known.current))?)
}

fn missing(shares: &[Share]) -> bool {
    shares
        .first()
        .is_none_or(|first| shares.len() < usize::from(first.threshold()))
}

/// Whether the token takes the PIN, tried once; `false` where no token is at hand.
fn prove(config: &Config, pin: &SecretString) -> anyhow::Result<bool> {
    match Officer::open(&config.hsm, None, pin) {
        Ok(officer) => {
            officer.close();
            Ok(true)
        }
        Err(fault @ OfficerError::PinRefused(..)) => {
            Err(Exit::Unavailable.because(format!("{fault}: no shares were made, and nothing was changed")))
        }
        Err(fault) => {
            terminal::remark(format!("the PIN was not tried, since no token is at hand: {fault}"));
            Ok(false)
        }
    }
}

/// Writes a file for each share.
fn written(out: &Path, shares: &[Share]) -> anyhow::Result<Vec<PathBuf>> {
    let failed = |path: &Path| format!("cannot write {}", path.display());
    fs::DirBuilder::new()
        .mode(0o700)
        .create(out)
        .with_context(|| failed(out))?;
    let mut files = Vec::with_capacity(shares.len());
    for share in shares {
        let path = out.join(format!("share-{}-of-{}.txt", share.index(), share.of()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| failed(&path))?;
        file.write_all(share.to_text().as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| failed(&path))?;
        files.push(path);
    }
    fs::File::open(out)
        .and_then(|directory| directory.sync_all())
        .with_context(|| failed(out))?;
    Ok(files)
}

/// Reads the files again and puts the PIN together from every run of so many neighbours as are needed: each share takes
/// part.
fn check(files: &[PathBuf], set: &ShareSet) -> anyhow::Result<()> {
    let read: anyhow::Result<Vec<Share>> = files.iter().map(|file| unseal::from_file(file)).collect();
    let read = read?;
    for some in read.windows(usize::from(set.threshold)) {
        let some: Vec<&Share> = some.iter().collect();
        combine(&some, Some(set)).context("the shares that were written do not give the PIN")?;
    }
    Ok(())
}

fn own_name(command: &SharesCommand) -> &'static str {
    match command {
        SharesCommand::Split(_) => "split",
        SharesCommand::Renew(_) => "renewed",
    }
}

/// On record; a daemon that serves a sealed vault does it by itself when it sees the new set. The shares are made whatever
/// comes of it.
fn note(instance: &Instance, set: &ShareSet, how: &str) {
    let event = Event {
        peer: Some(own_peer()),
        detail: Some(format!("set {}: {} shares, {} needed", set.set, set.of, set.threshold)),
        ..Event::new("pin-shares", how)
    };
    let served = Client::new(instance.admin_socket()).is_ok_and(|client| client.reachable());
    if served && instance.config.custodians.is_some() {
        return;
    }
    if let Err(error) = Offline::open(instance).and_then(|store| store.note(&event)) {
        terminal::remark(format!("that shares were made is not in the audit trail: {error:#}"));
    }
}

fn tell(args: &SetArgs, file: &SetFile, files: &[PathBuf], proved: bool) -> anyhow::Result<Exit> {
    let set = &file.current;
    if args.json {
        terminal::json(&json!({
            "set": set.set,
            "threshold": set.threshold,
            "shares": files,
            "pin_proved": proved,
            "replaced": file.replaced.last().map(|replaced| replaced.set),
        }))?;
        return Ok(Exit::Ok);
    }
    for file in files {
        terminal::say(file.display().to_string());
    }
    terminal::say(format!(
        "set {}: any {} of {} shares unseal; {}",
        set.set,
        set.threshold,
        set.of,
        match proved {
            true => "they were put together again, and the token took the PIN",
            false => "they were put together again; the token was not asked",
        }
    ));
    if let Some(replaced) = file.replaced.last() {
        terminal::remark(format!(
            "Shares of set {} are stale now: have them destroyed.",
            replaced.set
        ));
    }
    terminal::remark(
        "Give each file to one custodian, on paper or on a medium of the custodian's own, and destroy it here: \
         `shred -u FILE`.",
    );
    Ok(Exit::Ok)
}
