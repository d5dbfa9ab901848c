//! Who is asking: a credential against the accounts.

use std::time::Instant;

use super::Access;
use crate::id::{CredentialId, MerchantId, RequestId, UnixMillis};
use crate::vault::accounts::{AccountStatus, CredentialKind, Held, MAX_LIVE, Merchant, Repository, Snapshot};
use crate::vault::certificate::CertificateDigest;
use crate::vault::credential::{Presented, SecretHash};
use crate::vault::events::Repeated;
use crate::vault::login::{Shown, Source};
use crate::vault::types::{Actor, Dialect, Error, Peer, PolicyError};

/// Why a credential is not accepted, for the audit trail only: the caller gets one answer for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Expired,
    Malformed,
    /// A certificate that not the TLS front forwarded.
    NotFront,
    Suspended,
    /// No such id, not its secret, or not for this dialect.
    Wrong,
}

/// A credential that is good, its merchant and the merchant's default repository.
type Accepted<'a> = (&'a Held, &'a Merchant, &'a Repository);

impl Access {
    /// Who asks, by an API key. `authorization` is the value of the header of that name. Where a connection has no
    /// peer (`panvault dev` on TCP), `peer` is the process that listens.
    ///
    /// A good credential is accepted also during a pause: its secret has 256 random bits, which no number of tries finds.
    /// The pause is against noise, and no caller can shut another out with it.
    ///
    /// # Errors
    /// [`PolicyError::NoCredential`] without the header, which is not counted; [`PolicyError::LoginThrottled`] during a
    /// pause; [`PolicyError::BadCredential`] for anything else, the same whatever is wrong with it.
    pub fn authenticate_bearer(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        authorization: Option<&str>,
    ) -> Result<Actor, Error> {
        let key = authorization.map(bearer);
        self.authenticate_key(peer, dialect, request, key)
    }

    /// Who asks, by an API key as it stands. What is said of [`Self::authenticate_bearer`] holds here too.
    ///
    /// # Errors
    /// As [`Self::authenticate_bearer`]: [`PolicyError::NoCredential`] without a key.
    pub fn authenticate_key(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        key: Option<&str>,
    ) -> Result<Actor, Error> {
        let Some(key) = key else {
            return Err(Error::Policy(PolicyError::NoCredential));
        };
        let accounts = self.accounts.current();
        let presented = Presented::parse(key);
        // an id that nobody has leads to the pool that all such ids of a caller share
        let known = presented.as_ref().and_then(|key| accounts.credential(&key.id));
        let shown = known.map_or(Shown::Unknown, |held| Shown::Credential(held.row.id.clone()));
        let takes = |kind| kind == CredentialKind::ApiKey;
        let accepted = self.accepted(&accounts, dialect, presented.as_ref(), known, takes);
        self.enter(peer, dialect, request, shown, accepted)
    }

    /// Who asks, by a password that is shown with its credential's id as the user's name. What is said of
    /// [`Self::authenticate_bearer`] holds here too, with 128 random bits.
    ///
    /// Where a header is there but [`BasicLogin::parse`](crate::vault::BasicLogin::parse) makes nothing of it, give an
    /// empty name and password.
    ///
    /// # Errors
    /// As [`Self::authenticate_bearer`]: [`PolicyError::NoCredential`] without a login.
    pub fn authenticate_named(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        login: Option<(&str, &str)>,
    ) -> Result<Actor, Error> {
        let Some((user, password)) = login else {
            return Err(Error::Policy(PolicyError::NoCredential));
        };
        let accounts = self.accounts.current();
        let presented = CredentialId::parse(user).ok().map(|id| Presented {
            hash: SecretHash::of(&id, password),
            id,
        });
        let known = presented.as_ref().and_then(|login| accounts.credential(&login.id));
        let shown = known.map_or(Shown::Unknown, |held| Shown::Credential(held.row.id.clone()));
        let takes = |kind| matches!(kind, CredentialKind::Password | CredentialKind::DetokenizePassword);
        let accepted = self.accepted(&accounts, dialect, presented.as_ref(), known, takes);
        self.enter(peer, dialect, request, shown, accepted)
    }

