use tokio::sync::watch;

use super::*;
use crate::card::{Expiry, Pan};
use crate::keys::SecretBytes;
use crate::payment::money::{Amount, Currency};
use crate::payment::orders::{Action, Instruction};
use crate::payment::tokens::SaveToken;
use crate::payment::{CardDetails, Sources};
use crate::vault::soft::{OWN, Soft};
use crate::vault::types::{Generation, Management, Query, Status, Verification, View};

const CARD: &str = "5123450000000008";
const DAY: u64 = 86_400_000;
/// No grant of the policy is for this one.
const DAEMON: Peer = Peer {
    uid: 1,
    gid: 1,
    pid: None,
};

struct Rig {
    soft: Soft,
    payments: Payments,
    actor: Actor,
    start: UnixMillis,
}

impl Rig {
    async fn new(name: &str, generation: Generation) -> Self {
        let soft = Soft::start().await;
        let actor = soft.merchant(name, Management::UniqueToken, generation).await;
        let payments = Payments::new(soft.vault.clone());
        let start = UnixMillis::now();
        Self {
            soft,
            payments,
            actor,
            start,
        }
    }

    fn day(&self, day: u64) -> UnixMillis {
        UnixMillis(self.start.0 + day * DAY)
    }

    async fn token(&self, expiry: (u8, u16)) -> Token {
        let save = SaveToken {
            token: None,
            sources: Sources {
                card: CardDetails {
                    pan: Some(Pan::parse(CARD).unwrap()),
                    month: Some(expiry.0),
                    year: Some(expiry.1),
                    ..CardDetails::default()
                },
                ..Sources::default()
            },
            verification: Some(Verification::None),
            currency: Currency::parse("EUR"),
        };
        let saved = self.payments.save_token(&self.actor, save).await.unwrap();
        saved.view.unwrap().token
    }

    async fn charged(&self, token: &Token, day: u64) {
        self.payments
            .note_recurring_use(&self.actor, token, self.day(day))
            .await
            .unwrap();
    }

    async fn run(&self, day: u64) -> Maintained {
        let (_stop, stopped) = watch::channel(false);
        let ahead = MaintenanceConfig::default().look_ahead;
        self.payments
            .maintain(DAEMON, ahead, self.day(day), &stopped)
            .await
            .unwrap()
    }

    async fn view(&self, token: &Token) -> View {
        self.soft.vault.inspect(&self.actor, token).await.unwrap()
    }

    async fn plans(&self) -> usize {
        let plans = self
            .soft
            .vault
            .documents(&self.actor, DocumentKind::Maintenance, "", None, 1_000)
            .await;
        plans.unwrap().len()
    }
}

/// So many tokens are charged again and again, and none of them is due.
fn at_rest(looked_at: u64) -> Maintained {
    Maintained {
        looked_at,
        ..Maintained::default()
    }
}

#[tokio::test]
async fn a_card_is_asked_about_once_before_its_next_charge() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let token = rig.token((1, 2039)).await;
    rig.charged(&token, 0).await;
    rig.charged(&token, 10).await;
    let current = Maintained {
        current: 1,
        ..at_rest(1)
    };
    assert_eq!(rig.run(12).await, at_rest(1), "the next is expected on day 20");
    assert_eq!(rig.run(13).await, current);
    assert_eq!(rig.run(14).await, at_rest(1));
    assert_eq!(rig.run(30).await, at_rest(1));
    rig.charged(&token, 20).await;
    assert_eq!(rig.run(23).await, current);
    let never_charged = rig.token((6, 2038)).await;
    assert_eq!(rig.run(60).await, at_rest(1));
    assert_eq!(rig.view(&never_charged).await.revision.0, 1);
}

#[tokio::test]
async fn what_is_newer_takes_effect_with_nobody_as_author_and_is_found() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let renewed = rig.token((6, 2038)).await;
    let renumbered = rig.token((7, 2038)).await;
    let closed = rig.token((8, 2038)).await;
    for token in [&renewed, &renumbered, &closed] {
        rig.charged(token, 0).await;
    }
    let before = UnixMillis::now();
    let done = rig.run(28).await;
    let expected = Maintained {
        updated: 2,
        closed: 1,
        ..at_rest(3)
    };
    assert_eq!(done, expected);
    let view = rig.view(&renewed).await;
    assert_eq!((view.expiry, view.updated_by), (Expiry::new(6, 2041).ok(), None));
    assert_eq!(view.verification, Some(Verification::AccountUpdater));
    assert!(rig.view(&renumbered).await.masked.ends_with("1118"));
    let view = rig.view(&closed).await;
    assert_eq!((view.status, view.updated_by), (Status::Inactive, None));
    let query = Query {
        updated_since: Some(before),
        limit: 10,
        ..Query::default()
    };
    assert_eq!(rig.soft.vault.search(&rig.actor, query).await.unwrap().tokens.len(), 3);
    let events = rig.soft.events().await;
    for event in [
        "maintenance updated",
        "maintenance closed",
        "update ok",
        "recurring-use ok",
    ] {
        assert!(events.iter().any(|there| there == event), "{event} in {events:?}");
    }
}

