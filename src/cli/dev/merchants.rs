//! The TEST merchants of a dev instance. They are made once; credentials that still work are kept.

use anyhow::Context;
use secrecy::ExposeSecret;

use crate::cli::instance::{DevHyperswitch, DevMastercard, DevNative, DevWorldpay};
use crate::cli::serve::own_peer;
use crate::id::{MerchantId, RepositoryName, RequestId};
use crate::jose::RsaPublicKey;
use crate::vault::Access;
use crate::vault::accounts::{AdminActor, CredentialKind, NewCredential, NewMerchant};
use crate::vault::types::{Dialect, Generation, Management, TokenRules, Verification};

const NATIVE: &str = "TEST_native";
const WORLDPAY: &str = "TEST_worldpay";
pub(super) const HYPERSWITCH: &str = "TEST_hyperswitch";
/// The simulated payment service provider.
const CONNECTOR: &str = "mca_simulator";
const LOCKER: &str = "TEST_locker";
pub(super) const PAYKKA: &str = "TEST_paykka";
/// Repositories of the Mastercard gateway's dialect, one for each strategy worth trying. `TEST` before the name is both
/// its TEST twin and the merchant that acts there.
const MASTERCARD: [(&str, Management, Generation); 4] = [
    ("RANDOM", Management::UniqueToken, Generation::RandomWithLuhn),
    ("PRESERVE", Management::UniqueToken, Generation::Preserve64),
    ("SUPPLIED", Management::UniqueToken, Generation::MerchantProvided),
    (
        "UNIQUE",
        Management::UniqueAccountIdentifier,
        Generation::RandomWithLuhn,
    ),
];

/// The native dialect's merchant.
pub(super) async fn native(access: &Access, previous: Option<DevNative>) -> anyhow::Result<DevNative> {
    if let Some(previous) = previous.filter(|previous| accepts_key(access, Dialect::Native, &previous.api_key)) {
        return Ok(previous);
    }
    let id = MerchantId::parse(NATIVE)?;
    made(access, &id, Dialect::Native, None).await?;
    Ok(DevNative {
        merchant: NATIVE.to_owned(),
        api_key: issued(access, id, Dialect::Native, CredentialKind::ApiKey).await?.1,
    })
}

/// The Mastercard gateway's, each with its repository as that is now.
pub(super) async fn mastercard(access: &Access, previous: &[DevMastercard]) -> anyhow::Result<Vec<DevMastercard>> {
    let accounts = access.accounts();
    let mut merchants = Vec::with_capacity(MASTERCARD.len());
    for (name, management, generation) in MASTERCARD {
        let shared = RepositoryName::parse(name)?;
        let rules = TokenRules {
            management,
            generation,
            verification: Verification::Basic,
        };
        if !accounts.repositories().iter().any(|row| row.name == shared) {
            let admin = AdminActor { peer: own_peer() };
            accounts.add_repository(admin, &shared, Some(rules)).await?;
        }
        let id = MerchantId::parse(&format!("TEST{name}"))?;
        made(access, &id, Dialect::Mastercard, Some(shared)).await?;
        let kept = previous
            .iter()
            .find(|entry| entry.merchant == id.as_str() && accepts_password(access, &id, &entry.password));
        let password = match kept {
            Some(entry) => entry.password.clone(),
            None => {
                issued(access, id.clone(), Dialect::Mastercard, CredentialKind::Password)
                    .await?
                    .1
            }
        };
        let merchant = accounts.merchants()?.into_iter().find(|row| row.id == id);
        let repository = merchant.context("a merchant just made is not there")?.repository;
        let row = accounts.repositories().into_iter().find(|row| row.name == repository);
        let rules = row.and_then(|row| row.rules);
        let TokenRules {
            management,
            generation,
            verification,
        } = rules.with_context(|| format!("repository {repository} has no rules"))?;
        merchants.push(DevMastercard {
            merchant: id.to_string(),
            password,
            repository: repository.to_string(),
            management,
            generation,
            verification,
        });
    }
    Ok(merchants)
}

/// Worldpay's, with both of its logins.
pub(super) async fn worldpay(access: &Access, previous: Option<DevWorldpay>) -> anyhow::Result<DevWorldpay> {
    let good = |previous: &DevWorldpay| {
        accepts_named(access, &previous.username, &previous.password)
            && accepts_named(access, &previous.detokenize_username, &previous.detokenize_password)
    };
    if let Some(previous) = previous.filter(good) {
        return Ok(previous);
    }
    let id = MerchantId::parse(WORLDPAY)?;
    made(access, &id, Dialect::Worldpay, None).await?;
    let (username, password) = issued(access, id.clone(), Dialect::Worldpay, CredentialKind::Password).await?;
    let (detokenize_username, detokenize_password) =
        issued(access, id, Dialect::Worldpay, CredentialKind::DetokenizePassword).await?;
    Ok(DevWorldpay {
        username,
        password,
        detokenize_username,
        detokenize_password,
        entity: "default".to_owned(),
    })
}

