use std::io::Write;
use std::os::unix::net::UnixStream;

use super::*;
use crate::hsm::message::JobId;
use crate::hsm::pool::fake::{Rules, config, keyset};

struct Server {
    stream: UnixStream,
    inbox: Inbox,
    worker: std::thread::JoinHandle<Result<Ending, Broken>>,
}

impl Server {
    fn new() -> Self {
        let (stream, theirs) = UnixStream::pair().unwrap();
        Self {
            stream,
            inbox: Inbox::new(),
            worker: std::thread::spawn(move || run::<Rules>(theirs, |_| Ok(PinFrom::Configured), || Ok(()))),
        }
    }

    fn send(&self, message: &ToWorker<Job>) {
        let mut outbox = Outbox::new();
        outbox.push(message).unwrap();
        (&self.stream).write_all(outbox.bytes()).unwrap();
    }

    fn hello(&self, protocol: &str, sessions: usize) {
        let config = Config { sessions, ..config(1) };
        self.send(&ToWorker::Hello(Box::new(Hello {
            protocol: protocol.to_owned(),
            config,
            keyset: keyset(),
        })));
    }

    fn receive(&mut self) -> Option<ToServer> {
        loop {
            if let Some(message) = self.inbox.next().unwrap() {
                return Some(message);
            }
            if serve::read(&self.stream, &mut self.inbox, Wait::Heartbeat).unwrap() == Read::End {
                return None;
            }
        }
    }

    fn end(self) -> Result<Ending, Broken> {
        drop(self.stream);
        self.worker.join().unwrap()
    }
}

fn random(id: u64) -> (JobId, Job) {
    (JobId(id), Job::Random { len: 1 })
}

fn sign(id: u64, message: &[u8]) -> (JobId, Job) {
    (
        JobId(id),
        Job::Sign {
            generation: crate::hsm::Generation::FIRST,
            message: message.to_vec(),
        },
    )
}

#[test]
fn the_end_of_the_stream_comes_after_the_answers() {
    for sessions in [1, 3] {
        let mut server = Server::new();
        server.hello(PROTOCOL, sessions);
        assert!(matches!(server.receive(), Some(ToServer::Ready(_))));
        server.send(&ToWorker::Jobs((0..40).map(random).collect()));
        server.send(&ToWorker::Jobs((40..50).map(random).collect()));
        server.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut ids = Vec::new();
        while let Some(ToServer::Replies(replies)) = server.receive() {
            ids.extend(replies.into_iter().map(|(id, _)| id.0));
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..50).collect::<Vec<_>>());
        assert_eq!(server.end().unwrap(), Ending::Orderly);
    }
}

#[test]
fn a_lost_token_is_answered_and_ends_the_worker() {
    for sessions in [1, 2] {
        let mut server = Server::new();
        server.hello(PROTOCOL, sessions);
        assert!(matches!(server.receive(), Some(ToServer::Ready(_))));
        // More than the queue between the threads holds.
        let jobs = std::iter::repeat_with(|| sign(1, b"lost")).take(64).collect();
        server.send(&ToWorker::Jobs(jobs));
        let Some(ToServer::Replies(replies)) = server.receive() else {
            panic!("no answer")
        };
        assert!(matches!(replies[0], (JobId(1), Err(Fault::Token(_)))));
        assert_eq!(server.worker.join().unwrap().unwrap(), Ending::TokenLost);
    }
}

#[test]
fn an_idle_worker_says_that_it_lives() {
    for sessions in [1, 2] {
        let mut server = Server::new();
        server.hello(PROTOCOL, sessions);
        assert!(matches!(server.receive(), Some(ToServer::Ready(_))));
        assert!(matches!(server.receive(), Some(ToServer::Heartbeat)));
        assert_eq!(server.end().unwrap(), Ending::Orderly);
    }
}

#[test]
fn work_that_nobody_waits_for_is_done_between_jobs() {
    let mut server = Server::new();
    server.hello(PROTOCOL, 1);
    assert!(matches!(server.receive(), Some(ToServer::Ready(_))));
    server.send(&ToWorker::Jobs(vec![sign(1, b"leave work")]));
    assert!(matches!(server.receive(), Some(ToServer::Replies(_))));
    // A heartbeat later there was time.
    assert!(matches!(server.receive(), Some(ToServer::Heartbeat)));
    server.send(&ToWorker::Jobs(vec![sign(2, b"work left?")]));
    let Some(ToServer::Replies(replies)) = server.receive() else {
        panic!("no answer")
    };
    assert!(
        matches!(&replies[0].1, Ok(Reply::Sign(left)) if *left == [0]),
        "{replies:?}"
    );
    assert_eq!(server.end().unwrap(), Ending::Orderly);
}

#[test]
fn a_token_that_fails_between_jobs_ends_the_worker() {
    for sessions in [1, 2] {
        let mut server = Server::new();
        server.hello(PROTOCOL, sessions);
        assert!(matches!(server.receive(), Some(ToServer::Ready(_))));
        server.send(&ToWorker::Jobs(vec![sign(1, b"leave rot")]));
        assert!(matches!(server.receive(), Some(ToServer::Replies(_))));
        assert_eq!(server.worker.join().unwrap().unwrap(), Ending::TokenLost);
    }
}

#[test]
fn a_server_that_never_speaks_is_left_in_order() {
    assert_eq!(Server::new().end().unwrap(), Ending::Orderly);
}

#[test]
fn another_protocol_is_refused_with_a_reason() {
    let mut server = Server::new();
    server.hello("0.0.0/0", 1);
    let Some(ToServer::Failed(StartFault::Unavailable(text))) = server.receive() else {
        panic!("not refused")
    };
    assert!(text.contains("restart the server"), "{text}");
    assert_eq!(server.end().unwrap(), Ending::NotStarted);
}

#[test]
fn nonsense_and_disorder_end_the_worker() {
    let server = Server::new();
    server.send(&ToWorker::Jobs(vec![random(1)]));
    assert!(matches!(server.end(), Err(Broken::Order)));

    let server = Server::new();
    (&server.stream).write_all(&[0, 0, 0, 3, 9, 9, 9]).unwrap();
    assert!(matches!(server.end(), Err(Broken::Frame(FrameError::Malformed))));

    let server = Server::new();
    (&server.stream).write_all(&[0, 0]).unwrap();
    assert!(matches!(server.end(), Err(Broken::Socket(_))));
}

#[test]
fn a_keyset_crosses_whole() {
    let hello = Hello {
        protocol: PROTOCOL.to_owned(),
        config: config(2),
        keyset: keyset(),
    };
    let mut outbox = Outbox::new();
    outbox.push(&ToWorker::<Job>::Hello(Box::new(hello.clone()))).unwrap();
    let mut inbox = Inbox::new();
    inbox.room()[..outbox.bytes().len()].copy_from_slice(outbox.bytes());
    inbox.filled(outbox.bytes().len());
    let Some(ToWorker::Hello(back)) = inbox.next::<ToWorker<Job>>().unwrap() else {
        panic!("no greeting")
    };
    assert_eq!((back.config, back.keyset), (hello.config, hello.keyset));
}
