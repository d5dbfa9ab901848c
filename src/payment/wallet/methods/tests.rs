//! Payment methods where something goes wrong in between.

use std::collections::BTreeSet;

use super::*;
use crate::card::{Expiry, Pan};
use crate::id::{MerchantId, UnixMillis};
use crate::keys::Compartment;
use crate::payment::wallet::{Config, CustomerDetails, Duplicates, Text};
use crate::payment::{Payments, SecurityCode};
use crate::vault::tests::Rig;
use crate::vault::types::DocumentKind;

const VISA: &str = "4111111111111111";

struct Shop {
    rig: Rig,
    payments: Payments,
    customer: String,
}

impl Shop {
    async fn open(config: Config) -> Self {
        let rig = Rig::new().await;
        let payments = Payments::new(rig.vault.clone()).with_wallet(config);
        let customer = payments
            .add_customer(&rig.actor, CustomerDetails::default())
            .await
            .unwrap();
        Self {
            customer: customer.id,
            rig,
            payments,
        }
    }

    async fn add(&self, storage: Storage) -> Result<AddedMethod, Error> {
        self.payments.add_method(&self.rig.actor, self.asked(storage)).await
    }

    fn asked(&self, storage: Storage) -> NewMethod {
        NewMethod {
            intent: None,
            customer: Some(self.customer.clone()),
            subtype: None,
            card: NewCard {
                pan: Pan::parse(VISA).unwrap(),
                expiry: Expiry::new(12, 2040).unwrap(),
                holder: Some(Text::new("Ada".to_owned())),
                nick_name: None,
                issuing_country: None,
                network: None,
                issuer: None,
                card_type: None,
                code: SecurityCode::parse("123"),
            },
            storage,
            metadata: None,
            billing: None,
            network_tokenization: false,
            psp_tokenization: None,
        }
    }

    async fn stored(&self) -> usize {
        self.payments.count_methods(&self.rig.actor).await.unwrap()
    }
}

#[tokio::test]
async fn listing_and_seeing_open_no_number() {
    let shop = Shop::open(Config::default()).await;
    let made = shop.add(Storage::Persistent).await.unwrap().method;
    shop.rig.sealer.opened();
    shop.payments.method(&shop.rig.actor, &made.id).await.unwrap();
    shop.payments.methods(&shop.rig.actor, &shop.customer).await.unwrap();
    assert!(!shop.rig.sealer.opened().contains(&Compartment::Pan));
}

#[tokio::test]
async fn numbers_are_for_merchants_on_the_list() {
    let shop = Shop::open(Config::default()).await;
    for storage in [Storage::Persistent, Storage::Volatile] {
        let made = shop.add(storage).await.unwrap().method;
        let (_, raw) = shop.payments.raw_method(&shop.rig.actor, &made.id).await.unwrap();
        assert!(raw.is_none(), "{storage:?}");
    }
    assert!(!shop.rig.sealer.opened().contains(&Compartment::Pan));
    let listed = Config {
        raw_merchants: BTreeSet::from([MerchantId::parse("shop").unwrap()]),
        ..Config::default()
    };
    let shop = Shop::open(listed).await;
    for storage in [Storage::Persistent, Storage::Volatile] {
        let made = shop.add(storage).await.unwrap().method;
        let (_, raw) = shop.payments.raw_method(&shop.rig.actor, &made.id).await.unwrap();
        let raw = raw.unwrap();
        assert_eq!(raw.pan.expose(), VISA);
        assert_eq!(raw.code.unwrap().expose(), "123", "{storage:?}");
        let (_, again) = shop.payments.raw_method(&shop.rig.actor, &made.id).await.unwrap();
        assert!(again.unwrap().code.is_none(), "a code is used once");
    }
    let events = shop.rig.events().await;
    let reveals = events.iter().filter(|event| event.starts_with("reveal"));
    assert_eq!(reveals.count(), 4, "{events:?}");
}

