//! `serve`: the parts put together, from the store to the sockets, and taken apart again in order.

mod descriptors;
mod dual_control;
mod reload;
mod seal;
mod signals;
mod standing;
mod trail;
mod warnings;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use self::reload::Reloader;
use self::signals::{Signals, bins};
use self::standing::Teller;
use self::trail::Trail;
use self::warnings::warn_of_plain_hrefs;
use super::instance::{self, Instance};
use super::offline::store_fault;
use super::{Exit, Which, process};
use crate::api;
use crate::config::Config;
use crate::hsm;
use crate::keys::{Keyring, Keys};
use crate::ops::{self, Admins};
use crate::payment::psp::Connectors;
use crate::payment::shopper::{NotificationTrust, OutboxSettings};
use crate::server::systemd::Inherited;
use crate::server::{self, Limits, Listener, Tcp};
use crate::store::Store;
use crate::store::sled::SledStore;
use crate::telemetry::Metrics;
use crate::telemetry::logs::{Filter, Logs, Sink};
use crate::transfer::Source;
use crate::vault::accounts::Accounts;
use crate::vault::events::Events;
use crate::vault::policy::Policy;
use crate::vault::types::Peer;
use crate::vault::{Access, AccessConfig, SharedBins, Vault};

/// What `dev` asks for beside the configuration.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// The API on loopback TCP.
    pub(super) tcp: Option<SocketAddr>,
    /// Figures on loopback TCP at port 9420, or a free one where that is taken.
    pub(super) metrics: bool,
    /// The pages that payers open, on the API's listeners too.
    pub(super) checkout: bool,
}

/// A serving daemon, for who started it.
pub(super) struct Daemon {
    vault: Arc<Vault>,
    hsm: hsm::Client,
    pub(super) tcp: Option<SocketAddr>,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) locker: api::locker::Config,
    pub(super) paykka: bool,
}

/// What the daemon is made of: read and opened, and nothing started yet.
struct Parts {
    config: Config,
    keyring: Keyring,
    policy: Policy,
    bins: SharedBins,
    connectors: Connectors,
    metrics: Metrics,
    store: Arc<dyn Store>,
}

/// What is done once the sockets serve.
pub(super) type Serving = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// The command.
pub(super) fn run(which: &Which, allow_root: bool) -> anyhow::Result<Exit> {
    if nix::unistd::geteuid().is_root() && !allow_root {
        return Err(
            Exit::Config.because("serve does not run as root: start it as the service's own user, or say --allow-root")
        );
    }
    let instance = Instance::find(which)?;
    super::restore::refuse_half(&instance.config)?;
    super::key::refuse_moving(&instance.config)?;
    process(instance.config, Extra::default(), |_| Box::pin(async { Ok(()) }))
}

/// Makes this process the daemon; `serving` runs once the sockets serve. Returns when it has stopped.
pub(super) fn process(config: Config, extra: Extra, serving: impl FnOnce(Daemon) -> Serving) -> anyhow::Result<Exit> {
    descriptors::raise_limit();
    // before there is a thread: it takes the variables out of the environment
    let inherited = Inherited::take().map_err(|error| Exit::Config.because(error.to_string()))?;
    let filter = Filter::parse(&config.log_filter)?;
    let logs = Logs::start(filter, Sink::detect())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, extra, inherited, logs, serving))
}

