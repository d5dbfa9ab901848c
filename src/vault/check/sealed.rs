//! What is sealed, against the HSM: that each DEK unwraps, each ciphertext opens in its own place and no other, and the card
//! in it is the one that the record shows and is found by.
//!
//! Whatever is opened is wiped at once and shown to nobody. It goes through the same workers as callers' requests, one
//! record after another and no faster than it is told.

use std::ops::Bound;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{CHUNK, Check};
use crate::hsm;
use crate::id::fill_random;
use crate::keys::{self, Compartment, Keys};
use crate::store::{Depth, Key, Part, Report, Store, Versioned};
use crate::vault::documents::{Address, Row};
use crate::vault::record::Record;
use crate::vault::reveal::read_pan;
use crate::vault::sealer::{Fut, Sealer};
use crate::vault::tables::{self, PanIndex};
use crate::vault::tokenize::reuse_hash;
use crate::vault::types::{Error, IntegrityError, Profile};

/// How long a busy HSM is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// About so many records, and at most as large a share of the documents; `None`: all, with all of the store beside.
    pub sample: Option<u64>,
    /// Records in a second; `None`: as many as the HSM does.
    pub per_second: Option<u32>,
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
    store: &dyn Store,
    keys: &Keys,
    plan: Plan,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Verified, Error> {
    verify_by(store, keys, plan, tell).await
}

