//! Listeners and the loop that accepts on one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::connection;
use super::paced::Paced;
use super::places::{Place, Places};
use super::socket::{BoundSocket, SocketFile};
use super::{Error, Limits};
use crate::vault::types::Peer;

/// Between two warnings of one listener: whoever causes them could fill the log.
const QUIET: Duration = Duration::from_secs(60);

/// What a connection gets that has no place. It has no dialect yet, so no body.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

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

/// Who calls at a listener, which says how many connections it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Applications: what [`Limits::max_connections`] says.
    Applications,
    /// Operators and their tools: a few, kept for them.
    Operators,
}

/// A listener and what it serves.
pub struct Endpoint {
    /// Short and stable: a label in metrics and logs.
    pub name: &'static str,
    /// For whom.
    pub callers: Callers,
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

impl Stream {
    /// Says that there is no place, if that can be said at once, and ends.
    fn refuse(self) {
        let _ = match self {
            Self::Unix(stream) => stream.try_write(NO_PLACE),
            Self::Tcp(stream) => stream.try_write(NO_PLACE),
        };
    }
}

/// Accepts as many connections as there are `places` until `stopped`, then drains. Returns the number of connections cut
/// at the drain limit.
pub(super) async fn accept(
    endpoint: Endpoint,
    limits: Limits,
    places: Arc<Places>,
    mut stopped: watch::Receiver<Option<Duration>>,
) -> usize {
    let Endpoint {
        name,
        listener,
        router,
        callers,
        ..
    } = endpoint;
    let http = connection::builder(&limits, callers == Callers::Applications);
    let mut connections = JoinSet::new();
    let mut warned: Option<Instant> = None;
    let mut may_warn = move || {
        let quiet = warned.is_some_and(|at| at.elapsed() < QUIET);
        if !quiet {
            warned = Some(Instant::now());
        }
        !quiet
    };
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let (stream, peer) = listener.accept().await?;
            let user = match &stream {
                Stream::Unix(_) => peer.map(|peer| peer.uid),
                Stream::Tcp(_) => None,
            };
            // Until there is a place more callers wait in the kernel's queue.
            Ok((places.take(user).await.map(Arc::new), stream, peer))
        };
        let accepted: io::Result<(Option<Arc<Place>>, Stream, Option<Peer>)> = tokio::select! {
            () = connection::stop_called(&mut stopped) => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((Some(place), stream, peer)) => {
                let (http, router, stopped) = (http.clone(), router.clone(), stopped.clone());
                let patience = limits.write_timeout;
                match stream {
                    Stream::Tcp(stream) => {
                        let stream = Paced::new(stream, patience, Arc::clone(&place));
                        connections.spawn(connection::run(http, stream, peer, router, stopped, place))
                    }
                    Stream::Unix(stream) => {
                        let stream = Paced::new(stream, patience, Arc::clone(&place));
                        connections.spawn(connection::run(http, stream, peer, router, stopped, place))
                    }
                };
            }
            Ok((None, stream, peer)) => {
                if may_warn() {
                    let uid = peer.map(|peer| peer.uid);
                    warn!(
                        listener = name,
                        uid, "a user has as many busy connections as one may have: no more are taken"
                    );
                }
                stream.refuse();
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => debug!(listener = name, "caller left at accept"),
            Err(e) => {
                // Out of descriptors or memory: what is open must first close.
                if may_warn() {
                    warn!(listener = name, error = %e, "accept failed");
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let drain = stopped.borrow().unwrap_or(limits.drain);

    let drained = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
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
