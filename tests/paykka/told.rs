//! What merchants are told: signed, in order, again and again, and never lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::{Shop, fresh};
use crate::receiver::Receiver;
use crate::support::daemon::{Daemon, VISA};
use crate::support::http;

fn start(place: &std::path::Path) -> (Receiver, Daemon) {
    start_with(place, "")
}

fn start_with(place: &std::path::Path, more: &str) -> (Receiver, Daemon) {
    let receiver = Receiver::start(place);
    let settings = format!(
        "paykka.notify_hosts = {{TEST_paykka = [\"localhost:{}\"]}}\npaykka.ca_file = \"{}\"\npaykka.timeout_ms = 2000\n{more}",
        receiver.port,
        place.join("ca.pem").display()
    );
    (receiver, Daemon::start_with(&settings))
}

fn pay(shop: &Shop<'_>, receiver: &Receiver) -> Value {
    shop.data(
        "/v3/payment/acq",
        json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "8715",
            "notify_url": format!("https://localhost:{}/hook/paykka?shop=1", receiver.port),
            "payment": {"card_no": VISA, "exp_month": "08", "exp_year": "2035", "cvv": "100"}}),
    )
}

/// Waits until so many came, and gives their bodies.
fn bodies(daemon: &Daemon, receiver: &Receiver, count: usize) -> Vec<Value> {
    daemon.wait(Duration::from_secs(40), "notifications", || {
        receiver.told().len() >= count
    });
    let told = receiver.told();
    told.iter()
        .map(|one| serde_json::from_str(one["body"].as_str().unwrap()).unwrap())
        .collect()
}