/// As [`verify`], by other keys.
pub(in crate::vault) async fn verify_by(
    store: &dyn Store,
    sealer: &dyn Sealer,
    plan: Plan,
    tell: &mut (dyn FnMut(Told) + Send),
) -> Result<Verified, Error> {
    let report = match plan.sample {
        None => super::everything(store).await?,
        Some(_) => store.verify(Depth::Sampled).await?,
    };
    let mut walk = Walk {
        check: Check {
            store,
            report: Report::default(),
            untold: 0,
        },
        sealer,
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
    Ok(walk.verified)
}

fn pace(per_second: u32) -> Interval {
    let mut pace = interval(Duration::from_secs(1) / per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

struct Walk<'a> {
    check: Check<'a>,
    sealer: &'a dyn Sealer,
    pace: Option<Interval>,
    tell: &'a mut (dyn FnMut(Told) + Send),
    verified: Verified,
    /// Indexes were read already.
    in_full: bool,
}

impl Walk<'_> {
    /// Every `stride`-th entry of a table, from a random one on.
    async fn table(&mut self, table: u8, stride: u64) -> Result<(), Error> {
        let mut raw = [0; 8];
        fill_random(&mut raw)?;
        let mut until = u64::from_le_bytes(raw) % stride;
        let first = Key(vec![table]);
        let to = tables::end_of(&first);
        let mut from = Bound::Included(first);
        loop {
            let page = self.check.store.scan(Part::default(), from, to.clone(), CHUNK).await?;
            for (key, found) in page.items {
                if until > 0 {
                    until -= 1;
                    continue;
                }
                until = stride - 1;
                match table {
                    tables::RECORD => self.record(&key, &found).await?,
                    _ => self.document(&key, &found).await?,
                }
            }
            match page.next {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn record(&mut self, key: &Key, found: &Versioned) -> Result<(), Error> {
        if !self.in_full {
            self.verified.entries += 1;
            self.check.record(key, found).await?;
            let faults = std::mem::take(&mut self.check.report.faults);
            self.faults(faults);
        }
        // what does not read is told there, or was with all the rest
        let read = tables::owner_of(key, &found.value)
            .and_then(|(repository, token)| Record::decode(&found.value, repository, &token).ok());
        let Some(record) = read.filter(|record| record.sealed.is_some()) else {
            return Ok(());
        };
        self.next().await;
        let found_wrong = match card(self.sealer, &record).await {
            Err(Error::Integrity(IntegrityError::KekDestroyed { .. })) => {
                self.verified.dead += 1;
                return Ok(());
            }
            Err(Error::Integrity(IntegrityError::KekLeft { .. })) => {
                self.verified.left += 1;
                return Ok(());
            }
            looked => looked?,
        };
        if let Some(what) = found_wrong {
            let name = format!("record {} of repository {}", record.token, record.repository.0);
            self.told(key, found, &name, what).await?;
        }
        self.opened();
        Ok(())
    }

    async fn document(&mut self, key: &Key, found: &Versioned) -> Result<(), Error> {
        if !self.in_full {
            self.verified.entries += 1;
            self.check.document(key, found).await?;
            let faults = std::mem::take(&mut self.check.report.faults);
            self.faults(faults);
        }
        let Some(address) = Address::parse(key) else {
            return Ok(());
        };
        let Ok(row) = Row::decode(&found.value, &address) else {
            return Ok(());
        };
        let name = super::documents::named(&address);
        let (place, sealed) = match row.secret(&address) {
            Ok(None) => return Ok(()),
            Ok(Some(sealed)) => sealed,
            Err(_) => {
                return self
                    .told(key, found, &name, "its sealed part is damaged, or another's")
                    .await;
            }
        };
        self.next().await;
        match patiently(|| self.sealer.open(place, &sealed, &[Compartment::Profile])).await {
            Ok(_) => {}
            Err(keys::Error::Destroyed { .. }) => {
                self.verified.dead += 1;
                return Ok(());
            }
            Err(keys::Error::Left { .. }) => {
                self.verified.left += 1;
                return Ok(());
            }
            Err(keys::Error::Tampered) => self.told(key, found, &name, TAMPERED).await?,
            Err(error) => return Err(error.into()),
        }
        self.opened();
        Ok(())
    }

    async fn next(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.tick().await;
        }
    }

    fn opened(&mut self) {
        self.verified.opened += 1;
        (self.tell)(Told::Opened(self.verified.opened));
    }

    /// Tells a fault, if what was read stands there still.
    async fn told(&mut self, key: &Key, found: &Versioned, name: &str, what: &str) -> Result<(), Error> {
        if self.check.unchanged(key, found.rev).await? {
            self.faults(vec![format!("{name}: {what}")]);
        }
        Ok(())
    }

    fn faults(&mut self, faults: Vec<String>) {
        for fault in faults {
            self.verified.faults += 1;
            (self.tell)(Told::Fault(fault));
        }
    }
}

/// What is wrong with a card.
async fn card(sealer: &dyn Sealer, record: &Record) -> Result<Option<&'static str>, Error> {
    let Ok(sealed) = record.sealed() else {
        return Ok(Some("its sealed part is damaged"));
    };
    let which = [Compartment::Pan, Compartment::Profile];
    let opened = patiently(|| sealer.open(record.place(), &sealed, &which)).await;
    let mut texts = match opened {
        Ok(texts) => texts.into_iter(),
        Err(keys::Error::Tampered) => return Ok(Some(TAMPERED)),
        Err(error) => return Err(error.into()),
    };
    let Some(pan) = texts.next().flatten().and_then(|text| read_pan(&text, record).ok()) else {
        return Ok(Some("the card in it is not the one that it shows"));
    };
    if let Some(text) = texts.next().flatten()
        && Profile::decode(&text).is_err()
    {
        return Ok(Some("its profile cannot be read"));
    }
    let fingerprint = patiently(|| sealer.fingerprint(record.generation, record.repository, &pan)).await?;
    if PanIndex::of(&fingerprint) != record.pan {
        return Ok(Some("it is found by another card's fingerprint"));
    }
    let other = record.reuse.zip(record.scope.as_ref());
    if other.is_some_and(|(hash, scope)| hash != reuse_hash(&fingerprint, scope, record.uses)) {
        return Ok(Some("it is reused for another card than its own"));
    }
    Ok(None)
}

const TAMPERED: &str = "it does not open: its key or its ciphertext was changed, or belongs elsewhere";

/// Asks again while the HSM has no time: callers go first.
async fn patiently<'a, T>(ask: impl Fn() -> Fut<'a, T>) -> Result<T, keys::Error> {
    let since = Instant::now();
    loop {
        match ask().await {
            Err(keys::Error::Hsm(hsm::Error::Busy | hsm::Error::Deadline)) if since.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
}
