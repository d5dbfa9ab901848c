//! `receipt verify`: whether a deletion receipt, or another statement of a vault, is genuine. Needs neither daemon nor HSM.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

mod erasure;

use super::anchor::Anchor;
use super::{Exit, terminal};
use crate::audit::{Statement, Verdict};

/// A statement is small; more is not one.
const MAX_FILE: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Verify a deletion receipt, shred certificate, erasure summary or ceremony transcript offline
    Verify {
        /// The statement; `-` for standard input
        file: PathBuf,
        /// It is the file that `erase` wrote: each receipt is verified, and that the summary at its end covers just these
        #[arg(long)]
        erasure: bool,
        /// It is the file that `export` wrote: the manifest at its end is verified, and that it covers just its chunks
        #[arg(long, conflicts_with = "erasure")]
        export: bool,
        #[command(flatten)]
        anchor: Anchor,
    },
}

/// Runs it.
pub(super) fn run(command: &ReceiptCommand) -> anyhow::Result<Exit> {
    let ReceiptCommand::Verify {
        file,
        erasure,
        export,
        anchor,
    } = command;
    let keys = anchor.fingerprints()?;
    if *export {
        let (count, verdict) = erasure::verify_export(file, &keys)?;
        terminal::say(format!("{count} chunks, and the manifest covers just these"));
        say(verdict);
        return Ok(Exit::Ok);
    }
    if *erasure {
        let (count, verdict) = erasure::verify(file, &keys)?;
        terminal::say(format!("{count} receipts, and the summary covers just these"));
        say(verdict);
        return Ok(Exit::Ok);
    }
    let mut text = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut text)?;
    } else {
        let opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        opened.take(MAX_FILE).read_to_end(&mut text)?;
    }
    let statement = Statement::parse(&text).map_err(|fault| Exit::Fault.because(format!("not genuine: {fault}")))?;
    match statement.verify(&keys) {
        Ok(verdict) => say(verdict),
        Err(fault) => return Err(Exit::Fault.because(format!("not genuine: {fault}"))),
    }
    Ok(Exit::Ok)
}

fn say(verdict: Verdict) {
    terminal::say(match verdict {
        Verdict::Authentic => "authentic: signed by the vault's audit key, and unchanged",
        Verdict::ConsistentNotAuthenticated => {
            "consistent, not authenticated: unchanged since the key that it names signed it; give --key SHA256:… \
             (as `init` printed it) to know whose key that is"
        }
    });
}
