//! `audit verify` and `audit tail`: of a running daemon over its socket, of a stopped one from its files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::client::Client;
use super::instance::Instance;
use super::offline::Offline;
use super::{Exit, Which, terminal};
use crate::audit::{Head, Report, Verifier, read_segments, segment_files};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain: nothing changed, inserted, reordered or removed
    ///
    /// Records cut off at the end show only with --expect.
    Verify {
        #[command(flatten)]
        which: Which,
        /// Check segment files in this directory instead; needs no instance
        #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "dir"])]
        segments: Option<PathBuf>,
        /// The head that an earlier verification printed: that record must still be there, unchanged
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<Head>,
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
            which,
            segments,
            expect,
            json,
        } => {
            let verifier = match expect {
                Some(head) => Verifier::new().expecting(*head),
                None => Verifier::new(),
            };
            let report = match segments {
                Some(dir) => verify_segments(dir, verifier)?,
                None => verify(&Instance::find(which)?, verifier)?,
            };
            tell(&report, *json)
        }
        AuditCommand::Tail { which, lines } => tail(&Instance::find(which)?, *lines),
    }
}

/// Verifies an instance's whole trail.
pub(super) fn verify(instance: &Instance, mut verifier: Verifier) -> anyhow::Result<Report> {
    each_line(instance, |line| {
        verifier.line(line);
        Ok(())
    })?;
    Ok(verifier.finish())
}

/// Verifies segment files that were carried elsewhere.
fn verify_segments(dir: &Path, mut verifier: Verifier) -> anyhow::Result<Report> {
    let files = segment_files(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if files.is_empty() {
        anyhow::bail!("there are no segment files (*.jsonl) in {}", dir.display());
    }
    read_segments(&files, &mut verifier)?;
    Ok(verifier.finish())
}

/// Prints what came of it.
pub(super) fn tell(report: &Report, json: bool) -> anyhow::Result<Exit> {
    if json {
        terminal::json(report)?;
    } else if report.is_sound() {
        terminal::say(format!(
            "{} records: consistent, not authenticated; head {}\n\
             No record was changed, removed, inserted or reordered in between. Note the head: with --expect it shows \
             later whether anything up to it was rewritten or cut off.",
            report.lines, report.head
        ));
    } else {
        for finding in &report.findings {
            terminal::say(finding.to_string());
        }
        terminal::say(format!("{} records, {} faults", report.lines, report.findings.len()));
    }
    Ok(if report.is_sound() { Exit::Ok } else { Exit::Fault })
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

/// Every line of a running or a stopped instance, in order.
fn each_line(instance: &Instance, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let client = Client::new(instance.admin_socket())?;
    if client.reachable() {
        return client.lines("/admin/audit/from/1", |line| {
            take(line)?;
            Ok(true)
        });
    }
    Offline::open(instance)?.each_audit_line(1, take)
}
