//! A worker's loop: read all frames that wait, do the jobs, answer each.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Broken, Ending, Session};
use crate::hsm::frame::{Inbox, Outbox};
use crate::hsm::message::{JobId, ToServer, ToWorker};
use crate::hsm::{Fault, Job};

/// How often an idle worker says that it lives.
pub(in crate::hsm) const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a read brought.
pub(super) enum Read {
    /// At least one byte.
    Bytes,
    /// The peer sends no more.
    End,
    /// Nothing in the time allowed.
    Nothing,
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
pub(super) fn read(stream: &mut &UnixStream, inbox: &mut Inbox) -> io::Result<Read> {
    match stream.read(inbox.room()) {
        Ok(0) if inbox.partial() => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(0) => Ok(Read::End),
        Ok(n) => {
            inbox.filled(n);
            Ok(Read::Bytes)
        }
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(Read::Nothing),
            _ => Err(error),
        },
    }
}

/// Sends one message.
pub(super) fn send(mut stream: &UnixStream, outbox: &mut Outbox, message: &ToServer) -> Result<(), Broken> {
    outbox.push(message)?;
    let sent = stream.write_all(outbox.bytes());
    outbox.clear();
    Ok(sent?)
}

/// One session: one thread does everything, which is what a token that serialises inside a process likes best.
fn serve_alone<S: Session>(mut stream: &UnixStream, mut inbox: Inbox, mut session: S) -> Result<Ending, Broken> {
    let mut outbox = Outbox::new();
    loop {
        while let Some(jobs) = jobs(&mut inbox)? {
            for (id, job) in jobs {
                let answer = session.execute(job);
                let lost = matches!(answer, Err(Fault::Token(_)));
                // At once: an answer must not wait behind a job that may hang.
                send(stream, &mut outbox, &ToServer::Replies(vec![(id, answer)]))?;
                if lost {
                    return Ok(Ending::TokenLost);
                }
            }
        }
        match read(&mut stream, &mut inbox)? {
            Read::Bytes => {}
            Read::Nothing => send(stream, &mut outbox, &ToServer::Heartbeat)?,
            Read::End => return Ok(Ending::Orderly),
        }
    }
}

/// Several sessions: a thread for each behind this one, which reads. For a network HSM, where a call is a round trip.
fn serve_many<S: Session>(mut stream: &UnixStream, mut inbox: Inbox, sessions: Vec<S>) -> Result<Ending, Broken> {
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
        let read = read_for_many(&mut stream, &mut inbox, &queue, &outbox);
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
    stream: &mut &UnixStream,
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
        match read(stream, inbox)? {
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
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((id, job)) = next else {
            return Ending::Orderly;
        };
        let answer = session.execute(job);
        let lost = matches!(answer, Err(Fault::Token(_)));
        let sent = send(stream, &mut lock(outbox), &ToServer::Replies(vec![(id, answer)]));
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
