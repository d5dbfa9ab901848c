//! What is refused or not ready, and what the service or the store does not do.

use super::*;
use crate::store;
use crate::vault::tests::test_store::Fault;
use crate::vault::types::{DependencyError, Error as CoreError, PolicyError};

/// When its document goes.
async fn expires_at(shop: &Shop, reference: &str) -> Option<UnixMillis> {
    let found = shop
        .rig
        .vault
        .document(&shop.rig.actor, DocumentKind::NetworkToken, reference)
        .await;
    found.unwrap().unwrap().expires_at
}

fn in_a_day(at: Option<UnixMillis>) -> bool {
    let day = 24 * 60 * 60 * 1000;
    at.is_some_and(|at| (0..60_000).contains(&UnixMillis::now().plus(day).0.saturating_sub(at.0)))
}

#[tokio::test]
async fn a_refusal_is_told_again_for_a_day() {
    let shop = Shop::open().await;
    let first = shop.given(VISA, REFUSED).await;
    assert_eq!(
        (told(&first).1.as_str(), told(&first).2.as_str()),
        ("450875/1019 03/38", "301 403")
    );
    assert_eq!(told(&shop.get(&first.reference).await.unwrap()), told(&first));
    assert!(in_a_day(expires_at(&shop, &first.reference).await));
    assert_eq!(shop.last_events(1).await, ["network-token-provision refused"]);
    let again = shop.given(VISA, REFUSED).await;
    assert_ne!(again.reference, first.reference, "it is asked anew");
    assert_eq!(shop.documents().await, (2, 0), "no number leads to them");
    // the card of a brand without network tokens
    assert_eq!(told(&shop.given("5000000000000000005", GOOD).await).2, "301 404");
}

#[tokio::test]
async fn a_refusal_takes_nothing_away() {
    let shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    let refused = shop.given(VISA, REFUSED).await;
    assert_ne!(refused.reference, active.reference);
    assert_eq!(told(&shop.get(&active.reference).await.unwrap()), told(&active));
    assert!(shop.cryptogram(&number(&active)).await.is_ok());
    assert_eq!(told(&shop.given(VISA, GOOD).await), told(&active));
}

#[tokio::test]
async fn what_is_not_ready_is_active_once_it_is_looked_at() {
    let shop = Shop::open().await;
    let pending = shop.given(VISA, PENDING).await;
    assert_eq!(told(&pending).2, "pending");
    assert!(in_a_day(expires_at(&shop, &pending.reference).await));
    assert_eq!(told(&shop.given(VISA, PENDING).await), told(&pending));
    assert_eq!(shop.documents().await, (1, 1));
    // it cannot be looked up: it is still not ready
    shop.service.down.store(true, Ordering::SeqCst);
    assert_eq!(told(&shop.get(&pending.reference).await.unwrap()), told(&pending));
    shop.service.down.store(false, Ordering::SeqCst);

    let ready = shop.get(&pending.reference).await.unwrap();
    assert_eq!(
        (&ready.reference, told(&ready).1),
        (&pending.reference, told(&pending).1)
    );
    assert!(number(&ready).starts_with("489537"));
    assert_eq!(expires_at(&shop, &ready.reference).await, None);
    assert_eq!(shop.documents().await, (1, 2));
    assert_eq!(
        shop.rig.events().await,
        [
            "network-token-provision pending",
            "network-token-provision reused",
            "network-token-provision active"
        ]
    );
    assert_eq!(told(&shop.get(&ready.reference).await.unwrap()), told(&ready));
    // the service says again that it is not ready; it is
    assert_eq!(told(&shop.given(VISA, PENDING).await), told(&ready));
    assert!(shop.cryptogram(&number(&ready)).await.is_ok());
    shop.delete(&number(&ready)).await.unwrap();
    assert_eq!(shop.documents().await, (0, 0));
}

#[tokio::test]
async fn what_is_not_ready_may_be_asked_for_again_with_another_expiry() {
    let shop = Shop::open().await;
    let pending = shop.given(VISA, PENDING).await;
    let ready = shop.given(VISA, GOOD).await;
    assert_eq!(
        (&ready.reference, told(&ready).1.as_str()),
        (&pending.reference, "450875/1019 12/40")
    );
    assert_eq!(told(&shop.get(&pending.reference).await.unwrap()), told(&ready));
    assert_eq!(
        (expires_at(&shop, &ready.reference).await, shop.documents().await),
        (None, (1, 2))
    );
}

