//! Orders: what transactions make of them, also when they come twice, all at once, or with the daemon dying below them.

use std::collections::BTreeMap;

use super::gateway::{AMEX, CODE, Field, MASTERCARD, MONTH, NUMBER, Reply, SOURCE, Shop, VISA, Wire, YEAR, card};
use super::support::daemon::Daemon;
use super::tokens::fresh;

/// A transaction on an order.
struct Order<'s> {
    shop: &'s Shop<'s>,
    id: String,
}

impl<'s> Order<'s> {
    fn new(shop: &'s Shop<'s>) -> Self {
        Self {
            shop,
            id: fresh("order/é "),
        }
    }

    fn act(&self, operation: &str, transaction: &str, fields: &[Field<'_>]) -> Reply {
        let ids = [("order.id", self.id.as_str()), ("transaction.id", transaction)];
        self.shop.call(operation, &[&ids[..], fields].concat())
    }

    /// AUTHORIZE or PAY with a token.
    fn open(&self, operation: &str, transaction: &str, amount: &str, token: &str) -> Reply {
        let fields = [("order.amount", amount), ("order.currency", "EUR"), (SOURCE, token)];
        self.act(operation, transaction, &fields)
    }

    /// CAPTURE, REFUND or UPDATE_AUTHORIZATION.
    fn go_on(&self, operation: &str, transaction: &str, amount: &str) -> Reply {
        self.act(
            operation,
            transaction,
            &[("transaction.amount", amount), ("transaction.currency", "EUR")],
        )
    }

    fn void(&self, transaction: &str, target: &str) -> Reply {
        self.act("VOID", transaction, &[("transaction.targetTransactionId", target)])
    }

    fn shown(&self) -> Reply {
        let reply = self.shop.call("RETRIEVE_ORDER", &[("order.id", &self.id)]);
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply
    }

    /// Status and totals, both in the transaction's answer and of the order.
    #[track_caller]
    fn stands(&self, reply: &Reply, status: &str, totals: [f64; 3]) {
        reply.succeeded(201);
        self.stands_at("order.", reply, status, totals);
        self.stands_at("", &self.shown(), status, totals);
    }

    #[track_caller]
    fn stands_at(&self, prefix: &str, reply: &Reply, status: &str, totals: [f64; 3]) {
        let names = ["Authorized", "Captured", "Refunded"];
        let found = names.map(|name| reply.amount(&format!("{prefix}total{name}Amount")));
        assert_eq!(
            (reply.at(&format!("{prefix}status")), found),
            (status, totals),
            "{}",
            reply.text
        );
        reply.has(&[
            (&format!("{prefix}id"), &self.id),
            (&format!("{prefix}currency"), "EUR"),
        ]);
    }
}

pub(crate) fn life(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    let order = Order::new(&shop);
    let more = [
        ("order.reference", "R-1"),
        ("customer.email", "jane@example.com"),
        ("correlationId", "c1"),
    ];
    let open = [
        ("order.amount", "100.00"),
        ("order.currency", "EUR"),
        (SOURCE, token.as_str()),
        (CODE, "100"),
    ];
    let made = order.act("AUTHORIZE", "1", &[&open[..], &more].concat());
    order.stands(&made, "AUTHORIZED", [100.0, 0.0, 0.0]);
    made.has(&[
        ("merchant", &shop.merchant),
        ("response.gatewayCode", "APPROVED"),
        ("response.cardSecurityCode.gatewayCode", "MATCH"),
        ("transaction.id", "1"),
        ("transaction.type", "AUTHORIZATION"),
        ("transaction.currency", "EUR"),
        (SOURCE, &token),
        (NUMBER, "512345xxxxxx0008"),
        (MONTH, "5"),
        (YEAR, "31"),
        ("sourceOfFunds.provided.card.brand", "MASTERCARD"),
        ("gatewayEntryPoint", "WEB_SERVICES_API"),
        ("version", "70"),
        ("order.reference", "R-1"),
        ("customer.email", "jane@example.com"),
        ("correlationId", "c1"),
    ]);
    assert_eq!(
        (made.amount("order.amount"), made.amount("transaction.amount")),
        (100.0, 100.0)
    );
    assert_eq!(made.at("transaction.authorizationCode").len(), 6);
    assert!(made.at("transaction.acquirer.id").contains("simulat"), "{}", made.text);
    assert_eq!(made.get(CODE), None);

    let update = order.go_on("UPDATE_AUTHORIZATION", "2", "120.00");
    update.has(&[("transaction.type", "AUTHORIZATION_UPDATE")]);
    order.stands(&update, "AUTHORIZED", [120.0, 0.0, 0.0]);
    let part = order.go_on("CAPTURE", "3", "50");
    part.has(&[("transaction.type", "CAPTURE")]);
    order.stands(&part, "PARTIALLY_CAPTURED", [120.0, 50.0, 0.0]);
    order.stands(&order.go_on("CAPTURE", "4", "70.0"), "CAPTURED", [120.0, 120.0, 0.0]);
    let back = order.go_on("REFUND", "5", "20.50");
    back.has(&[("transaction.type", "REFUND")]);
    order.stands(&back, "PARTIALLY_REFUNDED", [120.0, 120.0, 20.5]);

    let again = shop.call(
        "RETRIEVE_TRANSACTION",
        &[("order.id", &order.id), ("transaction.id", "1")],
    );
    again.succeeded(200);
    for name in [
        "transaction.type",
        "transaction.authorizationCode",
        "transaction.receipt",
        NUMBER,
        SOURCE,
    ] {
        assert_eq!(again.get(name), made.get(name), "{name}");
    }
    let shown = order.shown();
    shown.has(&[
        ("result", "SUCCESS"),
        ("merchant", &shop.merchant),
        ("reference", "R-1"),
    ]);
    let types: Vec<_> = (0..5)
        .map(|at| shown.at(&format!("transaction[{at}].transaction.type")).to_owned())
        .collect();
    assert_eq!(
        types,
        ["AUTHORIZATION", "AUTHORIZATION_UPDATE", "CAPTURE", "CAPTURE", "REFUND"]
    );
    assert_eq!(shown.get("transaction[5].transaction.id"), None);

    // the token was used just now
    let used = shop.call("RETRIEVE_TOKEN", &[("token", &token)]);
    assert!(used.get("usage.lastUsedTime").is_some(), "{}", used.text);

    // what is not there is a refusal, and none of credentials
    let lost = [("order.id", "nowhere"), ("transaction.id", "1")];
    shop.call("RETRIEVE_TRANSACTION", &lost)
        .refused("transaction.id", "INVALID");
    shop.call("RETRIEVE_ORDER", &lost[..1]).refused("order.id", "INVALID");
    // another merchant's order of the same id is another order
    let other = Shop::dev(daemon, wire, "UNIQUE_TOKEN", "PRESERVE_6_4");
    assert_eq!(other.call("RETRIEVE_ORDER", &[("order.id", &order.id)]).status, 400);
}

pub(crate) fn voids(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(VISA, "5", "31");
    let order = Order::new(&shop);
    order.open("AUTHORIZE", "1", "10.00", &token).succeeded(201);
    order.go_on("CAPTURE", "2", "4.00").succeeded(201);
    let undone = order.void("3", "2");
    undone.has(&[
        ("transaction.type", "VOID_CAPTURE"),
        ("transaction.targetTransactionId", "2"),
    ]);
    order.stands(&undone, "AUTHORIZED", [10.0, 0.0, 0.0]);
    let undone = order.void("4", "1");
    undone.has(&[("transaction.type", "VOID_AUTHORIZATION")]);
    order.stands(&undone, "CANCELLED", [0.0, 0.0, 0.0]);
    assert_eq!(order.void("5", "1").status, 400);

    let order = Order::new(&shop);
    let paid = order.open("PAY", "1", "10.00", &token);
    paid.has(&[("transaction.type", "PAYMENT")]);
    order.stands(&paid, "CAPTURED", [10.0, 10.0, 0.0]);
    order.stands(&order.go_on("REFUND", "2", "10.00"), "REFUNDED", [10.0, 10.0, 10.0]);
    let undone = order.void("3", "2");
    undone.has(&[("transaction.type", "VOID_REFUND")]);
    order.stands(&undone, "CAPTURED", [10.0, 10.0, 0.0]);
    order
        .void("4", "1")
        .has(&[("transaction.type", "VOID_PAYMENT"), ("order.status", "CANCELLED")]);

    let order = Order::new(&shop);
    let verified = order.act(
        "VERIFY",
        "1",
        &[("order.currency", "EUR"), (SOURCE, &token), (CODE, "100")],
    );
    verified.has(&[
        ("transaction.type", "VERIFICATION"),
        ("response.cardSecurityCode.gatewayCode", "MATCH"),
    ]);
    order.stands(&verified, "VERIFIED", [0.0, 0.0, 0.0]);
}

pub(crate) fn verdicts(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    for (month, year, code, result) in [
        ("01", "39", "APPROVED", "SUCCESS"),
        ("05", "39", "DECLINED", "FAILURE"),
        ("04", "27", "EXPIRED_CARD", "FAILURE"),
        ("08", "28", "TIMED_OUT", "FAILURE"),
        ("01", "37", "ACQUIRER_SYSTEM_ERROR", "FAILURE"),
        ("02", "37", "UNSPECIFIED_FAILURE", "FAILURE"),
        ("05", "37", "UNKNOWN", "UNKNOWN"),
    ] {
        let order = Order::new(&shop);
        let money = vec![("order.amount", "1.00"), ("order.currency", "EUR")];
        let reply = order.act("PAY", "1", &[card(MASTERCARD, month, year), money].concat());
        assert_eq!(reply.status, 201, "an acquirer's no is an answer: {}", reply.text);
        reply.has(&[("result", result), ("response.gatewayCode", code)]);
        let good = result == "SUCCESS";
        assert_eq!(reply.at("order.status") == "CAPTURED", good, "{}", reply.text);
        assert_eq!(reply.amount("order.totalCapturedAmount"), if good { 1.0 } else { 0.0 });
    }
    let token = shop.token(AMEX, "01", "39");
    for (number, code, said) in [
        (MASTERCARD, "101", "NOT_PROCESSED"),
        (MASTERCARD, "102", "NO_MATCH"),
        (AMEX, "1000", "MATCH"),
        (AMEX, "1020", "NO_MATCH"),
    ] {
        let order = Order::new(&shop);
        let source = if number == AMEX {
            vec![(SOURCE, token.as_str())]
        } else {
            card(number, "01", "39")
        };
        let money = vec![("order.amount", "1.00"), ("order.currency", "EUR"), (CODE, code)];
        let reply = order.act("AUTHORIZE", "1", &[source, money].concat());
        reply.has(&[("response.cardSecurityCode.gatewayCode", said)]);
    }
}

pub(crate) fn what_does_not_fit(daemon: &Daemon, wire: Wire) {
    let shop = Shop::random(daemon, wire);
    let token = shop.token(MASTERCARD, "5", "31");
    let order = Order::new(&shop);
    for operation in ["CAPTURE", "REFUND", "UPDATE_AUTHORIZATION"] {
        order.go_on(operation, "1", "1.00").refused("apiOperation", "INVALID");
    }
    let open = |fields: &[Field<'_>]| order.act("AUTHORIZE", "1", fields);
    let source = (SOURCE, token.as_str());
    open(&[("order.amount", "1.00"), source]).refused("order.currency", "MISSING");
    open(&[("order.currency", "EUR"), source]).refused("order.amount", "MISSING");
    open(&[
        ("order.amount", "1.00"),
        ("order.currency", "EUR"),
        ("sourceOfFunds.type", "CARD"),
    ])
    .refused(NUMBER, "MISSING");
    for (amount, currency, field) in [
        ("-1", "EUR", "order.amount"),
        ("1e3", "EUR", "order.amount"),
        ("1.001", "EUR", "order.amount"),
        ("1.5", "JPY", "order.amount"),
        ("0", "EUR", "order.amount"),
        ("123456789012345", "EUR", "order.amount"),
        ("1.00", "eur", "order.currency"),
    ] {
        open(&[("order.amount", amount), ("order.currency", currency), source]).refused(field, "INVALID");
    }
    let long = "x".repeat(41);
    assert_eq!(order.open("AUTHORIZE", &long, "1.00", &token).status, 400);

    order.open("AUTHORIZE", "1", "10.00", &token).succeeded(201);
    order
        .open("AUTHORIZE", "2", "10.00", &token)
        .refused("apiOperation", "INVALID");
    order
        .go_on("CAPTURE", "2", "10.01")
        .refused("transaction.amount", "INVALID");
    order.go_on("REFUND", "2", "1.00").refused("apiOperation", "INVALID");
    order
        .act(
            "CAPTURE",
            "2",
            &[("transaction.amount", "1.00"), ("transaction.currency", "USD")],
        )
        .refused("transaction.currency", "INVALID");
    order
        .void("2", "none")
        .refused("transaction.targetTransactionId", "INVALID");
    order
        .act("VOID", "2", &[])
        .refused("transaction.targetTransactionId", "MISSING");
    order.go_on("CAPTURE", "2", "10.00").succeeded(201);
    order
        .go_on("REFUND", "3", "10.01")
        .refused("transaction.amount", "INVALID");
    order.stands_at("", &order.shown(), "CAPTURED", [10.0, 10.0, 0.0]);
}

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
    let codes: BTreeMap<_, _> = replies
        .iter()
        .filter_map(|reply| reply.get("transaction.authorizationCode"))
        .map(|code| (code, ()))
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
