//! A worker's loop: read all frames that wait, do the jobs, answer each.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::{Broken, Ending, Session};
use crate::hsm::frame::{Inbox, Outbox};
use crate::hsm::message::{JobId, ToServer, ToWorker};
use crate::hsm::{Fault, Job};

/// How often an idle worker says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// At least one byte.
    Bytes,
    /// The peer sends no more.
    End,
    /// Nothing in the time allowed.
    Nothing,
}

/// How long a read waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until the next heartbeat is due.
    Heartbeat,
    /// Not at all.
    No,
}

/// Works until the server closes the stream or the token is lost. All sessions are closed on return.
pub(super) fn serve<S: Session>(stream: &UnixStream, inbox: Inbox, mut sessions: Vec<S>) -> Result<Ending, Broken> {
    stream.set_read_timeout(Some(HEARTBEAT))?;
    match sessions.pop() {
        Some(session) if sessions.is_empty() => serve_alone(stream, inbox, session),
        last => {
            sessions.extend(last);
            serve_many(stream, inbox, sessions)
        }
    }
}

/// Reads once.
pub(super) fn read(stream: &UnixStream, inbox: &mut Inbox, wait: Wait) -> io::Result<Read> {
    let flags = match wait {
        Wait::Heartbeat => MsgFlags::empty(),
        Wait::No => MsgFlags::MSG_DONTWAIT,
    };
    match recv(stream.as_raw_fd(), inbox.room(), flags) {
        Ok(0) if inbox.partial() => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(0) => Ok(Read::End),
        Ok(n) => {
            inbox.filled(n);
            Ok(Read::Bytes)
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(Read::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Sends one message.
pub(super) fn send(mut stream: &UnixStream, outbox: &mut Outbox, message: &ToServer) -> Result<(), Broken> {
    outbox.push(message)?;
    let sent = stream.write_all(outbox.bytes());
    outbox.clear();
    Ok(sent?)
}

/// Before the answer that they belong to, so that none is answered that is not counted.
fn tell_wraps<S: Session>(stream: &UnixStream, outbox: &mut Outbox, session: &mut S) -> Result<(), Broken> {
    match session.wraps() {
        none if none.is_empty() => Ok(()),
        some => send(stream, outbox, &ToServer::Wrapped(some)),
    }
}

/// One session: one thread does everything, which is what a token that serialises inside a process likes best.
fn serve_alone<S: Session>(stream: &UnixStream, mut inbox: Inbox, mut session: S) -> Result<Ending, Broken> {
    let mut outbox = Outbox::new();
    loop {
        while let Some(jobs) = jobs(&mut inbox)? {
            for (id, job) in jobs {
                let answer = session.execute(job);
                let lost = matches!(answer, Err(Fault::Token(_)));
                tell_wraps(stream, &mut outbox, &mut session)?;
                // At once: an answer must not wait behind a job that may hang.
                send(stream, &mut outbox, &ToServer::Replies(vec![(id, answer)]))?;
                if lost {
                    return Ok(Ending::TokenLost);
                }
            }
        }
        let mut got = read(stream, &mut inbox, Wait::No)?;
        while got == Read::Nothing {
            let idle = session.idle();
            tell_wraps(stream, &mut outbox, &mut session)?;
            match idle {
                Ok(true) => got = read(stream, &mut inbox, Wait::No)?,
                Ok(false) => break,
                Err(fault) => return Ok(idle_fault(&fault)),
            }
        }
        if got == Read::Nothing {
            got = read(stream, &mut inbox, Wait::Heartbeat)?;
        }
        match got {
            Read::Bytes => {}
            Read::Nothing => send(stream, &mut outbox, &ToServer::Heartbeat)?,
            Read::End => return Ok(Ending::Orderly),
        }
    }
}

/// Several sessions: a thread for each behind this one, which reads. For a network HSM, where a call is a round trip.
fn serve_many<S: Session>(stream: &UnixStream, mut inbox: Inbox, sessions: Vec<S>) -> Result<Ending, Broken> {
    let (queue, waiting) = sync_channel(sessions.len() * 2);
    // Only the session threads own it: when all have ended, handing out fails instead of waiting for ever.
    let waiting = Arc::new(Mutex::new(waiting));
    let outbox = Mutex::new(Outbox::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| {
                let (waiting, outbox) = (Arc::clone(&waiting), &outbox);
                scope.spawn(move || work(stream, &waiting, outbox, session))
            })
            .collect();
        drop(waiting);
        let read = read_for_many(stream, &mut inbox, &queue, &outbox);
        drop(queue);
        // Joins all, and only then looks: a thread that was lost must not leave others behind.
        let ends: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        if ends.iter().any(|end| matches!(end, Ok(Ending::TokenLost))) {
            return Ok(Ending::TokenLost);
        }
        read.map(|()| Ending::Orderly)
    })
}

fn read_for_many(
    stream: &UnixStream,
    inbox: &mut Inbox,
    queue: &SyncSender<(JobId, Job)>,
    outbox: &Mutex<Outbox>,
) -> Result<(), Broken> {
    loop {
        while let Some(jobs) = jobs(inbox)? {
            for job in jobs {
                if queue.send(job).is_err() {
                    return Ok(());
                }
            }
        }
        match read(stream, inbox, Wait::Heartbeat)? {
            Read::Bytes => {}
            Read::Nothing => send(stream, &mut lock(outbox), &ToServer::Heartbeat)?,
            Read::End => return Ok(()),
        }
    }
}

/// A session thread: ends when the queue does, the token is lost, or nobody takes its answers.
fn work<S: Session>(
    stream: &UnixStream,
    waiting: &Mutex<Receiver<(JobId, Job)>>,
    outbox: &Mutex<Outbox>,
    mut session: S,
) -> Ending {
    let ending = loop {
        let (id, job) = match next_job(stream, waiting, outbox, &mut session) {
            Ok(Some(job)) => job,
            Ok(None) => return Ending::Orderly,
            Err(fault) => break idle_fault(&fault),
        };
        let answer = session.execute(job);
        let lost = matches!(answer, Err(Fault::Token(_)));
        let mut to = lock(outbox);
        let sent = tell_wraps(stream, &mut to, &mut session)
            .and_then(|()| send(stream, &mut to, &ToServer::Replies(vec![(id, answer)])));
        drop(to);
        if lost {
            break Ending::TokenLost;
        }
        if let Err(error) = sent {
            tracing::warn!(%error, "an answer could not be sent");
            break Ending::Orderly;
        }
    };
    // Wakes the reading thread: this worker is of no more use.
    if let Err(error) = stream.shutdown(Shutdown::Read) {
        tracing::warn!(%error, "the socket could not be shut");
    }
    ending
}

/// Waits for a job; the time until it comes goes to work that no caller waits for. `None`: no more will come.
fn next_job<S: Session>(
    stream: &UnixStream,
    waiting: &Mutex<Receiver<(JobId, Job)>>,
    outbox: &Mutex<Outbox>,
    session: &mut S,
) -> Result<Option<(JobId, Job)>, Fault> {
    loop {
        // Where another thread has the lock, it waits for a job: there is none.
        if let Ok(queue) = waiting.try_lock() {
            match queue.try_recv() {
                Ok(job) => return Ok(Some(job)),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        let idle = session.idle()?;
        // A socket that takes nothing any more is found out by the next answer.
        let _ = tell_wraps(stream, &mut lock(outbox), session);
        if !idle {
            return Ok(waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok());
        }
    }
}

fn idle_fault(fault: &Fault) -> Ending {
    tracing::error!(%fault, "the HSM failed while no job was at work");
    Ending::TokenLost
}

fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn jobs(inbox: &mut Inbox) -> Result<Option<Vec<(JobId, Job)>>, Broken> {
    match inbox.next::<ToWorker<Job>>()? {
        Some(ToWorker::Jobs(jobs)) => Ok(Some(jobs)),
        Some(ToWorker::Hello(_)) => Err(Broken::Order),
        None => Ok(None),
    }
}
