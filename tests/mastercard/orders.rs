//! Orders: what transactions make of them.

use super::gateway::{AMEX, CODE, Field, MASTERCARD, MONTH, NUMBER, Reply, SOURCE, Shop, VISA, Wire, YEAR, card};
use super::support::daemon::Daemon;
use super::tokens::fresh;

/// A transaction on an order.
pub(crate) struct Order<'s> {
    pub(crate) shop: &'s Shop<'s>,
    pub(crate) id: String,
}

impl<'s> Order<'s> {
    pub(crate) fn new(shop: &'s Shop<'s>) -> Self {
        Self {
            shop,
            id: fresh("order/é "),
        }
    }

    pub(crate) fn act(&self, operation: &str, transaction: &str, fields: &[Field<'_>]) -> Reply {
        let ids = [("order.id", self.id.as_str()), ("transaction.id", transaction)];
        self.shop.call(operation, &[&ids[..], fields].concat())
    }

    /// AUTHORIZE or PAY with a token.
    pub(crate) fn open(&self, operation: &str, transaction: &str, amount: &str, token: &str) -> Reply {
        let fields = [("order.amount", amount), ("order.currency", "EUR"), (SOURCE, token)];
        self.act(operation, transaction, &fields)
    }

    /// CAPTURE, REFUND or UPDATE_AUTHORIZATION.
    pub(crate) fn go_on(&self, operation: &str, transaction: &str, amount: &str) -> Reply {
        self.act(
            operation,
            transaction,
            &[("transaction.amount", amount), ("transaction.currency", "EUR")],
        )
    }

    fn void(&self, transaction: &str, target: &str) -> Reply {
        self.act("VOID", transaction, &[("transaction.targetTransactionId", target)])
    }

    pub(crate) fn shown(&self) -> Reply {
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
    pub(crate) fn stands_at(&self, prefix: &str, reply: &Reply, status: &str, totals: [f64; 3]) {
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
