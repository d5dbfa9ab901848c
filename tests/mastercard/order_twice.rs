//! Orders when transactions come twice, all at once, with tokens that are not good, or with the daemon dying below them.

use std::collections::BTreeSet;

use super::gateway::{MASTERCARD, Reply, SOURCE, Shop, VISA, Wire, card};
use super::orders::Order;
use super::support::daemon::Daemon;

pub(crate) fn idempotency(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    let order = Order::new(&shop);
    let same = |first: &Reply, second: &Reply| {
        assert_eq!(
            (first.status, &first.fields),
            (second.status, &second.fields),
            "{}",
            second.text
        );
    };
    let first = order.open("AUTHORIZE", "1", "10.00", &token);
    first.succeeded(201);
    same(&first, &order.open("AUTHORIZE", "1", "10.00", &token));
    let captured = order.go_on("CAPTURE", "2", "4.00");
    same(&captured, &order.go_on("CAPTURE", "2", "4.00"));
    // an earlier one answers what it answered, though the order went on
    same(&first, &order.open("AUTHORIZE", "1", "10.00", &token));
    order.go_on("CAPTURE", "2", "5.00").refused("transaction.id", "INVALID");
    order.go_on("REFUND", "2", "4.00").refused("transaction.id", "INVALID");
    order
        .open("AUTHORIZE", "1", "11.00", &token)
        .refused("transaction.id", "INVALID");
    order.stands_at("", &order.shown(), "PARTIALLY_CAPTURED", [10.0, 4.0, 0.0]);

    // a declined one stays declined
    let order = Order::new(&shop);
    let declined = shop.token(MASTERCARD, "5", "39");
    let no = order.open("PAY", "1", "1.00", &declined);
    no.has(&[("result", "FAILURE")]);
    same(&no, &order.open("PAY", "1", "1.00", &declined));
    order.open("PAY", "2", "1.00", &token).succeeded(201);
}

pub(crate) fn many_at_once(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    let order = Order::new(&shop);
    order.open("AUTHORIZE", "a", "100.00", &token).succeeded(201);
    let names: Vec<String> = (0..32).map(|at| format!("c{at}")).collect();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let order = &order;
        let running: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || order.go_on("CAPTURE", name, "1.00")))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut done = 0;
    for reply in &replies {
        assert_eq!(reply.status, 201, "{}", reply.text);
        match reply.at("result") {
            "SUCCESS" => done += 1,
            _ => reply.has(&[("result", "FAILURE"), ("response.gatewayCode", "LOCK_FAILURE")]),
        }
    }
    assert!(done >= 1);
    let shown = order.shown();
    order.stands_at("", &shown, "PARTIALLY_CAPTURED", [100.0, f64::from(done), 0.0]);
    assert!(shown.get(&format!("transaction[{done}].transaction.id")).is_some());
    assert_eq!(shown.get(&format!("transaction[{}].transaction.id", done + 1)), None);
    // what found the order in use is done when it comes again
    for (name, reply) in names.iter().zip(&replies) {
        let again = order.go_on("CAPTURE", name, "1.00");
        again.succeeded(201);
        if reply.at("result") == "SUCCESS" {
            assert_eq!(again.fields, reply.fields);
        }
    }
    order.stands_at("", &order.shown(), "PARTIALLY_CAPTURED", [100.0, 32.0, 0.0]);

    // the same request many times at once is done once
    let order = Order::new(&shop);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let (order, token) = (&order, &token);
        let running: Vec<_> = (0..32)
            .map(|_| scope.spawn(move || order.open("PAY", "1", "3.00", token)))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let codes: BTreeSet<_> = replies
        .iter()
        .filter_map(|reply| reply.get("transaction.authorizationCode"))
        .collect();
    assert_eq!(codes.len(), 1, "{codes:?}");
    order.stands_at("", &order.shown(), "CAPTURED", [3.0, 3.0, 0.0]);
}

pub(crate) fn invalid_tokens(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(VISA, "8", "38");
    let own = [("token", token.as_str()), (SOURCE, token.as_str())];
    let ask = [
        ("verificationStrategy", "ACCOUNT_UPDATER"),
        ("transaction.currency", "EUR"),
    ];
    shop.call("TOKENIZE", &[&own[..], &ask].concat())
        .has(&[("result", "FAILURE")]);
    for operation in ["PAY", "AUTHORIZE", "VERIFY"] {
        let order = Order::new(&shop);
        let mut fields = vec![("order.currency", "EUR"), (SOURCE, token.as_str())];
        if operation != "VERIFY" {
            fields.push(("order.amount", "1.00"));
        }
        order.act(operation, "1", &fields).refused(SOURCE, "INVALID");
    }
    let cleared = [card(VISA, "1", "39"), vec![("token", token.as_str())]].concat();
    shop.call("TOKENIZE", &cleared).has(&[("status", "VALID")]);
    Order::new(&shop).open("PAY", "1", "1.00", &token).succeeded(201);
    // one that does not exist
    Order::new(&shop)
        .open("PAY", "1", "1.00", "9102370788509763")
        .refused(SOURCE, "INVALID");
}

/// Kill -9 while captures are under way: what was answered stays, what was not is done when it comes again, once.
pub(crate) fn killed() {
    let mut daemon = Daemon::start();
    let (order_id, token) = {
        let shop = Shop::random(&daemon, Wire::Rest);
        let token = shop.token(MASTERCARD, "5", "31");
        let order = Order::new(&shop);
        order.open("AUTHORIZE", "a", "100.00", &token).succeeded(201);
        (order.id, token)
    };
    let mut captured = 0;
    for round in 0..3 {
        let shop = Shop::random(&daemon, Wire::Rest);
        let order = Order {
            shop: &shop,
            id: order_id.clone(),
        };
        let pid = nix::unistd::Pid::from_raw(daemon.pid().try_into().unwrap());
        let cut = std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(60 + 7 * round));
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            });
            loop {
                let name = format!("c{captured}");
                let fields = [
                    ("order.id", order.id.as_str()),
                    ("transaction.id", &name),
                    ("transaction.amount", "0.01"),
                    ("transaction.currency", "EUR"),
                ];
                match shop.try_call("CAPTURE", &fields) {
                    Ok(reply) => reply.succeeded(201),
                    Err(_) => return name,
                }
                captured += 1;
            }
        });
        daemon.kill();
        daemon.up();
        let shop = Shop::random(&daemon, Wire::Rest);
        let order = Order {
            shop: &shop,
            id: order_id.clone(),
        };
        order.go_on("CAPTURE", &cut, "0.01").succeeded(201);
        captured += 1;
        let taken = f64::from(captured) / 100.0;
        order.stands_at("", &order.shown(), "PARTIALLY_CAPTURED", [100.0, taken, 0.0]);
    }
    let shop = Shop::random(&daemon, Wire::Rest);
    shop.call("RETRIEVE_TOKEN", &[("token", &token)]).succeeded(200);
    daemon.run(&["audit", "verify"], 0);
}
