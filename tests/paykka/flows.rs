//! The four flows of the vendor's page as far as they need no browser, and what hangs on them.

use serde_json::json;

use crate::asking::{Shop, fresh};
use crate::support::daemon::{MASTERCARD, VISA};

/// Store on file, and pay again with the stored card.
pub(crate) fn card_on_file(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let paid = shop.store(&shopper, VISA);
    assert_eq!(paid["status"], "SUCCESS", "{paid}");
    assert_eq!((&paid["error_code"], &paid["amount"]), (&json!("0000"), &json!(800)));
    assert_eq!(
        paid["card_info"],
        json!({"bin": "411111", "last4": "1111", "card_brand": "VISA"})
    );
    let token = paid["token"].as_str().unwrap();
    assert!(token.starts_with("TK") && token.len() == 19, "{token}");
    assert!(paid["order_id"].as_str().unwrap().starts_with("GW"));
    assert!(paid["recurring_agreement_id"].is_null());
    assert_eq!(paid["balances"]["captured_amount"], 800);

    // what was paid is found by each of its names
    for by in ["trans_id", "order_id"] {
        let found = shop.data(
            "/v3/payment/acq/query",
            json!({by: paid[by], "session_id": "", "timestamp": 1}),
        );
        assert_eq!(found["token"], paid["token"]);
        assert_eq!(found["shopper_reference"], json!(shopper));
    }

    let again = |amount: &str| {
        json!({"payment_type": "PURCHASE", "trans_id": fresh("trans"), "currency": "HKD", "amount": amount,
            "payment": {"payment_method": "BANKCARD", "token": token, "shopper_reference": shopper, "cvv": "100"}})
    };
    let second = shop.data("/v3/payment/acq", again("900"));
    assert_eq!(
        (&second["status"], &second["token"]),
        (&json!("SUCCESS"), &paid["token"])
    );
    assert_ne!(second["order_id"], paid["order_id"]);

    // the same card of the same shopper for the same usage has one token
    assert_eq!(shop.store(&shopper, VISA)["token"], paid["token"]);
    assert_ne!(shop.store(&fresh("shopper"), VISA)["token"], paid["token"]);
    let listed = shop.tokens(&shopper);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["token_usage"], "CARD_ON_FILE");
    assert_eq!(listed[0]["card_info"]["last4"], "1111");
}

/// Subscribe, charge by agreement, cancel.
pub(crate) fn subscription(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let first = shop.subscribe(&shopper, MASTERCARD);
    assert_eq!(first["status"], "SUCCESS", "{first}");
    let (token, agreement) = (&first["token"], &first["recurring_agreement_id"]);
    assert!(agreement.as_str().unwrap().starts_with("RA"), "{first}");
    let charge = |trans: String, agreement: &serde_json::Value, shopper: &str, usage: Option<&str>| {
        json!({"payment_type": "RECURRING", "mit": true, "trans_id": trans, "currency": "EUR", "amount": 8715,
            "recurring_agreement_id": agreement,
            "payment": {"payment_method": "BANKCARD", "token": token, "shopper_reference": shopper, "token_usage": usage}})
    };
    let trans = fresh("trans");
    let charged = shop.data("/v3/payment/acq", charge(trans.clone(), agreement, &shopper, None));
    assert_eq!(
        (&charged["status"], &charged["recurring_agreement_id"]),
        (&json!("SUCCESS"), agreement)
    );
    // the same request again charges nothing again
    let again = shop.data("/v3/payment/acq", charge(trans.clone(), agreement, &shopper, None));
    assert_eq!(again["order_id"], charged["order_id"]);
    assert_eq!(
        shop.refused(
            "/v3/payment/acq",
            charge(trans, agreement, &shopper, Some("SUBSCRIPTION"))
        ),
        (400, "010000".to_owned()),
        "another request under the id"
    );
    let refused = |agreement: &serde_json::Value, shopper: &str, usage| {
        shop.refused("/v3/payment/acq", charge(fresh("trans"), agreement, shopper, usage))
    };
    assert_eq!(refused(&json!("RA0000000000000000"), &shopper, None).1, "2015");
    assert_eq!(refused(agreement, "somebody", None).1, "2099");
    let mut purchase = charge(fresh("trans"), agreement, &shopper, None);
    purchase["payment_type"] = json!("PURCHASE");
    purchase["mit"] = json!(null);
    assert_eq!(
        shop.refused("/v3/payment/acq", purchase).1,
        "2015",
        "a subscription's card is for its charges"
    );
    assert_eq!(refused(agreement, &shopper, Some("CARD_ON_FILE")).1, "2099");

    assert_eq!(shop.tokens(&shopper)[0]["recurring_agreement_id"], *agreement);
    let cancel = json!({"recurring_agreement_id": agreement});
    for _ in 0..2 {
        assert_eq!(
            shop.ask("/v3/payment/acq/recurring/cancel", cancel.clone()).json()["ret_code"],
            "000000"
        );
    }
    assert_eq!(refused(agreement, &shopper, None).1, "2016");
    assert_eq!(shop.tokens(&shopper).len(), 1, "the card stays");
    assert!(shop.tokens(&shopper)[0]["recurring_agreement_id"].is_null());
}

