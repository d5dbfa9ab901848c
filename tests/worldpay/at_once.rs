//! Many at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use serde_json::{Value, json};

use super::bodies::{HOLDER, bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply};
use super::support::daemon::Daemon;

/// Sends all of them at once; the answers in the same order.
fn at_once(account: &Account<'_>, requests: &[(&str, String, Value)]) -> Vec<Reply> {
    let start = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let running: Vec<_> = requests
            .iter()
            .map(|(method, place, body)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    account.call(method, place, body)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn created(account: &Account<'_>, bodies: &[Value]) -> Vec<Reply> {
    let requests: Vec<_> = bodies
        .iter()
        .map(|body| ("POST", "/tokens".to_owned(), body.clone()))
        .collect();
    at_once(account, &requests)
}

pub(crate) fn first_creates(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let numbers: Vec<String> = (0..40).map(|_| card_number()).collect();
    let bodies: Vec<Value> = (0..320).map(|at| full(&numbers[at % 40])).collect();
    let replies = created(&account, &bodies);
    let mut by_status = BTreeMap::new();
    for reply in &replies {
        *by_status.entry(reply.status).or_insert(0) += 1;
    }
    assert_eq!(by_status, BTreeMap::from([(201, 40), (200, 280)]));
    let mut tokens = BTreeSet::new();
    for (at, number) in numbers.iter().enumerate() {
        let own: Vec<&Reply> = replies.iter().skip(at).step_by(40).collect();
        assert_eq!(own.iter().filter(|reply| reply.status == 201).count(), 1, "{number}");
        let texts: BTreeSet<&str> = own.iter().map(|reply| reply.text.as_str()).collect();
        assert_eq!(texts.len(), 1, "one card, and different answers: {texts:?}");
        assert!(tokens.insert(own[0].href()), "two cards and one token");
        assert_eq!(account.get(&own[0].href()).text, own[0].text);
    }
    assert_eq!(tokens.len(), 40);
    daemon.run(&["audit", "verify"], 0);
}

pub(crate) fn one_namespace(daemon: &Daemon) {
    let account = Account::dev(daemon);
    for cards in [17, 20, 32] {
        let name = fresh("crowd-");
        let numbers: Vec<String> = (0..cards).map(|_| card_number()).collect();
        let bodies: Vec<Value> = (0..32)
            .map(|at| with(bare(&numbers[at % cards]), "/namespace", json!(name)))
            .collect();
        let replies = created(&account, &bodies);
        let made: BTreeSet<String> = replies
            .iter()
            .filter(|reply| reply.status == 201)
            .map(Reply::href)
            .collect();
        assert_eq!(made.len(), 16, "{cards} cards");
        assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 16);
        for reply in &replies {
            match reply.status {
                200 | 201 => assert!(made.contains(&reply.href())),
                _ => reply.refused(403, "tooManyTokensForNamespace"),
            }
        }
        let listed = account.get(&format!("/tokens?namespace={name}"));
        let listed = listed.at("/_embedded/tokens").as_array().unwrap().clone();
        let hrefs: BTreeSet<String> = listed
            .iter()
            .map(|token| token["tokenPaymentInstrument"]["href"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!((listed.len(), hrefs), (16, made));
    }
}

/// Creates that do not agree: one is stored, the others are in conflict with it.
pub(crate) fn different_names(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let number = card_number();
    let bodies: Vec<Value> = (0..32)
        .map(|at| with(full(&number), HOLDER, json!(format!("Holder {at}"))))
        .collect();
    let replies = created(&account, &bodies);
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(made.len(), 1);
    let mut links = BTreeSet::new();
    for (body, reply) in bodies.iter().zip(&replies) {
        assert_eq!(reply.href(), made[0].href());
        assert_eq!(reply.at(HOLDER), made[0].at(HOLDER));
        if reply.status != 201 {
            reply.is(409);
            let asked = body.pointer(HOLDER).unwrap();
            assert_eq!(
                reply.at("/conflicts/paymentInstrument"),
                &json!({"cardHolderName": asked})
            );
            links.insert(reply.link("tokens:conflicts"));
        }
    }
    assert_eq!(links.len(), 31);
    // a conflict is taken over once, by whoever is first
    let link = links.first().unwrap().clone();
    let puts: Vec<_> = (0..8).map(|_| ("PUT", link.clone(), Value::Null)).collect();
    let done = at_once(&account, &puts);
    assert_eq!(done.iter().filter(|reply| reply.status == 204).count(), 1);
    for reply in done.iter().filter(|reply| reply.status != 204) {
        reply.refused(404, "resourceNotFound");
    }
}

/// No more than fifty updates, and each that was taken counts.
pub(crate) fn updates(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let made = account.made(&full(&card_number()));
    let link = made.link("tokens:description");
    let puts: Vec<_> = (0..64)
        .map(|at| ("PUT", link.clone(), json!(format!("new {at}"))))
        .collect();
    let replies = at_once(&account, &puts);
    assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 50);
    for reply in replies.iter().filter(|reply| reply.status != 204) {
        reply.refused(429, "maximumUpdatesExceeded");
    }
    let kept = account.get(&made.href());
    assert!(kept.at("/description").as_str().unwrap().starts_with("new "));
    // a deletion is done once
    let deletes: Vec<_> = (0..8).map(|_| ("DELETE", made.href(), Value::Null)).collect();
    let replies = at_once(&account, &deletes);
    assert_eq!(replies.iter().filter(|reply| reply.status == 204).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 404).count(), 7);
}
