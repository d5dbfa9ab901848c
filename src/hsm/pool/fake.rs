//! For tests: workers that are threads of this process and run the real worker loop over a token made of rules.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::launch::{Exit, Launch, Process};
use crate::hsm::pin::PinFrom;
use crate::hsm::worker::{self, Broken, Ending, Module, Session};
use crate::hsm::{Config, Epoch, Fault, Job, KekMode, Keyset, PinSource, ProbeReport, PublicKey, Reply, StartFault};

/// A token whose start does what `config.environment["start"]` says.
pub(in crate::hsm) struct Rules;

/// Answers [`Job::Random`] with its length and [`Job::Sign`] with its message; some messages are orders.
#[derive(Default)]
pub(in crate::hsm) struct RulesSession {
    /// Work that no caller waits for, and whether it fails.
    idle: u8,
    rotten: bool,
    /// DEKs wrapped in vain, to be told.
    wraps: Vec<(Epoch, u32)>,
}

impl Module for Rules {
    type Session = RulesSession;

    fn start(config: &Config, _keyset: &Keyset, _pin: PinFrom) -> Result<(Self, ProbeReport), StartFault> {
        let away = config.state_dir.join("away").exists();
        if config.environment.contains_key("slow") {
            std::thread::sleep(Duration::from_millis(300));
        }
        match config.environment.get("start").map(String::as_str) {
            Some("pin") => Err(StartFault::PinRefused("wrong".to_owned())),
            Some("keys") => Err(StartFault::Keys("swapped".to_owned())),
            _ if away => Err(StartFault::Unavailable("away".to_owned())),
            _ => Ok((
                Self,
                ProbeReport {
                    module: "rules".to_owned(),
                    token: "rules".to_owned(),
                    mode: KekMode::NoTrusted,
                    findings: Vec::new(),
                },
            )),
        }
    }

    fn session(&self) -> Result<RulesSession, StartFault> {
        Ok(RulesSession::default())
    }

    fn finish(self) {}
}

impl Session for RulesSession {
    fn execute(&mut self, job: Job) -> Result<Reply, Fault> {
        match job {
            Job::Random { len } => Ok(Reply::Random(vec![7; usize::from(len)])),
            Job::Sign { message, .. } => match message.as_slice() {
                b"hang" => {
                    std::thread::sleep(Duration::from_secs(2));
                    Ok(Reply::Sign(message))
                }
                b"leave work" => {
                    self.idle = 3;
                    Ok(Reply::Sign(message))
                }
                b"wrap two" => {
                    self.wraps.push((Epoch(1), 2));
                    Ok(Reply::Sign(message))
                }
                b"leave rot" => {
                    self.rotten = true;
                    Ok(Reply::Sign(message))
                }
                b"work left?" => Ok(Reply::Sign(vec![self.idle])),
                b"tampered" => Err(Fault::Tampered),
                b"lost" => Err(Fault::Token("lost".to_owned())),
                _ => Ok(Reply::Sign(message)),
            },
            Job::Seal { .. } => Err(Fault::Token("lost while sealing".to_owned())),
            other => Err(Fault::Malformed(other.name().to_owned())),
        }
    }

    fn idle(&mut self) -> Result<bool, Fault> {
        if self.rotten {
            return Err(Fault::Token("rotten".to_owned()));
        }
        let some = self.idle > 0;
        self.idle = self.idle.saturating_sub(1);
        Ok(some)
    }

    fn wraps(&mut self) -> Vec<(Epoch, u32)> {
        std::mem::take(&mut self.wraps)
    }
}

/// Starts [`Rules`] workers and counts them.
#[derive(Clone, Default)]
pub(in crate::hsm) struct Threads {
    pub(in crate::hsm) started: Arc<AtomicU32>,
}

pub(in crate::hsm) struct Thread {
    id: u32,
    socket: UnixStream,
    handle: Option<JoinHandle<Result<Ending, Broken>>>,
}

impl Launch for Threads {
    type Process = Thread;

    fn launch(&mut self) -> std::io::Result<(UnixStream, Thread)> {
        let (ours, theirs) = UnixStream::pair()?;
        let socket = theirs.try_clone()?;
        let id = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        let handle = std::thread::spawn(move || {
            let ending = worker::run::<Rules>(theirs.try_clone()?, |_| Ok(PinFrom::Configured), || Ok(()));
            // As the kernel does when a process ends.
            let _ = theirs.shutdown(Shutdown::Both);
            ending
        });
        Ok((
            ours,
            Thread {
                id,
                socket,
                handle: Some(handle),
            },
        ))
    }
}

impl Process for Thread {
    fn id(&self) -> u32 {
        self.id
    }

    fn kill(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn ended(&mut self) -> Option<Exit> {
        let handle = self.handle.take_if(|handle| handle.is_finished())?;
        Some(match handle.join().unwrap() {
            Ok(Ending::Orderly) => Exit::Orderly,
            Ok(Ending::TokenLost) => Exit::TokenLost,
            other => Exit::Other(format!("{other:?}")),
        })
    }

    fn peak_bytes(&self) -> Option<u64> {
        Some(4096)
    }
}

/// Settings for [`Threads`].
pub(in crate::hsm) fn config(workers: usize) -> Config {
    Config {
        module: "none".into(),
        environment: BTreeMap::new(),
        token_label: "rules".to_owned(),
        token_serial: None,
        pin: PinSource::File("none".into()),
        workers,
        sessions: 1,
        queue: 256,
        deadline: Duration::from_secs(10),
        recycle_after: 0,
        strict: true,
        pregenerate: 0,
        deferred_destroy: false,
        address_families: Vec::new(),
        open_rate: 0,
        state_dir: "/nonexistent".into(),
        program: "none".into(),
    }
}

/// Any keyset.
pub(in crate::hsm) fn keyset() -> Keyset {
    Keyset {
        mode: KekMode::NoTrusted,
        token_label: "rules".to_owned(),
        token_serial: "1".to_owned(),
        keks: Vec::new(),
        shredded: Vec::new(),
        fingerprint_id: String::new(),
        fingerprint_check: String::new(),
        audit_id: String::new(),
        audit_public: PublicKey::Ed25519 { x: "AA".to_owned() },
        transport_id: String::new(),
        transport_public: PublicKey::Rsa {
            n: "AQ".to_owned(),
            e: "AQAB".to_owned(),
        },
        locker: None,
        platform: None,
        later: crate::hsm::Later::default(),
        former: crate::hsm::Former::default(),
    }
}