/// Hyperswitch's; its profile is the repository that it acts in.
pub(super) async fn hyperswitch(access: &Access, previous: Option<DevHyperswitch>) -> anyhow::Result<DevHyperswitch> {
    let good = |previous: &DevHyperswitch| accepts_key(access, Dialect::Hyperswitch, &previous.api_key);
    if let Some(previous) = previous.filter(good) {
        return Ok(previous);
    }
    let id = MerchantId::parse(HYPERSWITCH)?;
    made(access, &id, Dialect::Hyperswitch, None).await?;
    let merchant = access.accounts().merchants()?.into_iter().find(|row| row.id == id);
    let profile = merchant.context("a merchant just made is not there")?.repository;
    let (_, api_key) = issued(access, id, Dialect::Hyperswitch, CredentialKind::ApiKey).await?;
    Ok(DevHyperswitch {
        merchant_id: HYPERSWITCH.to_owned(),
        profile_id: profile.to_string(),
        api_key,
        connector_id: CONNECTOR.to_owned(),
        locker: None,
    })
}

/// The tenant of Hyperswitch's card vault; its client has this key.
pub(super) async fn locker(access: &Access, client: Option<RsaPublicKey>) -> anyhow::Result<String> {
    let id = MerchantId::parse(LOCKER)?;
    made(access, &id, Dialect::HyperswitchLocker, None).await?;
    if let Some(key) = client {
        known(access, &id, Dialect::HyperswitchLocker, key).await?;
    }
    Ok(id.to_string())
}

/// PayKKa's, which signs with this key.
pub(super) async fn paykka(access: &Access, client: RsaPublicKey) -> anyhow::Result<String> {
    let id = MerchantId::parse(PAYKKA)?;
    made(access, &id, Dialect::PayKka, None).await?;
    known(access, &id, Dialect::PayKka, client).await?;
    Ok(id.to_string())
}

/// Makes the merchant's key known if it is not.
async fn known(access: &Access, id: &MerchantId, dialect: Dialect, key: RsaPublicKey) -> anyhow::Result<()> {
    let accounts = access.accounts();
    let held = accounts.credentials(Some(id));
    if held.iter().any(|there| there.public_key == key.fingerprint()) {
        return Ok(());
    }
    let new = NewCredential {
        merchant: id.clone(),
        dialect,
        kind: CredentialKind::PublicKey,
        certificate: None,
        public_key: Some(key),
        expires_at: None,
    };
    accounts.add_credential(AdminActor { peer: own_peer() }, new).await?;
    Ok(())
}

/// Makes the merchant if it is not there.
async fn made(
    access: &Access,
    id: &MerchantId,
    dialect: Dialect,
    repository: Option<RepositoryName>,
) -> anyhow::Result<()> {
    let accounts = access.accounts();
    if accounts.merchants()?.iter().any(|merchant| merchant.id == *id) {
        return Ok(());
    }
    let new = NewMerchant {
        id: id.clone(),
        name: "test merchant".to_owned(),
        dialects: [dialect].into(),
        repository,
        test: true,
    };
    accounts.add_merchant(AdminActor { peer: own_peer() }, new).await?;
    Ok(())
}

/// A new credential for the merchant, its id and its secret. Those of which nobody has the secret any more make room for it.
async fn issued(
    access: &Access,
    merchant: MerchantId,
    dialect: Dialect,
    kind: CredentialKind,
) -> anyhow::Result<(String, String)> {
    let accounts = access.accounts();
    let admin = AdminActor { peer: own_peer() };
    for old in accounts.credentials(Some(&merchant)) {
        if old.dialect == dialect && old.kind == kind {
            accounts.remove_credential(admin, &old.id).await?;
        }
    }
    let new = NewCredential {
        merchant,
        dialect,
        kind,
        certificate: None,
        public_key: None,
        expires_at: None,
    };
    let issued = accounts.add_credential(admin, new).await?;
    let secret = issued.secret.context("a credential without a secret")?;
    Ok((issued.credential.id.to_string(), secret.expose_secret().to_owned()))
}

/// Whether this API key is good here, for a process of this user.
fn accepts_key(access: &Access, dialect: Dialect, api_key: &str) -> bool {
    RequestId::random().is_ok_and(|request| {
        access
            .authenticate_key(own_peer(), dialect, request, Some(api_key))
            .is_ok()
    })
}

/// Whether this password is.
fn accepts_password(access: &Access, merchant: &MerchantId, password: &str) -> bool {
    let user = format!("merchant.{merchant}");
    RequestId::random().is_ok_and(|request| {
        access
            .authenticate_basic(
                own_peer(),
                Dialect::Mastercard,
                request,
                merchant,
                Some(&user),
                Some(password),
            )
            .is_ok()
    })
}

/// Whether this login of Worldpay's dialect is.
fn accepts_named(access: &Access, user: &str, password: &str) -> bool {
    RequestId::random().is_ok_and(|request| {
        access
            .authenticate_named(own_peer(), Dialect::Worldpay, request, Some((user, password)))
            .is_ok()
    })
}
