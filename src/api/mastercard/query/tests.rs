use proptest::prelude::*;

use super::*;
use crate::hsm::jwe_client::{HEADER, compact};
use crate::vault::tests::Rig;
use crate::vault::types::DependencyError;

const PAN: &str = "5123450000000008";

/// What became of a query: the filter, or what is told.
async fn read(rig: &Rig, text: &str) -> Result<String, String> {
    let told = |refusal: Refusal| String::from_utf8(refusal.tree(None).to_json()).unwrap();
    let asked = parse(text).map_err(told)?;
    match asked.filter(&rig.vault, &rig.actor).await {
        Ok(filter) => Ok(show(&filter)),
        Err(Fault::Refused(refusal)) => Err(told(refusal)),
        Err(Fault::Core(error)) => Err(error.to_string()),
    }
}

fn show(filter: &Filter) -> String {
    let list = |parts: &[Filter]| parts.iter().map(show).collect::<Vec<_>>().join(", ");
    match filter {
        Filter::All(parts) => format!("all({})", list(parts)),
        Filter::Any(parts) => format!("any({})", list(parts)),
        Filter::Token(token) => format!("token {token}"),
        Filter::Pan(pan) => format!("pan {}", pan.expose()),
        Filter::ExpiresIn(expiry) => format!("in {}/{}", expiry.month(), expiry.year()),
        Filter::ExpiresBy(expiry) => format!("by {}/{}", expiry.month(), expiry.year()),
        Filter::UpdatedAfter(time) => format!("after {time}"),
        Filter::Nothing => "nothing".to_owned(),
    }
}

