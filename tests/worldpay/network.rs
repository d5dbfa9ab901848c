//! Network tokens, of the simulated provider that serves TEST merchants.

use serde_json::{Value, json};

use super::bodies::{EXPIRY, bare, card_number, fresh, full, with};
use super::gateway::{Account, Reply, is_uuid};
use super::support::daemon::Daemon;

pub(crate) const PLACE: &str = "/tokens/network";
pub(crate) const CRYPTOGRAMS: &str = "/tokens/network/cryptograms";
/// Expiries by which the simulator refuses, and takes its time.
const REFUSED: (u8, u16) = (3, 2038);
const PENDING: (u8, u16) = (4, 2038);
/// And these, which the README has besides: it does not answer; it takes its time and refuses.
const SILENT: (u8, u16) = (2, 2038);
const REFUSED_LATER: (u8, u16) = (5, 2038);

fn expiring(number: &str, (month, year): (u8, u16)) -> Value {
    with(bare(number), EXPIRY, json!({"month": month, "year": year}))
}

fn provisioned(account: &Account<'_>, body: &Value) -> Reply {
    let reply = account.call("POST", PLACE, body);
    reply.is(200);
    let instrument = reply.at("/paymentInstrument");
    assert_eq!(instrument["type"], "card/masked");
    let account_reference = instrument["paymentAccountReference"].as_str().unwrap();
    let ready = reply.body.get("tokenPaymentInstrument").is_some();
    assert!(!ready || !account_reference.is_empty(), "{}", reply.text);
    assert!(instrument.get("cardNumber").is_none() && instrument.get("cardHolderName").is_none());
    let reference = reply.at("/tokenReference").as_str().unwrap();
    assert!(is_uuid(reference), "{reference}");
    assert_eq!(reply.link("self"), "http://vault/tokens/network");
    assert_eq!(
        reply.link("tokens:networkTokenLookup"),
        format!("http://vault/tokens/network/{reference}")
    );
    assert_eq!(reply.header("Content-Type"), Some(account.media().as_str()));
    reply
}

/// The number of the network token, which must not be the card's.
fn number_of(reply: &Reply, card: &str) -> String {
    let token = reply.at("/tokenPaymentInstrument");
    assert_eq!(
        (&token["type"], &token["status"]),
        (&json!("card/networkToken"), &json!("Active"))
    );
    let number = token["tokenNumber"].as_str().unwrap();
    assert!(
        (13..=19).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()),
        "{number}"
    );
    assert!(
        number != card && number[..number.len() - 4] != card[..card.len() - 4],
        "{number}"
    );
    let (month, year) = (&token["expiryDate"]["month"], &token["expiryDate"]["year"]);
    assert!(
        (1..=12).contains(&month.as_i64().unwrap()) && year.as_i64().unwrap() >= 2026,
        "{}",
        reply.text
    );
    number.to_owned()
}

pub(crate) fn life(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let number = card_number();
    let made = provisioned(&account, &bare(&number));
    let token = number_of(&made, &number);
    assert!(made.body.get("provisioningErrors").is_none());
    let instrument = made.at("/paymentInstrument");
    assert_eq!(
        (&instrument["firstSix"], &instrument["lastFour"]),
        (&json!(number[..6]), &json!(number[12..]))
    );
    assert_eq!(instrument["cardExpiryDate"], json!({"month": 5, "year": 2035}));
    // a card is not stored for it
    account.made(&bare(&number));

    let lookup = made.link("tokens:networkTokenLookup");
    let shown = account.get(&lookup);
    shown.is(200);
    for member in ["tokenPaymentInstrument", "paymentInstrument"] {
        assert_eq!(shown.body[member], made.body[member]);
    }
    assert_eq!(shown.link("self"), lookup);
    let cryptograms = shown.link("tokens:networkTokenCryptogram");
    assert_eq!(cryptograms, format!("http://vault{CRYPTOGRAMS}"));
    let cryptogram = account.call("POST", &cryptograms, &json!({"tokenNumber": token}));
    cryptogram.is(200);
    let bytes = cryptogram.at("/cryptogramDetails/cryptogram").as_str().unwrap();
    assert_eq!(
        data_encoding::BASE64.decode(bytes.as_bytes()).unwrap().len(),
        20,
        "{bytes}"
    );
    assert!(cryptogram.at("/cryptogramDetails/eci").is_string());
    assert!(cryptogram.at("/_links/self/href").is_string());

    let place = format!("{PLACE}/{token}");
    account.delete(&place).done();
    account.delete(&place).refused(404, "networkProviderError");
    let after = account.call("POST", CRYPTOGRAMS, &json!({"tokenNumber": token}));
    assert!((400..500).contains(&after.status), "{}", after.text);
    let after = account.get(&lookup);
    assert!(
        after.status == 404 || after.at("/tokenPaymentInstrument/status") != "Active",
        "{}",
        after.text
    );
}

