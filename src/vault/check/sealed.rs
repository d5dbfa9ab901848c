//! What is sealed, against the HSM: that each DEK unwraps, each ciphertext opens in its own place and no other, and the card
//! in it is the one that the record shows and is found by.
//!
//! Whatever is opened is wiped at once and shown to nobody. It goes through the same workers as callers' requests, a few records
//! at a time, so that all workers have some, and no faster than it is told. What is told comes in the order of the records.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::in_order::InOrder;
use super::opening::{Closed, Opened};
use super::{CHUNK, Check};
use crate::id::fill_random;
use crate::keys::Keys;
use crate::store::{Depth, Key, Part, Store, Versioned};
use crate::vault::documents::{Address, Row};
use crate::vault::record::Record;
use crate::vault::sealer::Sealer;
use crate::vault::tables;
use crate::vault::types::Error;

/// How much is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// About so many records, and at most as large a share of the documents; `None`: all, with all of the store beside.
    pub sample: Option<u64>,
    /// Records in a second; `None`: as many as the HSM does.
    pub per_second: Option<u32>,
    /// The most records that are with the HSM at a time.
    pub at_once: usize,
    /// The most pages of the store that are looked through at a time.
    pub pages: usize,
}

/// What is told while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A fault.
    Fault(String),
    /// So many were opened.
    Opened(u64),
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verified {
    /// Entries read.
    pub entries: u64,
    /// Audit lines read and found chained.
    pub audit_lines: u64,
    /// Records and documents that the HSM opened, or should have.
    pub opened: u64,
    /// Records and documents whose KEK was destroyed: they open nowhere any more, and that is no fault.
    #[serde(default)]
    pub dead: u64,
    /// Records and documents whose KEK is in a HSM that the vault has left: they did not open there either.
    #[serde(default)]
    pub left: u64,
    /// What is wrong.
    pub faults: u64,
}

