//! `receipt verify`: whether a deletion receipt, or another statement of a vault, is genuine. Needs neither daemon nor HSM.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

mod erasure;
mod shredded;

use super::anchor::Anchor;
use super::{Exit, terminal};
use crate::audit::{Statement, StatementFault, Verdict};
use crate::hsm::KeyFingerprint;

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
        /// The shred certificate of the KEK that the deleted card was under: both together prove that no copy of it opens
        #[arg(long, value_name = "CERTIFICATE", conflicts_with_all = ["erasure", "export"])]
        shredded: Option<PathBuf>,
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
        shredded,
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
    let (statement, verdict) = genuine(file, &keys)?;
    say(verdict);
    if let Some(path) = shredded {
        let certificate =
            genuine(path, &keys).map_err(|error| Exit::of(&error).because(format!("{}: {error:#}", path.display())))?;
        terminal::say(shredded::proof(&statement, &certificate.0, !keys.is_empty())?);
    }
    Ok(Exit::Ok)
}

/// Reads a statement and checks its signature.
fn genuine(file: &Path, keys: &[KeyFingerprint]) -> anyhow::Result<(Statement, Verdict)> {
    let mut text = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut text)?;
    } else {
        let opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        opened.take(MAX_FILE).read_to_end(&mut text)?;
    }
    let forged = |fault: StatementFault| Exit::Fault.because(format!("not genuine: {fault}"));
    let statement = Statement::parse(&text).map_err(forged)?;
    let verdict = statement.verify(keys).map_err(forged)?;
    Ok((statement, verdict))
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
