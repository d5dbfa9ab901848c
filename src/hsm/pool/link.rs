//! The server's end of one worker's socket: a task that writes jobs and a task that reads replies.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::dispatch::Dispatch;
use super::lanes::Outgoing;
use super::{Event, WorkerId};
use crate::hsm::frame::{FrameError, Inbox, Outbox};
use crate::hsm::message::{Hello, JobId, ToServer, ToWorker};
use crate::hsm::{Fault, Job, Reply};

/// The most jobs in one frame.
const BATCH: usize = 64;

/// Why the connection to a worker ended, where it was not the worker's end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message came out of turn")]
    Order,
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Tells the supervisor that the connection ended, however it did.
struct Gone {
    id: WorkerId,
    events: Sender<Event>,
}

/// Greets a worker and starts its two tasks. Jobs may be put into the queue at once; they belong there only after
/// [`Event::Ready`]. Dropping the queue closes the socket to the worker, which is its order to end.
pub(super) fn connect(
    runtime: &Handle,
    stream: StdStream,
    id: WorkerId,
    hello: &Arc<Hello>,
    dispatch: &Arc<Dispatch>,
    events: &Sender<Event>,
) -> io::Result<Outgoing> {
    stream.set_nonblocking(true)?;
    let stream = {
        let _context = runtime.enter();
        UnixStream::from_std(stream)?
    };
    let (reader, writer) = stream.into_split();
    let (outgoing, queue) = mpsc::unbounded_channel();
    let gone = Gone {
        id,
        events: events.clone(),
    };
    let (hello, jobs) = (Arc::clone(hello), Arc::clone(dispatch));
    runtime.spawn(async move {
        if let Err(error) = write(writer, &hello, id, &jobs, queue).await {
            tracing::debug!(worker = id.0, %error, "jobs can no longer be sent to an HSM worker");
        }
    });
    let dispatch = Arc::clone(dispatch);
    runtime.spawn(async move {
        if let Err(error) = read(reader, &gone, &dispatch).await {
            tracing::debug!(worker = id.0, %error, "the connection to an HSM worker broke");
        }
    });
    Ok(outgoing)
}

async fn write(
    mut to: OwnedWriteHalf,
    hello: &Hello,
    id: WorkerId,
    dispatch: &Dispatch,
    mut queue: mpsc::UnboundedReceiver<(JobId, Arc<Job>)>,
) -> Result<(), Broken> {
    let mut outbox = Outbox::new();
    outbox.push(&ToWorker::<Job>::Hello(Box::new(hello.clone())))?;
    flush(&mut to, &mut outbox).await?;
    let mut jobs = Vec::with_capacity(BATCH);
    let mut refused = Vec::new();
    while let Some(first) = queue.recv().await {
        jobs.push(first);
        // Lets callers that are ready put their jobs into the same frame.
        tokio::task::yield_now().await;
        while jobs.len() < BATCH
            && let Ok(next) = queue.try_recv()
        {
            jobs.push(next);
        }
        pack(&mut outbox, &jobs, &mut refused);
        jobs.clear();
        flush(&mut to, &mut outbox).await?;
        if !refused.is_empty() {
            dispatch.answered(id, std::mem::take(&mut refused));
        }
    }
    Ok(())
}

/// One frame, or two of half as many jobs where they do not fit. A job that fits in none is refused.
fn pack(outbox: &mut Outbox, jobs: &[(JobId, Arc<Job>)], refused: &mut Vec<(JobId, Result<Reply, Fault>)>) {
    let message = ToWorker::Jobs(jobs.iter().map(|(id, job)| (*id, &**job)).collect());
    match (outbox.push(&message), jobs) {
        (Ok(()), _) | (Err(_), []) => {}
        (Err(error), [(id, _)]) => refused.push((*id, Err(Fault::Malformed(error.to_string())))),
        (Err(_), jobs) => {
            let (first, second) = jobs.split_at(jobs.len() / 2);
            pack(outbox, first, refused);
            pack(outbox, second, refused);
        }
    }
}

async fn flush(to: &mut OwnedWriteHalf, outbox: &mut Outbox) -> io::Result<()> {
    let sent = to.write_all(outbox.bytes()).await;
    outbox.clear();
    sent
}

async fn read(mut from: OwnedReadHalf, gone: &Gone, dispatch: &Dispatch) -> Result<(), Broken> {
    let mut inbox = Inbox::new();
    let mut ready = false;
    loop {
        while let Some(message) = inbox.next::<ToServer>()? {
            match message {
                ToServer::Ready(report) if !ready => {
                    ready = true;
                    gone.tell(Event::Ready(gone.id, report));
                }
                ToServer::Failed(fault) if !ready => gone.tell(Event::Failed(gone.id, fault)),
                ToServer::Heartbeat if ready => dispatch.heard(gone.id),
                ToServer::Replies(replies) if ready => dispatch.answered(gone.id, replies),
                ToServer::Wrapped(more) if ready => dispatch.wrapped(&more),
                ToServer::Ready(_)
                | ToServer::Failed(_)
                | ToServer::Heartbeat
                | ToServer::Replies(_)
                | ToServer::Wrapped(_) => {
                    return Err(Broken::Order);
                }
            }
        }
        match from.read(inbox.room()).await? {
            0 => return Ok(()),
            n => inbox.filled(n),
        }
    }
}

impl Gone {
    fn tell(&self, event: Event) {
        // Fails when the supervisor ended, and then nobody needs to know.
        let _ = self.events.send(event);
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.tell(Event::Gone(self.id));
    }
}
