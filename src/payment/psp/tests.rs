mod localstripe;
mod pki;
mod provider;
mod simulator;
mod stripe_failing;
mod watched;

use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::*;
use crate::card::{Expiry, Pan};
use crate::id::{MerchantId, PspReference, RepositoryName};
use crate::payment::SecurityCode;
use crate::payment::acquirer::Fut;
use crate::vault::soft::Soft;
use crate::vault::types::{Format, Generation, Management, NewToken, Profile, Reuse, Terms, Tokenized, Uses};

pub(super) const VISA: &str = "4242424242424242";
pub(super) const GOOD: &str = "12/40";

/// A shop that is TEST or not, and its payments.
pub(super) struct Shop {
    pub(super) soft: Soft,
    pub(super) payments: Payments,
    pub(super) actor: Actor,
}

impl Shop {
    pub(super) async fn open(name: &str, connectors: Connectors) -> Self {
        let soft = Soft::start().await;
        let actor = soft
            .merchant(name, Management::UniqueToken, Generation::RandomWithLuhn)
            .await;
        let payments = Payments::new(soft.vault.clone()).with_connectors(connectors);
        Self { soft, payments, actor }
    }

    pub(super) async fn ask(&self, asked: PspTokenize) -> Result<ConnectorToken, Error> {
        self.payments.psp_tokenize(&self.actor, asked).await
    }

    /// `action outcome detail` of the events of this module.
    pub(super) async fn events(&self) -> Vec<String> {
        let lines = self.soft.store.audit(1, 10_000).await.unwrap();
        let lines = lines
            .iter()
            .map(|line| serde_json::from_slice::<serde_json::Value>(&line.line).unwrap());
        lines
            .map(|line| line["event"].clone())
            .filter(|event| event["action"] == "psp-tokenize")
            .map(|event| {
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                format!("{}: {}", text("outcome"), text("detail"))
            })
            .collect()
    }

    async fn stored(&self, uses: Uses, expiry: Option<Expiry>) -> Token {
        let new = NewToken {
            pan: Pan::parse(VISA).unwrap(),
            expiry,
            profile: Profile {
                holder: Some(Zeroizing::new("Ada Lovelace".to_owned())),
                extra: None,
            },
            format: Format::RandomLuhn,
            reuse: Reuse::Never,
            namespace: None,
            metadata: None,
            expires_at: None,
            uses,
            idempotency: None,
            verification: None,
            terms: Terms::default(),
        };
        match self.soft.vault.tokenize(&self.actor, new).await.unwrap() {
            Tokenized::Created(view) | Tokenized::Reused(view) => view.token,
        }
    }

    /// From now on the caller may do these only.
    async fn grant(&self, operations: &str) {
        let text = format!(
            "version = 1\n[[grant]]\nuid = {}\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [{operations}]",
            self.actor.peer.uid
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        self.soft.vault.access().reload_policy(file.path(), None).await.unwrap();
    }
}

pub(super) fn id(text: &str) -> ConnectorId {
    ConnectorId::parse(text).unwrap()
}

/// A token of this card at this connector.
pub(super) fn card(connector: &str, kind: TokenKind, pan: &str, expiry: &str, code: Option<&str>) -> PspTokenize {
    let (month, year) = expiry.split_once('/').unwrap();
    let from = PspFrom::Card(PspCard {
        pan: Pan::parse(pan).unwrap(),
        expiry: Expiry::parse(month, year).unwrap(),
        holder: Some(Zeroizing::new("Ada Lovelace".to_owned())),
        security_code: code.map(|code| SecurityCode::parse(code).unwrap()),
    });
    PspTokenize {
        connector_id: id(connector),
        from,
        billing: Billing::default(),
        kind,
        customer: None,
        key: None,
    }
}

/// The same of a card that is stored.
fn stored(connector: &str, kind: TokenKind, token: Token, code: Option<&str>) -> PspTokenize {
    PspTokenize {
        from: PspFrom::Token {
            token,
            security_code: code.map(|code| SecurityCode::parse(code).unwrap()),
        },
        ..card(connector, kind, VISA, GOOD, None)
    }
}

pub(super) fn failure(result: Result<ConnectorToken, Error>) -> Failure {
    match result {
        Err(Error::Provider(failure)) => failure,
        Err(other) => panic!("{other}"),
        Ok(token) => panic!("{token:?}"),
    }
}
