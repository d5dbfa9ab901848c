//! Many at once, and any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::vault::types::Error as CoreError;

/// Provisions `card` so many times at once: what they were told.
async fn at_once(shop: &Shop, count: usize, expiry: &str) -> Vec<(String, String, String)> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (payments, actor) = (shop.payments.clone(), shop.rig.actor.clone());
            let from = card(VISA, expiry);
            tokio::spawn(async move { payments.provision_network_token(&actor, from).await })
        })
        .collect();
    let mut all = Vec::new();
    for call in calls {
        all.push(told(&call.await.unwrap().unwrap()));
    }
    all.dedup();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_all_get_the_same() {
    let shop = Shop::open().await;
    let all = at_once(&shop, 64, GOOD).await;
    assert_eq!((all.len(), shop.documents().await), (1, (1, 2)));
    let mut events = shop.rig.events().await;
    events.sort();
    assert_eq!(events.iter().filter(|event| event.ends_with("active")).count(), 1);
    assert_eq!(events.iter().filter(|event| event.ends_with("reused")).count(), 63);

    let shop = Shop::open().await;
    let all = at_once(&shop, 64, PENDING).await;
    assert_eq!((all.len(), shop.documents().await), (1, (1, 1)));
    // and it becomes ready once
    let looks: Vec<_> = (0..64)
        .map(|_| {
            let (payments, actor) = (shop.payments.clone(), shop.rig.actor.clone());
            let reference = all[0].0.clone();
            tokio::spawn(async move { payments.network_token(&actor, &reference).await })
        })
        .collect();
    let mut seen = Vec::new();
    for look in looks {
        seen.push(told(&look.await.unwrap().unwrap()));
    }
    seen.dedup();
    assert_eq!((seen.len(), shop.documents().await), (1, (1, 2)));
    let events = shop.rig.events().await;
    assert_eq!(events.iter().filter(|event| event.ends_with("active")).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_there_or_gone_but_never_in_part() {
    for _ in 0..8 {
        let shop = Shop::open().await;
        let digits = number(&shop.given(VISA, GOOD).await);
        let calls: Vec<_> = (0..32)
            .map(|at| {
                let (payments, actor) = (shop.payments.clone(), shop.rig.actor.clone());
                let digits = Pan::parse(&digits).unwrap();
                tokio::spawn(async move {
                    match at % 2 {
                        0 => payments.delete_network_token(&actor, &digits).await,
                        _ => {
                            let given = payments.provision_network_token(&actor, card(VISA, GOOD)).await;
                            given.map(|_| ())
                        }
                    }
                })
            })
            .collect();
        for call in calls {
            let ended = call.await.unwrap();
            let contended = matches!(ended, Err(Error::Core(CoreError::Caller(CallerError::Contended))));
            assert!(ended.is_ok() || is_unknown(&ended) || contended, "{ended:?}");
        }
        let (tokens, ways) = shop.documents().await;
        assert!(tokens <= 1 && ways == 2 * tokens, "{tokens} {ways}");
        let last = shop.given(VISA, GOOD).await;
        assert_eq!(shop.documents().await, (1, 2));
        assert!(shop.cryptogram(&digits).await.is_ok());
        shop.delete(&number(&last)).await.unwrap();
        assert_eq!(shop.documents().await, (0, 0));
    }
}

/// What a merchant does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Provision(&'static str, &'static str),
    Get(usize),
    Delete(&'static str),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pan = || prop::sample::select(vec![VISA, MASTERCARD]);
    let expiry = prop::sample::select(vec![GOOD, "11/41", REFUSED, PENDING, REFUSED_LATER]);
    let step = prop_oneof![
        3 => (pan(), expiry).prop_map(|(pan, expiry)| Step::Provision(pan, expiry)),
        2 => (0_usize..8).prop_map(Step::Get),
        1 => pan().prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..24)
}

/// Does them one after another; after each, everything is as what was told says.
async fn walk(steps: Vec<Step>) {
    let shop = Shop::open().await;
    // what was told last, by reference; and the reference of a card that has one
    let mut standing: BTreeMap<String, (String, String, String)> = BTreeMap::new();
    let mut of_card: BTreeMap<&str, String> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, String> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Provision(pan, expiry) => {
                let given = shop.given(pan, expiry).await;
                match &given.state {
                    NetworkTokenState::Refused(_) => assert!(!standing.contains_key(&given.reference)),
                    NetworkTokenState::Active(_) | NetworkTokenState::Pending => {
                        let there = of_card.entry(pan).or_insert_with(|| given.reference.clone());
                        assert_eq!(there, &given.reference, "one for a card");
                    }
                }
                if let NetworkTokenState::Active(token) = &given.state {
                    numbers.insert(pan, token.number.expose().to_owned());
                }
                standing.insert(given.reference.clone(), told(&given));
            }
            Step::Get(at) => {
                let Some((reference, before)) = standing.iter().nth(at) else {
                    continue;
                };
                let now = shop.get(reference).await.unwrap();
                let (reference, was_pending) = (reference.clone(), before.2 == "pending");
                assert!(was_pending || told(&now) == *before);
                let pan = of_card
                    .iter()
                    .find(|(_, of_card)| **of_card == reference)
                    .map(|(pan, _)| *pan);
                match (&now.state, pan) {
                    (NetworkTokenState::Active(token), Some(pan)) => {
                        numbers.insert(pan, token.number.expose().to_owned());
                    }
                    (NetworkTokenState::Refused(_), Some(pan)) => {
                        of_card.remove(pan);
                    }
                    (NetworkTokenState::Refused(_), None) => {}
                    (NetworkTokenState::Pending, _) | (NetworkTokenState::Active(_), None) => panic!("{reference}"),
                }
                standing.insert(reference, told(&now));
            }
            Step::Delete(pan) => match numbers.remove(pan) {
                Some(digits) => {
                    shop.delete(&digits).await.unwrap();
                    standing.remove(&of_card.remove(pan).unwrap());
                }
                None => continue,
            },
        }
        let ways = of_card.len() + numbers.len();
        assert_eq!(shop.documents().await, (standing.len(), ways));
    }
    for digits in numbers.values() {
        assert!(shop.cryptogram(digits).await.is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_steps_leaves_one_network_token_for_a_card(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(steps));
    }
}
