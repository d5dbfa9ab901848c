//! A card that the customer has already.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::shop::{Shop, VISA, card, is_id, method};

pub(crate) fn returned(shop: &Shop<'_>) {
    let customer = shop.customer();
    let made = shop.add(&method(&customer, &card(VISA, "03", "2030")));
    // blanks, a month of one digit and a year of two say the same
    for (number, month, year) in [
        (VISA, "3", "30"),
        ("4111-1111 1111 1111", "03", "2030"),
        (VISA, "3", "2030"),
    ] {
        let again = shop.add(&method(&customer, &card(number, month, year)));
        assert_eq!(again["id"], made["id"], "{number} {month}/{year}");
        assert_eq!(again["created"], made["created"]);
    }
    // another expiry and another customer make another payment method
    let later = shop.add(&method(&customer, &card(VISA, "04", "2030")));
    let other = shop.add(&method(&shop.customer(), &card(VISA, "03", "2030")));
    let ids: BTreeSet<_> = [&made, &later, &other].map(|each| each["id"].to_string()).into();
    assert_eq!(ids.len(), 3);
    // one that was not used yet takes over what is given
    let mut renamed = method(&customer, &card(VISA, "03", "2030"));
    renamed["payment_method_data"]["card"]["card_holder_name"] = json!("new name");
    renamed["billing"] = json!({"email": "new@example.com"});
    let again = shop.add(&renamed);
    assert_eq!(again["id"], made["id"]);
    assert_eq!(again["payment_method_data"]["card"]["card_holder_name"], "new name");
    assert_eq!(again["billing"]["email"], "new@example.com");
}

/// All get the winner.
pub(crate) fn at_once(shop: &Shop<'_>) {
    for round in 1..=3 {
        let customer = shop.customer();
        let new = method(&customer, &card(VISA, &round.to_string(), "2031"));
        let ids: BTreeSet<String> = std::thread::scope(|scope| {
            let adding: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| shop.add(&new)["id"].to_string()))
                .collect();
            adding.into_iter().map(|each| each.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
        let list = shop.get(&format!("/customers/{customer}/saved-payment-methods"));
        assert_eq!(list["customer_payment_methods"].as_array().unwrap().len(), 1);
    }
}

pub(crate) fn refused(shop: &Shop<'_>) {
    let customer = shop.customer();
    assert!(is_id(&customer, "12345", "cus"), "{customer}");
    let new = method(&customer, &card(VISA, "03", "2030"));
    let made = shop.add(&new);
    assert!(is_id(made["id"].as_str().unwrap(), "12345", "pm"), "{made}");
    shop.refused("POST", "/v2/payment-methods", &new, 400, "HE_01");
    shop.add(&method(&customer, &card(VISA, "04", "2030")));
    shop.ok(
        "DELETE",
        &format!("/payment-methods/{}", made["id"].as_str().unwrap()),
        &Value::Null,
    );
    shop.add(&new);
}

pub(crate) fn one_of_many(shop: &Shop<'_>) {
    let new = method(&shop.customer(), &card(VISA, "03", "2030"));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let adding: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| shop.call("POST", "/payment-methods", &new).status))
            .collect();
        adding.into_iter().map(|each| each.join().unwrap()).collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 400).count(),
        15,
        "{statuses:?}"
    );
}