#[tokio::test]
async fn what_is_not_ready_may_be_refused() {
    let shop = Shop::open().await;
    let pending = shop.given(VISA, REFUSED_LATER).await;
    assert_eq!(told(&pending).2, "pending");
    let refused = shop.get(&pending.reference).await.unwrap();
    assert_eq!(
        (&refused.reference, told(&refused).2.as_str()),
        (&pending.reference, "301 403")
    );
    assert_eq!(told(&shop.get(&pending.reference).await.unwrap()), told(&refused));
    assert!(in_a_day(expires_at(&shop, &refused.reference).await));
    assert_eq!(shop.last_events(1).await, ["network-token-provision refused"]);
    assert_eq!(shop.documents().await, (1, 0), "the card is forgotten");
    let given = shop.given(VISA, GOOD).await;
    assert_ne!(given.reference, pending.reference);
}

#[tokio::test]
async fn a_card_past_its_expiry_does_not_reach_the_service() {
    let shop = Shop::open().await;
    let refused = shop.provision(card(VISA, "01/20")).await;
    assert!(matches!(
        refused,
        Err(Error::Invalid {
            part: Part::ExpiryYear,
            ..
        })
    ));
    let expired = NewToken {
        expiry: Some(Expiry::new(1, 2020).unwrap()),
        ..token_of(VISA)
    };
    let token = shop.rig.create(expired).await.token;
    let refused = shop.provision(ProvisionFrom::Token(token)).await;
    assert!(matches!(
        refused,
        Err(Error::Invalid {
            part: Part::ExpiryYear,
            ..
        })
    ));
    assert!(shop.service.holders.lock().unwrap().is_empty());
    assert_eq!(shop.documents().await, (0, 0));
}

#[tokio::test]
async fn what_the_service_does_not_do_changes_nothing() {
    let shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    let digits = number(&active);
    let before = shop.everything().await;
    let failed = shop.provision(card(MASTERCARD, NOT_DONE)).await;
    assert!(matches!(failed, Err(Error::NetworkTokenService)));
    shop.service.down.store(true, Ordering::SeqCst);
    let failed = [
        shop.provision(card(VISA, GOOD)).await.map(|_| ()),
        shop.cryptogram(&digits).await.map(|_| ()),
        shop.delete(&digits).await,
    ];
    assert!(
        failed
            .iter()
            .all(|failed| matches!(failed, Err(Error::NetworkTokenService)))
    );
    assert_eq!(shop.everything().await, before);
    assert_eq!(told(&shop.get(&active.reference).await.unwrap()), told(&active));
    shop.service.down.store(false, Ordering::SeqCst);
    shop.delete(&digits).await.unwrap();
}