#[tokio::test]
async fn a_token_that_keeps_digits_is_taken_over() {
    let rig = Rig::new("TESTSHOP", Generation::Preserve64).await;
    let token = rig.token((7, 2038)).await;
    rig.charged(&token, 0).await;
    let expected = Maintained {
        replaced: 1,
        ..at_rest(1)
    };
    assert_eq!(rig.run(28).await, expected);
    let view = rig.view(&token).await;
    assert_eq!(view.status, Status::Active, "it works on");
    assert_eq!(rig.view(&view.replacement.unwrap()).await.updated_by, None);
}

#[tokio::test]
async fn silence_is_asked_again_a_day_later() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let token = rig.token((9, 2038)).await;
    rig.charged(&token, 0).await;
    let silent = Maintained {
        unavailable: 1,
        ..at_rest(1)
    };
    assert_eq!(rig.run(28).await, silent);
    assert_eq!(rig.run(28).await, at_rest(1));
    assert_eq!(rig.run(29).await, silent);
}

#[tokio::test]
async fn what_is_gone_is_forgotten_and_what_fails_is_due_again() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let token = rig.token((6, 2038)).await;
    let removed = rig.token((6, 2038)).await;
    rig.charged(&token, 0).await;
    rig.charged(&removed, 0).await;
    rig.soft.vault.delete(&rig.actor, &removed).await.unwrap();
    rig.soft.set_down(true);
    let failed = Maintained {
        failed: 1,
        ..at_rest(2)
    };
    assert_eq!(rig.run(28).await, failed);
    assert_eq!(rig.plans().await, 1, "the removed one is forgotten");
    rig.soft.set_down(false);
    assert_eq!(rig.run(28).await.updated, 1);
}

#[tokio::test]
async fn a_live_merchant_has_no_updater_and_a_suspended_one_rests() {
    let rig = Rig::new("SHOP", Generation::RandomWithLuhn).await;
    let token = rig.token((6, 2038)).await;
    rig.charged(&token, 0).await;
    assert_eq!((rig.plans().await, rig.run(28).await), (0, at_rest(0)));
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let token = rig.token((6, 2038)).await;
    rig.charged(&token, 0).await;
    let admin = crate::vault::accounts::AdminActor { peer: OWN };
    let accounts = rig.soft.vault.access().accounts();
    accounts.suspend_merchant(admin, &rig.actor.merchant).await.unwrap();
    assert_eq!(rig.run(28).await, at_rest(0));
    accounts.resume_merchant(admin, &rig.actor.merchant).await.unwrap();
    assert_eq!(rig.run(28).await.updated, 1);
}

#[tokio::test]
async fn the_work_ends_when_it_is_told_to() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let token = rig.token((6, 2038)).await;
    rig.charged(&token, 0).await;
    let config = MaintenanceConfig {
        enabled: true,
        look_ahead: Duration::from_secs(40 * 86_400),
        every: Duration::from_millis(5),
    };
    let service = Arc::new(rig.payments).start_maintenance(DAEMON, config);
    let all = async {
        while rig
            .soft
            .vault
            .inspect(&rig.actor, &token)
            .await
            .unwrap()
            .updated_by
            .is_some()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        service.shutdown().await;
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_asked_for_needs_no_hour_and_no_one_who_waits() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let first = rig.token((6, 2038)).await;
    rig.charged(&first, 0).await;
    let config = MaintenanceConfig {
        enabled: false,
        look_ahead: Duration::from_secs(40 * 86_400),
        every: Duration::from_millis(1),
    };
    let payments = Arc::new(rig.payments);
    let service = payments.start_maintenance(DAEMON, config);
    let runs = service.runs();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let view = rig.soft.vault.inspect(&rig.actor, &first).await.unwrap();
    assert_eq!(view.revision.0, 1, "nothing is done by itself");
    let expected = Maintained {
        updated: 1,
        ..at_rest(1)
    };
    assert_eq!(runs.run().await.unwrap().unwrap(), expected);
    assert_eq!(runs.run().await.unwrap().unwrap(), at_rest(1));

    payments
        .note_recurring_use(&rig.actor, &first, UnixMillis(rig.start.0 + 2 * DAY))
        .await
        .unwrap();
    // whoever asks leaves as soon as the run is asked for
    tokio::select! {
        biased;
        _ = runs.run() => panic!("it did not wait"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(
        runs.run().await.unwrap().unwrap(),
        at_rest(1),
        "it was done all the same"
    );
    service.shutdown().await;
    assert!(runs.run().await.is_none());
}

#[tokio::test]
async fn a_charge_that_is_marked_recurring_is_looked_ahead_for() {
    let rig = Rig::new("TESTSHOP", Generation::RandomWithLuhn).await;
    let good = rig.token((6, 2038)).await;
    let declined = rig.token((5, 2039)).await;
    for (order, token, recurring) in [("1", &good, false), ("2", &declined, true), ("3", &good, true)] {
        assert_eq!(rig.plans().await, 0, "before order {order}");
        let instruction = Instruction {
            action: Action::Pay,
            order: order.to_owned(),
            transaction: "1".to_owned(),
            amount: Amount::parse("10.00").ok(),
            currency: Currency::parse("EUR"),
            target: None,
            sources: Sources {
                token: Some(token.clone()),
                ..Sources::default()
            },
            recurring,
            street: None,
            echo: None,
            personal: None,
            request: SecretBytes::new(order.as_bytes().to_vec()),
        };
        rig.payments.transact(&rig.actor, instruction).await.unwrap();
    }
    assert_eq!(rig.plans().await, 1);
    assert_eq!(rig.run(28).await.updated, 1);
}
