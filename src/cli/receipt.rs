//! `receipt verify`: whether a deletion receipt, or another statement of a vault, is genuine. Needs neither daemon nor HSM.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::anchor::Anchor;
use super::{Exit, terminal};
use crate::audit::{Statement, StatementFault, StatementKind, Verdict};
use crate::hsm::KeyFingerprint;

/// A statement is small; more is not one.
const MAX_FILE: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Verify a deletion receipt, shred certificate, erasure summary or ceremony transcript offline
    Verify {
        /// The statement; `-` for standard input
        file: PathBuf,
        /// The shred certificate of the KEK that the deleted card was under: both together prove that no copy of it opens
        #[arg(long, value_name = "CERTIFICATE")]
        shredded: Option<PathBuf>,
        #[command(flatten)]
        anchor: Anchor,
    },
}

/// Runs it.
pub(super) fn run(command: &ReceiptCommand) -> anyhow::Result<Exit> {
    let ReceiptCommand::Verify { file, shredded, anchor } = command;
    let key = anchor.fingerprint()?;
    let (statement, verdict) = genuine(file, key.as_ref())?;
    terminal::say(match verdict {
        Verdict::Authentic => "authentic: signed by the vault's audit key, and unchanged",
        Verdict::ConsistentNotAuthenticated => {
            "consistent, not authenticated: unchanged since the key that it names signed it; give --key SHA256:… \
             (as `init` printed it) to know whose key that is"
        }
    });
    if let Some(path) = shredded {
        let certificate = genuine(path, key.as_ref())
            .map_err(|error| Exit::of(&error).because(format!("{}: {error:#}", path.display())))?;
        terminal::say(erasure(&statement, &certificate.0)?);
    }
    Ok(Exit::Ok)
}

/// Reads a statement and checks its signature.
fn genuine(file: &Path, key: Option<&KeyFingerprint>) -> anyhow::Result<(Statement, Verdict)> {
    let mut text = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut text)?;
    } else {
        let opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        opened.take(MAX_FILE).read_to_end(&mut text)?;
    }
    let forged = |fault: StatementFault| Exit::Fault.because(format!("not genuine: {fault}"));
    let statement = Statement::parse(&text).map_err(forged)?;
    let verdict = statement.verify(key).map_err(forged)?;
    Ok((statement, verdict))
}

/// What receipt and certificate prove together: the token was deleted, and the KEK that every copy of its card hangs on is
/// destroyed.
fn erasure(receipt: &Statement, certificate: &Statement) -> anyhow::Result<String> {
    let not = |why: String| Exit::Fault.because(format!("erasure is not proved: {why}"));
    let missing = |fault: StatementFault| not(fault.to_string());
    if receipt.kind() != StatementKind::Deletion {
        return Err(not("the first is no deletion receipt".to_owned()));
    }
    if certificate.kind() != StatementKind::Shred {
        return Err(not("the second is no shred certificate".to_owned()));
    }
    for (member, what) in [("vault", "are of two vaults"), ("key", "were signed by two keys")] {
        if receipt.member(member).map_err(missing)? != certificate.member(member).map_err(missing)? {
            return Err(not(format!("they {what}")));
        }
    }
    let destroyed = certificate.number("kek_epoch").map_err(missing)?;
    let Ok(epoch) = receipt.number("kek_epoch") else {
        return Err(not(
            "the receipt names no KEK epoch: the card was gone before, as that of a used single-use token is"
                .to_owned(),
        ));
    };
    if epoch != destroyed {
        return Err(not(format!(
            "the card was under KEK epoch {epoch}, and epoch {destroyed} was destroyed"
        )));
    }
    Ok(format!(
        "erased: deleted on {}, and the KEK that its card was under (epoch {epoch}, CKA_ID {}) was destroyed on {}; what the \
         certificate's `limits` name is not covered",
        receipt.member("deleted_at").map_err(missing)?,
        certificate.member("cka_id").map_err(missing)?,
        certificate.member("destroyed_at").map_err(missing)?,
    ))
}