async fn serve(
    config: Config,
    extra: Extra,
    inherited: Inherited,
    logs: Logs,
    serving: impl FnOnce(Daemon) -> Serving,
) -> anyhow::Result<Exit> {
    let signals = Signals::new()?;
    let keyring = instance::keyring(&config)?;
    let policy = Policy::load(&config.policy).map_err(|error| Exit::Config.because(error.to_string()))?;
    let bins: SharedBins = Arc::new(RwLock::new(bins(config.bin_table.as_deref())?));
    let connectors = Connectors::open(&config.psp).map_err(|error| Exit::Config.because(error.to_string()))?;
    let metrics = Metrics::new()?;
    // Before the store is opened: it puts a hook in front that keeps what sled does to itself from ending the vault.
    process::end_on_panic();
    let store: Arc<dyn Store> = {
        let (settings, metrics) = (config.store.clone(), metrics.clone());
        Arc::new(
            tokio::task::spawn_blocking(move || SledStore::open(settings, metrics))
                .await?
                .map_err(store_fault)?,
        )
    };
    let parts = Parts {
        config,
        keyring,
        policy,
        bins,
        connectors,
        metrics,
        store: store.clone(),
    };
    let served = parts.serve(extra, inherited, &logs, signals, serving).await;
    // Also when it could not serve: a store that is only dropped is recovered at the next start.
    let closed = store.close().await;
    let exit = served?;
    closed?;
    tracing::info!("stopped");
    Ok(exit)
}