/// A card that is added while its customer's data is being removed goes with it.
#[tokio::test]
async fn nothing_is_added_to_a_customer_that_goes() {
    let shop = Shop::open(Config::default()).await;
    let adding: Vec<_> = (0..8).map(|_| shop.add(Storage::Persistent)).collect();
    let all = async {
        let mut set = Vec::new();
        for each in adding {
            set.push(each.await);
        }
        set
    };
    let (_, redacted) = tokio::join!(all, shop.payments.redact_customer(&shop.rig.actor, &shop.customer));
    redacted.unwrap();
    assert_eq!(shop.stored().await, 0);
    assert!(matches!(
        shop.add(Storage::Persistent).await,
        Err(Error::CustomerRedacted)
    ));
}

/// The deletion is remembered first, so one that was interrupted is done when it is asked for again.
#[tokio::test]
async fn a_deletion_that_was_interrupted_goes_on() {
    let shop = Shop::open(Config::default()).await;
    let made = shop.add(Storage::Persistent).await.unwrap().method;
    let actor = &shop.rig.actor;
    shop.rig.sealer.set_down(true);
    // the receipt cannot be signed
    assert!(shop.payments.delete_method(actor, &made.id).await.is_err());
    shop.rig.sealer.set_down(false);
    shop.payments.delete_method(actor, &made.id).await.unwrap();
    assert!(matches!(
        shop.payments.delete_method(actor, &made.id).await,
        Err(Error::MethodRedacted)
    ));
    let update = shop
        .payments
        .update_method(actor, &made.id, MethodUpdate::default())
        .await;
    assert!(matches!(update, Err(Error::MethodRedacted)));
    let documents = shop
        .rig
        .vault
        .documents(actor, DocumentKind::DeletedMethod, "", None, 10)
        .await;
    let documents = documents.unwrap();
    assert_eq!(documents.len(), 1);
    assert!(documents[0].clear.is_empty() && documents[0].sealed.is_none());
    assert!(documents[0].expires_at.unwrap() > UnixMillis::now());
}

#[tokio::test]
async fn a_second_card_is_returned_or_refused() {
    for duplicates in [Duplicates::Return, Duplicates::Refuse] {
        let shop = Shop::open(Config {
            duplicates,
            ..Config::default()
        })
        .await;
        let first = shop.add(Storage::Persistent).await.unwrap().method;
        match (duplicates, shop.add(Storage::Persistent).await) {
            (Duplicates::Return, Ok(again)) => assert_eq!(again.method.id, first.id),
            (Duplicates::Refuse, Err(Error::MethodExists)) => {}
            _ => panic!("{duplicates:?}"),
        }
        assert_eq!(shop.stored().await, 1);
    }
}

/// A merchant does not fill the memory.
#[tokio::test]
async fn one_merchant_has_its_share_of_memory() {
    let shop = Shop::open(Config::default()).await;
    for _ in 0..Volatile::CAPACITY / 10 {
        shop.add(Storage::Volatile).await.unwrap();
    }
    assert!(shop.add(Storage::Volatile).await.is_err());
}

/// A token of another dialect is no payment method, whatever it is called.
#[tokio::test]
async fn another_token_is_no_payment_method() {
    let shop = Shop::open(Config::default()).await;
    let actor = &shop.rig.actor;
    let mut new = crate::vault::tests::card(VISA);
    new.format = crate::vault::types::Format::Supplied(crate::id::Token::parse("0a_pm_x").unwrap());
    shop.rig.vault.tokenize(actor, new).await.unwrap();
    assert!(matches!(
        shop.payments.method(actor, "0a_pm_x").await,
        Err(Error::MethodUnknown)
    ));
    assert!(shop.payments.raw_method(actor, "0a_pm_x").await.is_err());
    assert!(matches!(
        shop.payments.delete_method(actor, "0a_pm_x").await,
        Err(Error::MethodUnknown)
    ));
}
