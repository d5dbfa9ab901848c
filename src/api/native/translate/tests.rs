use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::json as parser;
use crate::api::native::problem::Code;

const PAN: &str = "4111111111111111";

fn create(body: &Value) -> Result<NewToken, Problem> {
    new_token(parser::parse(body.to_string().as_bytes())?, None)
}

fn with(extra: &[(&str, Value)]) -> Value {
    let mut body = json!({"card": {"number": PAN, "expiry": {"month": 12, "year": 2030}, "holder": "A B"}});
    for (name, value) in extra {
        body[*name] = value.clone();
    }
    body
}

fn told(problem: &Problem) -> Value {
    serde_json::to_value(problem.document(None)).unwrap()
}

fn field_of<T>(result: Result<T, Problem>) -> String {
    let problem = result.err().unwrap();
    assert_eq!(problem.code(), Code::InvalidField);
    told(&problem)["field"].as_str().unwrap().to_owned()
}

#[test]
fn a_plain_card_becomes_an_opaque_token_of_its_own() {
    let new = create(&with(&[])).unwrap();
    assert_eq!(new.pan.expose(), PAN);
    assert_eq!(new.expiry, Some(Expiry::new(12, 2030).unwrap()));
    assert_eq!(new.profile.holder.as_deref().map(String::as_str), Some("A B"));
    assert_eq!(
        (new.format, new.reuse, new.uses),
        (Format::Opaque, Reuse::Never, Uses::Multi)
    );
    assert!(new.namespace.is_none() && new.metadata.is_none() && new.expires_at.is_none());
    assert!(new.profile.extra.is_none() && new.idempotency.is_none());
}

