//! The simulator, and who has it.

use super::*;
use TokenKind::{MultiUse, SingleUse};

const AMEX: &str = "378282246310005";

async fn shop() -> Shop {
    Shop::open("TESTSHOP", Connectors::default()).await
}

#[tokio::test]
async fn a_test_merchant_has_it_and_it_says_what_it_is() {
    let shop = shop().await;
    assert_eq!(
        shop.payments.psp_name(&shop.actor, &id(SIMULATOR)).unwrap(),
        "simulator"
    );
    let single = shop
        .ask(card("mca_simulator", SingleUse, VISA, GOOD, Some("100")))
        .await
        .unwrap();
    assert_eq!(single.provider, "simulator");
    assert_eq!((single.token_type, single.status), (SingleUse, TokenStatus::Active));
    assert!(single.token.as_str().starts_with("pm_simulator_"), "{}", single.token);
    assert_eq!(single.connector_customer_id, None);
    let multi = shop
        .ask(card("mca_simulator_eu", MultiUse, VISA, GOOD, None))
        .await
        .unwrap();
    let customer = multi.connector_customer_id.clone().unwrap();
    assert!(customer.as_str().starts_with("cus_simulator_"), "{customer}");
    assert_eq!(
        shop.events().await,
        [
            "sent: connector mca_simulator (simulator), single_use".to_owned(),
            format!(
                "ok: connector mca_simulator (simulator), single_use, token {}",
                single.token
            ),
            "sent: connector mca_simulator_eu (simulator), multi_use".to_owned(),
            format!(
                "ok: connector mca_simulator_eu (simulator), multi_use, token {}, customer {customer}",
                multi.token
            ),
        ]
    );
}

#[tokio::test]
async fn the_same_request_gets_the_same_token_and_another_gets_another() {
    let shop = shop().await;
    let token = async |asked| shop.ask(asked).await.unwrap();
    let first = token(card(SIMULATOR, MultiUse, VISA, GOOD, None)).await;
    let again = token(card(SIMULATOR, MultiUse, VISA, GOOD, Some("999"))).await;
    assert_eq!(
        (&first.token, &first.connector_customer_id),
        (&again.token, &again.connector_customer_id)
    );
    for other in [
        card(SIMULATOR, SingleUse, VISA, GOOD, None),
        card(SIMULATOR, MultiUse, AMEX, GOOD, None),
        card(SIMULATOR, MultiUse, VISA, "11/40", None),
        card("mca_simulator2", MultiUse, VISA, GOOD, None),
    ] {
        assert_ne!(token(other).await.token, first.token);
    }
}

#[tokio::test]
async fn a_customer_of_its_own_is_kept_and_anothers_is_not() {
    let shop = shop().await;
    for (given, kept) in [("cus_simulator_abc", true), ("cus_abc", false)] {
        let given = PspReference::parse(given).unwrap();
        let asked = PspTokenize {
            customer: Some(given.clone()),
            ..card(SIMULATOR, MultiUse, VISA, GOOD, None)
        };
        let token = shop.ask(asked).await.unwrap();
        assert_eq!(token.connector_customer_id == Some(given), kept);
    }
}

#[tokio::test]
async fn expiry_and_code_decide_as_the_table_says() {
    let shop = shop().await;
    let refused = |code: &'static str| {
        move |failure: &Failure| match failure {
            Failure::Card(refusal) => {
                refusal.code() == Some(code) && refusal.message().unwrap().ends_with("(simulator)")
            }
            _ => false,
        }
    };
    let fails = async |kind, expiry, code| failure(shop.ask(card(SIMULATOR, kind, VISA, expiry, code)).await);
    for kind in [SingleUse, MultiUse] {
        assert_eq!(fails(kind, "02/38", None).await, Failure::Unreachable);
        assert!(refused("card_declined")(&fails(kind, "03/38", None).await));
        assert_eq!(
            fails(kind, "06/38", None).await,
            Failure::Busy { retry_after_s: Some(1) }
        );
        assert_eq!(fails(kind, "07/38", None).await, Failure::Account);
        assert_eq!(fails(kind, "08/38", Some("102")).await, Failure::Unavailable);
        assert!(refused("expired_card")(&fails(kind, "10/25", None).await));
        assert!(refused("incorrect_cvc")(&fails(kind, GOOD, Some("102")).await));
        assert!(refused("incorrect_cvc")(&fails(kind, GOOD, Some("1020")).await));
        let inactive = shop.ask(card(SIMULATOR, kind, VISA, "05/38", None)).await.unwrap();
        assert_eq!(inactive.status, TokenStatus::Inactive);
    }
    assert!(refused("card_declined")(&fails(MultiUse, "04/38", None).await));
    assert!(shop.ask(card(SIMULATOR, SingleUse, VISA, "04/38", None)).await.is_ok());
    let declined = fails(SingleUse, "03/38", None).await;
    assert_eq!(declined.refusal().unwrap().decline_code(), Some("generic_decline"));
    let last = shop.events().await.pop().unwrap();
    assert_eq!(
        last,
        "refused: connector mca_simulator (simulator), single_use, code card_declined"
    );
}

#[tokio::test]
async fn a_live_merchant_is_refused_before_anything_is_done() {
    let shop = Shop::open("SHOP", Connectors::default()).await;
    let simulated = shop.ask(card(SIMULATOR, SingleUse, VISA, GOOD, None)).await;
    assert!(matches!(simulated, Err(Error::SimulatorOnly)));
    let unknown = shop.ask(card("mca_other", SingleUse, VISA, GOOD, None)).await;
    assert!(matches!(unknown, Err(Error::UnknownConnector)));
    assert!(shop.payments.psp_name(&shop.actor, &id("mca_other")).is_err());
    assert!(shop.events().await.is_empty());
}

#[tokio::test]
async fn an_id_of_the_simulators_is_too_short_for_a_card_number() {
    let shop = shop().await;
    let long = shop
        .ask(card(&format!("mca_simulator{VISA}"), SingleUse, VISA, GOOD, None))
        .await;
    assert!(matches!(long, Err(Error::UnknownConnector)));
}