/// Verifies a store with its vault's keys.
///
/// # Errors
/// The store cannot be read, or the HSM does not work: what was not verified then is not known to be good.
pub async fn verify(
    store: &Arc<dyn Store>,
    keys: &Keys,
    plan: Plan,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Verified, Error> {
    verify_by(store, keys, plan, tell).await
}

/// As [`verify`], by other keys.
pub(in crate::vault) async fn verify_by(
    store: &Arc<dyn Store>,
    sealer: &dyn Sealer,
    plan: Plan,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Verified, Error> {
    let report = match plan.sample {
        None => super::everything(store, plan.pages).await?,
        Some(_) => store.verify(Depth::Sampled).await?,
    };
    let mut walk = Walk {
        store: store.as_ref(),
        sealer,
        under_way: InOrder::new(),
        at_once: plan.at_once.max(1),
        pace: plan.per_second.map(pace),
        tell,
        verified: Verified {
            entries: report.entries,
            audit_lines: report.audit_lines,
            ..Verified::default()
        },
        in_full: plan.sample.is_none(),
    };
    walk.faults(report.faults);
    let stride = match plan.sample {
        None => 1,
        Some(wanted) => store.health().records.div_ceil(wanted.max(1)).max(1),
    };
    for table in [tables::RECORD, tables::DOCUMENT] {
        walk.table(table, stride).await?;
    }
    walk.settle(0).await?;
    Ok(walk.verified)
}

fn pace(per_second: u32) -> Interval {
    let mut pace = interval(Duration::from_secs(1) / per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

struct Walk<'a> {
    store: &'a dyn Store,
    sealer: &'a dyn Sealer,
    under_way: InOrder<'a, Result<Outcome, Error>>,
    at_once: usize,
    pace: Option<Interval>,
    tell: &'a mut (dyn FnMut(Told) + Send),
    verified: Verified,
    /// Indexes were read already.
    in_full: bool,
}

/// An entry that was read.
struct Entry {
    /// For people.
    name: String,
    /// What is to be opened; or why not, where that is a fault.
    closed: Option<Result<Closed, &'static str>>,
}

/// What came of an entry.
struct Outcome {
    faults: Vec<String>,
    opened: Option<Opened>,
}

impl<'a> Walk<'a> {
    /// Every `stride`-th entry of a table, from a random one on.
    async fn table(&mut self, table: u8, stride: u64) -> Result<(), Error> {
        let mut raw = [0; 8];
        fill_random(&mut raw)?;
        let mut until = u64::from_le_bytes(raw) % stride;
        let first = Key(vec![table]);
        let to = tables::end_of(&first);
        let mut from = Bound::Included(first);
        loop {
            let page = self.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            for (key, found) in page.items {
                if until > 0 {
                    until -= 1;
                    continue;
                }
                until = stride - 1;
                self.begin(table, key, found).await?;
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Begins with an entry, when it is its turn and there is room.
    async fn begin(&mut self, table: u8, key: Key, found: Versioned) -> Result<(), Error> {
        self.settle(self.at_once - 1).await?;
        let entry = match table {
            tables::RECORD => record(&key, &found),
            _ => document(&key, &found),
        };
        if matches!(entry.as_ref().and_then(|entry| entry.closed.as_ref()), Some(Ok(_))) {
            self.next().await?;
        }
        let (store, sealer, in_full) = (self.store, self.sealer, self.in_full);
        self.verified.entries += u64::from(!in_full);
        self.under_way.push(Box::pin(async move {
            let mut check = Check::new(store);
            match table {
                _ if in_full => {}
                tables::RECORD => check.record(&key, &found).await?,
                _ => check.document(&key, &found).await?,
            }
            let mut outcome = Outcome {
                faults: std::mem::take(&mut check.looked.report.faults),
                opened: None,
            };
            // what does not read is told there, or was with all the rest
            let Some(Entry {
                name,
                closed: Some(closed),
            }) = entry
            else {
                return Ok(outcome);
            };
            let wrong = match closed {
                Ok(closed) => {
                    let opened = closed.open(sealer).await?;
                    let wrong = match &opened {
                        Opened::Yes(wrong) => *wrong,
                        Opened::Dead | Opened::Left => None,
                    };
                    outcome.opened = Some(opened);
                    wrong
                }
                Err(wrong) => Some(wrong),
            };
            // a fault only if what was read stands there still
            if let Some(what) = wrong
                && check.unchanged(&key, found.rev).await?
            {
                outcome.faults.push(format!("{name}: {what}"));
            }
            Ok(outcome)
        }));
        Ok(())
    }

    /// Waits for the pace, while others go on.
    async fn next(&mut self) -> Result<(), Error> {
        let Some(mut pace) = self.pace.take() else {
            return Ok(());
        };
        loop {
            tokio::select! {
                _ = pace.tick() => break,
                Some(outcome) = self.under_way.next() => self.take(outcome?),
            }
        }
        self.pace = Some(pace);
        Ok(())
    }

    /// Waits until no more than so many are under way.
    async fn settle(&mut self, most: usize) -> Result<(), Error> {
        while self.under_way.len() > most
            && let Some(outcome) = self.under_way.next().await
        {
            self.take(outcome?);
        }
        Ok(())
    }

    fn take(&mut self, outcome: Outcome) {
        for fault in outcome.faults {
            self.verified.faults += 1;
            (self.tell)(Told::Fault(fault));
        }
        match outcome.opened {
            Some(Opened::Yes(_)) => {
                self.verified.opened += 1;
                (self.tell)(Told::Opened(self.verified.opened));
            }
            Some(Opened::Dead) => self.verified.dead += 1,
            Some(Opened::Left) => self.verified.left += 1,
            None => {}
        }
    }

    fn faults(&mut self, faults: Vec<String>) {
        self.take(Outcome { faults, opened: None });
    }
}

/// A record, if it reads.
fn record(key: &Key, found: &Versioned) -> Option<Entry> {
    let (repository, token) = tables::owner_of(key, &found.value)?;
    let record = Record::decode(&found.value, repository, &token).ok()?;
    Some(Entry {
        name: format!("record {} of repository {}", record.token, record.repository.0),
        closed: record.sealed.is_some().then(|| Ok(Closed::Card(Box::new(record)))),
    })
}

/// A document, if it reads.
fn document(key: &Key, found: &Versioned) -> Option<Entry> {
    let address = Address::parse(key)?;
    let row = Row::decode(&found.value, &address).ok()?;
    Some(Entry {
        name: super::documents::named(&address),
        closed: match row.secret(&address) {
            Ok(None) => None,
            Ok(Some((place, sealed))) => Some(Ok(Closed::Document(place, sealed))),
            Err(_) => Some(Err("its sealed part is damaged, or another's")),
        },
    })
}