#[tokio::test]
async fn the_grammar_is_read() {
    let rig = Rig::new().await;
    let number = format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{PAN}"]}}"#);
    let expiry = r#"{"LE":["sourceOfFunds.provided.card.expiry","0517"]}"#;
    for (text, expected) in [
        (
            r#"{"EQ":["token","9102370788509763"]}"#.to_owned(),
            "token 9102370788509763".to_owned(),
        ),
        // what no token looks like
        (r#"{"EQ":["token","91 023/70 é"]}"#.to_owned(), "nothing".to_owned()),
        (r#"{"EQ":["token",""]}"#.to_owned(), "nothing".to_owned()),
        (number.clone(), format!("pan {PAN}")),
        (
            r#" {"EQ": ["sourceOfFunds.provided.card.expiry", "1299"]} "#.to_owned(),
            "in 12/2099".to_owned(),
        ),
        (expiry.to_owned(), "by 5/2017".to_owned()),
        (
            r#"{"GT":["usage.lastUpdated","2014-10-31T03:11:53Z"]}"#.to_owned(),
            "after 2014-10-31T03:11:53.000Z".to_owned(),
        ),
        (
            r#"{"GT":["usage.lastUpdated","2014-10-31T03:11:53.250+01:00"]}"#.to_owned(),
            "after 2014-10-31T02:11:53.250Z".to_owned(),
        ),
        (
            format!(r#"{{"AND":[{expiry},{{"OR":[{number},{expiry}]}}]}}"#),
            format!("all(by 5/2017, any(pan {PAN}, by 5/2017))"),
        ),
    ] {
        assert_eq!(read(&rig, &text).await, Ok(expected), "{text}");
    }
}

#[tokio::test]
async fn nothing_is_opened_for_a_query_that_is_wrong_elsewhere() {
    let rig = Rig::new().await;
    // an HSM that was asked would say so
    rig.sealer.set_down(true);
    let key = &rig.sealer.transport_public;
    let jwe = compact(&key.n, &key.e, HEADER, PAN.as_bytes());
    let sealed = format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{jwe}"]}}"#);
    let token = r#"{"EQ":["token","a"]}"#;
    let nested = format!("{}{sealed}{}", r#"{"OR":["#.repeat(4), "]}".repeat(4));
    for wrong in [
        format!(r#"{{"AND":[{sealed},{{"OR":[]}}]}}"#),
        format!(r#"{{"OR":[{sealed},{}]}}"#, vec![token; 31].join(",")),
        format!(r#"{{"OR":[{}]}}"#, [sealed.as_str(); 9].join(",")),
        format!(r#"{{"OR":[{sealed},{{"LE":["token","a"]}}]}}"#),
        format!(r#"{{"OR":[{sealed},{{"EQ":["sourceOfFunds.provided.card.expiry","1317"]}}]}}"#),
        nested,
    ] {
        let told = read(&rig, &wrong).await.unwrap_err();
        assert!(told.contains(r#""field":"query""#), "{told}");
    }
    assert_eq!(
        read(&rig, &sealed).await.unwrap_err(),
        Error::Dependency(DependencyError::HsmDown).to_string()
    );
    rig.sealer.set_down(false);
    assert_eq!(read(&rig, &sealed).await, Ok(format!("pan {PAN}")));
}

#[tokio::test]
async fn what_is_no_query_is_refused_and_never_repeated() {
    let rig = Rig::new().await;
    let bad_luhn = "5123450000000009";
    let many = vec![format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{PAN}"]}}"#); 9].join(",");
    for text in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        PAN.to_owned(),
        r#"{"EQ":["token"]}"#.to_owned(),
        format!(r#"{{"EQ":["token","{PAN}","x"]}}"#),
        format!(r#"{{"EQ":["token",{PAN}]}}"#),
        r#"{"EQ":["token","a"],"LE":["token","a"]}"#.to_owned(),
        format!(r#"{{"NE":["token","{PAN}"]}}"#),
        format!(r#"{{"{PAN}":["token","a"]}}"#),
        format!(r#"{{"LE":["token","{PAN}"]}}"#),
        r#"{"GT":["sourceOfFunds.provided.card.expiry","0517"]}"#.to_owned(),
        format!(r#"{{"EQ":["sourceOfFunds.provided.giftCard.number","{PAN}"]}}"#),
        format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{bad_luhn}"]}}"#),
        format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{PAN}x"]}}"#),
        r#"{"EQ":["sourceOfFunds.provided.card.expiry","1317"]}"#.to_owned(),
        r#"{"EQ":["sourceOfFunds.provided.card.expiry","517"]}"#.to_owned(),
        r#"{"EQ":["sourceOfFunds.provided.card.expiry","é17"]}"#.to_owned(),
        format!(r#"{{"GT":["usage.lastUpdated","{PAN}"]}}"#),
        r#"{"AND":[]}"#.to_owned(),
        format!(
            "{}{}{}",
            r#"{"OR":["#.repeat(4),
            r#"{"EQ":["token","a"]}"#,
            "]}".repeat(4)
        ),
        format!(r#"{{"OR":[{}]}}"#, vec![r#"{"EQ":["token","a"]}"#; 32].join(",")),
        format!(r#"{{"AND":{{"EQ":["token","{PAN}"]}}}}"#),
        format!(r#"{{"OR":[{many}]}}"#),
        format!("{}{}", r#"{"AND":["#.repeat(5_000), "]}".repeat(5_000)),
    ] {
        let told = read(&rig, &text).await.unwrap_err();
        assert!(
            told.contains(r#""field":"query","validationType":"INVALID""#),
            "{text}: {told}"
        );
        assert!(!told.contains(PAN) && !told.contains(bad_luhn), "{told}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(
        pieces in prop::collection::vec(prop_oneof![
            Just(PAN.to_owned()), "[\\[\\]{}:,\" ]{0,3}", "\"(EQ|LE|GT|AND|OR|token)\"",
            Just("\"sourceOfFunds.provided.card.number\"".to_owned()),
        ], 0..14),
    ) {
        if let Err(refusal) = parse(&pieces.concat()) {
            prop_assert!(!String::from_utf8(refusal.tree(None).to_json()).unwrap().contains(PAN));
        }
    }
}
