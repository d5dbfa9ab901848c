use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::card::contains_pan;
use crate::vault::tests::Rig;

/// 2026-01-01T00:00:00Z
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);
const CARDS: [&str; 6] = [
    "371449635398431",
    "36259600000012",
    "6011003179988686",
    "3528111100000001",
    "5123450000000008",
    "4508750015741019",
];

fn shop() -> MerchantId {
    MerchantId::parse("TEST_shop").unwrap()
}

async fn asked(service: &SimulatedNetworkTokens, pan: &str, expiry: (u8, u16)) -> Result<Provision, NotDone> {
    let pan = Pan::parse(pan).unwrap();
    let card = CardToProvision {
        pan: &pan,
        expiry: Expiry::new(expiry.0, expiry.1).unwrap(),
        holder: Some("Ada Lovelace"),
    };
    service.provision(&shop(), card).await
}

async fn given(service: &SimulatedNetworkTokens, merchant: &str, pan: &str) -> (String, String) {
    let pan = Pan::parse(pan).unwrap();
    let card = CardToProvision {
        pan: &pan,
        expiry: Expiry::new(12, 2040).unwrap(),
        holder: None,
    };
    match service.provision(&MerchantId::parse(merchant).unwrap(), card).await {
        Ok(Provision::Active(token)) => (
            token.number.expose().to_owned(),
            token.account_reference.expose().to_owned(),
        ),
        _ => panic!("none is given"),
    }
}

fn reason(provision: Provision) -> ProvisionRefusal {
    match provision {
        Provision::Refused(refusal) => refusal,
        Provision::Active(_) | Provision::Pending(_) => panic!("it is not refused"),
    }
}

#[test]
fn the_expiry_decides() {
    for (expiry, decision) in [
        ((1, 2038), Decision::Active),
        ((2, 2038), Decision::NotDone),
        ((3, 2038), Decision::Refused),
        ((4, 2038), Decision::Pending),
        ((5, 2038), Decision::PendingThenRefused),
        ((6, 2038), Decision::Active),
        ((1, 2026), Decision::Active),
        ((12, 2025), Decision::Expired),
        ((12, 2099), Decision::Active),
    ] {
        let expiry = Expiry::new(expiry.0, expiry.1).unwrap();
        assert_eq!(decide(expiry, NOW), decision, "{expiry:?}");
    }
    // also when they are past
    assert_eq!(
        decide(Expiry::new(3, 2038).unwrap(), UnixMillis(4_000_000_000_000)),
        Decision::Refused
    );
}

#[tokio::test]
async fn a_number_looks_as_the_table_says() {
    let service = SimulatedNetworkTokens::new(Rig::new().await.vault);
    let bins = BinTable::built_in();
    for (card, brand) in CARDS.iter().zip(&BRANDS) {
        let (number, account) = given(&service, "TEST_shop", card).await;
        assert!(
            number.starts_with(brand.begins) && number.len() == brand.length,
            "{card}"
        );
        let number = Pan::parse(&number).unwrap();
        for pan in [&number, &Pan::parse(card).unwrap()] {
            assert_eq!(bins.lookup(pan).brand.as_deref(), Some(brand.name), "{card}");
        }
        assert!(account.starts_with("SIM"), "{account}");
        let details = service.cryptogram(&shop(), &number).await.ok().unwrap();
        assert_eq!(details.eci, brand.eci);
        assert!(service.delete(&shop(), &number).await.is_ok());
    }
    let elsewhere = Pan::parse("4111111111111111").unwrap();
    assert!(service.cryptogram(&shop(), &elsewhere).await.is_err());
}

#[tokio::test]
async fn the_same_card_of_the_same_merchant_has_the_same_number() {
    let service = SimulatedNetworkTokens::new(Rig::new().await.vault);
    let (visa, mastercard) = (CARDS[5], CARDS[4]);
    let (number, account) = given(&service, "TEST_shop", visa).await;
    assert_eq!(
        given(&service, "TEST_shop", visa).await,
        (number.clone(), account.clone())
    );
    let (elsewhere, same_account) = given(&service, "TEST_other", visa).await;
    assert_ne!(elsewhere, number);
    assert_eq!(same_account, account, "an account has one reference");
    let (another, other_account) = given(&service, "TEST_shop", mastercard).await;
    assert!(another != number && other_account != account);
}