    /// Who asks, by a password: `user` must be `merchant.<id>` of the merchant that the request names. Any live password
    /// of the merchant is good. What is said of [`Self::authenticate_bearer`] holds here too, with 128 random bits.
    ///
    /// Where a header is there but [`BasicLogin::parse`](crate::vault::BasicLogin::parse) makes nothing of it, give an
    /// empty `user` and `password`.
    ///
    /// # Errors
    /// As [`Self::authenticate_bearer`]: [`PolicyError::NoCredential`] where neither `user` nor `password` is given, and
    /// one answer whether there is no such merchant or the password is wrong.
    pub fn authenticate_basic(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        merchant: &MerchantId,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<Actor, Error> {
        if user.is_none() && password.is_none() {
            return Err(Error::Policy(PolicyError::NoCredential));
        }
        let accounts = self.accounts.current();
        let password = password.unwrap_or_default();
        let right = self.held_by(&accounts, merchant, dialect, CredentialKind::Password, |id| {
            SecretHash::of(id, password)
        });
        let named = user.and_then(|user| user.strip_prefix("merchant.")) == Some(merchant.as_str());
        let accepted = right
            .filter(|_| named)
            .ok_or(Refused::Wrong)
            .and_then(|held| at_home(&accounts, held));
        self.enter(peer, dialect, request, Shown::Merchant(merchant.clone()), accepted)
    }

    /// Who asks, by a client certificate that the TLS front forwards; `header` is its percent-encoded PEM, as nginx's
    /// `$ssl_client_escaped_cert` gives it. It is believed of the front's user only
    /// ([`AccessConfig::front_uid`](super::AccessConfig::front_uid)); from any other it is a credential that is not good.
    ///
    /// # Errors
    /// As [`Self::authenticate_basic`].
    pub fn authenticate_certificate(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        merchant: &MerchantId,
        header: &str,
    ) -> Result<Actor, Error> {
        let accounts = self.accounts.current();
        let accepted = if self.front_uid == Some(peer.uid) {
            CertificateDigest::of_forwarded(header)
                .ok_or(Refused::Malformed)
                .and_then(|digest| {
                    self.held_by(&accounts, merchant, dialect, CredentialKind::Certificate, |_| {
                        digest.into()
                    })
                    .ok_or(Refused::Wrong)
                })
                .and_then(|held| at_home(&accounts, held))
        } else {
            Err(Refused::NotFront)
        };
        self.enter(peer, dialect, request, Shown::Merchant(merchant.clone()), accepted)
    }

    /// A login for what cannot be a merchant: refused and counted as any that fails.
    ///
    /// # Errors
    /// Always: [`PolicyError::LoginThrottled`] during a pause, else [`PolicyError::BadCredential`].
    pub fn authenticate_nobody(&self, peer: Peer, dialect: Dialect, request: RequestId) -> Result<Actor, Error> {
        self.enter(peer, dialect, request, Shown::Unknown, Err(Refused::Wrong))
    }

    /// Lets in who is accepted; counts who is not.
    fn enter(
        &self,
        peer: Peer,
        dialect: Dialect,
        request: RequestId,
        shown: Shown,
        accepted: Result<Accepted<'_>, Refused>,
    ) -> Result<Actor, Error> {
        let source = Source {
            uid: peer.uid,
            dialect,
            shown,
        };
        match accepted {
            Ok((held, merchant, repository)) => {
                self.login.succeeded(&source);
                self.accounts.note_use(held, UnixMillis::now());
                Ok(Actor {
                    peer,
                    dialect,
                    merchant: merchant.id.clone(),
                    repository: merchant.repository,
                    repository_name: repository.name.clone(),
                    rules: repository.rules,
                    test: merchant.test,
                    reach: held.row.kind.reach(dialect),
                    request,
                    daemon: false,
                })
            }
            Err(refused) => {
                let now = Instant::now();
                if let Some(pause) = self.login.pause(&source, now) {
                    self.count_auth_failure(peer, dialect, "throttled");
                    return Err(Error::Policy(PolicyError::LoginThrottled {
                        retry_after_s: pause.as_secs() + u64::from(pause.subsec_nanos() > 0),
                    }));
                }
                self.login.failed(source, now);
                self.count_auth_failure(peer, dialect, refused.as_str());
                Err(Error::Policy(PolicyError::BadCredential))
            }
        }
    }

    /// The credential that was shown by its id, of a kind that is taken. Takes as long whether it exists or not.
    fn accepted<'a>(
        &self,
        accounts: &'a Snapshot,
        dialect: Dialect,
        presented: Option<&Presented>,
        known: Option<&'a Held>,
        takes: impl Fn(CredentialKind) -> bool,
    ) -> Result<Accepted<'a>, Refused> {
        let presented = presented.ok_or(Refused::Malformed)?;
        let known = known.filter(|held| takes(held.row.kind));
        let same = self.comparison.holds(known.map(|held| &held.row.hash), &presented.hash);
        let held = known
            .filter(|held| same && held.row.dialect == dialect)
            .ok_or(Refused::Wrong)?;
        if held.row.status == AccountStatus::Suspended {
            return Err(Refused::Suspended);
        }
        if !held.row.is_live(UnixMillis::now()) {
            return Err(Refused::Expired);
        }
        at_home(accounts, held)
    }

    /// The merchant's live credential of which `hash`, given its id, is the hash. Takes as long whether there is such a
    /// merchant or not, and however many credentials it has.
    fn held_by<'a>(
        &self,
        accounts: &'a Snapshot,
        merchant: &MerchantId,
        dialect: Dialect,
        kind: CredentialKind,
        hash: impl Fn(&CredentialId) -> SecretHash,
    ) -> Option<&'a Held> {
        let now = UnixMillis::now();
        let mut live = accounts
            .credentials_of(merchant)
            .filter(|held| held.row.dialect == dialect && held.row.kind == kind && held.row.is_live(now));
        let mut right = None;
        for _ in 0..MAX_LIVE {
            let held = live.next();
            let id = held.map_or(self.comparison.nobody(), |held| &held.row.id);
            if self.comparison.holds(held.map(|held| &held.row.hash), &hash(id)) {
                right = held;
            }
        }
        right
    }

    pub(super) fn count_auth_failure(&self, peer: Peer, dialect: Dialect, outcome: &'static str) {
        self.metrics.auth_failures.with_label_values(&[dialect.as_str()]).inc();
        self.events.count(Repeated {
            action: "auth-failed",
            outcome,
            caller: Some((peer.uid, peer.gid)),
            dialect: Some(dialect),
            merchant: None,
            repository: None,
        });
    }
}

impl Refused {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::NotFront => "not-front",
            Self::Suspended => "suspended",
            Self::Wrong => "wrong",
        }
    }
}

/// A good credential with its merchant and where that acts.
fn at_home<'a>(accounts: &'a Snapshot, held: &'a Held) -> Result<Accepted<'a>, Refused> {
    let merchant = accounts.merchant(&held.row.merchant).ok_or(Refused::Wrong)?;
    let repository = accounts.repository(merchant.repository).ok_or(Refused::Wrong)?;
    Ok((held, merchant, repository))
}

/// The API key in the header's value; empty where it is of another scheme, which no key is.
fn bearer(authorization: &str) -> &str {
    match authorization.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim_matches(' '),
        Some(_) | None => "",
    }
}
