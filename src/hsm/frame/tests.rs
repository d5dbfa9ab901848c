use proptest::prelude::*;

use super::super::message::{JobId, ToServer, ToWorker};
use super::*;
use crate::hsm::{Fault, Job, Reply, SecretBytes};

fn feed(inbox: &mut Inbox, bytes: &[u8], step: usize) {
    for part in bytes.chunks(step) {
        let room = inbox.room();
        room[..part.len()].copy_from_slice(part);
        inbox.filled(part.len());
    }
}

fn random(id: u64, len: u16) -> (JobId, Job) {
    (JobId(id), Job::Random { len })
}

#[test]
fn messages_come_back_whole_however_the_bytes_arrive() {
    for step in [1, 3, 7, 1000, READ] {
        let mut out = Outbox::new();
        out.push(&ToWorker::Jobs(vec![random(1, 16), random(2, 32)])).unwrap();
        out.push(&ToWorker::Jobs(vec![random(300, 8)])).unwrap();
        let mut inbox = Inbox::new();
        let mut ids = Vec::new();
        for part in out.bytes().chunks(step) {
            feed(&mut inbox, part, step);
            while let Some(ToWorker::Jobs(jobs)) = inbox.next::<ToWorker<Job>>().unwrap() {
                ids.extend(jobs.into_iter().map(|(id, _)| id.0));
            }
        }
        assert_eq!(ids, [1, 2, 300]);
        assert!(!inbox.partial());
    }
}

#[test]
fn buffers_grow_for_a_large_frame_and_shrink_after_it() {
    let big = ToServer::Replies(vec![(
        JobId(9),
        Ok(Reply::Open(vec![SecretBytes::new(vec![7; 3 << 20])])),
    )]);
    let mut out = Outbox::new();
    out.push(&big).unwrap();
    let mut inbox = Inbox::new();
    feed(&mut inbox, out.bytes(), READ);
    let Some(ToServer::Replies(replies)) = inbox.next().unwrap() else {
        panic!("no replies")
    };
    assert!(
        matches!(&replies[0].1, Ok(Reply::Open(parts)) if parts[0].expose().len() == 3 << 20 && parts[0].expose().iter().all(|b| *b == 7))
    );
    assert_eq!(inbox.buf.len(), READ);
    out.clear();
    assert!(out.buf.capacity() <= KEEP);
}

#[test]
fn nothing_readable_stays_in_a_buffer_after_use() {
    let secret = ToServer::Replies(vec![(
        JobId(1),
        Ok(Reply::Open(vec![SecretBytes::new(vec![0xA5; 64])])),
    )]);
    let mut out = Outbox::new();
    out.push(&secret).unwrap();
    let mut inbox = Inbox::new();
    feed(&mut inbox, out.bytes(), READ);
    drop(inbox.next::<ToServer>().unwrap());
    assert!(!inbox.buf.contains(&0xA5));
}

#[test]
fn a_message_over_the_limit_is_refused_and_leaves_the_rest_alone() {
    let mut out = Outbox::new();
    out.push(&ToWorker::Jobs(vec![random(1, 16)])).unwrap();
    let before = out.bytes().to_vec();
    let message = ToWorker::Jobs(vec![(
        JobId(2),
        Job::Sign {
            generation: crate::hsm::Generation::FIRST,
            message: vec![1; MAX_FRAME],
        },
    )]);
    assert_eq!(out.push(&message), Err(FrameError::TooLong));
    assert_eq!(out.bytes(), before);
}

#[test]
fn a_length_over_the_limit_ends_it() {
    let mut inbox = Inbox::new();
    feed(&mut inbox, &u32::MAX.to_be_bytes(), 4);
    assert_eq!(inbox.next::<ToServer>().unwrap_err(), FrameError::TooLong);
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut inbox = Inbox::new();
    feed(&mut inbox, &u32::try_from(MAX_FRAME).unwrap().to_be_bytes(), 4);
    assert!(inbox.next::<ToServer>().unwrap().is_none());
    inbox.room();
    assert!(inbox.buf.len() <= 2 * READ);
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..4096), step in 1usize..512) {
        let mut inbox = Inbox::new();
        feed(&mut inbox, &bytes, step);
        while let Ok(Some(_)) = inbox.next::<ToWorker<Job>>() {}
        prop_assert!(inbox.buf.len() <= 4 * READ);
    }

    #[test]
    fn any_body_is_a_message_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(&body);
        let mut inbox = Inbox::new();
        feed(&mut inbox, &bytes, READ);
        match inbox.next::<ToServer>() {
            Ok(message) => prop_assert!(message.is_some()),
            Err(error) => prop_assert_eq!(error, FrameError::Malformed),
        }
        prop_assert!(!inbox.partial());
    }

    #[test]
    fn every_reply_survives_the_way(id in any::<u64>(), random in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,40}") {
        let mut out = Outbox::new();
        out.push(&ToServer::Replies(vec![
            (JobId(id), Ok(Reply::Random(random.clone()))),
            (JobId(id), Err(Fault::Token(text.clone()))),
        ])).unwrap();
        let mut inbox = Inbox::new();
        feed(&mut inbox, out.bytes(), 100);
        let Some(ToServer::Replies(replies)) = inbox.next().unwrap() else { panic!("no replies") };
        prop_assert!(matches!(&replies[0], (JobId(i), Ok(Reply::Random(r))) if *i == id && *r == random));
        prop_assert!(matches!(&replies[1], (_, Err(Fault::Token(t))) if *t == text));
    }
}