/// Stored cards are used for what they were stored, by who they were stored for.
pub(crate) fn usages(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let (on_file, subscribed) = (shop.store(&shopper, VISA), shop.subscribe(&shopper, VISA));
    assert_ne!(on_file["token"], subscribed["token"], "each usage has its own");
    let pay = |token: &serde_json::Value, shopper: &str| {
        json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": "1", "payment": {"token": token,
            "shopper_reference": shopper, "cvv": "100"}})
    };
    assert_eq!(
        shop.refused("/v3/payment/acq", pay(&subscribed["token"], &shopper)).1,
        "2099"
    );
    assert_eq!(
        shop.refused(
            "/v3/payment/acq",
            json!({"payment_type": "RECURRING", "mit": true, "trans_id": fresh("trans"), "currency": "EUR", "amount": "1",
                "recurring_agreement_id": subscribed["recurring_agreement_id"],
                "payment": {"token": on_file["token"], "shopper_reference": shopper}}),
        )
        .1,
        "2015"
    );
    // one answer, whether it is another's or nobody's
    let others = shop.ask("/v3/payment/acq", pay(&on_file["token"], "somebody")).json();
    let nobodys = shop
        .ask("/v3/payment/acq", pay(&json!("TK00000000000000000"), &shopper))
        .json();
    assert_eq!((&others["ret_code"], &others), (&json!("2099"), &nobodys));
}

/// Removed for good, with what hangs on it.
pub(crate) fn removal(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let paid = shop.subscribe(&shopper, VISA);
    let remove = |shopper: &str| {
        let body = json!({"token": paid["token"], "shopper_reference": shopper});
        shop.ask("/v3/payment/acq/token/remove", body)
    };
    assert_eq!(remove("somebody").json()["ret_code"], "010000");
    assert_eq!(shop.tokens(&shopper).len(), 1);
    assert_eq!(
        remove(&shopper).json(),
        json!({"ret_code": "000000", "ret_msg": "Success"})
    );
    assert_eq!(remove(&shopper).json()["ret_code"], "010000", "gone is gone");
    assert!(shop.tokens(&shopper).is_empty());
    let charge = json!({"payment_type": "RECURRING", "mit": true, "trans_id": fresh("trans"), "currency": "EUR",
        "amount": "1", "recurring_agreement_id": paid["recurring_agreement_id"],
        "payment": {"token": paid["token"], "shopper_reference": shopper}});
    assert_eq!(shop.refused("/v3/payment/acq", charge.clone()).1, "2016");
    let mut others = charge;
    others["trans_id"] = json!(fresh("trans"));
    others["payment"]["shopper_reference"] = json!("somebody");
    assert_eq!(
        shop.refused("/v3/payment/acq", others).1,
        "2099",
        "others hear what they hear of any token"
    );
    assert!(shop.tokens(&fresh("nobody")).is_empty());
}