pub(crate) fn of_a_stored_token(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let number = card_number();
    let stored = account.made(&full(&number));
    let ask = |href: &str| {
        let instrument = json!({"type": "card/tokenized", "href": href});
        json!({"paymentInstrument": instrument, "merchant": {"entity": "default"}})
    };
    let made = provisioned(&account, &ask(&stored.href()));
    let token = number_of(&made, &number);
    let instrument = made.at("/paymentInstrument");
    assert_eq!(
        (&instrument["firstSix"], &instrument["lastFour"]),
        (&json!(number[..6]), &json!(number[12..]))
    );
    assert_eq!(instrument["cardExpiryDate"], json!({"month": 5, "year": 2035}));
    account
        .call("POST", CRYPTOGRAMS, &json!({"tokenNumber": token}))
        .is(200);
    let stranger = Account::added(daemon, &fresh("TESTwp"), true);
    // a token of somebody else, one that is gone, and none at all
    let not_there = |reply: Reply| {
        let shape = (reply.status, reply.body["errorName"].as_str());
        let known = [(404, Some("resourceNotFound")), (400, Some("bodyDoesNotMatchSchema"))];
        assert!(known.contains(&shape), "{}", reply.text);
    };
    not_there(stranger.call("POST", PLACE, &ask(&stored.href())));
    account.delete(&stored.href()).done();
    for href in [stored.href(), "http://vault/tokens/nothing".to_owned()] {
        not_there(account.call("POST", PLACE, &ask(&href)));
    }
    // nor do others see or use a network token
    let lookup = made.link("tokens:networkTokenLookup");
    stranger.get(&lookup).refused(404, "resourceNotFound");
    stranger
        .delete(&format!("{PLACE}/{token}"))
        .refused(404, "networkProviderError");
    let cryptogram = stranger.call("POST", CRYPTOGRAMS, &json!({"tokenNumber": token}));
    assert!((400..500).contains(&cryptogram.status), "{}", cryptogram.text);
    account.get(&lookup).is(200);
}

pub(crate) fn refused_and_pending(daemon: &Daemon) {
    let account = Account::dev(daemon);
    let refused = provisioned(&account, &expiring(&card_number(), REFUSED));
    assert!(refused.body.get("tokenPaymentInstrument").is_none(), "{}", refused.text);
    let errors = refused.at("/provisioningErrors").as_array().unwrap();
    assert!(!errors.is_empty());
    for (at, error) in errors.iter().enumerate() {
        let names = refused.names(&format!("/provisioningErrors/{at}"));
        assert_eq!(
            names,
            ["errorCode", "providerErrorCode", "source", "context", "message"]
        );
        assert!(error.as_object().unwrap().values().all(Value::is_string), "{error}");
    }
    let shown = account.get(&refused.link("tokens:networkTokenLookup"));
    shown.is(200);
    assert_ne!(shown.at("/tokenPaymentInstrument/status"), "Active");
    assert!(shown.at("/tokenPaymentInstrument").get("tokenNumber").is_none());
    assert!(!shown.at("/provisioningErrors").as_array().unwrap().is_empty());

    let number = card_number();
    let pending = provisioned(&account, &expiring(&number, PENDING));
    assert!(pending.body.get("tokenPaymentInstrument").is_none(), "{}", pending.text);
    assert!(pending.body.get("provisioningErrors").is_none(), "{}", pending.text);
    let shown = account.get(&pending.link("tokens:networkTokenLookup"));
    shown.is(200);
    let token = number_of(&shown, &number);
    account
        .call("POST", CRYPTOGRAMS, &json!({"tokenNumber": token}))
        .is(200);
    let later = provisioned(&account, &expiring(&card_number(), REFUSED_LATER));
    assert!(later.body.get("tokenPaymentInstrument").is_none(), "{}", later.text);
    let shown = account.get(&later.link("tokens:networkTokenLookup"));
    shown.is(200);
    assert!(!shown.at("/provisioningErrors").as_array().unwrap().is_empty());
    let silent = account.call("POST", PLACE, &expiring(&card_number(), SILENT));
    silent.refused(503, "networkProviderError");
    // the same of a stored token
    let stored = account.made(&expiring(&card_number(), REFUSED));
    let instrument = json!({"type": "card/tokenized", "href": stored.href()});
    let refused = provisioned(
        &account,
        &json!({"paymentInstrument": instrument, "merchant": {"entity": "default"}}),
    );
    assert!(refused.body.get("provisioningErrors").is_some(), "{}", refused.text);
}

/// What was provisioned before the daemon stopped.
pub(crate) fn outlives_the_daemon(daemon: &mut Daemon) {
    let number = card_number();
    let made = provisioned(&Account::dev(daemon), &bare(&number));
    daemon.stop();
    daemon.up();
    let account = Account::dev(daemon);
    let shown = account.get(&made.link("tokens:networkTokenLookup"));
    shown.is(200);
    let token = number_of(&shown, &number);
    assert_eq!(token, number_of(&made, &number));
    account
        .call("POST", CRYPTOGRAMS, &json!({"tokenNumber": token}))
        .is(200);
    account.delete(&format!("{PLACE}/{token}")).done();
    daemon.run(&["audit", "verify"], 0);
}