impl Parts {
    /// Serves until told to stop; the store stays open.
    async fn serve(
        self,
        extra: Extra,
        mut inherited: Inherited,
        logs: &Logs,
        mut signals: Signals,
        serving: impl FnOnce(Daemon) -> Serving,
    ) -> anyhow::Result<Exit> {
        let Self {
            config,
            keyring,
            policy,
            bins,
            connectors,
            metrics,
            store,
        } = self;
        instance::of_one_vault(store.as_ref(), &keyring).await?;
        if config.locker.needs_key() && keyring.keyset().locker.is_none() {
            return Err(Exit::Refused.because(
                "the locker is enabled and its key is not there: run `panvault init` again, or say locker.jwe = \"off\"",
            ));
        }
        if config.paykka.enabled && keyring.keyset().platform.is_none() {
            return Err(
                Exit::Refused.because("paykka is enabled and the platform key is not there: run `panvault init` again")
            );
        }
        let trust = NotificationTrust::open(config.paykka.ca_file.as_deref())
            .map_err(|error| Exit::Config.because(format!("paykka: {error}")))?;
        let (client, ceremony) = seal::start(&config, keyring.keyset(), &metrics, &mut inherited).await?;
        let keys = Keys::new(client.clone(), keyring.keyset(), keyring.active_epoch())?
            .overlapping(config.transport_overlap)
            .of_keyring(&config.keyring_path(), keyring.clone(), config.kek_limits);
        let backups = Arc::new(Source {
            vault: keyring.vault().clone(),
            store: store.clone(),
            keys: keys.clone(),
            keyring: config.keyring_path(),
        });
        let events = Arc::new(Events::new(store.clone()));
        let accounts = Accounts::load(store.clone()).await?;
        let settings = AccessConfig {
            caps: config.caps,
            front_uid: config.front_uid,
            ..AccessConfig::default()
        };
        let access = Access::new(accounts, policy, settings, events, metrics.clone())?;
        let vault = Vault::open(
            keyring.vault().clone(),
            store.clone(),
            keys,
            access,
            bins,
            metrics.clone(),
        );
        let custody = dual_control::start(&config, &store, &vault).await?;

        vault.learn_destructions(super::shredded::beside(&config, &keyring)?);

        let mut listen = config.server.clone();
        if extra.metrics {
            listen.metrics = Some(SocketAddr::from(([127, 0, 0, 1], 9420)));
            listen.metrics_any_port = true;
        }
        listen.tcp = extra.tcp.map(|addr| Tcp { addr, peer: own_peer() });
        let bound = listen.bind(inherited).await?;
        let daemon = Daemon {
            vault: vault.clone(),
            hsm: client.clone(),
            tcp: bound.tcp.as_ref().and_then(Listener::tcp_addr),
            metrics: bound.metrics.as_ref().and_then(Listener::tcp_addr),
            locker: config.locker.clone(),
            paykka: config.paykka.enabled,
        };
        let mut paykka = config.paykka.clone();
        if extra.checkout && paykka.checkout_url.is_none() {
            let host = daemon
                .tcp
                .map_or_else(|| "localhost".to_owned(), |address| address.to_string());
            paykka.checkout_url = Some(format!("http://{host}"));
        }
        warn_of_plain_hrefs(&config, &vault)?;
        let dialects = api::Services::new(vault.clone(), metrics.clone())
            .with_worldpay(config.worldpay.clone())
            .with_locker(config.locker.clone())
            .with_connectors(connectors)
            .with_wallet(config.wallet.clone())
            .with_paykka(paykka);
        let dialects = Arc::new(dialects);
        let payments = dialects.payments();
        let maintenance = payments.start_maintenance(own_peer(), config.maintenance);
        let settings = OutboxSettings {
            timeout: config.paykka.timeout,
            give_up: config.paykka.give_up,
            trust,
        };
        let dress = Arc::new(api::paykka::Notifications::new(vault.clone()));
        let outbox = payments
            .start_outbox(own_peer(), dress, settings, metrics.clone())
            .map_err(anyhow::Error::msg)?;
        let checkout = api::checkout_router(&dialects);
        let mut api = api::router(&dialects);
        if extra.checkout {
            api = api.merge(checkout.clone());
        }
        let services = Arc::new(ops::Services {
            backups,
            vault: vault.clone(),
            custody: custody.clone(),
            maintenance: maintenance.runs(),
            payments,
            own: own_peer(),
            hsm: client.clone(),
            store: store.clone(),
            metrics: metrics.clone(),
            bin_table: config.bin_table.clone(),
            policy: Some(config.policy.clone()),
            exports: config.exports,
            admins: Admins {
                uids: config.admin_users.clone(),
                gids: config.admin_gids.clone(),
            },
            config_digest: config.digest.clone(),
            started: Instant::now(),
        });
        let endpoints = bound.serving(
            &api,
            checkout,
            ops::admin_router(&services),
            ops::health_router(&services),
        );

        vault.note_start(&config.digest).await;
        let recorder = ceremony.map(|ceremony| ceremony.record(&vault));
        let background = vault.start_background(config.rewraps_per_second);
        let trail = Trail::start(&vault, &config)?;
        let shared: Arc<dyn Store> = store.clone();
        let transcripts = super::transcript::sign_left(&config.state_dir, &vault, &shared)?;
        let limits = Limits {
            descriptors: descriptors::for_connections(config.hsm.workers),
            ..config.limits
        };
        let mut server = server::serve(endpoints, limits, &metrics);
        let teller = Teller::start(client.clone());
        let ended = match serving(daemon).await {
            Ok(()) => {
                let reloader = Reloader {
                    config: &config,
                    logs: logs.clone(),
                    vault: &vault,
                    server: &mut server,
                    teller: &teller,
                };
                Ok(signals.wait(reloader, &client).await)
            }
            Err(error) => Err(error),
        };
        drop(teller);
        let cut = server.shutdown().await;
        if cut > 0 {
            tracing::warn!(connections = cut, "requests that did not finish in time were cut");
        }
        outbox.shutdown().await;
        maintenance.shutdown().await;
        background.shutdown().await;
        transcripts.abort();
        if let Some(recorder) = recorder {
            recorder.conclude().await;
        }
        trail.conclude(&vault).await;
        client.shutdown().await;
        ended
    }
}

impl Daemon {
    /// Accounts and policy.
    pub(super) fn access(&self) -> &Access {
        self.vault.access()
    }

    /// Waits until the HSM works, or is refused, or the limit is over: who comes next finds it ready where it can be.
    pub(super) async fn settled(&self, limit: Duration) {
        // that custodians come is not waited for
        if self.hsm.health().seal.is_some_and(|seal| seal.sealed) {
            return;
        }
        // What is wrong is told by the log and by `/readyz`.
        let _ = tokio::time::timeout(limit, self.hsm.ready()).await;
    }
}

/// This process.
pub(super) fn own_peer() -> Peer {
    Peer {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        pid: Some(nix::unistd::getpid().as_raw()),
    }
}
