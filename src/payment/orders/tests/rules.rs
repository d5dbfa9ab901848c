use proptest::prelude::*;

use super::*;
use crate::payment::orders::ledger::{Entry, Ledger};
use crate::payment::orders::plan::Asked;

const ACTIONS: [Action; 7] = [
    Action::Authorize,
    Action::Capture,
    Action::Pay,
    Action::Refund,
    Action::UpdateAuthorization,
    Action::Verify,
    Action::Void,
];

/// What is tried: an action, an amount, the target's place if one is named, and whether the acquirer approves.
type Try = (Action, Option<u64>, Option<usize>, bool);

fn any_try() -> impl Strategy<Value = Try> {
    (
        prop::sample::select(&ACTIONS[..]),
        prop::option::weighted(0.9, 0u64..8),
        prop::option::weighted(0.3, 0usize..12),
        prop::bool::weighted(0.8),
    )
}

/// The amounts kept by adding up, each step from the one before.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Running {
    authorized: u64,
    captured: u64,
    refunded: u64,
}

impl Running {
    fn add(&mut self, entry: &Entry, target: Option<&Entry>) {
        let amount = entry.amount.thousandths;
        match entry.action {
            Action::Authorize | Action::UpdateAuthorization => self.authorized = amount,
            Action::Pay => (self.authorized, self.captured) = (amount, amount),
            Action::Capture => self.captured += amount,
            Action::Refund => self.refunded += amount,
            Action::Verify => {}
            Action::Void => match target.unwrap().action {
                Action::Authorize => self.authorized = 0,
                Action::Pay => {
                    self.authorized -= amount;
                    self.captured -= amount;
                }
                Action::Capture => self.captured -= amount,
                Action::Refund => self.refunded -= amount,
                other => panic!("{other:?} was voided"),
            },
        }
    }
}

fn agrees(
    status: OrderStatus,
    Running {
        authorized,
        captured,
        refunded,
    }: Running,
) -> bool {
    match status {
        OrderStatus::Failed | OrderStatus::Verified | OrderStatus::Cancelled => {
            (authorized, captured, refunded) == (0, 0, 0)
        }
        OrderStatus::Authorized => authorized > 0 && (captured, refunded) == (0, 0),
        OrderStatus::PartiallyCaptured => 0 < captured && captured < authorized && refunded == 0,
        OrderStatus::Captured => 0 < captured && captured == authorized && refunded == 0,
        OrderStatus::PartiallyRefunded => 0 < refunded && refunded < captured,
        OrderStatus::Refunded => 0 < refunded && refunded == captured,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn totals_hold_whatever_is_tried(tries in prop::collection::vec(any_try(), 1..25)) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut running = Running::default();
        for (step, (action, amount, target, approved)) in tries.into_iter().enumerate() {
            let target = target.map(|at| at.to_string());
            let asked = Asked {
                action,
                amount: amount.map(cents),
                currency: Some(eur()),
                target: target.as_deref(),
            };
            let ledger = Ledger::new(entries.clone());
            let fixed = (step > 0).then(eur);
            if let Ok(plan) = asked.plan(fixed, &ledger) {
                let entry = Entry {
                    id: step.to_string(),
                    action,
                    amount: plan.amount,
                    approved,
                    target: plan.target.map(|target| target.id.clone()),
                };
                if approved {
                    running.add(&entry, plan.target);
                }
                entries.push(entry);
            }
            let totals = Ledger::new(entries.clone()).totals();
            let now = Running {
                authorized: totals.authorized.thousandths,
                captured: totals.captured.thousandths,
                refunded: totals.refunded.thousandths,
            };
            prop_assert_eq!(now, running);
            prop_assert!(now.refunded <= now.captured && now.captured <= now.authorized, "{:?}", now);
            prop_assert!(agrees(totals.status, now), "{:?} {:?}", totals.status, now);
        }
    }
}

#[test]
fn an_order_takes_500_transactions() {
    let entry = |at: u32| Entry {
        id: at.to_string(),
        action: Action::Verify,
        amount: Amount::ZERO,
        approved: true,
        target: None,
    };
    let asked = Asked {
        action: Action::Verify,
        amount: None,
        currency: Some(eur()),
        target: None,
    };
    let ledger = Ledger::new((0..499).map(entry).collect());
    assert!(asked.plan(Some(eur()), &ledger).is_ok());
    let full = ledger.with(entry(499));
    assert_eq!(refusal(asked.plan(Some(eur()), &full)).0, Part::Order);
}
