//! Orders over a whole vault with keys in software, and the simulated acquirer, watched.

mod crash;
mod flow;
mod refused;
mod rules;
mod tokens;

use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use super::*;
use crate::card::Pan;
use crate::id::MerchantId;
use crate::payment::acquirer::{Acquirer, AcquirerToken, Answer, Ask, CodeCheck, Fut, Presented, Verdict};
use crate::payment::money::{Amount, Currency};
use crate::payment::simulator::{SimulatedAcquirer, SimulatedUpdater};
use crate::payment::{CardDetails, SecurityCode, Sources};
use crate::vault::tests::Rig;
use crate::vault::types as core;

pub(super) const CARD: &str = "5123450000000008";

/// Payments whose acquirer is the simulator, behind a door that can be shut.
struct Shop {
    rig: Rig,
    payments: Arc<Payments>,
    /// The keys under which the acquirer was asked.
    asked: Arc<Mutex<Vec<String>>>,
    /// What it was asked to pay.
    paid: Arc<Mutex<Vec<(Amount, Currency)>>>,
    /// One permit lets one question through.
    door: Arc<Semaphore>,
}

struct Watched {
    inner: SimulatedAcquirer,
    asked: Arc<Mutex<Vec<String>>>,
    paid: Arc<Mutex<Vec<(Amount, Currency)>>>,
    door: Arc<Semaphore>,
}

impl Acquirer for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn ask<'a>(&'a self, merchant: &'a MerchantId, key: &'a str, ask: Ask<'a>) -> Fut<'a, Answer> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(key.to_owned());
            if let Ask::Pay { amount, currency, .. } = &ask {
                self.paid.lock().unwrap().push((*amount, *currency));
            }
            let answer = self.inner.ask(merchant, key, ask).await;
            self.door.acquire().await.unwrap().forget();
            answer
        })
    }

    fn tokenize<'a>(&'a self, merchant: &'a MerchantId, card: Presented<'a>) -> Fut<'a, AcquirerToken> {
        self.inner.tokenize(merchant, card)
    }
}

impl Shop {
    async fn open() -> Self {
        let rig = Rig::new().await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let paid = Arc::new(Mutex::new(Vec::new()));
        let door = Arc::new(Semaphore::new(10_000));
        let acquirer = Watched {
            inner: SimulatedAcquirer::new(Arc::clone(&rig.vault)),
            asked: Arc::clone(&asked),
            paid: Arc::clone(&paid),
            door: Arc::clone(&door),
        };
        let payments = Payments::with(Arc::clone(&rig.vault), Arc::new(acquirer), Arc::new(SimulatedUpdater));
        Self {
            rig,
            payments: Arc::new(payments),
            asked,
            paid,
            door,
        }
    }

    /// The acquirer answers nothing until the door is opened again.
    fn shut_door(&self) {
        self.door.forget_permits(10_000);
    }

    fn open_door(&self) {
        self.door.add_permits(10_000);
    }

    /// Waits until the acquirer was asked `count` times in all.
    async fn asked(&self, count: usize) {
        while self.asked.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }

    async fn transact(&self, instruction: Instruction) -> Result<TransactionRecord, Error> {
        self.payments.transact(&self.rig.actor, instruction).await
    }

    async fn done(&self, instruction: Instruction) -> TransactionView {
        self.transact(instruction).await.map(|record| record.view).unwrap()
    }

    async fn order(&self, id: &str) -> OrderView {
        self.payments.order(&self.rig.actor, id).await.unwrap().0
    }
}

/// `amount` in euro cents.
fn cents(amount: u64) -> Amount {
    Amount {
        thousandths: amount * 10,
    }
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// Order 1, so many euro cents; the request is the same when all of these are.
fn step(action: Action, transaction: &str, amount: u64) -> Instruction {
    Instruction {
        action,
        order: "1".to_owned(),
        transaction: transaction.to_owned(),
        amount: Some(cents(amount)),
        currency: Some(eur()),
        target: None,
        sources: Sources {
            card: if action.opens() {
                card(1, 2039)
            } else {
                CardDetails::default()
            },
            ..Sources::default()
        },
        recurring: false,
        street: None,
        echo: None,
        personal: None,
        request: SecretBytes::new(format!("{action:?} {transaction} {amount}").into_bytes()),
    }
}

fn void(transaction: &str, target: Option<&str>) -> Instruction {
    Instruction {
        amount: None,
        currency: None,
        target: target.map(str::to_owned),
        ..step(Action::Void, transaction, 0)
    }
}

fn card(month: u8, year: u16) -> CardDetails {
    CardDetails {
        pan: Some(Pan::parse(CARD).unwrap()),
        month: Some(month),
        year: Some(year),
        ..CardDetails::default()
    }
}

/// Which part of the request was refused, and why.
fn refusal<T>(result: Result<T, Error>) -> (Part, String) {
    match result {
        Err(Error::Invalid { part, reason }) => (part, reason),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was done"),
    }
}
