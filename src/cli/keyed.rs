//! The store of an instance that is not being served, with the workers that use its keys.

use std::path::Path;
use std::time::Duration;

use super::Exit;
use super::instance::{self, Instance};
use super::offline::Offline;
use crate::hsm::{self, Client, NO_PIN, PinSource, StartFault};
use crate::keys::{KekLimits, Keyring, Keys};
use crate::telemetry::Metrics;

/// How long the first worker may take.
const READY: Duration = Duration::from_secs(60);

/// The opened store and its keys; [`Keyed::end`] ends the workers.
pub(super) struct Keyed {
    pub(super) offline: Offline,
    pub(super) keyring: Keyring,
    pub(super) keys: Keys,
    client: Client,
}

impl Keyed {
    /// Opens the store and starts the workers; refused while a daemon serves.
    pub(super) fn open(instance: &Instance) -> anyhow::Result<Self> {
        let config = &instance.config;
        super::key::refuse_moving(config)?;
        let keyring = instance::keyring(config)?;
        if config.hsm.pin == PinSource::Keeper {
            return Err(Exit::Unavailable.because(NO_PIN));
        }
        let offline = Offline::open(instance)?;
        let (keys, client) = offline.run(async {
            instance::of_one_vault(offline.store().as_ref(), &keyring).await?;
            workers(&config.hsm, &keyring, &config.keyring_path()).await
        })?;
        Ok(Self {
            offline,
            keyring,
            keys,
            client,
        })
    }

    /// Ends the workers in order.
    pub(super) fn end(self) {
        self.offline.run(self.client.shutdown());
    }
}

/// Workers with the keys of the keyring at `path`, the first of them ready.
pub(super) async fn workers(config: &hsm::Config, keyring: &Keyring, path: &Path) -> anyhow::Result<(Keys, Client)> {
    let client = Client::start(config.clone(), keyring.keyset().clone(), Metrics::new()?)?;
    let keys = Keys::new(client.clone(), keyring.keyset(), keyring.active_epoch())?.of_keyring(
        path,
        keyring.clone(),
        KekLimits::default(),
    );
    let ready = tokio::time::timeout(READY, client.ready()).await;
    match (client.refusal(), ready) {
        (_, Ok(Ok(()))) => Ok((keys, client)),
        (Some(fault @ (StartFault::Keys(_) | StartFault::Policy(_))), _) => {
            Err(Exit::Refused.because(fault.to_string()))
        }
        (Some(fault), _) => Err(Exit::Unavailable.because(fault.to_string())),
        (None, Ok(Err(error))) => Err(Exit::Unavailable.because(error.to_string())),
        (None, Err(_)) => Err(Exit::Unavailable.because("the HSM does not answer")),
    }
}
