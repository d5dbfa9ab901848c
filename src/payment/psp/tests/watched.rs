//! What a connector is asked, who has it, and what becomes of what it answers.

use super::*;
use crate::payment;
use TokenKind::{MultiUse, SingleUse};

/// A connector that notes what it is asked and answers what it is told to.
#[derive(Default)]
struct Watched {
    asked: Mutex<Vec<Asked>>,
    answer: Mutex<Option<Failure>>,
    token: Mutex<Option<&'static str>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    merchant: String,
    pan: String,
    expiry: Expiry,
    holder: Option<String>,
    code: Option<String>,
    customer: Option<String>,
    key: String,
}

impl PspConnector for Arc<Watched> {
    fn name(&self) -> &'static str {
        "watched"
    }

    fn tokenize<'a>(&'a self, ask: Ask<'a>) -> Fut<'a, Result<Made, Failure>> {
        self.asked.lock().unwrap().push(Asked {
            merchant: ask.merchant.to_string(),
            pan: ask.pan.expose().to_owned(),
            expiry: ask.expiry,
            holder: ask.holder.map(str::to_owned),
            code: ask.security_code.map(|code| code.expose().to_owned()),
            customer: ask.customer.map(ToString::to_string),
            key: ask.key.to_owned(),
        });
        Box::pin(async move {
            tokio::task::yield_now().await;
            match self.answer.lock().unwrap().clone() {
                Some(failure) => Err(failure),
                None => Ok(Made {
                    token: PspReference::parse(self.token.lock().unwrap().unwrap_or("pm_1")).unwrap(),
                    status: TokenStatus::Active,
                    customer: ask.customer.cloned(),
                    request: PspReference::parse("req_1").ok(),
                }),
            }
        })
    }
}

async fn shop(name: &str) -> (Shop, Arc<Watched>) {
    let watched = Arc::<Watched>::default();
    let mut connectors = Connectors::default();
    let owner = Owner::Merchant(MerchantId::parse(name).unwrap());
    connectors
        .add(id("mca_one"), owner, Arc::new(Arc::clone(&watched)))
        .unwrap();
    (Shop::open(name, connectors).await, watched)
}

#[tokio::test]
async fn a_card_goes_out_with_what_belongs_to_it() {
    for name in ["SHOP", "TESTSHOP"] {
        let (shop, watched) = shop(name).await;
        let customer = PspReference::parse("cus_1").unwrap();
        let asked = PspTokenize {
            customer: Some(customer.clone()),
            ..card("mca_one", MultiUse, VISA, GOOD, Some("123"))
        };
        let token = shop.ask(asked).await.unwrap();
        assert_eq!((token.token.as_str(), token.provider.as_str()), ("pm_1", "watched"));
        assert_eq!(token.connector_customer_id, Some(customer));
        assert_eq!(token.request_reference_id.unwrap().as_str(), "req_1");
        let asked = watched.asked.lock().unwrap()[0].clone();
        assert_eq!((asked.merchant.as_str(), asked.pan.as_str()), (name, VISA));
        assert_eq!(asked.holder.as_deref(), Some("Ada Lovelace"));
        assert_eq!(asked.code.as_deref(), Some("123"));
        assert_eq!(asked.customer.as_deref(), Some("cus_1"));
        assert_eq!(
            shop.events().await,
            [
                "sent: connector mca_one (watched), multi_use",
                "ok: connector mca_one (watched), multi_use, token pm_1, customer cus_1, request req_1"
            ]
        );
    }
}

#[tokio::test]
async fn a_stored_card_goes_out_unseen_and_a_single_use_is_spent() {
    let (shop, watched) = shop("SHOP").await;
    let token = shop.stored(Uses::Single, Expiry::parse("12", "40").ok()).await;
    let from = || stored("mca_one", SingleUse, token.clone(), Some("123"));
    shop.ask(from()).await.unwrap();
    let asked = watched.asked.lock().unwrap()[0].clone();
    assert_eq!(
        (asked.pan.as_str(), asked.holder.as_deref()),
        (VISA, Some("Ada Lovelace"))
    );
    assert_eq!((asked.expiry.month(), asked.expiry.year()), (12, 2040));
    assert_eq!(asked.code.as_deref(), Some("123"));
    let events = shop.soft.events().await;
    assert_eq!(
        events[events.len() - 3..],
        ["pay ok", "psp-tokenize sent", "psp-tokenize ok"]
    );
    assert!(matches!(
        shop.ask(from()).await,
        Err(Error::Payment(payment::Error::Invalid { part: Part::Token, .. }))
    ));
    let without_expiry = shop.stored(Uses::Multi, None).await;
    assert!(matches!(
        shop.ask(stored("mca_one", SingleUse, without_expiry, None)).await,
        Err(Error::Payment(payment::Error::Missing(_)))
    ));
    assert_eq!(watched.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_the_same_for_the_same_wish_and_says_nothing() {
    let (shop, watched) = shop("SHOP").await;
    for key in [None, None, Some("order-1"), Some("order-1"), Some("order-2")] {
        let asked = PspTokenize {
            key: key.map(|key| IdempotencyKey::parse(key).unwrap()),
            ..card("mca_one", SingleUse, VISA, GOOD, None)
        };
        shop.ask(asked).await.unwrap();
    }
    let keys: Vec<String> = watched
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.key.clone())
        .collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2], keys[3]);
    assert_ne!(keys[2], keys[4]);
    for key in keys {
        let plain = key.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(plain && key.len() <= 64 && !key.contains("order"), "{key}");
    }
}

