use super::*;

fn reason(text: &str, in_clear: bool) -> Option<String> {
    let bins = BinTable::built_in();
    match object("metadata", text, METADATA_MAX, in_clear.then_some(&bins)) {
        Ok(()) => None,
        Err(Error::Caller(CallerError::Field { field, reason })) => {
            assert_eq!(field, "metadata");
            Some(reason)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn only_one_object_passes() {
    assert_eq!(reason("{}", true), None);
    assert_eq!(reason(r#"{"a":[1,2.5,null,true,"x",{"b":-7}]}"#, true), None);
    for not in ["[]", "1", "null", "\"x\"", "true"] {
        assert_eq!(reason(not, true).as_deref(), Some("is not a JSON object"), "{not}");
    }
    for not in ["", "{", "{} {}", "{\"a\":}", "nul"] {
        assert_eq!(reason(not, true).as_deref(), Some("is not JSON"), "{not}");
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(METADATA_MAX));
    assert_eq!(reason(&long, true).as_deref(), Some("is longer than 4096 bytes"));
}

#[test]
fn sensitive_members_are_found_at_any_depth_under_any_spelling() {
    for name in [
        "cvv",
        "CVC",
        "security_code",
        "securityCode",
        "card-cvc",
        "Track_2",
        "trackData",
        "pin_block",
    ] {
        let refused = reason(&format!(r#"{{"a":[{{"{name}":"1"}}]}}"#), false);
        assert!(refused.unwrap().contains("never stored"), "{name}");
        assert_eq!(
            reason(&format!(r#"{{"a":[{{"{name}":null}}]}}"#), false),
            None,
            "{name}"
        );
    }
    assert!(reason(r#"{"cvv":{}}"#, false).is_some());
    assert!(
        reason(r#"{"cvv":"123","cvv":null}"#, false).is_some(),
        "a name given twice"
    );
    assert!(reason(r#"{"\u0063vv":"123"}"#, false).is_some(), "an escaped name");
    assert_eq!(reason(r#"{"pinned":true,"tracking":"x"}"#, false), None);
}

#[test]
fn sensitive_members_are_found_in_paths() {
    for name in [
        "sourceOfFunds.provided.card.securityCode",
        "customer.cvv",
        "customer.cvv[0]",
        "cards[3].cvv",
        "order.track_2.data",
        "card.security-code",
    ] {
        let refused = reason(&format!(r#"{{"{name}":"1"}}"#), false);
        assert!(refused.unwrap().contains("never stored"), "{name}");
    }
    let good = r#"{"customer.email":"x","order.item[0].name":"x","card.expiry.month":"1"}"#;
    assert_eq!(reason(good, false), None);
}

#[test]
fn card_numbers_in_clear_are_found() {
    for text in [
        r#"{"a":"4111111111111111"}"#,
        r#"{"a":4111111111111111}"#,
        r#"{"a":-4111111111111111}"#,
        r#"{"a":4.111111111111111e15}"#,
        r#"{"4111111111111111":1}"#,
        r#"{"a":["card 4111-1111-1111-1111."]}"#,
        r#"{"a":"5555 5555 5555 4444"}"#,
        r#"{"a":"order_378282246310005_x"}"#,
    ] {
        assert!(reason(text, true).unwrap().contains("card number"), "{text}");
        assert_eq!(reason(text, false), None, "the sealed profile may hold it: {text}");
    }
    assert_eq!(reason(r#"{"a":"4111111111111112"}"#, true), None, "fails Luhn");
    assert_eq!(reason(r#"{"order":"1763820000000"}"#, true), None, "no issuer's range");
}

#[test]
fn a_refusal_does_not_repeat_the_text() {
    let text = r#"{"a":"4111111111111111"}"#;
    assert!(!reason(text, true).unwrap().contains("4111"));
    let broken = r#"{"a":4111111111111111x}"#;
    assert!(!reason(broken, true).unwrap().contains("4111"));
}

#[test]
fn holders() {
    let bins = BinTable::built_in();
    assert!(holder("Zoë O'Hara-Smith", &bins).is_ok());
    for bad in ["", "  ", "a\nb", "4111 1111 1111 1111", &"x".repeat(1_021)] {
        assert!(holder(bad, &bins).is_err(), "{bad}");
    }
}

#[test]
fn the_names_are_in_order_and_none_is_longer_than_what_is_looked_at() {
    assert!(SENSITIVE.is_sorted());
    assert_eq!(SENSITIVE.iter().map(|name| name.len()).max(), Some(LONGEST));
    for name in SENSITIVE {
        assert!(is_sensitive(name) && is_sensitive(&name.to_uppercase()), "{name}");
        assert!(!is_sensitive(&format!("{name}x")), "{name}");
    }
}
