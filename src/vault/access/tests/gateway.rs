//! Passwords and certificates of the Mastercard gateway's dialect.

use super::*;
use crate::vault::CertificateDigest;
use crate::vault::types::{Generation, Management, TokenRules, Verification};

const FRONT: Peer = Peer {
    uid: 33,
    gid: 33,
    pid: Some(7),
};
const RULES: TokenRules = TokenRules {
    management: Management::UniqueToken,
    generation: Generation::RandomWithLuhn,
    verification: Verification::Basic,
};
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n";
const ESCAPED: &str = "-----BEGIN%20CERTIFICATE-----%0AMAMCAQU%3D%0A-----END%20CERTIFICATE-----%0A";

struct Gateway {
    bench: Bench,
}

impl Gateway {
    /// A TEST and a live merchant in one pair of repositories.
    async fn new() -> Self {
        let mut bench = Bench::dev().await;
        bench.access.front_uid = Some(FRONT.uid);
        let accounts = bench.access.accounts();
        let shared = RepositoryName::parse("EU").unwrap();
        accounts.add_repository(ADMIN, &shared, Some(RULES)).await.unwrap();
        for (id, test) in [("TESTSHOP", true), ("SHOP", false)] {
            let new = NewMerchant {
                id: merchant(id),
                name: "Shop".to_owned(),
                dialects: BTreeSet::from([Dialect::Mastercard]),
                repository: Some(shared.clone()),
                test,
            };
            accounts.add_merchant(ADMIN, new).await.unwrap();
        }
        Self { bench }
    }

    async fn add(&self, id: &str, certificate: Option<CertificateDigest>) -> Option<SecretString> {
        let new = NewCredential {
            merchant: merchant(id),
            dialect: Dialect::Mastercard,
            kind: match certificate {
                Some(_) => CredentialKind::Certificate,
                None => CredentialKind::Password,
            },
            certificate,
            public_key: None,
            expires_at: None,
        };
        let accounts = self.bench.access.accounts();
        accounts.add_credential(ADMIN, new).await.unwrap().secret
    }

    async fn password(&self, id: &str) -> String {
        self.add(id, None).await.unwrap().expose_secret().to_owned()
    }

    fn basic(&self, id: &str, user: Option<&str>, password: Option<&str>) -> Result<Actor, PolicyError> {
        self.bench
            .access
            .authenticate_basic(PEER, Dialect::Mastercard, request(), &merchant(id), user, password)
            .map_err(policy_error)
    }

    fn certificate(&self, peer: Peer, id: &str, header: &str) -> Result<Actor, PolicyError> {
        self.bench
            .access
            .authenticate_certificate(peer, Dialect::Mastercard, request(), &merchant(id), header)
            .map_err(policy_error)
    }

    fn failures(&self) -> u64 {
        let failures = &self.bench.access.metrics.auth_failures;
        failures.with_label_values(&["mastercard"]).get()
    }
}

fn merchant(id: &str) -> MerchantId {
    MerchantId::parse(id).unwrap()
}

fn request() -> RequestId {
    RequestId::parse("req_1").unwrap()
}

#[tokio::test]
async fn either_live_password_acts_for_its_merchant_where_it_belongs() {
    let gateway = Gateway::new().await;
    let (first, second) = (gateway.password("TESTSHOP").await, gateway.password("TESTSHOP").await);
    for password in [&first, &second] {
        let actor = gateway
            .basic("TESTSHOP", Some("merchant.TESTSHOP"), Some(password))
            .unwrap();
        assert_eq!(actor.merchant, merchant("TESTSHOP"));
        assert_eq!(actor.repository_name.as_str(), "TESTEU");
        assert_eq!((actor.rules, actor.test), (Some(RULES), true));
    }
    let live = gateway.password("SHOP").await;
    let actor = gateway.basic("SHOP", Some("merchant.SHOP"), Some(&live)).unwrap();
    assert_eq!((actor.repository_name.as_str(), actor.test), ("EU", false));
    assert_eq!(actor.rules, Some(RULES));

    let accounts = gateway.bench.access.accounts();
    accounts.flush_uses().await.unwrap();
    let of_shop = accounts.credentials(Some(&merchant("TESTSHOP")));
    assert!(of_shop.iter().all(|view| view.last_used_at.is_some()));
    for view in of_shop {
        accounts.suspend_credential(ADMIN, &view.id).await.unwrap();
    }
    assert_eq!(
        gateway
            .basic("TESTSHOP", Some("merchant.TESTSHOP"), Some(&first))
            .unwrap_err(),
        PolicyError::BadCredential
    );
}