#[tokio::test]
async fn nothing_goes_out_without_the_right_to_pay_or_without_a_record() {
    let (shop, watched) = shop("SHOP").await;
    shop.grant("\"tokenize\", \"inspect\", \"reveal\"").await;
    let denied = shop.ask(card("mca_one", SingleUse, VISA, GOOD, None)).await;
    assert!(matches!(
        denied,
        Err(Error::Payment(payment::Error::Core(core::Error::Policy(_))))
    ));
    shop.grant("\"pay\"").await;
    shop.ask(card("mca_one", SingleUse, VISA, GOOD, None)).await.unwrap();
    shop.soft.store.close().await.unwrap();
    let unrecorded = shop.ask(card("mca_one", SingleUse, VISA, GOOD, None)).await;
    assert!(matches!(
        unrecorded,
        Err(Error::Payment(payment::Error::Core(core::Error::Dependency(_))))
    ));
    assert_eq!(watched.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn texts_that_cannot_be_sent_are_refused_by_name() {
    let (shop, watched) = shop("SHOP").await;
    let text = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let long = "a".repeat(1_021);
    for (billing, field) in [
        (
            Billing {
                name: text(&long),
                ..Billing::default()
            },
            "name",
        ),
        (
            Billing {
                line1: text("a\nb"),
                ..Billing::default()
            },
            "line1",
        ),
        (
            Billing {
                email: text("4242424242424242@example.com"),
                ..Billing::default()
            },
            "email",
        ),
    ] {
        let asked = PspTokenize {
            billing,
            ..card("mca_one", SingleUse, VISA, GOOD, None)
        };
        match shop.ask(asked).await {
            Err(error @ Error::Text { field: named, .. }) => {
                assert_eq!(named, field);
                assert!(!error.to_string().contains("4242"), "{error}");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{field} was taken"),
        }
    }
    assert!(watched.asked.lock().unwrap().is_empty());
    assert!(shop.events().await.is_empty());
}

#[tokio::test]
async fn a_failure_is_on_record_by_its_class() {
    let (shop, watched) = shop("SHOP").await;
    for answer in [
        Failure::Card(Refusal::new(Some("incorrect_cvc"), None, Some("Ada's code is wrong"))),
        Failure::Request(Refusal::default()),
        Failure::Account,
        Failure::Busy { retry_after_s: None },
        Failure::Unavailable,
        Failure::Unreachable,
        Failure::Answer,
    ] {
        *watched.answer.lock().unwrap() = Some(answer.clone());
        let found = failure(shop.ask(card("mca_one", SingleUse, VISA, GOOD, None)).await);
        assert_eq!(found, answer);
        let last = shop.events().await.pop().unwrap();
        assert!(last.starts_with(answer.word()) && !last.contains("Ada"), "{last}");
    }
}

#[tokio::test]
async fn a_card_number_in_place_of_a_token_is_not_taken() {
    let (shop, watched) = shop("SHOP").await;
    *watched.token.lock().unwrap() = Some("pm_4242424242424242");
    let found = failure(shop.ask(card("mca_one", SingleUse, VISA, GOOD, None)).await);
    assert_eq!(found, Failure::Answer);
    assert!(!shop.events().await.concat().contains("4242"));
}

#[tokio::test]
async fn what_came_of_it_is_on_record_although_its_caller_went_away() {
    let (shop, watched) = shop("SHOP").await;
    {
        let mut call = Box::pin(shop.ask(card("mca_one", SingleUse, VISA, GOOD, None)));
        while watched.asked.lock().unwrap().is_empty() {
            tokio::select! {
                biased;
                _ = &mut call => panic!("it ended before"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    while shop.events().await.len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(shop.events().await[1].starts_with("ok: "));
}

#[tokio::test]
async fn a_merchants_own_connector_comes_before_its_repositorys_and_others_have_neither() {
    let (own, shared) = (Arc::<Watched>::default(), Arc::<Watched>::default());
    let mut connectors = Connectors::default();
    let merchant = |name| Owner::Merchant(MerchantId::parse(name).unwrap());
    let repository = Owner::Repository(RepositoryName::parse("RSHOP").unwrap());
    let mut add = |connector_id, owner, watched: &Arc<Watched>| {
        connectors.add(id(connector_id), owner, Arc::new(Arc::clone(watched)))
    };
    add("mca_one", repository.clone(), &shared).unwrap();
    add("mca_one", merchant("SHOP"), &own).unwrap();
    add("mca_two", repository, &shared).unwrap();
    add("mca_three", merchant("OTHER"), &own).unwrap();
    assert!(add("mca_one", merchant("SHOP"), &own).is_err());
    assert!(add("mca_simulator", merchant("SHOP"), &own).is_err());
    let shop = Shop::open("SHOP", connectors).await;
    for (connector, own_asked, shared_asked) in [("mca_one", 1, 0), ("mca_two", 1, 1)] {
        shop.ask(card(connector, SingleUse, VISA, GOOD, None)).await.unwrap();
        let asked = |watched: &Arc<Watched>| watched.asked.lock().unwrap().len();
        assert_eq!((asked(&own), asked(&shared)), (own_asked, shared_asked));
    }
    let others = shop.ask(card("mca_three", SingleUse, VISA, GOOD, None)).await;
    assert!(matches!(others, Err(Error::UnknownConnector)));
}
