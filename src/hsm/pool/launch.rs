//! Starting a worker process, watching it and ending it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::hsm::keeper::Keeper;
use crate::hsm::{Config, worker};

/// What a worker may know of the server's environment: nothing secret, and nothing that changes what it loads.
const INHERITED: [&str; 5] = ["CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "LANG", "PATH", "TZ"];

/// Makes worker processes; tests make threads.
pub(in crate::hsm) trait Launch: Send + 'static {
    /// What it makes.
    type Process: Process;

    /// Starts one; the socket is the server's end.
    fn launch(&mut self) -> io::Result<(UnixStream, Self::Process)>;

    /// Who gives workers the PIN, where that is no file.
    fn keeper(&self) -> Option<&Keeper> {
        None
    }
}

/// A worker that was started and not yet reaped.
pub(in crate::hsm) trait Process: Send + 'static {
    /// Its process id.
    fn id(&self) -> u32;

    /// Ends it now.
    fn kill(&mut self);

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<Exit>;

    /// Its peak resident memory so far, in bytes.
    fn peak_bytes(&self) -> Option<u64>;
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hsm) enum Exit {
    /// Module finalized, exit code 0.
    Orderly,
    /// It said so by its exit code.
    TokenLost,
    /// Anything else, for people.
    Other(String),
}

/// Starts `panvault hsm-worker`.
pub(in crate::hsm) struct Program {
    program: PathBuf,
    environment: BTreeMap<String, String>,
    keeper: Option<Keeper>,
}

impl Program {
    pub(in crate::hsm) fn new(config: &Config, keeper: Option<Keeper>) -> Self {
        Self {
            program: config.program.clone(),
            environment: config.environment.clone(),
            keeper,
        }
    }
}

impl Launch for Program {
    type Process = Child;

    fn launch(&mut self) -> io::Result<(UnixStream, Child)> {
        let (ours, theirs) = UnixStream::pair()?;
        let output = match &self.keeper {
            Some(keeper) => {
                let (theirs, worker) = UnixStream::pair()?;
                keeper.hand_out(theirs);
                OwnedFd::from(worker)
            }
            // A vendor's library may print; its words belong to the log.
            None => io::stderr().as_fd().try_clone_to_owned()?,
        };
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new(&self.program)
            .arg("hsm-worker")
            .env_clear()
            .envs(inherited)
            .envs(&self.environment)
            // A ^C at the terminal is for the server, also before the worker blocks it.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            .spawn()?;
        Ok((ours, child))
    }

    fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }
}

impl Process for Child {
    fn id(&self) -> u32 {
        self.id()
    }

    fn kill(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(pid = self.id(), %error, "an HSM worker could not be killed");
        }
    }

    fn ended(&mut self) -> Option<Exit> {
        match self.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) if status.success() => Some(Exit::Orderly),
            Ok(Some(status)) if status.code() == Some(worker::TOKEN_LOST.into()) => Some(Exit::TokenLost),
            Ok(Some(status)) => Some(Exit::Other(status.to_string())),
            Err(error) => Some(Exit::Other(error.to_string())),
        }
    }

    fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()?
            .checked_mul(1024)
    }
}
