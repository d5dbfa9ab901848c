//! A vault that starts sealed: the pin keeper beside the workers, and what custodians do on record.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::audit::Event;
use crate::cli::Exit;
use crate::config::Config;
use crate::hsm::keeper::{Keeper, SealEvent};
use crate::hsm::{Client, Keyset};
use crate::server::systemd::Inherited;
use crate::server::{self, UnsealDoor};
use crate::telemetry::Metrics;
use crate::vault::Vault;
use crate::vault::types::Peer;

/// The action of these events.
const ACTION: &str = "seal-state";

/// Where a PIN would be that must not be there.
const CREDENTIAL: &str = "hsm-pin";

/// How long the keeper may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What belongs to a sealed start.
pub(super) struct Ceremony {
    keeper: Keeper,
    events: UnboundedReceiver<SealEvent>,
    door: Option<UnsealDoor>,
}

/// The same, while the daemon serves.
pub(super) struct Recorder {
    keeper: Keeper,
    task: JoinHandle<()>,
    /// Custodians find the socket as long as this is held.
    _door: Option<UnsealDoor>,
}

/// Starts the workers; where the vault starts sealed, the pin keeper before them.
pub(super) async fn start(
    config: &Config,
    keyset: &Keyset,
    metrics: &Metrics,
    inherited: &mut Inherited,
) -> anyhow::Result<(Client, Option<Ceremony>)> {
    let (hsm, keyset) = (config.hsm.clone(), keyset.clone());
    let door = config.server.bind_unseal(inherited).await.map_err(|error| match error {
        server::Error::UnknownSocket(_) => Exit::Config.because(
            "systemd gave the socket of custodians, and hsm.unseal is not \"custodians\": disable panvault-unseal.socket, or say so",
        ),
        other => other.into(),
    })?;
    let (Some(settings), Some(door)) = (&config.custodians, door) else {
        return Ok((Client::start(hsm, keyset, metrics.clone())?, None));
    };
    refuse_stored_pin()?;
    if !settings.one_share_each {
        tracing::warn!("custodians.one_share_each is off: one person can unseal this vault");
    }
    let (record, events) = unbounded_channel();
    let listener = door.listener.try_clone()?;
    let keeper = Keeper::start(settings.clone(), listener, metrics.clone(), record)?;
    let client = Client::start_sealed(hsm, keyset, metrics.clone(), keeper.clone())?;
    let ceremony = Ceremony {
        keeper,
        events,
        door: Some(door),
    };
    Ok((client, Some(ceremony)))
}

impl Ceremony {
    /// Puts on record that the vault starts sealed, and from now on who unseals it.
    pub(super) fn record(self, vault: &Arc<Vault>) -> Recorder {
        let Self {
            keeper,
            mut events,
            door,
        } = self;
        let vault = Arc::clone(vault);
        let task = tokio::spawn(async move {
            let start = Event {
                detail: Some("the vault starts sealed".to_owned()),
                ..Event::new(ACTION, "sealed")
            };
            note(&vault, start).await;
            while let Some(event) = events.recv().await {
                let peer = event.by.map(|by| Peer {
                    uid: by.uid,
                    gid: by.gid,
                    pid: Some(by.pid),
                });
                let event = Event {
                    peer,
                    detail: Some(event.detail),
                    ..Event::new(ACTION, event.outcome.name())
                };
                note(&vault, event).await;
            }
        });
        Recorder {
            keeper,
            task,
            _door: door,
        }
    }
}

impl Recorder {
    /// Ends the keeper and puts on record what it still told. Workers that are up go on.
    pub(super) async fn conclude(self) {
        self.keeper.end();
        drop(self.keeper);
        match tokio::time::timeout(PATIENCE, self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what custodians did is not all on record"),
            // the kernel ends it with this process
            Err(_) => tracing::error!("the pin keeper does not end; what custodians did may not all be on record"),
        }
    }
}

async fn note(vault: &Vault, event: Event) {
    let outcome = event.outcome.clone();
    if let Err(error) = vault.note(event).await {
        tracing::error!(%error, outcome, "what happened to the seal is not in the audit trail");
    }
}

/// With a stored PIN the ceremony would be theatre.
fn refuse_stored_pin() -> anyhow::Result<()> {
    let stored = std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|dir| std::path::Path::new(&dir).join(CREDENTIAL))
        .filter(|path| path.exists());
    match stored {
        Some(_) => Err(Exit::Config.because(
            "hsm.unseal = \"custodians\", and the credential hsm-pin holds a PIN all the same: remove it \
             (/etc/credstore.encrypted/hsm-pin)",
        )),
        None => Ok(()),
    }
}