#[tokio::test]
async fn unknown_merchants_and_wrong_passwords_are_not_told_apart() {
    let gateway = Gateway::new().await;
    let password = gateway.password("TESTSHOP").await;
    let other = gateway.password("SHOP").await;
    let lower = password.to_lowercase();
    let wrong = [
        (Some("merchant.TESTSHOP"), Some(other.as_str())),
        (Some("merchant.TESTSHOP"), Some(lower.as_str())),
        (Some("merchant.TESTSHOP"), Some(&password[..31])),
        (Some("merchant.TESTSHOP"), Some("")),
        (Some("merchant.TESTSHOP"), None),
        (Some("merchant.SHOP"), Some(password.as_str())),
        (Some("TESTSHOP"), Some(password.as_str())),
        (Some(""), Some(password.as_str())),
        (None, Some(password.as_str())),
    ];
    for (user, password) in wrong {
        assert_eq!(
            gateway.basic("TESTSHOP", user, password).unwrap_err(),
            PolicyError::BadCredential,
            "{user:?}"
        );
    }
    assert_eq!(gateway.failures(), 9);
    assert_eq!(
        gateway.basic("TESTSHOP", None, None).unwrap_err(),
        PolicyError::NoCredential
    );
    assert_eq!(gateway.failures(), 9, "a challenge is no failure");

    let gateway = Gateway::new().await;
    gateway.password("TESTSHOP").await;
    let outcomes = |id: &str| -> Vec<PolicyError> {
        let user = format!("merchant.{id}");
        (0..12)
            .map(|_| gateway.basic(id, Some(&user), Some(&other)).unwrap_err())
            .collect()
    };
    let known = outcomes("TESTSHOP");
    assert!(matches!(known.last(), Some(PolicyError::LoginThrottled { .. })));
    assert_eq!(known, outcomes("NOBODY"));
    assert_eq!(known, outcomes("NOBODYELSE"), "each name has pauses of its own");
    assert_eq!(
        gateway.bench.counted().await,
        [
            counted("auth-failed", "throttled", 6),
            counted("auth-failed", "wrong", 30)
        ]
    );
}

#[tokio::test]
async fn a_pause_keeps_no_good_password_out() {
    let gateway = Gateway::new().await;
    let password = gateway.password("TESTSHOP").await;
    let user = Some("merchant.TESTSHOP");
    for _ in 0..11 {
        gateway.basic("TESTSHOP", user, Some("wrong")).unwrap_err();
    }
    assert!(gateway.basic("TESTSHOP", user, Some(&password)).is_ok());
}

#[tokio::test]
async fn a_password_is_no_key_and_a_key_no_password() {
    let gateway = Gateway::new().await;
    let password = gateway.password("TESTSHOP").await;
    let accounts = gateway.bench.access.accounts();
    let id = &accounts.credentials(Some(&merchant("TESTSHOP")))[0].id;
    for key in [format!("pv_{id}_{password}"), format!("pv_{id}_{}", "a".repeat(52))] {
        let refused = gateway.bench.log_in(&format!("Bearer {key}")).unwrap_err();
        assert_eq!(refused, PolicyError::BadCredential);
    }
    let key = gateway.bench.key.expose_secret();
    assert_eq!(
        gateway.basic("shop", Some("merchant.shop"), Some(key)).unwrap_err(),
        PolicyError::BadCredential
    );
}

#[tokio::test]
async fn a_certificate_is_believed_of_the_front_alone() {
    let mut gateway = Gateway::new().await;
    let digest = CertificateDigest::of_pem(PEM).unwrap();
    assert!(gateway.add("TESTSHOP", Some(digest)).await.is_none(), "nothing secret");
    let actor = gateway.certificate(FRONT, "TESTSHOP", ESCAPED).unwrap();
    assert_eq!((actor.repository_name.as_str(), actor.test), ("TESTEU", true));
    let listed = gateway.bench.access.accounts().credentials(Some(&merchant("TESTSHOP")));
    assert_eq!(listed[0].certificate, Some(digest));
    assert!(listed[0].last_used_at.is_some());

    let other = ESCAPED.replace("MAMCAQU", "MAMCAQY");
    for (peer, id, header) in [
        (PEER, "TESTSHOP", ESCAPED),
        (FRONT, "SHOP", ESCAPED),
        (FRONT, "NOBODY", ESCAPED),
        (FRONT, "TESTSHOP", other.as_str()),
        (FRONT, "TESTSHOP", PEM),
        (FRONT, "TESTSHOP", ""),
        (FRONT, "TESTSHOP", "FAILED"),
    ] {
        let expected = if header == PEM {
            Ok(())
        } else {
            Err(PolicyError::BadCredential)
        };
        assert_eq!(
            gateway.certificate(peer, id, header).map(drop),
            expected,
            "{id} {header:?}"
        );
    }
    gateway.bench.access.front_uid = None;
    assert_eq!(
        gateway.certificate(FRONT, "TESTSHOP", ESCAPED).unwrap_err(),
        PolicyError::BadCredential
    );
    assert_eq!(
        gateway.bench.counted().await,
        [
            counted("auth-failed", "malformed", 2),
            counted("auth-failed", "not-front", 1),
            counted("auth-failed", "not-front", 1),
            counted("auth-failed", "wrong", 3)
        ]
    );
}
