//! An epoch wraps a limited number of data keys, and a crash makes it forget none.

use serde_json::json;

use crate::status;
use crate::support::daemon::{Daemon, VISA, card};

const MAX: u64 = 1_000;

fn batch(daemon: &Daemon, count: usize) -> Vec<u64> {
    let items = vec![json!({ "card": card(VISA) }); count];
    let answer = daemon.call("POST", "/v1/tokens/batch", &json!({ "items": items }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["status"].as_u64().unwrap()).collect()
}

#[test]
fn an_epoch_that_has_sealed_enough_opens_and_does_not_seal() {
    let mut daemon = Daemon::start_with("keys.kek_max_ops = 1000");
    let token = daemon.tokenize(VISA)["token"].as_str().unwrap().to_owned();
    let mut made = 1;
    let ops = |daemon: &Daemon| status(daemon)["epochs"][0]["ops"].as_u64().unwrap();
    let first = ops(&daemon);
    assert!(first >= made, "{first}");
    // a crash counts too many, up to a block and what those on their way may have been repeated, and never too few
    let repeats = 20 * 3 + 4;
    for _ in 0..5 {
        let before = ops(&daemon);
        assert!(batch(&daemon, 20).iter().all(|status| *status == 201));
        made += 20;
        daemon.kill();
        daemon.up();
        let after = ops(&daemon);
        assert!(
            (before + 20..=before + 20 + MAX / 100 + MAX / 200 + repeats).contains(&after),
            "{before} {after}"
        );
    }
    assert!(ops(&daemon) >= made);
    // a stop counts right
    let before = ops(&daemon);
    daemon.stop();
    daemon.up();
    assert_eq!(ops(&daemon), before);
    assert_eq!(daemon.metric("panvault_kek_max_ops"), 1_000.0);

    // people are told before it is over
    let left = usize::try_from(MAX - before).unwrap();
    assert!(batch(&daemon, left - 50).iter().all(|status| *status == 201));
    daemon.wait(std::time::Duration::from_secs(10), "the warning", || {
        daemon.log().contains("nine tenths of the data keys")
    });
    let left = 50;
    let statuses = batch(&daemon, left + 10);
    let count = |wanted: u64| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(201), count(503)), (left, 10), "{statuses:?}");
    daemon.wait(std::time::Duration::from_secs(10), "the figures", || {
        daemon.metric("panvault_kek_ops") == 1_000.0 && daemon.log().contains("as many data keys as it may")
    });
    let screen = daemon.run(&["status"], 0);
    assert!(
        screen.contains("NOTHING IS SEALED: KEK epoch 1 has wrapped 1000"),
        "{screen}"
    );

    assert_eq!(daemon.reveal(&token).json()["card"]["number"], VISA);
    let refused = daemon.call("POST", "/v1/tokens", &json!({ "card": card(VISA) }));
    assert_eq!(refused.status, 503, "{}", refused.text());
    let screen = daemon.run(&["key", "status"], 0);
    assert!(screen.contains("up to 1000 data keys"), "{screen}");
    daemon.run(&["key", "rotate"], 0);
    assert_eq!(daemon.tokenize(VISA)["last4"], "1111");
}
