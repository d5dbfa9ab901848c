//! Lines that a daemon sends while it works, kept in a file: the last one is a signed statement that covers the others.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::Exit;
use super::progress::Progress;
use crate::audit::{Receipts, Statement, StatementKind};

/// The longest line that the daemon sends.
const LINE_MAX: usize = 16 << 20;
/// What a last line begins with that says why there is no statement.
const ERROR: &[u8] = b"{\"error\"";

/// Lines on their way into a new file. It is made before anything is asked for, since what is erased or signed and cannot be
/// written is lost, and goes again where nothing came.
pub(super) struct Taking<'a> {
    path: &'a Path,
    /// What the last line must be.
    kind: StatementKind,
    /// What the others are called.
    called: &'static str,
    file: BufWriter<File>,
    /// Something stands in it.
    written: bool,
    lines: Receipts,
    rest: Vec<u8>,
    last: Option<Vec<u8>>,
    progress: Progress,
}

impl<'a> Taking<'a> {
    /// Nothing came yet. An older file stays as it is.
    pub(super) fn new(path: &'a Path, kind: StatementKind, called: &'static str) -> anyhow::Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.with_context(|| format!("cannot make {}, which must be a new file", path.display()))?;
        Ok(Self {
            path,
            kind,
            called,
            file: BufWriter::new(file),
            written: false,
            lines: Receipts::default(),
            rest: Vec::new(),
            last: None,
            progress: Progress::start(),
        })
    }

    /// Takes what came.
    pub(super) fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.rest.drain(..=end).collect();
            line.pop();
            if !line.starts_with(ERROR) {
                self.write(&line)?;
            }
            if let Some(before) = self.last.replace(line) {
                self.lines.add(&before);
                self.progress.say(format!("{} {}", self.lines.count(), self.called));
            }
        }
        // what came outlives this process
        self.file.flush()?;
        anyhow::ensure!(
            self.rest.len() <= LINE_MAX,
            "the daemon's answer has a line that is too long"
        );
        Ok(())
    }

    /// The statement at the end, of which it is checked that it covers what came before. `streamed` is how the answer ended;
    /// what came until then is kept.
    pub(super) fn end(mut self, streamed: anyhow::Result<()>) -> anyhow::Result<Value> {
        // it was refused
        if self.last.is_none() {
            streamed?;
        }
        let last = self.last.take().unwrap_or_default();
        let value: Value = serde_json::from_slice(&last).unwrap_or_default();
        let error = value.get("error").and_then(Value::as_str);
        let statement = Statement::parse(&last).ok().filter(|there| there.kind() == self.kind);
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let Some(statement) = statement else {
            let kept = self.lines.count() + u64::from(error.is_none() && !last.is_empty());
            let kept = match kept {
                0 => "run it again".to_owned(),
                count => format!(
                    "{count} {} are in {}, without an end; run it again with another file",
                    self.called,
                    self.path.display()
                ),
            };
            return Err(match error {
                Some(error) => anyhow::anyhow!("{error} ({kept})"),
                None => Exit::Unavailable.because(format!("the daemon went before it was done: {kept}")),
            });
        };
        let covered = self.lines.covered_by(&statement);
        covered.map_err(|fault| Exit::Fault.because(format!("what the daemon signed: {fault}")))?;
        Ok(value)
    }

    fn write(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.written = true;
        self.file
            .write_all(line)
            .and_then(|()| self.file.write_all(b"\n"))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(self.path);
        }
    }
}
