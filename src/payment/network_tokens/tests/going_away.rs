//! What is asked for goes on to its end, also where nobody waits for it any more.

use std::future::Future;

use super::*;

/// Lets `call` go on to the service, whose door is shut, and ends it there; then the door is opened.
async fn leave(shop: &Shop, call: impl Future<Output = ()> + Send + 'static) {
    shop.service.door.forget_permits(10_000);
    let asked = shop.service.asked.load(Ordering::SeqCst);
    let call = tokio::spawn(call);
    while shop.service.asked.load(Ordering::SeqCst) == asked {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.is_err_and(|end| end.is_cancelled()));
    shop.service.door.add_permits(10_000);
}

async fn until(shop: &Shop, documents: (usize, usize)) {
    let done = async {
        while shop.documents().await != documents {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), done).await.unwrap();
}

#[tokio::test]
async fn what_the_service_did_is_written_down_although_its_caller_went_away() {
    let shop = Shop::open().await;
    let (payments, actor) = (shop.payments.clone(), shop.rig.actor.clone());
    let provision = async move { drop(payments.provision_network_token(&actor, card(VISA, GOOD)).await) };
    leave(&shop, provision).await;
    assert_eq!(shop.documents().await, (0, 0));
    until(&shop, (1, 2)).await;

    let digits = number(&shop.given(VISA, GOOD).await);
    let (payments, actor) = (shop.payments.clone(), shop.rig.actor.clone());
    let ended = Pan::parse(&digits).unwrap();
    let delete = async move { drop(payments.delete_network_token(&actor, &ended).await) };
    leave(&shop, delete).await;
    until(&shop, (0, 0)).await;
    assert_eq!(*shop.service.ended.lock().unwrap(), [digits]);
}