/// Refunds, undoing, and taking what is reserved.
pub(crate) fn after_a_payment(shop: &Shop<'_>) {
    let paid = shop.store(&fresh("shopper"), VISA);
    let refund = |trans: &str, amount: u32| {
        json!({"refund_trans_id": trans, "ori_order_id": paid["order_id"], "refund_amount": amount, "currency": "HKD",
            "reason": "REQUESTED_BY_CUSTOMER"})
    };
    let first = fresh("refund");
    let given = shop.data("/v3/payment/acq/refund", refund(&first, 300));
    assert_eq!(
        (&given["status"], &given["refund_amount"]),
        (&json!("SUCCESS"), &json!(300))
    );
    assert!(given["refund_order_id"].as_str().unwrap().starts_with("RG"));
    let again = shop.data("/v3/payment/acq/refund", refund(&first, 300));
    assert_eq!(again["refund_order_id"], given["refund_order_id"]);
    assert_eq!(shop.refused("/v3/payment/acq/refund", refund(&first, 301)).1, "010000");
    assert_eq!(
        shop.refused("/v3/payment/acq/refund", refund(&fresh("refund"), 501)).1,
        "010000"
    );
    for by in ["refund_trans_id", "refund_order_id"] {
        let found = shop.data("/v3/payment/acq/refund/query", json!({by: given[by]}));
        assert_eq!(found["status"], "SUCCESS");
    }
    let query = || shop.data("/v3/payment/acq/query", json!({"order_id": paid["order_id"]}));
    let part = query();
    assert_eq!(part["status"], "PARTIALLY_REFUNDED");
    assert_eq!(
        (
            &part["balances"]["refunded_amount"],
            &part["balances"]["able_to_refund_amount"]
        ),
        (&json!(300), &json!(500))
    );
    shop.data("/v3/payment/acq/refund", refund(&fresh("refund"), 500));
    assert_eq!(query()["status"], "REFUNDED");

    let reserved = |amount: &str| {
        shop.data(
            "/v3/payment/acq",
            json!({"trans_id": fresh("trans"), "currency": "EUR", "amount": amount, "capture_method": "MANUAL",
                "payment": {"card_no": VISA, "exp_month": "08", "exp_year": "35", "cvv": "100"}}),
        )
    };
    let one = reserved("1000");
    assert_eq!((&one["status"], &one["token"]), (&json!("AUTHORIZED"), &json!(null)));
    assert_eq!(one["balances"]["able_to_capture_amount"], 1000);
    let undone = shop.data(
        "/v3/payment/acq/void",
        json!({"order_id": one["order_id"], "reason": "OTHER"}),
    );
    assert_eq!(
        (&undone["status"], &undone["balances"]["voided_amount"]),
        (&json!("CANCELED"), &json!(1000))
    );
    assert_eq!(
        shop.data("/v3/payment/acq/void", json!({"order_id": one["order_id"]}))["status"],
        "CANCELED"
    );
    let two = reserved("1000");
    let capture =
        |amount: &str, currency: &str| json!({"order_id": two["order_id"], "amount": amount, "currency": currency});
    assert_eq!(
        shop.refused("/v3/payment/acq/capture", capture("400", "JPY")).1,
        "010000",
        "another currency"
    );
    let taken = shop.data("/v3/payment/acq/capture", capture("400", "EUR"));
    assert_eq!(taken["balances"]["captured_amount"], 400, "{taken}");
    // what was taken or given back is not undone
    for order in [&two["order_id"], &paid["order_id"]] {
        assert_eq!(
            shop.refused("/v3/payment/acq/void", json!({"order_id": order})).1,
            "010000"
        );
    }
    assert_eq!(query()["status"], "REFUNDED");
    let whole = shop.store(&fresh("shopper"), VISA);
    let undone = shop.data("/v3/payment/acq/void", json!({"order_id": whole["order_id"]}));
    assert_eq!(
        (&undone["status"], &undone["balances"]["captured_amount"]),
        (&json!("CANCELED"), &json!(0))
    );
}

