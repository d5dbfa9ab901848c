//! `unseal`: a custodian gives a share of the PIN to the pin keeper, over its own socket.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use zeroize::Zeroizing;

use super::instance::Instance;
use super::{Exit, Which, terminal};
use crate::hsm::keeper::{self, Answer};
use crate::hsm::share::{LINES, Line, Share, ShareFault};

/// A larger file is no share.
const LONGEST: u64 = 4096;

#[derive(Debug, Args)]
pub(crate) struct UnsealArgs {
    #[command(flatten)]
    which: Which,
    /// File with the share; asked for line by line, without echo, otherwise
    #[arg(long, value_name = "FILE")]
    share: Option<PathBuf>,
    /// The custodians' socket, where the configuration cannot be read
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Only say how the vault is sealed
    #[arg(long, conflicts_with = "share")]
    status: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &UnsealArgs) -> anyhow::Result<Exit> {
    let socket = socket(args)?;
    let answer = if args.status {
        keeper::look(&socket)
    } else {
        // before anything is typed
        let there = keeper::look(&socket).map_err(|error| unreachable(&socket, &error))?;
        if !there.seal.sealed {
            return tell(&there, args.json);
        }
        let share = match &args.share {
            Some(file) => from_file(file)?,
            None => {
                if let Some(set) = there.seal.set {
                    terminal::remark(format!(
                        "Your share of set {set}, line by line; nothing shows while you type. Spaces and case do not matter."
                    ));
                }
                typed()?
            }
        };
        keeper::give(&socket, &share)
    };
    let answer = answer.map_err(|error| unreachable(&socket, &error))?;
    tell(&answer, args.json)
}

/// Reads a share from a file.
pub(super) fn from_file(file: &Path) -> anyhow::Result<Share> {
    let about = file
        .metadata()
        .with_context(|| format!("cannot read {}", file.display()))?;
    if about.len() > LONGEST {
        anyhow::bail!("{}: larger than a share", file.display());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = Zeroizing::new(text);
    Share::from_text(&text).map_err(|fault| anyhow::anyhow!("{}: {fault}; nothing was changed", file.display()))
}

fn socket(args: &UnsealArgs) -> anyhow::Result<PathBuf> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let config = Instance::find(&args.which)
        .context(
            "name the custodians' socket with --socket, or give the share as a user that may read the configuration",
        )?
        .config;
    match config.server.unseal_socket {
        Some(socket) => Ok(socket.path),
        None => Err(Exit::Config.because(format!(
            "{}: this vault does not start sealed (hsm.unseal = \"custodians\")",
            config.file.display()
        ))),
    }
}

/// Asks for the lines of a share; one that was typed wrong is asked for again.
pub(super) fn typed() -> anyhow::Result<Share> {
    let mut lines = Vec::with_capacity(usize::from(LINES));
    for number in 1..=LINES {
        lines.push(line(number)?);
    }
    Share::from_lines(&lines).map_err(|fault| anyhow::anyhow!("{fault}; nothing was changed"))
}

fn line(number: u8) -> anyhow::Result<Line> {
    loop {
        let text = rpassword::prompt_password(format!("line {number} of {LINES}: "))
            .context("a share is needed: give it in a file with --share, or run on a terminal")?;
        match Line::parse(number, &Zeroizing::new(text)) {
            Ok(line) => return Ok(line),
            Err(fault @ ShareFault::Line(..)) => terminal::remark(fault.to_string()),
            Err(fault) => return Err(fault.into()),
        }
    }
}

fn tell(answer: &Answer, json: bool) -> anyhow::Result<Exit> {
    if json {
        terminal::json(answer)?;
    }
    let seal = &answer.seal;
    if let Some(why) = &answer.refused {
        let state = match json {
            true => String::new(),
            false => format!("; {seal}"),
        };
        anyhow::bail!("refused: {why}{state}");
    }
    if json {
        return Ok(Exit::Ok);
    }
    terminal::say(seal.to_string());
    if seal.sealed && seal.threshold > 0 {
        let (set, missing) = (seal.set.map(|set| set.to_string()).unwrap_or_default(), seal.missing());
        let until = match seal.until {
            Some(until) if !seal.given.is_empty() => format!(", until {until}"),
            _ => String::new(),
        };
        terminal::say(format!(
            "{missing} of the {} shares of set {set} are missing{until}",
            seal.of
        ));
    }
    Ok(Exit::Ok)
}

fn unreachable(socket: &Path, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => ": may this user open it (listen.unseal_group)?",
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ": does the daemon serve, with hsm.unseal = \"custodians\"?"
        }
        _ => "",
    };
    Exit::Unavailable.because(format!("{}: {error}{hint}", socket.display()))
}
