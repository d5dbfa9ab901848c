//! Rotation of the transport key: what clients encrypted to the key of before opens for the overlap, and no longer.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::gateway::{Shop, Wire};
use crate::jwe;
use crate::support::daemon::Daemon;
use crate::support::{clock, http, skip};

const NUMBER: &str = "36259600000012";

/// The published keys, in their order.
fn published(daemon: &Daemon) -> Vec<Value> {
    let keys = http::request(&daemon.api(), "GET", "/api/keys", &[], b"").unwrap();
    assert_eq!(keys.status, 200);
    keys.json()["keys"].as_array().unwrap().clone()
}

/// A query for the card, encrypted to that key; its name is told or not.
fn query(key: &Value, named: bool) -> String {
    let part = |name: &str| BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes()).unwrap();
    let mut header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM"});
    if named {
        header["kid"] = key["kid"].clone();
    }
    let compact = jwe::compact(&part("n"), &part("e"), &header.to_string(), NUMBER.as_bytes());
    json!({"EQ": ["sourceOfFunds.provided.card.number", compact]}).to_string()
}

pub(crate) fn rotated(name: &str) {
    let mut daemon = Daemon::start();
    let first = published(&daemon);
    let [old] = &first[..] else { panic!("one key") };
    let refused = daemon.try_run(&["key", "rotate", "--role", "transport"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("init --next transport"),
        "{said}"
    );
    daemon.stop();
    daemon.configure("keys.transport_overlap_days = 10");
    daemon.run(&["init", "--next", "transport"], 0);
    daemon.up();
    assert_eq!(published(&daemon), first, "made, and not in use yet");
    daemon.run(&["key", "rotate", "--role", "transport"], 0);

    let opens = |daemon: &Daemon, key: &Value, named: bool| {
        let shop = Shop::random(daemon, Wire::Rest);
        let token = shop.token(NUMBER, "5", "39");
        assert!(shop.search(&query(key, named), 100).0.contains(&token));
    };
    let both = published(&daemon);
    assert_eq!(both.len(), 2);
    assert_eq!(both[1], *old, "the new one comes first");
    assert_ne!(both[0]["kid"], old["kid"]);
    for key in &both {
        opens(&daemon, key, true);
        opens(&daemon, key, false);
    }
    let shown = daemon.run(&["key", "status"], 0);
    assert!(
        shown.contains("transport key 1: deactivated, opens until") && shown.contains("transport key 2: active"),
        "{shown}"
    );
    let inventory: Value = serde_json::from_str(&daemon.run(&["inventory", "--json"], 0)).unwrap();
    let keys = inventory["keys"].as_array().unwrap().iter();
    let states: Vec<&Value> = keys
        .filter(|key| key["role"] == "transport")
        .map(|key| &key["state"])
        .collect();
    assert_eq!(states, ["deactivated", "active"]);
    assert_ne!(daemon.run(&["key", "show", "transport"], 0), "");
    let trail = daemon.run(&["audit", "tail", "--lines", "1000"], 0);
    assert!(
        trail.contains("transport key 1 is deactivated and opens until"),
        "{trail}"
    );

    // nothing of it hangs on the process
    daemon.kill();
    daemon.up();
    opens(&daemon, old, true);
    let (Some(within), Some(after)) = (clock::at("+9d"), clock::at("+11d")) else {
        return skip::skipped(&format!("{name}: needs libfaketime (Debian package libfaketime)"));
    };
    daemon.stop();
    daemon.environment = within;
    daemon.up();
    opens(&daemon, old, true);
    daemon.stop();
    daemon.environment = after;
    daemon.up();
    assert_eq!(published(&daemon), both[..1]);
    opens(&daemon, &both[0], true);
    let shop = Shop::random(&daemon, Wire::Rest);
    for named in [true, false] {
        shop.call("SEARCH_TOKENS", &[("query", &query(old, named))])
            .refused("query", "INVALID");
    }
    daemon.run(&["audit", "verify"], 0);
}