/// A card that was renewed under its number keeps its token, and is charged with its new expiry.
pub(crate) fn renewed(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let store = |month: &str, year: &str| {
        shop.data(
            "/v3/payment/acq",
            json!({"payment_type": "RECURRING", "mit": false, "trans_id": fresh("trans"), "currency": "EUR", "amount": "5",
                "payment": {"store_payment_method": true, "token_usage": "SUBSCRIPTION", "shopper_reference": shopper,
                    "card_no": VISA, "exp_month": month, "exp_year": year, "cvv": "100"}}),
        )
    };
    let first = store("08", "2035");
    // the simulator declines what expires then: with this the token's own expiry shows
    let charge = |paid: &serde_json::Value| {
        shop.data(
            "/v3/payment/acq",
            json!({"payment_type": "RECURRING", "mit": true, "trans_id": fresh("trans"), "currency": "EUR", "amount": "5",
                "recurring_agreement_id": paid["recurring_agreement_id"],
                "payment": {"token": paid["token"], "shopper_reference": shopper}}),
        )["status"]
            .clone()
    };
    assert_eq!(charge(&first), "SUCCESS");
    let second = store("09", "2036");
    assert_eq!(second["token"], first["token"]);
    assert_eq!(charge(&second), "SUCCESS");
    let html = crate::page::Page::open(shop, "PURCHASE", json!({"shopper_reference": shopper}))
        .show()
        .text();
    assert!(
        !html.contains("ending in"),
        "a subscription's card is not for payments with the shopper"
    );
    let trail = shop.daemon.run(&["audit", "tail", "--lines", "60"], 0);
    let token = first["token"].as_str().unwrap();
    assert!(
        trail
            .lines()
            .any(|line| line.contains("\"update\"") && line.contains(token)),
        "{trail}"
    );
}

/// Where the acquirer does not say how it ended, nobody is told that it failed, and it is not tried again.
pub(crate) fn unknown(shop: &Shop<'_>) {
    let trans = fresh("trans");
    let pay = json!({"trans_id": trans, "currency": "EUR", "amount": "5", "payment": {"card_no": VISA,
        "exp_month": "05", "exp_year": "2037", "cvv": "100"}});
    let asked = shop.data("/v3/payment/acq", pay.clone());
    assert_eq!(
        (&asked["status"], &asked["error_code"]),
        (&json!("PROCESSING"), &json!("999999"))
    );
    assert_eq!(shop.data("/v3/payment/acq", pay)["order_id"], asked["order_id"]);
    let page = crate::page::Page::open(shop, "PURCHASE", json!({}));
    assert_eq!(
        page.fill(&format!("number={VISA}&month=5&year=2037&cvv=100")).status,
        303
    );
    assert!(page.show().text().contains("not known yet"), "{}", page.show().text());
}

/// A refusal of the acquirer's is no error of the request, and stores nothing.
pub(crate) fn declined(shop: &Shop<'_>) {
    let shopper = fresh("shopper");
    let trans = fresh("trans");
    let pay = json!({"trans_id": trans, "currency": "EUR", "amount": "5", "payment": {"card_no": VISA,
        "exp_month": "05", "exp_year": "2039", "cvv": "100", "store_payment_method": true, "token_usage": "CARD_ON_FILE",
        "shopper_reference": shopper}});
    let refused = shop.data("/v3/payment/acq", pay.clone());
    assert_eq!(
        (&refused["status"], &refused["error_code"]),
        (&json!("FAILURE"), &json!("2099"))
    );
    assert_eq!(refused["error_description"], "Declined (simulator)");
    assert!(refused["token"].is_null() && shop.tokens(&shopper).is_empty());
    assert_eq!(shop.data("/v3/payment/acq", pay)["order_id"], refused["order_id"]);
}