#[test]
fn all_members_reach_the_core() {
    let new = create(&with(&[
        ("format", json!("supplied")),
        ("token", json!("customer-token-1")),
        ("reuse", json!("same_card")),
        ("namespace", json!("c1")),
        ("profile", json!({"email": "a@example.com"})),
        ("metadata", json!({"order": 7})),
        ("expires_at", json!("2031-01-01T00:00:00Z")),
        ("uses", json!("single")),
    ]))
    .unwrap();
    assert_eq!(new.format, Format::Supplied(Token::parse("customer-token-1").unwrap()));
    let scope = b"namespace:c1".to_vec();
    assert_eq!(new.reuse, Reuse::Return { scope });
    assert_eq!(
        new.profile.extra.as_deref().unwrap().as_str(),
        r#"{"email":"a@example.com"}"#
    );
    assert_eq!(new.metadata.as_deref(), Some(r#"{"order":7}"#));
    assert_eq!(new.expires_at, Some(UnixMillis(1_924_992_000_000)));
    assert_eq!(new.uses, Uses::Single);
}

#[test]
fn the_reuse_scope_without_a_namespace_is_the_repository() {
    let new = create(&with(&[("reuse", json!("same_card"))])).unwrap();
    assert_eq!(new.reuse, Reuse::Return { scope: Vec::new() });
}

#[test]
fn a_member_that_cannot_be_taken_is_named() {
    let card = |card: Value| field_of(create(&json!({ "card": card })));
    let expiry = json!({"month": 1, "year": 2030});
    assert_eq!(
        card(json!({"number": "4111111111111112", "expiry": expiry})),
        "card.number"
    );
    assert_eq!(card(json!({"number": 4111, "expiry": expiry})), "card.number");
    assert_eq!(card(json!({"expiry": expiry})), "card.number");
    assert_eq!(card(json!({"number": PAN})), "card.expiry");
    assert_eq!(
        card(json!({"number": PAN, "expiry": {"month": 13, "year": 2030}})),
        "card.expiry"
    );
    assert_eq!(
        card(json!({"number": PAN, "expiry": {"month": -1, "year": 2030}})),
        "card.expiry.month"
    );
    assert_eq!(card(json!({"number": PAN, "expiry": expiry, "cvc": "123"})), "card.cvc");

    let one = |name, value| field_of(create(&with(&[(name, value)])));
    assert_eq!(one("format", json!("fancy")), "format");
    assert_eq!(one("format", json!("supplied")), "token");
    assert_eq!(one("token", json!("mine")), "token");
    assert_eq!(one("namespace", json!("a b")), "namespace");
    assert_eq!(one("expires_at", json!("tomorrow")), "expires_at");
    assert_eq!(one("uses", json!(1)), "uses");
    let reserved = [("format", json!("supplied")), ("token", json!("search"))];
    assert_eq!(field_of(create(&with(&reserved))), "token");
}

#[test]
fn a_time_that_is_refused_lies_outside_what_the_refusal_says() {
    let at = |text: &str| create(&with(&[("expires_at", json!(text))]));
    assert!(at("9999-12-30T22:00:00Z").is_ok());
    for late in ["9999-12-31T23:59:59Z", "9999-12-30T22:00:01Z", "1969-12-31T23:59:59Z"] {
        let Err(problem) = at(late) else {
            panic!("{late} was taken")
        };
        let text = problem.document(None).detail.into_owned();
        assert!(text.contains("from 1970 to 9999-12-30T22:00:00"), "{text}");
    }
}

#[test]
fn a_patch_tells_absent_from_null() {
    let read = |text: &str| patch(parser::parse(text.as_bytes())?, None);
    let kept = read("{}").unwrap();
    assert!(matches!(kept.expiry, Change::Keep) && matches!(kept.holder, Change::Keep));
    assert!(matches!(kept.metadata, Change::Keep) && kept.status.is_none());

    let cleared = read(r#"{"expiry":null,"holder":null,"profile":null,"metadata":null,"expires_at":null}"#).unwrap();
    assert!(matches!(cleared.expiry, Change::Clear) && matches!(cleared.holder, Change::Clear));
    assert!(matches!(cleared.extra, Change::Clear) && matches!(cleared.metadata, Change::Clear));
    assert!(matches!(cleared.expires_at, Change::Clear));

    let set = read(r#"{"expiry":{"month":2,"year":2031},"metadata":{"a": 1.10},"status":"inactive"}"#).unwrap();
    assert_eq!(set.expiry, Change::Set(Expiry::new(2, 2031).unwrap()));
    assert_eq!(set.metadata, Change::Set(r#"{"a": 1.10}"#.to_owned()));
    assert_eq!(set.status, Some(Status::Inactive));

    assert_eq!(field_of(read(r#"{"status":null}"#)), "status");
    assert_eq!(field_of(read(r#"{"number":"4111111111111111"}"#)), "number");
}

#[test]
fn if_match_names_one_revision() {
    assert_eq!(if_match("\"3\""), Ok(Some(Revision(3))));
    assert_eq!(if_match("3"), Ok(Some(Revision(3))));
    assert_eq!(if_match("*"), Ok(None));
    for bad in [
        "",
        "\"\"",
        "W/\"3\"",
        "\"3\", \"4\"",
        "+3",
        "\"3",
        "99999999999999999999",
    ] {
        assert_eq!(if_match(bad).unwrap_err().code(), Code::InvalidHeader, "{bad}");
    }
}

fn view() -> View {
    View {
        token: Token::parse("tok_1").unwrap(),
        bin: "41111111".to_owned(),
        last4: "1111".to_owned(),
        masked: "41111111****1111".to_owned(),
        brand: Some("visa".to_owned()),
        funding: None,
        country: None,
        expiry: Some(Expiry::new(1, 2030).unwrap()),
        status: Status::Active,
        uses: Uses::Multi,
        namespace: Some(Namespace::parse("c1").unwrap()),
        metadata: Some(r#"{"a":1.10}"#.to_owned()),
        created_at: UnixMillis(0),
        updated_at: UnixMillis(1),
        updated_by: None,
        verification: None,
        replacement: None,
        alias: None,
        last_used_at: None,
        expires_at: None,
        revision: Revision(3),
    }
}

#[test]
fn the_masked_view_is_flat_and_whole() {
    let text = serde_json::to_string(&masked_view(&view()).unwrap()).unwrap();
    let expected = concat!(
        r#"{"token":"tok_1","bin":"41111111","last4":"1111","masked":"41111111****1111","brand":"visa","funding":null,"#,
        r#""country":null,"expiry":{"month":1,"year":2030},"status":"active","uses":"multi","namespace":"c1","#,
        r#""metadata":{"a":1.10},"created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:00.001Z","#,
        r#""last_used_at":null,"expires_at":null,"revision":3}"#
    );
    assert_eq!(text, expected);
}

#[test]
fn a_revealed_card_shows_its_profile_only_when_asked_and_never_grows_its_memory() {
    let card = Revealed {
        pan: Pan::parse(PAN).unwrap(),
        expiry: None,
        profile: Profile {
            holder: Some(Zeroizing::new("\u{1}".repeat(300))),
            extra: Some(Zeroizing::new(r#"{"city":"X"}"#.to_owned())),
        },
    };
    let plain = secret_json(&revealed(&card, false).unwrap(), secret_len(&card)).unwrap();
    let value: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(value["card"]["number"], PAN);
    assert_eq!(value["card"]["expiry"], Value::Null);
    assert!(value.get("profile").is_none());

    let full = secret_json(&revealed(&card, true).unwrap(), secret_len(&card)).unwrap();
    let value: Value = serde_json::from_slice(&full).unwrap();
    assert_eq!(value["profile"], json!({"city": "X"}));
    assert_eq!(full.capacity(), secret_len(&card) * 6 + 256, "the memory was moved");
}

/// JSON with the members of a create request among others, and a card number in any place.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::from(PAN)),
        Just(Value::from(4_111_111_111_111_111_u64)),
        "[ -~]{0,20}".prop_map(Value::from),
        "(opaque|supplied|same_card|single|active|2030-01-01T00:00:00Z)".prop_map(Value::from),
    ];
    let name = prop_oneof![
        "(card|number|expiry|month|year|holder|format|token|reuse|namespace|profile|metadata|expires_at|uses|status)",
        "(pan|bin|last4|limit|cursor|expiry_from|with|items)",
        Just(PAN.to_owned()),
        Just(format!("x{PAN}")),
        "[ -~]{0,8}",
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Refusals are the caller's and repeat no card number.
fn decent<T>(result: Result<T, Problem>) -> Result<(), TestCaseError> {
    if let Err(problem) = result {
        prop_assert!(problem.status().is_client_error());
        let text = told(&problem).to_string();
        prop_assert!(!text.contains("411111"), "{}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_json_is_taken_or_refused_decently(body in any_json()) {
        let text = body.to_string();
        decent(create(&body))?;
        decent(parser::parse(text.as_bytes()).map_err(Problem::from).and_then(|wire| patch(wire, None)))?;
        decent(parser::parse(text.as_bytes()).map_err(Problem::from).and_then(query))?;
        decent(parser::parse::<wire::RevealToken>(text.as_bytes()).map_err(Problem::from))?;
        decent(parser::parse::<wire::Batch>(text.as_bytes()).map_err(Problem::from))?;
    }

    #[test]
    fn any_bytes_are_taken_or_refused_decently(mut bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0..64usize) {
        let at = at.min(bytes.len());
        bytes.splice(at..at, PAN.bytes());
        decent(parser::parse(&bytes).map_err(Problem::from).and_then(|wire| new_token(wire, None)))?;
    }
}
