//! Security codes that wait in memory for the first operation on their session. They are written nowhere: a restart
//! forgets them. Those past their time are wiped by a task that is there while codes wait; it ends with the runtime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::id::{MerchantId, UnixMillis};
use crate::payment::{Error, SecurityCode};
use crate::vault::types::{self as core, PolicyError};

/// Security codes by merchant and session. Used on a runtime.
pub(in crate::payment) struct SecurityCodes {
    waiting: Arc<Mutex<Waiting>>,
    /// How often those past their time are wiped.
    sweep: Duration,
}

#[derive(Default)]
struct Waiting {
    /// No merchant is without one.
    codes: HashMap<MerchantId, HashMap<String, Code>>,
    /// Whether a task wipes those past their time.
    swept: bool,
}

struct Code {
    code: SecurityCode,
    expires_at: UnixMillis,
}

impl Default for SecurityCodes {
    fn default() -> Self {
        Self {
            waiting: Arc::default(),
            sweep: SWEEP,
        }
    }
}

impl SecurityCodes {
    /// Keeps `code` until `expires_at`, in the place of one that waits. Always `true`: a code waits.
    ///
    /// # Errors
    /// Too many wait.
    pub(super) fn put(
        &self,
        merchant: &MerchantId,
        session: &str,
        code: SecurityCode,
        expires_at: UnixMillis,
    ) -> Result<bool, Error> {
        let mut waiting = lock(&self.waiting);
        if !waiting.has_room(merchant, session) {
            // another's code is not thrown away for this one
            return Err(Error::Core(core::Error::Policy(PolicyError::Capped {
                retry_after_s: self.sweep.as_secs().max(1),
            })));
        }
        let own = waiting.codes.entry(merchant.clone()).or_default();
        own.insert(session.to_owned(), Code { code, expires_at });
        if !waiting.swept {
            waiting.swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.waiting), self.sweep));
        }
        Ok(true)
    }

    /// Keeps a code that waits until `expires_at`. Whether one does.
    pub(super) fn extend(&self, merchant: &MerchantId, session: &str, expires_at: UnixMillis, now: UnixMillis) -> bool {
        let mut waiting = lock(&self.waiting);
        let own = waiting.codes.get_mut(merchant);
        match own.and_then(|own| own.get_mut(session)) {
            Some(code) if code.expires_at > now => {
                code.expires_at = expires_at;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether a code waits.
    pub(super) fn waits(&self, merchant: &MerchantId, session: &str, now: UnixMillis) -> bool {
        let waiting = lock(&self.waiting);
        let code = waiting.codes.get(merchant).and_then(|own| own.get(session));
        code.is_some_and(|code| code.expires_at > now)
    }

    /// Takes the code out: there is none afterwards.
    pub(super) fn take(&self, merchant: &MerchantId, session: &str, now: UnixMillis) -> Option<SecurityCode> {
        let mut waiting = lock(&self.waiting);
        let own = waiting.codes.get_mut(merchant)?;
        let code = own.remove(session);
        if own.is_empty() {
            waiting.codes.remove(merchant);
        }
        code.filter(|code| code.expires_at > now).map(|code| code.code)
    }
}

impl Waiting {
    /// Whether a code of this session may wait.
    fn has_room(&self, merchant: &MerchantId, session: &str) -> bool {
        let own = self.codes.get(merchant);
        if own.is_some_and(|own| own.contains_key(session)) {
            return true;
        }
        let all: usize = self.codes.values().map(HashMap::len).sum();
        own.map_or(0, HashMap::len) < SHARE && all < CAPACITY
    }

    /// Wipes those past their time.
    fn wipe(&mut self, now: UnixMillis) {
        self.codes.retain(|_, own| {
            own.retain(|_, code| code.expires_at > now);
            !own.is_empty()
        });
    }
}

/// Wipes codes past their time until none waits. The next one that comes has it begin again.
async fn sweep(waiting: Weak<Mutex<Waiting>>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        // gone with all codes
        let Some(waiting) = waiting.upgrade() else { return };
        let mut waiting = lock(&waiting);
        waiting.wipe(UnixMillis::now());
        if waiting.codes.is_empty() {
            waiting.swept = false;
            return;
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Codes kept at most: some 20 MB.
const CAPACITY: usize = 100_000;
/// Of these, one merchant's at most.
const SHARE: usize = CAPACITY / 10;
/// A code outlives its session by no more than this.
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
        assert!(lock(&codes.waiting).codes.is_empty());

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
            for at in 0..SHARE {
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
                if waiting.codes.values().map(HashMap::len).sum::<usize>() == left && waiting.swept == (left > 0) {
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