#[tokio::test]
async fn a_number_that_nobody_has_is_unknown() {
    let shop = Shop::open().await;
    shop.given(VISA, GOOD).await;
    for digits in [VISA, MASTERCARD, "4895370012003478"] {
        assert!(is_unknown(&shop.cryptogram(digits).await), "{digits}");
        assert!(is_unknown(&shop.delete(digits).await), "{digits}");
    }
    for reference in ["", "aa224320-425c-40b6-9781-2cb7df76b0c8", &"x".repeat(300)] {
        assert!(is_unknown(&shop.get(reference).await), "{reference}");
    }
    assert!(shop.service.ended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_live_merchant_has_nobody_to_ask() {
    let mut shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    assert_eq!(
        shop.payments.network_token_service_name(&shop.rig.actor),
        Some("simulator")
    );
    let before = shop.everything().await;
    shop.rig.actor.test = false;
    let refused = [
        shop.provision(card(VISA, GOOD)).await.map(|_| ()),
        shop.get(&active.reference).await.map(|_| ()),
        shop.cryptogram(&number(&active)).await.map(|_| ()),
        shop.delete(&number(&active)).await,
    ];
    assert!(
        refused
            .iter()
            .all(|refused| matches!(refused, Err(Error::NoNetworkTokens)))
    );
    assert_eq!(shop.payments.network_token_service_name(&shop.rig.actor), None);
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn each_verb_has_its_right() {
    let shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    let token = shop.rig.create(token_of("4111111111111111")).await.token;
    let all = ["tokenize", "reveal", "update", "search", "inspect", "pay", "delete"];
    for (right, may) in [
        ("inspect", [false, false, true, false, false]),
        ("delete", [false, false, false, false, true]),
        ("pay", [true, true, false, true, false]),
    ] {
        for granted in [true, false] {
            let operations: Vec<_> = all.iter().filter(|op| (**op == right) == granted).collect();
            let operations: Vec<_> = operations.iter().map(|op| format!("\"{op}\"")).collect();
            shop.grant(&operations.join(",")).await;
            let done = [
                shop.provision(card(VISA, GOOD)).await.map(|_| ()),
                shop.provision(ProvisionFrom::Token(token.clone())).await.map(|_| ()),
                shop.get(&active.reference).await.map(|_| ()),
                shop.cryptogram(&number(&active)).await.map(|_| ()),
                // nobody's, so that it is there for the others
                shop.delete("4895370012003478").await,
            ];
            for (verb, (done, may)) in done.into_iter().zip(may).enumerate() {
                let denied = matches!(done, Err(Error::Core(CoreError::Policy(PolicyError::Denied))));
                // the other rights are granted where this one is not
                if granted || may {
                    assert_eq!(denied, may != granted, "{right} {granted} {verb}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_suspended_merchant_does_and_sees_nothing() {
    let shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    let admin = AdminActor {
        peer: shop.rig.actor.peer,
    };
    let accounts = shop.rig.vault.access().accounts();
    accounts
        .suspend_merchant(admin, &shop.rig.actor.merchant)
        .await
        .unwrap();
    let refused = [
        shop.provision(card(VISA, GOOD)).await.map(|_| ()),
        shop.get(&active.reference).await.map(|_| ()),
        shop.cryptogram(&number(&active)).await.map(|_| ()),
        shop.delete(&number(&active)).await,
    ];
    for refused in refused {
        assert!(matches!(
            refused,
            Err(Error::Core(CoreError::Policy(PolicyError::Suspended)))
        ));
    }
}

#[tokio::test]
async fn no_cryptogram_is_given_that_is_not_on_record() {
    let shop = Shop::open().await;
    let digits = number(&shop.given(VISA, GOOD).await);
    let full = store::Error::ReadOnly("disk full".to_owned());
    for fault in [Fault::Refused(full), Fault::AnswerLost] {
        shop.rig.store.next_commit(fault);
        let failed = shop.cryptogram(&digits).await;
        assert!(matches!(failed, Err(Error::Core(CoreError::Dependency(_)))));
    }
}

#[tokio::test]
async fn what_could_not_be_written_is_had_by_the_same_again() {
    let shop = Shop::open().await;
    let full = || Fault::Refused(store::Error::ReadOnly("disk full".to_owned()));
    let read_only = |error: &Error| {
        matches!(
            error,
            Error::Core(CoreError::Dependency(
                DependencyError::StoreReadOnly | DependencyError::StoreUnavailable
            ))
        )
    };
    for fault in [full(), Fault::AnswerLost] {
        shop.rig.store.next_commit(fault);
        let failed = shop.provision(card(VISA, GOOD)).await.map(|_| ());
        assert!(read_only(&failed.unwrap_err()));
    }
    let first = shop.given(VISA, GOOD).await;
    assert_eq!(
        (shop.documents().await, shop.last_events(1).await[0].as_str()),
        ((1, 2), "network-token-provision reused")
    );

    let digits = number(&first);
    shop.rig.store.next_commit(full());
    assert!(read_only(&shop.delete(&digits).await.unwrap_err()));
    assert!(shop.get(&first.reference).await.is_ok(), "it is not done");
    shop.rig.store.next_commit(Fault::AnswerLost);
    assert!(read_only(&shop.delete(&digits).await.unwrap_err()));
    assert!(is_unknown(&shop.delete(&digits).await), "it was done");
    assert_eq!(
        *shop.service.ended.lock().unwrap(),
        [digits.clone(), digits],
        "told each time"
    );
}

#[tokio::test]
async fn without_the_hsm_nothing_is_done() {
    let shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    shop.rig.sealer.set_down(true);
    let asked = shop.service.asked.load(Ordering::SeqCst);
    let failed = [
        shop.provision(card(VISA, GOOD)).await.map(|_| ()),
        shop.get(&active.reference).await.map(|_| ()),
        shop.cryptogram(&number(&active)).await.map(|_| ()),
        shop.delete(&number(&active)).await,
    ];
    for failed in failed {
        assert!(matches!(
            failed,
            Err(Error::Core(CoreError::Dependency(DependencyError::HsmDown)))
        ));
    }
    assert_eq!(shop.service.asked.load(Ordering::SeqCst), asked);
    shop.rig.sealer.set_down(false);
    assert_eq!(told(&shop.get(&active.reference).await.unwrap()), told(&active));
}
