use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::payment::simulator::SimulatedAcquirer;

/// The simulator, which gives no token before the door is opened.
struct Slow {
    inner: SimulatedAcquirer,
    asked: Arc<Semaphore>,
    door: Arc<Semaphore>,
}

impl Acquirer for Slow {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn ask<'a>(&'a self, merchant: &'a MerchantId, key: &'a str, ask: Ask<'a>) -> Fut<'a, Answer> {
        self.inner.ask(merchant, key, ask)
    }

    fn tokenize<'a>(&'a self, merchant: &'a MerchantId, card: Presented<'a>) -> Fut<'a, AcquirerToken> {
        Box::pin(async move {
            self.asked.add_permits(1);
            self.door.acquire().await.unwrap().forget();
            self.inner.tokenize(merchant, card).await
        })
    }
}

#[tokio::test]
async fn a_card_that_passed_is_stored_although_its_caller_went_away() {
    let mut rig = Rig::new(Management::UniqueToken, Generation::AcquirerTokenization).await;
    let (asked, door) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = Slow {
        inner: SimulatedAcquirer::new(rig.soft.vault.clone()),
        asked: Arc::clone(&asked),
        door: Arc::clone(&door),
    };
    rig.payments = Payments::with(rig.soft.vault.clone(), Arc::new(slow), Arc::new(SimulatedUpdater));
    let (payments, actor) = (rig.payments.clone(), rig.actor.clone());
    let call = tokio::spawn(async move { payments.save_token(&actor, card(MASTERCARD, "01/39")).await });
    asked.acquire().await.unwrap().forget();
    call.abort();
    assert!(call.await.is_err_and(|end| end.is_cancelled()));
    assert_eq!(rig.count().await, 0);
    door.add_permits(1);
    let stored = async {
        while rig.count().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stored).await.unwrap();
}
