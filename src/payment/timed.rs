//! Things that wait in memory for a short time, each for one merchant and under one name: security codes, cards that are not
//! to be stored. They are written nowhere: a restart forgets them. Those past their time are wiped by a task that is there
//! while any wait; it ends with the runtime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::{Error, SecurityCode};
use crate::id::{MerchantId, UnixMillis};
use crate::vault::types::{self as core, PolicyError};

/// Security codes by merchant and by what they belong to.
pub(super) type SecurityCodes = Timed<SecurityCode>;

/// What waits, by merchant and name. Used on a runtime.
pub(super) struct Timed<T> {
    waiting: Arc<Mutex<Waiting<T>>>,
    /// How often those past their time are wiped.
    sweep: Duration,
    /// Kept at most.
    capacity: usize,
    /// Of these, one merchant's at most.
    share: usize,
}

struct Waiting<T> {
    /// No merchant is without one.
    held: HashMap<MerchantId, HashMap<String, Held<T>>>,
    /// Whether a task wipes those past their time.
    swept: bool,
}

struct Held<T> {
    value: T,
    expires_at: UnixMillis,
}

impl<T: Send + 'static> Timed<T> {
    /// Nothing waits. At most `capacity` will, and a tenth of that for one merchant.
    pub(super) fn new(capacity: usize) -> Self {
        let waiting = Waiting {
            held: HashMap::new(),
            swept: false,
        };
        Self {
            waiting: Arc::new(Mutex::new(waiting)),
            sweep: SWEEP,
            capacity,
            share: capacity / 10,
        }
    }

    /// Keeps `value` until `expires_at`, in the place of one that waits. Always `true`: one waits.
    ///
    /// # Errors
    /// Too many wait.
    pub(super) fn put(
        &self,
        merchant: &MerchantId,
        name: &str,
        value: T,
        expires_at: UnixMillis,
    ) -> Result<bool, Error> {
        let mut waiting = lock(&self.waiting);
        if !waiting.has_room(merchant, name, self.capacity, self.share) {
            // another's is not thrown away for this one
            return Err(Error::Core(core::Error::Policy(PolicyError::Capped {
                retry_after_s: self.sweep.as_secs().max(1),
            })));
        }
        let own = waiting.held.entry(merchant.clone()).or_default();
        own.insert(name.to_owned(), Held { value, expires_at });
        if !waiting.swept {
            waiting.swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.waiting), self.sweep));
        }
        Ok(true)
    }

    /// Keeps what waits until `expires_at`. Whether it does.
    pub(super) fn extend(&self, merchant: &MerchantId, name: &str, expires_at: UnixMillis, now: UnixMillis) -> bool {
        let mut waiting = lock(&self.waiting);
        let own = waiting.held.get_mut(merchant);
        match own.and_then(|own| own.get_mut(name)) {
            Some(held) if held.expires_at > now => {
                held.expires_at = expires_at;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether one waits.
    pub(super) fn waits(&self, merchant: &MerchantId, name: &str, now: UnixMillis) -> bool {
        self.until(merchant, name, now).is_some()
    }

    /// How long one waits.
    pub(super) fn until(&self, merchant: &MerchantId, name: &str, now: UnixMillis) -> Option<UnixMillis> {
        let waiting = lock(&self.waiting);
        let held = waiting.held.get(merchant).and_then(|own| own.get(name))?;
        (held.expires_at > now).then_some(held.expires_at)
    }

    /// A look at what waits, and until when it does.
    pub(super) fn look<R>(
        &self,
        merchant: &MerchantId,
        name: &str,
        now: UnixMillis,
        look: impl FnOnce(&mut T, UnixMillis) -> R,
    ) -> Option<R> {
        let mut waiting = lock(&self.waiting);
        let held = waiting.held.get_mut(merchant)?.get_mut(name)?;
        (held.expires_at > now).then(|| look(&mut held.value, held.expires_at))
    }

    /// The names of those of the merchant that `wanted` is true of.
    pub(super) fn names(&self, merchant: &MerchantId, now: UnixMillis, wanted: impl Fn(&T) -> bool) -> Vec<String> {
        let waiting = lock(&self.waiting);
        let own = waiting.held.get(merchant).into_iter().flatten();
        own.filter(|(_, held)| held.expires_at > now && wanted(&held.value))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Takes it out: there is none afterwards.
    pub(super) fn take(&self, merchant: &MerchantId, name: &str, now: UnixMillis) -> Option<T> {
        let mut waiting = lock(&self.waiting);
        let own = waiting.held.get_mut(merchant)?;
        let held = own.remove(name);
        if own.is_empty() {
            waiting.held.remove(merchant);
        }
        held.filter(|held| held.expires_at > now).map(|held| held.value)
    }
}

impl Default for SecurityCodes {
    fn default() -> Self {
        Self::new(CODES)
    }
}

impl<T> Waiting<T> {
    /// Whether one of this name may wait.
    fn has_room(&self, merchant: &MerchantId, name: &str, capacity: usize, share: usize) -> bool {
        let own = self.held.get(merchant);
        if own.is_some_and(|own| own.contains_key(name)) {
            return true;
        }
        let all: usize = self.held.values().map(HashMap::len).sum();
        own.map_or(0, HashMap::len) < share && all < capacity
    }

    /// Wipes those past their time.
    fn wipe(&mut self, now: UnixMillis) {
        self.held.retain(|_, own| {
            own.retain(|_, held| held.expires_at > now);
            !own.is_empty()
        });
    }
}

/// Wipes those past their time until none waits. The next one that comes has it begin again.
async fn sweep<T>(waiting: Weak<Mutex<Waiting<T>>>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        // gone with all of them
        let Some(waiting) = waiting.upgrade() else { return };
        let mut waiting = lock(&waiting);
        waiting.wipe(UnixMillis::now());
        if waiting.held.is_empty() {
            waiting.swept = false;
            return;
        }
    }
}

fn lock<T>(waiting: &Mutex<Waiting<T>>) -> MutexGuard<'_, Waiting<T>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Security codes kept at most: some 20 MB.
const CODES: usize = 100_000;
/// What waits outlives its time by no more than this.
const SWEEP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> SecurityCode {
        SecurityCode::parse(text).unwrap()
    }

    fn merchant(name: &str) -> MerchantId {
        MerchantId::parse(name).unwrap()
    }

    #[tokio::test]
    async fn a_code_is_taken_once_and_in_time() {
        let codes = SecurityCodes::default();
        let (shop, other) = (merchant("TEST_shop"), merchant("TEST_other"));
        assert!(codes.put(&shop, "S1", code("100"), UnixMillis(1_000)).unwrap());
        assert!(codes.waits(&shop, "S1", UnixMillis(999)));
        assert!(!codes.waits(&shop, "S1", UnixMillis(1_000)));
        assert!(!codes.waits(&other, "S1", UnixMillis(0)), "another merchant's");
        assert!(codes.take(&other, "S1", UnixMillis(0)).is_none());
        assert_eq!(codes.take(&shop, "S1", UnixMillis(999)).unwrap().expose(), "100");
        assert!(codes.take(&shop, "S1", UnixMillis(999)).is_none(), "gone");
        assert!(lock(&codes.waiting).held.is_empty());

        codes.put(&shop, "S1", code("101"), UnixMillis(1_000)).unwrap();
        assert!(codes.extend(&shop, "S1", UnixMillis(2_000), UnixMillis(999)));
        assert!(
            !codes.extend(&shop, "S1", UnixMillis(9_000), UnixMillis(2_000)),
            "too late"
        );
        assert!(codes.take(&shop, "S1", UnixMillis(2_000)).is_none());
    }

    #[tokio::test]
    async fn one_merchant_does_not_fill_the_table() {
        let codes = SecurityCodes::default();
        let far = UnixMillis(u64::MAX);
        let put = |shop: &MerchantId, session: &str| codes.put(shop, session, code("100"), far);
        let capped = |result| {
            matches!(
                result,
                Err(Error::Core(core::Error::Policy(PolicyError::Capped { .. })))
            )
        };
        for shop in (0..10).map(|at| merchant(&format!("shop{at}"))) {
            for at in 0..codes.share {
                put(&shop, &at.to_string()).unwrap();
            }
            assert!(capped(put(&shop, "one more")));
            assert!(put(&shop, "7").unwrap(), "in its place");
        }
        let another = merchant("another");
        assert!(capped(put(&another, "S1")), "all are too many");
        codes.take(&merchant("shop3"), "7", UnixMillis(0)).unwrap();
        assert!(put(&another, "S1").unwrap());
    }

    #[tokio::test]
    async fn codes_past_their_time_are_wiped_unasked() {
        let codes = SecurityCodes {
            sweep: Duration::from_millis(5),
            ..SecurityCodes::default()
        };
        let shop = merchant("TEST_shop");
        let swept = async |left: usize| {
            for _ in 0..400 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let waiting = lock(&codes.waiting);
                if waiting.held.values().map(HashMap::len).sum::<usize>() == left && waiting.swept == (left > 0) {
                    return;
                }
            }
            panic!("they wait still");
        };
        let past = UnixMillis::now();
        for _ in 0..2 {
            codes.put(&shop, "S1", code("100"), past).unwrap();
            codes.put(&shop, "S2", code("100"), past).unwrap();
            codes.put(&shop, "S3", code("100"), past.plus(600_000)).unwrap();
            swept(1).await;
            assert_eq!(codes.take(&shop, "S3", past).unwrap().expose(), "100");
            // the task ends, and begins again with the next code
            swept(0).await;
        }
        let waiting = Arc::downgrade(&codes.waiting);
        codes.put(&shop, "S1", code("100"), past.plus(600_000)).unwrap();
        drop(codes);
        assert!(waiting.upgrade().is_none(), "the task holds no code");
    }
}
