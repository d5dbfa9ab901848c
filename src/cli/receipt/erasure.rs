//! The file that `erase` wrote: receipts, and last the summary that covers just these. Likewise that of `export`: chunks, which
//! only the recipient can open, and the manifest.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use crate::audit::{Receipts, Statement, StatementFault, StatementKind, Verdict};
use crate::cli::Exit;
use crate::hsm::KeyFingerprint;

/// The longest line that is read.
const LINE_MAX: u64 = 64 << 10;
/// The longest chunk of an export.
const CHUNK_MAX: u64 = 16 << 20;

/// How many receipts it has, and how far they can be trusted.
pub(super) fn verify(path: &Path, keys: &[KeyFingerprint]) -> anyhow::Result<(u64, Verdict)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = BufReader::new(file);
    let mut receipts = Receipts::default();
    let mut before: Option<(Statement, Vec<u8>)> = None;
    let mut number = 0_u64;
    let fault = |number: u64, what: String| Exit::Fault.because(format!("not genuine: line {number}: {what}"));
    // whose they are, by the first
    let mut whose: Option<(String, String)> = None;
    loop {
        let mut line = Vec::new();
        let read = (&mut lines).take(LINE_MAX + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if let Some((statement, line)) = before.take() {
            if statement.kind() != StatementKind::Deletion {
                return Err(fault(number, "no receipt stands before others".to_owned()));
            }
            receipts.add(&line);
        }
        number += 1;
        if line.pop() != Some(b'\n') {
            return Err(fault(number, "it is cut off".to_owned()));
        }
        let statement = Statement::parse(&line).map_err(|bad| fault(number, bad.to_string()))?;
        statement.verify(keys).map_err(|bad| fault(number, bad.to_string()))?;
        let of = place(&statement, !keys.is_empty()).map_err(|bad| fault(number, bad.to_string()))?;
        if *whose.get_or_insert_with(|| of.clone()) != of {
            return Err(fault(
                number,
                "it is of another vault, key or repository than those before".to_owned(),
            ));
        }
        before = Some((statement, line));
    }
    let (summary, _) = before.ok_or_else(|| fault(1, "there is nothing".to_owned()))?;
    receipts
        .covered_by(&summary)
        .map_err(|bad| fault(number, format!("the last line must be the summary: {bad}")))?;
    let verdict = summary.verify(keys).map_err(|bad| fault(number, bad.to_string()))?;
    Ok((receipts.count(), verdict))
}

/// How many chunks it has, and how far the manifest can be trusted.
pub(super) fn verify_export(path: &Path, keys: &[KeyFingerprint]) -> anyhow::Result<(u64, Verdict)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = BufReader::new(file);
    let mut chunks = Receipts::default();
    let mut last: Option<Vec<u8>> = None;
    let fault = |what: String| Exit::Fault.because(format!("not genuine: {what}"));
    loop {
        let mut line = Vec::new();
        if (&mut lines).take(CHUNK_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.pop() != Some(b'\n') {
            return Err(fault("it is cut off".to_owned()));
        }
        if let Some(before) = last.replace(line) {
            chunks.add(&before);
        }
    }
    let last = last.ok_or_else(|| fault("there is nothing".to_owned()))?;
    let manifest = Statement::parse(&last).map_err(|bad| fault(format!("the last line is no manifest: {bad}")))?;
    if manifest.kind() != StatementKind::Export {
        return Err(fault("the last line is no manifest of an export".to_owned()));
    }
    let verdict = manifest.verify(keys).map_err(|bad| fault(bad.to_string()))?;
    chunks
        .covered_by(&manifest)
        .map_err(|bad| fault(format!("the manifest: {bad}")))?;
    Ok((chunks.count(), verdict))
}

/// Vault and repository: what all of one erasure have in common. And the key, where it is not known which ones are the
/// vault's: it may have been rotated meanwhile.
fn place(statement: &Statement, pinned: bool) -> Result<(String, String), StatementFault> {
    let vault = statement.member("vault")?;
    let key = match pinned {
        true => "",
        false => statement.member("key")?,
    };
    Ok((format!("{vault} {key}"), statement.member("repository")?.to_owned()))
}