#[tokio::test]
async fn every_text_says_that_this_is_a_simulator() {
    let service = SimulatedNetworkTokens::new(Rig::new().await.vault);
    assert!(service.name().contains("simulator"));
    for (pan, expiry, provider) in [
        (CARDS[5], (3, 2038), "403"),
        (CARDS[5], (1, 2020), "402"),
        // a maestro card
        ("5000000000000000005", (1, 2040), "404"),
    ] {
        let refusal = reason(asked(&service, pan, expiry).await.ok().unwrap());
        assert_eq!(
            (refusal.error_code.as_str(), refusal.provider_error_code.as_str()),
            ("301", provider)
        );
        for text in [&refusal.source, &refusal.context, &refusal.message] {
            assert!(text.ends_with("(simulator)"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_not_ready_is_there_later() {
    let service = SimulatedNetworkTokens::new(Rig::new().await.vault);
    let Ok(Provision::Pending(pending)) = asked(&service, CARDS[5], (4, 2038)).await else {
        panic!("it is ready or refused")
    };
    let Ok(Provision::Active(token)) = service.look_up(&shop(), &pending).await else {
        panic!("it is not ready")
    };
    let (number, account) = given(&service, "TEST_shop", CARDS[5]).await;
    assert_eq!(
        (token.number.expose(), token.account_reference.expose()),
        (number.as_str(), account.as_str())
    );
    assert_eq!((token.expiry.month(), token.expiry.year()), (4, 2041));

    let Ok(Provision::Pending(pending)) = asked(&service, CARDS[5], (5, 2038)).await else {
        panic!("it is ready or refused")
    };
    let refusal = reason(service.look_up(&shop(), &pending).await.ok().unwrap());
    assert_eq!(refusal.provider_error_code, "403");
    for text in ["", "4895370000000000", "4895370000000000 1 2040", "x 1 2040 y"] {
        assert!(service.look_up(&shop(), text).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn without_the_hsm_nothing_is_given() {
    let rig = Rig::new().await;
    let service = SimulatedNetworkTokens::new(Arc::clone(&rig.vault));
    assert!(asked(&service, CARDS[5], (2, 2038)).await.is_err());
    rig.sealer.set_down(true);
    for expiry in [(1, 2040), (4, 2038)] {
        assert!(asked(&service, CARDS[5], expiry).await.is_err(), "{expiry:?}");
    }
}

#[tokio::test]
async fn a_cryptogram_is_another_each_time() {
    let service = SimulatedNetworkTokens::new(Rig::new().await.vault);
    let (number, _) = given(&service, "TEST_shop", CARDS[5]).await;
    let number = Pan::parse(&number).unwrap();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let details = service.cryptogram(&shop(), &number).await.ok().unwrap();
        assert_eq!(details.cryptogram.expose().len(), 28);
        assert!(seen.insert(details.cryptogram.expose().to_owned()));
    }
}

#[test]
fn a_number_is_never_the_cards_own() {
    let mac = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let card = Pan::parse("4111111111111111").unwrap();
    let number = number_of(&BRANDS[5], &mac, &card).unwrap();
    let other = number_of(&BRANDS[5], &mac, &number).unwrap();
    assert_ne!(number.expose(), other.expose());
}

#[test]
fn a_card_of_the_last_years_has_a_token_no_later() {
    let expiry = |year| Expiry::new(7, year).unwrap();
    assert_eq!(later(expiry(2096)), expiry(2099));
    assert_eq!(later(expiry(2097)), expiry(2097));
}

proptest! {
    #[test]
    fn any_mac_gives_a_number_and_a_reference(mac in any::<[u8; 32]>(), brand in 0_usize..BRANDS.len(), year in 2026_u16..2100) {
        let brand = &BRANDS[brand];
        let card = Pan::parse("4111111111111111").unwrap();
        let number = number_of(brand, &mac, &card).unwrap();
        prop_assert!(number.expose().starts_with(brand.begins) && number.expose().len() == brand.length);
        let account_reference = account_reference_of(&mac).unwrap();
        prop_assert!(!contains_pan(account_reference.expose()));
        let expiry = Expiry::new(1, year).unwrap();
        let text = pending(&Provisioned { number, expiry, account_reference });
        let read = made_ready(&text).unwrap();
        prop_assert_eq!(pending(&read), text);
    }

    #[test]
    fn no_text_is_taken_for_one_that_was_given_out(text in "\\PC{0,60}") {
        prop_assert!(made_ready(&text).is_none());
    }
}
