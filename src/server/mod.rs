//! Sockets, connections and how they end.
//!
//! A listener is a value: [`Config::bind`] makes the ones the configuration names, and listeners that came from elsewhere
//! (inherited from a service manager, say) are served in just the same way by [`serve`].

mod connection;
mod limits;
mod listener;
mod paced;
mod places;
mod socket;
pub mod systemd;

pub use limits::Limits;
use limits::OPERATORS;
pub use listener::{Callers, Endpoint, Listener};
use places::Places;
pub use socket::{BoundSocket, Socket};
use systemd::Inherited;

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::info;

use crate::telemetry::Metrics;
use crate::vault::types::Peer;

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For applications.
    pub api_socket: Socket,
    /// For operators.
    pub admin_socket: Socket,
    /// For the front of the pages that payers open.
    pub checkout_socket: Option<Socket>,
    /// For custodians, where the vault starts sealed.
    pub unseal_socket: Option<Socket>,
    /// Applications over TCP, loopback only; nobody but `panvault dev` asks for it.
    pub tcp: Option<Tcp>,
    /// `/metrics`, `/healthz` and `/readyz` over TCP, loopback only.
    pub metrics: Option<SocketAddr>,
    /// Where the port of `metrics` is taken, any free one serves.
    pub metrics_any_port: bool,
}

/// A loopback TCP listener for applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Address and port; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Whom its callers count as: TCP tells no user.
    pub peer: Peer,
}

/// The listeners that [`Config::bind`] made.
pub struct Bound {
    /// For applications.
    pub api: Listener,
    /// For operators.
    pub admin: Listener,
    /// For the front of payers.
    pub checkout: Option<Listener>,
    /// Applications over TCP.
    pub tcp: Option<Listener>,
    /// Figures and health over TCP.
    pub metrics: Option<Listener>,
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process answers on the socket.
    #[error("{0}: another process listens there")]
    InUse(PathBuf),
    /// Something that is not a socket is in the way.
    #[error("{0}: is there and is not a socket")]
    NotASocket(PathBuf),
    /// Anyone could replace the socket.
    #[error("{0}: everyone may write to this directory")]
    OpenDirectory(PathBuf),
    /// The configured group does not exist.
    #[error("group {0}: there is none of this name")]
    UnknownGroup(String),
    /// systemd gave a socket that has no place here.
    #[error(
        "systemd gave a socket named {0:?}: FileDescriptorName= must be api, admin, checkout, metrics or, with hsm.unseal = \"ceremony\", unseal, each \
         once"
    )]
    UnknownSocket(String),
    /// Not a loopback address.
    #[error("{0}: only loopback addresses are listened on")]
    NotLoopback(SocketAddr),
    /// The operating system's refusal.
    #[error("{what}: {source}")]
    Io {
        /// On what.
        what: String,
        /// Why.
        source: io::Error,
    },
}

/// The running server.
pub struct ServerHandle {
    limits: Limits,
    /// How long requests under way may take, once it stops.
    stop: watch::Sender<Option<Duration>>,
    loops: Vec<JoinHandle<usize>>,
    places: Vec<(Callers, Arc<Places>)>,
}

impl Config {
    /// Makes the listeners, but those that systemd opened already. Needs the async runtime.
    ///
    /// # Errors
    /// [`Error`]; what was made until then is removed.
    pub async fn bind(&self, inherited: Inherited) -> Result<Bound, Error> {
        Ok(Bound {
            api: given_or_made(inherited.api, &self.api_socket).await?,
            admin: given_or_made(inherited.admin, &self.admin_socket).await?,
            checkout: match (inherited.checkout, &self.checkout_socket) {
                (Some(given), _) => Some(given.try_into()?),
                (None, Some(socket)) => Some(socket.bind().await?.into()),
                (None, None) => None,
            },
            tcp: match &self.tcp {
                Some(tcp) => Some(Listener::Tcp {
                    listener: loopback(tcp.addr).await?,
                    peer: Some(tcp.peer),
                }),
                None => None,
            },
            metrics: match (inherited.metrics, self.metrics) {
                (Some(given), _) => Some(Listener::Tcp {
                    listener: taken_over(given)?,
                    peer: None,
                }),
                (None, Some(addr)) => Some(Listener::Tcp {
                    listener: self.bind_metrics(addr).await?,
                    peer: None,
                }),
                (None, None) => None,
            },
        })
    }

    async fn bind_metrics(&self, addr: SocketAddr) -> Result<TcpListener, Error> {
        match loopback(addr).await {
            Err(Error::Io { source, .. }) if self.metrics_any_port && source.kind() == io::ErrorKind::AddrInUse => {
                loopback(SocketAddr::new(addr.ip(), 0)).await
            }
            bound => bound,
        }
    }
}

