//! `audit verify`, `audit export` and `audit tail`: of a running daemon over its socket, of a stopped one from its files,
//! and of exported segments anywhere.

mod export;
mod tell;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::anchor::Anchor;
use super::client::Client;
use super::instance::Instance;
use super::offline::Offline;
use super::{Exit, Which, terminal};
use crate::audit::{ExportFault, Head, Report, Verifier, exported_head, read_segments, segment_files};
use crate::hsm::KeyFingerprint;
use crate::store::Store;

pub(super) use self::tell::tell;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain and its signed heads: nothing changed, inserted, reordered or removed
    ///
    /// What was cut off the end together with its signed heads shows only with --expect.
    Verify {
        #[command(flatten)]
        anchor: Anchor,
        /// Check segment files in this directory; needs no instance
        #[arg(long, value_name = "DIR")]
        segments: Option<PathBuf>,
        /// A head that was noted or forwarded: that record must still be there, unchanged
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<Head>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the trail as segment files, or continue an earlier export
    ///
    /// A file for each UTC day and --segment-mib. `audit verify --segments OUT` checks them anywhere.
    Export {
        /// A directory that is new, empty, or holds an earlier export of this trail
        out: PathBuf,
        #[command(flatten)]
        which: Which,
        /// A file of this size is followed by a new one
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
        segment_mib: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the last records
    Tail {
        #[command(flatten)]
        which: Which,
        /// How many
        #[arg(long, default_value_t = 20)]
        lines: usize,
    },
}

/// Runs it.
pub(super) fn run(command: &AuditCommand) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::Verify {
            anchor,
            segments,
            expect,
            json,
        } => {
            let verifier = match expect {
                Some(head) => Verifier::new().expecting(*head),
                None => Verifier::new(),
            };
            let report = match segments {
                Some(dir) => verify_segments(dir, verifier, &anchor.fingerprints()?)?,
                None => {
                    let instance = Instance::find(&anchor.which())?;
                    let pins = anchor.fingerprints_of(&instance)?;
                    verify(&instance, pins.into_iter().fold(verifier, Verifier::pinned))?
                }
            };
            tell(&report, *json)
        }
        AuditCommand::Export {
            out,
            which,
            segment_mib,
            json,
        } => export::run(&Instance::find(which)?, out, u64::from(*segment_mib) << 20, *json),
        AuditCommand::Tail { which, lines } => tail(&Instance::find(which)?, *lines),
    }
}

/// Verifies an instance's whole trail.
pub(super) fn verify(instance: &Instance, mut verifier: Verifier) -> anyhow::Result<Report> {
    each_line(instance, 1, |line| {
        verifier.line(line);
        Ok(())
    })?;
    Ok(verifier.finish())
}

/// Verifies segment files that were carried elsewhere, against the signed head beside them too.
fn verify_segments(dir: &Path, mut verifier: Verifier, pins: &[KeyFingerprint]) -> anyhow::Result<Report> {
    let files = segment_files(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if files.is_empty() {
        anyhow::bail!("there are no segment files (*.jsonl) in {}", dir.display());
    }
    let mut beside = None;
    if let Some(signed) = exported_head(dir).map_err(fault)? {
        beside = Some(signed.verify()?);
        verifier = verifier.expecting(signed.head);
    }
    verifier = pins.iter().copied().fold(verifier, Verifier::pinned);
    read_segments(&files, &mut verifier)?;
    let report = verifier.finish();
    // it is a copy of the last head in the segments, so by who signed then
    if let Some(key) = beside.filter(|key| !pins.is_empty() && !pins.contains(key) && report.key != Some(*key)) {
        return Err(Exit::Fault.because(format!("the signed head beside the segments is by another key, {key}")));
    }
    Ok(report)
}

/// A fault of an export with its exit code.
fn fault(fault: ExportFault) -> anyhow::Error {
    let exit = match fault {
        ExportFault::Broken(_) | ExportFault::Damaged(_) | ExportFault::NotContinued(_) => Exit::Fault,
        ExportFault::Io { .. } | ExportFault::NotAnExport(_) => Exit::Failure,
    };
    exit.because(fault.to_string())
}

fn tail(instance: &Instance, count: usize) -> anyhow::Result<Exit> {
    let client = Client::new(instance.admin_socket())?;
    let show = |line: &[u8]| terminal::say(String::from_utf8_lossy(line));
    if client.reachable() {
        client.lines(&format!("/admin/audit/last/{count}"), |line| {
            show(line);
            Ok(true)
        })?;
        return Ok(Exit::Ok);
    }
    let offline = Offline::open(instance)?;
    let last = offline.store().health().audit_seq;
    let from = last.saturating_sub(u64::try_from(count)?).saturating_add(1);
    offline.each_audit_line(from, |line| {
        show(line);
        Ok(())
    })?;
    Ok(Exit::Ok)
}

/// Every line of a running or a stopped instance from number `from` on, in order.
fn each_line(instance: &Instance, from: u64, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let client = Client::new(instance.admin_socket())?;
    if client.reachable() {
        return client.lines(&format!("/admin/audit/from/{from}"), |line| {
            take(line)?;
            Ok(true)
        });
    }
    Offline::open(instance)?.each_audit_line(from, take)
}
