//! The store of an instance that is not being served, opened by a command.

use std::sync::Arc;

use super::Exit;
use super::instance::Instance;
use crate::audit::Event;
use crate::id::VaultId;
use crate::store::sled::SledStore;
use crate::store::{AuditLine, Commit, Config, Error, Report, Store};
use crate::telemetry::Metrics;
use crate::vault::{check, owner};

/// Audit lines read at once.
const CHUNK: u32 = 1000;
/// More threads than these read no faster.
const THREADS_MAX: usize = 8;

/// An opened store; closed in order when dropped.
pub(super) struct Offline {
    store: Arc<SledStore>,
    runtime: tokio::runtime::Runtime,
}

impl Offline {
    /// Opens it; refused while a daemon serves it.
    pub(super) fn open(instance: &Instance) -> anyhow::Result<Self> {
        Self::with(instance.config.store.clone())
    }

    /// Makes the store of a new vault.
    pub(super) fn create(instance: &Instance) -> anyhow::Result<Self> {
        Self::with(Config {
            create: true,
            ..instance.config.store.clone()
        })
    }

    fn with(config: Config) -> anyhow::Result<Self> {
        let store = SledStore::open(config, Metrics::new()?).map_err(store_fault)?;
        let runtime = runtime()?;
        Ok(Self {
            store: Arc::new(store),
            runtime,
        })
    }

    /// The store.
    pub(super) fn store(&self) -> &Arc<SledStore> {
        &self.store
    }

    /// Runs `work` to its end.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Hands every audit line from sequence number `from` on to `take`, in order.
    pub(super) fn each_audit_line(
        &self,
        from: u64,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut next = from;
        loop {
            let lines = self
                .runtime
                .block_on(self.store.audit(next, CHUNK))
                .map_err(store_fault)?;
            let Some(last) = lines.last() else {
                return Ok(());
            };
            next = last.seq + 1;
            for line in &lines {
                take(&line.line)?;
            }
        }
    }

    /// Puts an event on record.
    pub(super) fn note(&self, event: &Event) -> anyhow::Result<()> {
        let commit = Commit {
            event: Some(event.encode()),
            ..Commit::default()
        };
        self.runtime.block_on(self.store.commit(commit)).map_err(store_fault)?;
        Ok(())
    }

    /// The audit record that was written last.
    pub(super) fn last_record(&self) -> anyhow::Result<AuditLine> {
        let seq = self.store.health().audit_seq;
        let lines = self.runtime.block_on(self.store.audit(seq, 1)).map_err(store_fault)?;
        let last = lines.into_iter().find(|line| line.seq == seq);
        last.ok_or_else(|| Exit::Fault.because("the store's last audit record cannot be read"))
    }

    /// Writes whose store it is; `false` where it is another vault's.
    pub(super) fn claim(&self, id: &VaultId) -> anyhow::Result<bool> {
        Ok(self.runtime.block_on(owner::claim(self.store.as_ref(), id))?)
    }

    /// Reads its structure, counts and chain.
    pub(super) fn verify(&self) -> anyhow::Result<Report> {
        let store: Arc<dyn Store> = self.store.clone();
        self.runtime
            .block_on(check::everything(&store, threads()))
            .map_err(store_fault)
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        if let Err(error) = self.runtime.block_on(self.store.close()) {
            super::terminal::remark(format!("panvault: closing the store: {error}"));
        }
    }
}

/// How many threads look through a store that nobody serves.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS_MAX)
}

/// A runtime of as many threads.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads()).enable_all().build()
}

/// An error of the store with its exit code.
pub(super) fn store_fault(error: Error) -> anyhow::Error {
    let exit = match error {
        Error::Corrupt(_) => Exit::Fault,
        Error::Unavailable(_) => Exit::Unavailable,
        Error::Full | Error::Invalid(_) | Error::OutcomeUnknown | Error::ReadOnly(_) | Error::TooLarge => Exit::Failure,
    };
    exit.because(error.to_string())
}
