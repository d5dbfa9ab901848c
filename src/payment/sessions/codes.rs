//! Security codes that wait in memory for the first operation on their session. They are written nowhere: a restart
//! forgets them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{MerchantId, UnixMillis};
use crate::payment::{Error, SecurityCode};
use crate::vault::types::{self as core, PolicyError};

/// Security codes by merchant and session.
#[derive(Default)]
pub(in crate::payment) struct SecurityCodes {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    codes: HashMap<(MerchantId, String), Code>,
    /// When those past their time were last wiped, if ever.
    swept_at: Option<UnixMillis>,
}

struct Code {
    code: SecurityCode,
    expires_at: UnixMillis,
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
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let mut waiting = self.waiting();
        if waiting.swept_at.is_none_or(|at| now >= at.plus(SWEEP_MS)) {
            waiting.sweep(now);
        }
        let key = (merchant.clone(), session.to_owned());
        if waiting.codes.len() >= CAPACITY && !waiting.codes.contains_key(&key) {
            // another's code is not thrown away for this one
            return Err(Error::Core(core::Error::Policy(PolicyError::Capped {
                retry_after_s: SWEEP_MS / 1000,
            })));
        }
        waiting.codes.insert(key, Code { code, expires_at });
        Ok(true)
    }

    /// Keeps a code that waits until `expires_at`. Whether one does.
    pub(super) fn extend(&self, merchant: &MerchantId, session: &str, expires_at: UnixMillis, now: UnixMillis) -> bool {
        let key = (merchant.clone(), session.to_owned());
        match self.waiting().codes.get_mut(&key) {
            Some(code) if code.expires_at > now => {
                code.expires_at = expires_at;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether a code waits.
    pub(super) fn waits(&self, merchant: &MerchantId, session: &str, now: UnixMillis) -> bool {
        let key = (merchant.clone(), session.to_owned());
        self.waiting().codes.get(&key).is_some_and(|code| code.expires_at > now)
    }

    /// Takes the code out: there is none afterwards.
    pub(super) fn take(&self, merchant: &MerchantId, session: &str, now: UnixMillis) -> Option<SecurityCode> {
        let key = (merchant.clone(), session.to_owned());
        let code = self.waiting().codes.remove(&key)?;
        (code.expires_at > now).then_some(code.code)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Wipes those past their time.
    fn sweep(&mut self, now: UnixMillis) {
        self.codes.retain(|_, code| code.expires_at > now);
        self.swept_at = Some(now);
    }
}

/// Codes kept at most: some 20 MB.
const CAPACITY: usize = 100_000;
/// How often those past their time are wiped, at most.
const SWEEP_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> SecurityCode {
        SecurityCode::parse(text).unwrap()
    }

    #[test]
    fn a_code_is_taken_once_and_in_time() {
        let codes = SecurityCodes::default();
        let shop = MerchantId::parse("TEST_shop").unwrap();
        let other = MerchantId::parse("TEST_other").unwrap();
        assert!(
            codes
                .put(&shop, "S1", code("100"), UnixMillis(1_000), UnixMillis(0))
                .unwrap()
        );
        assert!(codes.waits(&shop, "S1", UnixMillis(999)));
        assert!(!codes.waits(&shop, "S1", UnixMillis(1_000)));
        assert!(!codes.waits(&other, "S1", UnixMillis(0)), "another merchant's");
        assert!(codes.take(&other, "S1", UnixMillis(0)).is_none());
        assert_eq!(codes.take(&shop, "S1", UnixMillis(999)).unwrap().expose(), "100");
        assert!(codes.take(&shop, "S1", UnixMillis(999)).is_none(), "gone");

        codes
            .put(&shop, "S1", code("101"), UnixMillis(1_000), UnixMillis(0))
            .unwrap();
        assert!(codes.extend(&shop, "S1", UnixMillis(2_000), UnixMillis(999)));
        assert!(
            !codes.extend(&shop, "S1", UnixMillis(9_000), UnixMillis(2_000)),
            "too late"
        );
        assert!(codes.take(&shop, "S1", UnixMillis(2_000)).is_none());
    }

    #[test]
    fn a_full_table_refuses_until_it_is_swept() {
        let codes = SecurityCodes::default();
        let shop = MerchantId::parse("TEST_shop").unwrap();
        for at in 0..CAPACITY {
            let session = at.to_string();
            codes
                .put(&shop, &session, code("100"), UnixMillis(5_000), UnixMillis(0))
                .unwrap();
        }
        let refused = codes.put(&shop, "one more", code("100"), UnixMillis(90_000), UnixMillis(4_000));
        assert!(matches!(
            refused,
            Err(Error::Core(core::Error::Policy(PolicyError::Capped { .. })))
        ));
        assert!(
            codes
                .put(&shop, "7", code("101"), UnixMillis(90_000), UnixMillis(4_000))
                .unwrap(),
            "in its place"
        );
        assert!(
            codes
                .put(&shop, "one more", code("100"), UnixMillis(90_000), UnixMillis(60_000))
                .unwrap()
        );
        assert!(codes.waits(&shop, "7", UnixMillis(60_000)));
        assert_eq!(codes.waiting().codes.len(), 2, "the others are wiped");
    }
}