pub(crate) fn in_order_and_signed() {
    let place = tempfile::tempdir().unwrap();
    let (receiver, daemon) = start(place.path());
    let shop = Shop::of(&daemon);
    let paid = pay(&shop, &receiver);
    let refund = |amount: u32| {
        shop.data(
            "/v3/payment/acq/refund",
            json!({"refund_trans_id": fresh("refund"), "ori_order_id": paid["order_id"], "refund_amount": amount,
                "currency": "EUR"}),
        )
    };
    let (first, _second) = (refund(15), refund(8700));
    let told = bodies(&daemon, &receiver, 3);
    let kinds: Vec<&str> = told.iter().map(|one| one["notify_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["PAYMENT.SUCCESS", "REFUND.SUCCESS", "REFUND.SUCCESS"]);
    let statuses: Vec<&str> = told.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(
        statuses,
        ["SUCCESS", "PARTIALLY_REFUNDED", "REFUNDED"],
        "each as it was then"
    );
    assert_eq!(
        (&told[0]["order_id"], &told[0]["amount"]),
        (&paid["order_id"], &json!(8715))
    );
    assert_eq!(
        (&told[1]["refund_order_id"], &told[1]["refund_amount"]),
        (&first["refund_order_id"], &json!(15))
    );
    for one in receiver.told() {
        let header = |name: &str| one["headers"][name].as_str().unwrap();
        let text = format!(
            "POST\n/hook/paykka\n{}\n{}\n{}",
            header("x-paykka-timestamp"),
            header("x-paykka-nonce"),
            one["body"].as_str().unwrap()
        );
        assert_eq!(one["path"], "/hook/paykka?shop=1");
        assert!(shop.is_platforms(&text, header("x-paykka-sign")), "{one}");
    }
    let void = pay(&shop, &receiver);
    shop.data("/v3/payment/acq/void", json!({"order_id": void["order_id"]}));
    assert_eq!(bodies(&daemon, &receiver, 5)[4]["notify_type"], "PAYMENT.CANCELED");
    daemon.wait(Duration::from_secs(20), "nothing waits", || {
        daemon.run(&["notification", "list"], 0).lines().count() == 1
    });
    assert_eq!(
        daemon.metric("panvault_notifications_total{outcome=\"delivered\"}"),
        5.0
    );
}

/// A merchant that refuses, by status or by code, is told again; the later ones wait for the first.
pub(crate) fn again() {
    let place = tempfile::tempdir().unwrap();
    let (receiver, daemon) = start(place.path());
    let shop = Shop::of(&daemon);
    receiver.answers(500);
    let paid = pay(&shop, &receiver);
    shop.data("/v3/payment/acq/void", json!({"order_id": paid["order_id"]}));
    bodies(&daemon, &receiver, 1);
    receiver.answers(299);
    let told = bodies(&daemon, &receiver, 2);
    assert!(
        told.iter().all(|one| one["notify_type"] == "PAYMENT.SUCCESS"),
        "{told:?}"
    );
    daemon.wait(Duration::from_secs(20), "the list names the fault", || {
        let list = daemon.run(&["notification", "list"], 0);
        list.contains("PAYMENT.SUCCESS") && list.contains("PAYMENT.CANCELED") && list.contains("refuses")
    });
    receiver.answers(200);
    let told = bodies(&daemon, &receiver, 4);
    let kinds: Vec<&str> = told.iter().map(|one| one["notify_type"].as_str().unwrap()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["PAYMENT.SUCCESS", "PAYMENT.CANCELED"]);
    assert!(daemon.metric("panvault_notifications_total{outcome=\"failed\"}") >= 2.0);
}

/// What is given up is dead: seen in the list and in the figures, out of the way of what comes later, and told when the
/// operator says so.
pub(crate) fn dead() {
    let place = tempfile::tempdir().unwrap();
    let (receiver, daemon) = start_with(place.path(), "paykka.give_up_s = 1");
    let shop = Shop::of(&daemon);
    receiver.answers(503);
    let paid = pay(&shop, &receiver);
    daemon.wait(Duration::from_secs(20), "a dead one", || {
        daemon.metric("panvault_notifications_dead") == 1.0
    });
    let list = || daemon.run(&["notification", "list", "--json"], 0);
    let all: Value = serde_json::from_str(&list()).unwrap();
    let one = &all["notifications"][0];
    assert_eq!((&one["dead"], &one["attempts"]), (&json!(true), &json!(1)), "{all}");
    assert!(one["fault"].as_str().unwrap().contains("503"), "{all}");
    receiver.answers(200);
    shop.data("/v3/payment/acq/void", json!({"order_id": paid["order_id"]}));
    assert_eq!(bodies(&daemon, &receiver, 2)[1]["notify_type"], "PAYMENT.CANCELED");
    assert!(daemon.run(&["notification", "retry"], 0).contains('1'));
    assert_eq!(bodies(&daemon, &receiver, 3)[2]["notify_type"], "PAYMENT.SUCCESS");
    daemon.wait(Duration::from_secs(20), "none is left", || {
        !list().contains("dead\": true")
    });
}

/// Killed after the payment and before the merchant was told, and in the middle of payments.
pub(crate) fn after_a_kill() {
    let place = tempfile::tempdir().unwrap();
    let (receiver, mut daemon) = start(place.path());
    receiver.answers(500);
    let paid = pay(&Shop::of(&daemon), &receiver);
    daemon.kill();
    receiver.answers(200);
    daemon.up();
    daemon.wait(Duration::from_secs(40), "the first", || {
        receiver.told().iter().any(|one| {
            one["status"] == 200
                && one["body"]
                    .as_str()
                    .unwrap()
                    .contains(paid["order_id"].as_str().unwrap())
        })
    });

    // at any moment of a payment: what the ledger says was done is told. How far payments get in a time is the machine's, so
    // it goes on until some were cut that had begun.
    let mut decided_after = 0;
    let rounds = if crate::support::long() { 20 } else { 3 };
    for round in 0..60 {
        if round >= rounds && decided_after > 0 {
            break;
        }
        let trans: Vec<String> = (0..4).map(|_| fresh("trans")).collect();
        {
            let shop = Shop::of(&daemon);
            let url = format!("https://localhost:{}/hook", receiver.port);
            let requests: Vec<_> = trans
                .iter()
                .map(|trans| {
                    let body = json!({"merchant_id": shop.merchant, "trans_id": trans, "currency": "EUR", "amount": "5",
                        "notify_url": url,
                        "payment": {"card_no": VISA, "exp_month": "08", "exp_year": "2035", "cvv": "100"}});
                    shop.sign("/v3/payment/acq", &body)
                })
                .collect();
            let socket = daemon.api();
            std::thread::scope(|scope| {
                for signed in &requests {
                    let socket = &socket;
                    scope.spawn(move || {
                        let headers = [
                            ("Content-Type", "application/json"),
                            ("x-paykka-appid", signed.appid.as_str()),
                            ("x-paykka-timestamp", &signed.timestamp),
                            ("x-paykka-nonce", &signed.nonce),
                            ("x-paykka-sign-alg", "SHA256_WITH_RSA"),
                            ("x-paykka-sign", &signed.sign),
                        ];
                        let _ = http::request(socket, "POST", &signed.path, &headers, signed.body.as_bytes());
                    });
                }
                std::thread::sleep(Duration::from_millis(2 + 7 * (round % 12)));
                crate::support::daemon::signal(daemon.pid(), "KILL");
            });
            daemon.kill();
        }
        daemon.up();
        let shop = Shop::of(&daemon);
        let status = |trans: &str| {
            let said = shop.ask("/v3/payment/acq/query", json!({"trans_id": trans})).json();
            said["data"]["status"].as_str().map(str::to_owned)
        };
        let mut left: Vec<&String> = trans.iter().filter(|trans| status(trans).is_some()).collect();
        // one that the acquirer was asked about and that nobody repeats is given up after ten minutes only: the ledger has it
        // as pending then, and no other waits
        let begun = std::time::Instant::now();
        while !left.is_empty() && begun.elapsed() < Duration::from_secs(8) {
            let (decided, still): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|trans| matches!(status(trans).as_deref(), Some("SUCCESS" | "FAILURE")));
            left = still;
            for trans in decided {
                decided_after += 1;
                daemon.wait(Duration::from_secs(40), trans, || {
                    receiver
                        .told()
                        .iter()
                        .any(|one| one["body"].as_str().unwrap().contains(trans.as_str()))
                });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    assert!(decided_after > 0, "no round cut a payment that had begun");
}
