//! Listeners and the loop that accepts on one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::connection::{self, Open};
use super::socket::{BoundSocket, SocketFile};
use super::{Error, Limits};
use crate::vault::types::Peer;

/// Something that accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// Callers are known by the kernel's word.
    Unix {
        /// Accepts.
        listener: UnixListener,
        /// Its file, when this process made it.
        file: Option<SocketFile>,
    },
    /// Loopback TCP.
    Tcp {
        /// Accepts.
        listener: TcpListener,
        /// Whom its callers count as; nobody where the routes ask for nobody.
        peer: Option<Peer>,
    },
}

/// A listener and what it serves.
pub struct Endpoint {
    /// Short and stable: a label in metrics and logs.
    pub name: &'static str,
    /// Where.
    pub listener: Listener,
    /// What.
    pub router: Router,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    /// The address and port, where it has one.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { listener, .. } => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Option<Peer>)> {
        match self {
            Self::Tcp { listener, peer } => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), *peer))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let cred = stream.peer_cred()?;
                let peer = Peer {
                    uid: cred.uid(),
                    gid: cred.gid(),
                    pid: cred.pid(),
                };
                Ok((Stream::Unix(stream), Some(peer)))
            }
        }
    }
}

impl From<BoundSocket> for Listener {
    fn from(bound: BoundSocket) -> Self {
        Self::Unix {
            listener: bound.listener,
            file: Some(bound.file),
        }
    }
}

impl TryFrom<std::os::unix::net::UnixListener> for Listener {
    type Error = Error;

    /// Takes over a listener that another process made; its file stays when this process ends.
    fn try_from(inherited: std::os::unix::net::UnixListener) -> Result<Self, Error> {
        inherited
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(inherited))
            .map(|listener| Self::Unix { listener, file: None })
            .map_err(|source| Error::Io {
                what: "inherited socket".to_owned(),
                source,
            })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { listener, .. } => match listener.local_addr() {
                Ok(addr) => write!(f, "{addr}"),
                Err(_) => f.write_str("tcp"),
            },
            Self::Unix { file: Some(file), .. } => write!(f, "{}", file.path().display()),
            Self::Unix { file: None, .. } => f.write_str("inherited socket"),
        }
    }
}

/// Accepts until `stopped`, then drains. Returns the number of connections cut at the drain limit.
pub(super) async fn accept(
    endpoint: Endpoint,
    limits: Limits,
    open: IntGauge,
    mut stopped: watch::Receiver<bool>,
) -> usize {
    let Endpoint { name, listener, router } = endpoint;
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let http = connection::builder(&limits);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            // Beyond the cap callers wait in the kernel's queue.
            let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|accepted| (place, accepted))
        };
        let accepted = tokio::select! {
            () = connection::stop_called(&mut stopped) => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((place, (stream, peer))) => {
                let open = Open::new(place, open.clone());
                let (http, router, stopped) = (http.clone(), router.clone(), stopped.clone());
                match stream {
                    Stream::Tcp(stream) => {
                        connections.spawn(connection::run(http, stream, peer, router, stopped, open))
                    }
                    Stream::Unix(stream) => {
                        connections.spawn(connection::run(http, stream, peer, router, stopped, open))
                    }
                };
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => debug!(listener = name, "caller left at accept"),
            Err(e) => {
                // Out of descriptors or memory: what is open must first close.
                warn!(listener = name, error = %e, "accept failed");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);

    let drained = timeout(limits.drain, async { while connections.join_next().await.is_some() {} }).await;
    let cut = match drained {
        Ok(()) => 0,
        Err(_) => connections.len(),
    };
    if cut > 0 {
        warn!(listener = name, connections = cut, "cut at the drain limit");
    }
    connections.shutdown().await;
    cut
}
