//! The worker process: the only one that loads the PKCS#11 module and sees the PIN.
//!
//! Its stdin is one end of a socketpair; jobs come in, replies go out, and the end of the stream is the order to stop.

pub(super) mod confine;
pub(super) mod sandbox;
mod serve;

use crate::hsm::Epoch;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use serve::{Read, Wait};

use super::frame::{FrameError, Inbox, Outbox};
use super::message::{Hello, PROTOCOL, ToServer, ToWorker};
use super::pin::PinFrom;
use super::token::{Engine, Token};
use super::{Config, Fault, Job, Keyset, ProbeReport, Reply, StartFault};
use crate::telemetry::logs::{Filter, Logs, Sink};

/// Exit code: the token was lost after the start.
pub(super) const TOKEN_LOST: u8 = 3;
/// Exit code: could not start to work; the server was told why.
pub(super) const NOT_STARTED: u8 = 4;

/// Runs `panvault hsm-worker`, which `panvault serve` starts.
///
/// Exit codes: 0 after the server closed the socket and the module was finalized, 1 for a broken connection or a start
/// by hand, 3 for a lost token, 4 for a refused start.
pub fn main() -> ExitCode {
    let confined = confine::confine();
    // After the descriptors were sorted out, because the journal takes one.
    if let Err(error) = Filter::parse("info").and_then(|filter| Logs::start(filter, Sink::detect())) {
        eprintln!("panvault hsm-worker: {error}");
    }
    let (stream, server) = match confined {
        Ok(confined) => confined,
        Err(error) => {
            tracing::error!(%error, "hsm-worker cannot run");
            return ExitCode::FAILURE;
        }
    };
    match run::<Token>(
        stream,
        |config| {
            let pin = PinFrom::inherited(&config.pin)?;
            sandbox::enter(&config.address_families)?;
            Ok(pin)
        },
        || server.tie(),
    ) {
        Ok(Ending::Orderly) => ExitCode::SUCCESS,
        Ok(Ending::TokenLost) => ExitCode::from(TOKEN_LOST),
        Ok(Ending::NotStarted) => ExitCode::from(NOT_STARTED),
        Err(error) => {
            tracing::error!(%error, "hsm-worker lost its server");
            ExitCode::FAILURE
        }
    }
}

/// What a worker needs of a token, so that its loop can be tested without one.
pub(super) trait Module: Sized {
    /// One session.
    type Session: Session;

    /// As [`Token::start_with`].
    fn start(config: &Config, keyset: &Keyset, pin: PinFrom) -> Result<(Self, ProbeReport), StartFault>;

    /// As [`Token::engine`].
    fn session(&self) -> Result<Self::Session, StartFault>;

    /// As [`Token::finish`].
    fn finish(self);
}

/// One session of a [`Module`]; one thread owns it.
pub(super) trait Session: Send {
    /// As [`Engine::execute`].
    fn execute(&mut self, job: Job) -> Result<Reply, Fault>;

    /// As [`Engine::idle`].
    fn idle(&mut self) -> Result<bool, Fault>;

    /// As [`Engine::wraps`].
    fn wraps(&mut self) -> Vec<(Epoch, u32)>;
}

/// Why a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The token refused, or there is none.
    NotStarted,
    /// The server closed the stream.
    Orderly,
    /// The token works no more.
    TokenLost,
}

/// Why a worker cannot talk to its server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The server speaks something else.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message that does not belong here.
    #[error("a message came out of turn")]
    Order,
    /// The socket.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
}

/// Starts the module as the server's greeting says, after `greeted`, says so by `started`, then works until the stream ends.
pub(super) fn run<M: Module>(
    stream: UnixStream,
    greeted: impl FnOnce(&Config) -> std::io::Result<PinFrom>,
    started: impl FnOnce() -> std::io::Result<()>,
) -> Result<Ending, Broken> {
    let mut inbox = Inbox::new();
    let Some(hello) = greeting(&stream, &mut inbox)? else {
        return Ok(Ending::Orderly);
    };
    let ready = greeted(&hello.config)
        .map_err(|error| StartFault::Unavailable(format!("the worker cannot confine itself: {error}")));
    let mut outbox = Outbox::new();
    let (module, sessions) = match ready.and_then(|pin| start::<M>(&hello, pin)) {
        Ok((module, sessions, report)) => {
            started()?;
            serve::send(&stream, &mut outbox, &ToServer::Ready(report))?;
            (module, sessions)
        }
        Err(fault) => {
            tracing::error!(%fault, "hsm-worker cannot start");
            serve::send(&stream, &mut outbox, &ToServer::Failed(fault))?;
            return Ok(Ending::NotStarted);
        }
    };
    let ending = serve::serve(&stream, inbox, sessions);
    module.finish();
    ending
}

/// Waits for the server's first message; `None` when there will be none.
fn greeting(stream: &UnixStream, inbox: &mut Inbox) -> Result<Option<Hello>, Broken> {
    loop {
        match inbox.next::<ToWorker<Job>>()? {
            Some(ToWorker::Hello(hello)) => return Ok(Some(*hello)),
            Some(ToWorker::Jobs(_)) => return Err(Broken::Order),
            None => {}
        }
        match serve::read(stream, inbox, Wait::Heartbeat)? {
            Read::Bytes | Read::Nothing => {}
            Read::End => return Ok(None),
        }
    }
}

type Started<M> = (M, Vec<<M as Module>::Session>, ProbeReport);

fn start<M: Module>(hello: &Hello, pin: PinFrom) -> Result<Started<M>, StartFault> {
    if hello.protocol != PROTOCOL {
        return Err(StartFault::Unavailable(format!(
            "the program {} was replaced while the server ran ({PROTOCOL}, the server is {}): restart the server",
            hello.config.program.display(),
            hello.protocol
        )));
    }
    let (module, report) = M::start(&hello.config, &hello.keyset, pin)?;
    let sessions: Result<Vec<_>, _> = (0..hello.config.sessions.max(1)).map(|_| module.session()).collect();
    match sessions {
        Ok(sessions) => Ok((module, sessions, report)),
        Err(fault) => {
            module.finish();
            Err(fault)
        }
    }
}

impl Module for Token {
    type Session = Engine;

    fn start(config: &Config, keyset: &Keyset, pin: PinFrom) -> Result<(Self, ProbeReport), StartFault> {
        Self::start_with(config, keyset, pin)
    }

    fn session(&self) -> Result<Engine, StartFault> {
        self.engine()
    }

    fn finish(self) {
        self.finish();
    }
}

impl Session for Engine {
    fn execute(&mut self, job: Job) -> Result<Reply, Fault> {
        self.execute(job)
    }

    fn idle(&mut self) -> Result<bool, Fault> {
        self.idle()
    }

    fn wraps(&mut self) -> Vec<(Epoch, u32)> {
        self.wraps()
    }
}

#[cfg(test)]
mod tests;
