//! The shares that were given, and the PIN once there are enough. No sockets and no clock: both come from outside.

use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::settings::{Custodian, Seal, Settings};
use crate::hsm::share::{SetFile, SetId, Share, ShareFault, Unfit, combine};
use crate::id::UnixMillis;

/// What the keeper has.
pub(super) struct Gather {
    settings: Settings,
    pin: Option<SecretString>,
    given: Vec<Given>,
    /// When the first of them came.
    since: Option<Instant>,
    /// Why the vault is sealed, where it is not for the first time.
    remark: Option<String>,
}

struct Given {
    by: Custodian,
    share: Share,
}

/// What came of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// More are needed.
    Kept,
    /// It was not needed.
    NotNeeded,
    /// The vault is unsealed.
    Unsealed,
}

/// Why a share was refused; each says what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the shares that were given do not give the PIN, and all were forgotten: give them again, and if that fails too make \
             new ones (`panvault shares renew`, or `panvault shares split` with the PIN)"
    )]
    DoNotFit,
    #[error("what is kept of the shares cannot be read: {0}")]
    NoFile(String),
    #[error("user {0} is no custodian of this vault: give the share as a user that `custodians.users` names")]
    NoCustodian(u32),
    #[error("no shares were made for this vault: make them with `panvault shares split`")]
    NoSet,
    #[error("root gives no share unless `custodians.users` names it: give it as the custodian's own user")]
    Root,
    #[error("user {uid} gave a share already: {missing} more must come from other custodians")]
    SameCustodian { uid: u32, missing: usize },
    #[error("share {index} was given already: {missing} more are needed, each another one")]
    SameShare { index: u8, missing: usize },
    #[error("the share was not read: {0}")]
    Share(#[from] ShareFault),
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Gather {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            pin: None,
            given: Vec::new(),
            since: None,
            remark: None,
        }
    }

    /// The PIN, where the vault is unsealed.
    pub(super) fn pin(&self) -> Option<&SecretString> {
        self.pin.as_ref()
    }

    /// Whether this caller may give a share at all.
    ///
    /// # Errors
    /// [`Refusal::Root`] or [`Refusal::NoCustodian`].
    pub(super) fn admit(&self, by: Custodian) -> Result<(), Refusal> {
        match &self.settings.custodians {
            Some(named) if named.contains(&by.uid) => Ok(()),
            _ if by.uid == 0 => Err(Refusal::Root),
            Some(_) => Err(Refusal::NoCustodian(by.uid)),
            None => Ok(()),
        }
    }

    /// Takes a share. What is refused changes nothing, but that shares which do not give the PIN are forgotten.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) fn give(&mut self, by: Custodian, bytes: &[u8], now: Instant) -> Result<Taken, Refusal> {
        self.admit(by)?;
        let share = Share::from_bytes(bytes)?;
        let file = self.file()?.ok_or(Refusal::NoSet)?;
        file.judge(&share)?;
        if self.pin.is_some() {
            return Ok(Taken::NotNeeded);
        }
        self.given.retain(|given| given.share.set() == file.current.set);
        let missing = usize::from(file.current.threshold).saturating_sub(self.given.len());
        if self.given.iter().any(|given| given.share.index() == share.index()) {
            let index = share.index();
            return Err(Refusal::SameShare { index, missing });
        }
        if self.settings.one_share_each && self.given.iter().any(|given| given.by.uid == by.uid) {
            return Err(Refusal::SameCustodian { uid: by.uid, missing });
        }
        if self.given.is_empty() {
            self.since = Some(now);
        }
        self.given.push(Given { by, share });
        if self.given.len() < usize::from(file.current.threshold) {
            return Ok(Taken::Kept);
        }
        let shares: Vec<&Share> = self.given.iter().map(|given| &given.share).collect();
        let whole = combine(&shares, Some(&file.current));
        self.forget_shares();
        match whole {
            Ok(pin) => {
                self.pin = Some(pin);
                self.remark = None;
                Ok(Taken::Unsealed)
            }
            Err(_) => Err(Refusal::DoNotFit),
        }
    }

    /// Forgets shares whose time is over; how many there were.
    pub(super) fn expire(&mut self, now: Instant) -> Option<usize> {
        let since = self.since?;
        if now.saturating_duration_since(since) < self.settings.window {
            return None;
        }
        let count = self.given.len();
        self.forget_shares();
        Some(count)
    }

    /// Forgets the PIN, and shares that were given; whether there was one.
    pub(super) fn forget(&mut self, why: String) -> bool {
        self.forget_shares();
        self.remark = Some(why);
        self.pin.take().is_some()
    }

    /// How the vault is sealed.
    pub(super) fn seal(&self, now: Instant) -> Seal {
        let (current, fault) = match self.file() {
            Ok(Some(file)) => (Some(file.current), None),
            Ok(None) => (None, Some(Refusal::NoSet.to_string())),
            Err(refusal) => (None, Some(refusal.to_string())),
        };
        let set: Option<SetId> = current.as_ref().map(|current| current.set);
        let given = self.given.iter().filter(|given| Some(given.share.set()) == set);
        let left = self
            .since
            .map(|since| (since + self.settings.window).saturating_duration_since(now));
        Seal {
            sealed: self.pin.is_none(),
            set,
            threshold: current.as_ref().map_or(0, |current| current.threshold),
            of: current.as_ref().map_or(0, |current| current.of),
            given: given.map(|given| given.share.index()).collect(),
            until: left.map(|left| UnixMillis::now().plus(millis(left))),
            remark: match &self.pin {
                Some(_) => None,
                None => fault.or_else(|| self.remark.clone()),
            },
        }
    }

    fn file(&self) -> Result<Option<SetFile>, Refusal> {
        SetFile::load(&self.settings.state_dir).map_err(Refusal::NoFile)
    }

    fn forget_shares(&mut self) {
        // each is wiped as it is dropped
        self.given.clear();
        self.since = None;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::hsm::share::split;

    const WINDOW: Duration = Duration::from_secs(60);

    fn by(uid: u32) -> Custodian {
        Custodian { uid, gid: uid, pid: 1 }
    }

    fn made(dir: &std::path::Path, threshold: u8, of: u8) -> Vec<Share> {
        let (set, shares) = split(&SecretString::from("4711"), threshold, of).unwrap();
        SetFile::next(SetFile::load(dir).unwrap(), set).write(dir).unwrap();
        shares
    }

    fn gather(dir: &std::path::Path, custodians: Option<Vec<u32>>) -> Gather {
        Gather::new(Settings {
            state_dir: dir.to_owned(),
            program: "none".into(),
            custodians,
            one_share_each: true,
            window: WINDOW,
        })
    }

    #[test]
    fn enough_shares_of_different_custodians_unseal() {
        let place = tempfile::tempdir().unwrap();
        let shares = made(place.path(), 3, 5);
        let mut gather = gather(place.path(), None);
        let now = Instant::now();
        let text = |gather: &Gather| gather.seal(now).to_string();
        assert_eq!(text(&gather), "sealed: 0 of 3 shares given");
        assert_eq!(gather.give(by(1), &shares[4].to_bytes(), now), Ok(Taken::Kept));
        let refused =
            |gather: &mut Gather, uid, share: &Share| gather.give(by(uid), &share.to_bytes(), now).unwrap_err();
        assert_eq!(
            refused(&mut gather, 2, &shares[4]),
            Refusal::SameShare { index: 5, missing: 2 }
        );
        assert_eq!(
            refused(&mut gather, 1, &shares[1]),
            Refusal::SameCustodian { uid: 1, missing: 2 }
        );
        assert_eq!(refused(&mut gather, 0, &shares[1]), Refusal::Root);
        assert_eq!(text(&gather), "sealed: 1 of 3 shares given");
        assert_eq!(gather.give(by(2), &shares[1].to_bytes(), now), Ok(Taken::Kept));
        assert!(gather.pin().is_none());
        assert_eq!(gather.give(by(3), &shares[0].to_bytes(), now), Ok(Taken::Unsealed));
        assert_eq!(gather.pin().unwrap().expose_secret(), "4711");
        assert_eq!(text(&gather), "unsealed");
        assert_eq!(gather.give(by(4), &shares[2].to_bytes(), now), Ok(Taken::NotNeeded));
        assert!(gather.forget("the token refused the PIN".to_owned()));
        assert_eq!(text(&gather), "sealed: 0 of 3 shares given; the token refused the PIN");
        assert_eq!(gather.give(by(1), &shares[4].to_bytes(), now), Ok(Taken::Kept));
        assert!(!gather.forget("sealed by an operator".to_owned()));
        assert_eq!(text(&gather), "sealed: 0 of 3 shares given; sealed by an operator");
    }

    #[test]
    fn shares_are_forgotten_after_the_window_and_with_a_new_set() {
        let place = tempfile::tempdir().unwrap();
        let shares = made(place.path(), 2, 3);
        let mut gather = gather(place.path(), None);
        let now = Instant::now();
        assert_eq!(gather.give(by(1), &shares[0].to_bytes(), now), Ok(Taken::Kept));
        assert_eq!(gather.expire(now + WINDOW / 2), None);
        assert_eq!(gather.expire(now + WINDOW), Some(1));
        assert_eq!(gather.seal(now).given, Vec::<u8>::new());
        assert_eq!(gather.give(by(1), &shares[0].to_bytes(), now), Ok(Taken::Kept));
        let fresh = made(place.path(), 2, 3);
        assert_eq!(gather.seal(now).given, Vec::<u8>::new());
        let stale = gather.give(by(2), &shares[1].to_bytes(), now);
        assert!(matches!(stale, Err(Refusal::Unfit(Unfit::Stale { .. }))), "{stale:?}");
        assert_eq!(gather.give(by(1), &fresh[0].to_bytes(), now), Ok(Taken::Kept));
        assert_eq!(gather.give(by(2), &fresh[2].to_bytes(), now), Ok(Taken::Unsealed));
    }

    #[test]
    fn who_is_no_custodian_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let mut gather = gather(place.path(), Some(vec![7]));
        let (_, shares) = split(&SecretString::from("1"), 2, 2).unwrap();
        let now = Instant::now();
        let bytes = shares[0].to_bytes();
        assert_eq!(gather.give(by(8), &bytes, now), Err(Refusal::NoCustodian(8)));
        assert_eq!(gather.give(by(7), &bytes, now), Err(Refusal::NoSet));
        assert_eq!(gather.give(by(7), b"x", now), Err(Refusal::Share(ShareFault::Damaged)));
        made(place.path(), 2, 2);
        let other = gather.give(by(7), &bytes, now);
        assert!(
            matches!(other, Err(Refusal::Unfit(Unfit::OtherCeremony { .. }))),
            "{other:?}"
        );
        assert_eq!(gather.seal(now).given, Vec::<u8>::new());
    }
}
