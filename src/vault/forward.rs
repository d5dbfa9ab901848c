//! A copy of every audit record to the journal, from where a log server takes it: what is cut off the trail together with
//! its signed heads is still there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Vault;
use super::types::Error;
use crate::store::AuditLine;
use crate::telemetry::journal::Journal;

/// How often it looks for new records.
const TICK: Duration = Duration::from_millis(200);
/// How long it waits after the journal took nothing.
const PAUSE: Duration = Duration::from_secs(2);
/// The daemon's end waits no longer for the journal.
const LAST: Duration = Duration::from_secs(5);
/// Records read at once.
const CHUNK: u32 = 500;
/// Without a mark, no more of what is there already is copied.
const BEFORE: u64 = 10_000;

/// The copying. To be stopped after the last record, and before the store is closed.
pub struct Forwarder {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// Copies what is left, and ends.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the copying of audit records died");
        }
    }
}

/// What was copied. Every record is copied at least once: the mark is set after the journal took it.
struct Copying {
    vault: Arc<Vault>,
    journal: Journal,
    /// Holds the number of the last record that was copied.
    mark: PathBuf,
    next: u64,
    failing: bool,
}

impl Vault {
    /// Starts to copy records to `journal`, from behind the number in the file `mark`, on the runtime of the caller.
    pub fn start_forward(self: &Arc<Self>, journal: Journal, mark: PathBuf) -> Forwarder {
        let (stop, stopped) = watch::channel(false);
        let copying = Copying {
            vault: Arc::clone(self),
            journal,
            next: 0,
            mark,
            failing: false,
        };
        let task = tokio::spawn(copying.run(stopped));
        Forwarder { stop, task }
    }
}

impl Copying {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let last = self.vault.store.health().audit_seq;
        self.next = match read_mark(&self.mark) {
            Some(copied) => copied.min(last),
            None => last.saturating_sub(BEFORE),
        }
        .saturating_add(1);
        loop {
            let pause = match self.copy().await {
                Ok(()) => TICK,
                Err(fault) => {
                    if !self.failing {
                        tracing::error!(fault, "audit records wait to be copied to the journal");
                    }
                    self.failing = true;
                    PAUSE
                }
            };
            self.tell();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // an error: whoever could stop this is gone
                _ = stopped.wait_for(|stop| *stop) => break,
            }
        }
        let copied = tokio::time::timeout(LAST, self.copy()).await;
        if !matches!(copied, Ok(Ok(()))) {
            let behind = self.behind();
            tracing::warn!(behind, "audit records are copied to the journal at the next start");
        }
    }

    /// Copies what there is.
    async fn copy(&mut self) -> Result<(), String> {
        while self.behind() > 0 {
            let lines = self.vault.store.audit(self.next, CHUNK).await;
            let lines = lines.map_err(|error| Error::from(error).to_string())?;
            if lines.is_empty() {
                return Ok(());
            }
            for line in &lines {
                if let Err(error) = self.send(line).await {
                    self.set_mark().await;
                    return Err(error.to_string());
                }
                self.next = line.seq.saturating_add(1);
            }
            self.set_mark().await;
            self.failing = false;
            self.tell();
        }
        Ok(())
    }

    async fn send(&self, line: &AuditLine) -> std::io::Result<()> {
        let number = line.seq.to_string();
        let fields: [(&str, &[u8]); 4] = [
            ("MESSAGE", &line.line),
            ("PRIORITY", b"6"),
            ("SYSLOG_IDENTIFIER", b"panvault-audit"),
            ("PANVAULT_AUDIT_SEQ", number.as_bytes()),
        ];
        self.journal.send(&fields).await
    }

    fn behind(&self) -> u64 {
        let last = self.vault.store.health().audit_seq;
        last.saturating_add(1).saturating_sub(self.next)
    }

    fn tell(&self) {
        let behind = i64::try_from(self.behind()).unwrap_or(i64::MAX);
        self.vault.metrics.audit_uncopied_records.set(behind);
    }

    /// Not synced: a mark that is lost or old has records copied twice.
    async fn set_mark(&self) {
        let (path, copied) = (self.mark.clone(), self.next.saturating_sub(1));
        let written = tokio::task::spawn_blocking(move || {
            let new = path.with_extension("new");
            fs::write(&new, copied.to_string())?;
            fs::rename(&new, &path)
        });
        if let Err(error) = written.await.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(%error, "how far audit records were copied is not noted");
        }
    }
}

fn read_mark(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixDatagram;

    use super::super::soft::Soft;
    use super::*;
    use crate::audit::{Event, Verifier};

    async fn note(soft: &Soft, count: usize) {
        for _ in 0..count {
            soft.vault.note(Event::new("test", "ok")).await.unwrap();
        }
    }

    /// The records that arrive, until there are `count`.
    async fn arrive(listener: &UnixDatagram, count: usize) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let mut entry = vec![0; 64 << 10];
            let length = tokio::time::timeout(Duration::from_secs(10), listener.recv(&mut entry));
            let length = length.await.unwrap().unwrap();
            entry.truncate(length);
            let message = entry.strip_prefix(b"MESSAGE\n").unwrap();
            let (length, rest) = message.split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            let (line, rest) = rest.split_at(length);
            let own = crate::store::chain::seq_of(line).unwrap();
            assert!(rest.ends_with(format!("{own}\n").as_bytes()));
            lines.push(line.to_vec());
        }
        lines
    }

    #[tokio::test]
    async fn the_copy_is_the_trail_also_over_restarts_and_a_journal_that_was_away() {
        let soft = Soft::start().await;
        let dir = tempfile::tempdir().unwrap();
        let (socket, mark) = (dir.path().join("socket"), dir.path().join("mark"));
        note(&soft, 3).await;
        let forwarder = soft.vault.start_forward(Journal::at(&socket).unwrap(), mark.clone());
        tokio::time::sleep(TICK * 2).await;
        assert_eq!(soft.vault.metrics.audit_uncopied_records.get(), 3);
        let listener = UnixDatagram::bind(&socket).unwrap();
        let mut lines = arrive(&listener, 3).await;
        note(&soft, 2).await;
        forwarder.shutdown().await;
        lines.extend(arrive(&listener, 2).await);
        assert_eq!(read_mark(&mark), Some(5));

        note(&soft, 2).await;
        let forwarder = soft.vault.start_forward(Journal::at(&socket).unwrap(), mark);
        lines.extend(arrive(&listener, 2).await);
        forwarder.shutdown().await;
        let mut verifier = Verifier::new();
        lines.iter().for_each(|line| verifier.line(line));
        let report = verifier.finish();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.lines, soft.store.health().audit_seq);
    }
}
