//! `receipt verify`: whether a deletion receipt is genuine. Needs neither daemon nor HSM.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use super::anchor::Anchor;
use super::{Exit, terminal};
use crate::audit::{Receipt, Verdict};

/// A receipt is small; more is not one.
const MAX_FILE: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Verify a deletion receipt offline
    Verify {
        /// The receipt; `-` for standard input
        file: PathBuf,
        #[command(flatten)]
        anchor: Anchor,
    },
}

/// Runs it.
pub(super) fn run(command: &ReceiptCommand) -> anyhow::Result<Exit> {
    let ReceiptCommand::Verify { file, anchor } = command;
    let mut text = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut text)?;
    } else {
        let opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        opened.take(MAX_FILE).read_to_end(&mut text)?;
    }
    let keys = anchor.fingerprints()?;
    let receipt = Receipt::parse(&text).map_err(|fault| Exit::Fault.because(format!("not genuine: {fault}")))?;
    match receipt.verify(&keys) {
        Ok(Verdict::Authentic) => terminal::say("authentic: signed by the vault's audit key, and unchanged"),
        Ok(Verdict::ConsistentNotAuthenticated) => terminal::say(
            "consistent, not authenticated: unchanged since the key that it names signed it; give --key SHA256:… \
             (as `init` printed it) to know whose key that is",
        ),
        Err(fault) => return Err(Exit::Fault.because(format!("not genuine: {fault}"))),
    }
    Ok(Exit::Ok)
}