/// The socket of custodians, which the pin keeper serves and this process does not.
pub struct UnsealDoor {
    /// To be handed on.
    pub listener: UnixListener,
    /// Where custodians find it; `None`: systemd's.
    pub file: Option<socket::SocketFile>,
}

impl Config {
    /// Makes the socket of custodians, where there is to be one and systemd did not open it. Needs the async runtime.
    ///
    /// # Errors
    /// [`Error`]; [`Error::UnknownSocket`] where systemd opened it for a vault that does not start sealed.
    pub async fn bind_unseal(&self, inherited: &mut Inherited) -> Result<Option<UnsealDoor>, Error> {
        match (inherited.unseal.take(), &self.unseal_socket) {
            (Some(_), None) => Err(Error::UnknownSocket("unseal".to_owned())),
            (Some(listener), Some(_)) => Ok(Some(UnsealDoor { listener, file: None })),
            (None, Some(socket)) => {
                let bound = socket.bind().await?;
                let listener = bound.listener.into_std().map_err(|source| Error::Io {
                    what: socket.path.display().to_string(),
                    source,
                })?;
                Ok(Some(UnsealDoor {
                    listener,
                    file: Some(bound.file),
                }))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Bound {
    /// What each serves: `api` (over TCP, too), `checkout`, `admin` and `health`.
    pub fn serving(self, api: &Router, checkout: Router, admin: Router, health: Router) -> Vec<Endpoint> {
        use Callers::{Applications, Operators};
        let endpoint = |name, callers, listener, router| Endpoint {
            name,
            callers,
            listener,
            router,
        };
        let mut endpoints = vec![
            endpoint("api", Applications, self.api, api.clone()),
            endpoint("admin", Operators, self.admin, admin),
        ];
        endpoints.extend(
            self.checkout
                .map(|listener| endpoint("checkout", Applications, listener, checkout)),
        );
        endpoints.extend(
            self.tcp
                .map(|listener| endpoint("tcp", Applications, listener, api.clone())),
        );
        endpoints.extend(
            self.metrics
                .map(|listener| endpoint("metrics", Operators, listener, health)),
        );
        endpoints
    }
}

impl ServerHandle {
    /// Changes how many connections may be open and how long a drain may last. Those that are open stay.
    pub fn set_limits(&mut self, max_connections: usize, drain: Duration) {
        self.limits = Limits {
            max_connections,
            drain,
            ..self.limits
        };
        let cap = self
            .limits
            .applications(self.places.iter().map(|(callers, _)| *callers));
        for (callers, places) in &self.places {
            if *callers == Callers::Applications {
                places.resize(cap);
            }
        }
    }

    /// Stops accepting, lets requests under way finish until the drain limit, and returns how many connections had to be
    /// cut after it.
    pub async fn shutdown(self) -> usize {
        self.stop.send_replace(Some(self.limits.drain));
        let mut cut = 0;
        for accepting in self.loops {
            cut += accepting.await.unwrap_or(0);
        }
        cut
    }
}

/// Serves the endpoints until [`ServerHandle::shutdown`].
pub fn serve(endpoints: Vec<Endpoint>, limits: Limits, metrics: &Metrics) -> ServerHandle {
    let (stop, stopped) = watch::channel(None);
    let applications = limits.applications(endpoints.iter().map(|endpoint| endpoint.callers));
    let mut places = Vec::with_capacity(endpoints.len());
    let loops = endpoints
        .into_iter()
        .map(|endpoint| {
            info!(listener = endpoint.name, on = %endpoint.listener, "listening");
            let cap = match endpoint.callers {
                Callers::Applications => applications,
                Callers::Operators => OPERATORS,
            };
            let own = Places::new(cap, metrics.connections.with_label_values(&[endpoint.name]));
            places.push((endpoint.callers, Arc::clone(&own)));
            tokio::spawn(listener::accept(endpoint, limits, own, stopped.clone()))
        })
        .collect();
    ServerHandle {
        limits,
        stop,
        loops,
        places,
    }
}

async fn given_or_made(given: Option<UnixListener>, socket: &Socket) -> Result<Listener, Error> {
    match given {
        Some(given) => given.try_into(),
        None => Ok(socket.bind().await?.into()),
    }
}

/// A TCP listener of systemd's, if it is on loopback.
fn taken_over(given: std::net::TcpListener) -> Result<TcpListener, Error> {
    let failed = |source| Error::Io {
        what: "inherited socket".to_owned(),
        source,
    };
    let addr = given.local_addr().map_err(failed)?;
    if !addr.ip().is_loopback() {
        return Err(Error::NotLoopback(addr));
    }
    given.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(given).map_err(failed)
}

async fn loopback(addr: SocketAddr) -> Result<TcpListener, Error> {
    if !addr.ip().is_loopback() {
        return Err(Error::NotLoopback(addr));
    }
    TcpListener::bind(addr).await.map_err(|source| Error::Io {
        what: addr.to_string(),
        source,
    })
}

#[cfg(test)]
mod tests;
