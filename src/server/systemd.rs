//! systemd: the sockets that it opened, and what it is told (sd_notify(3), sd_listen_fds(3)). Without it nothing here does
//! anything.

use std::net;
use std::os::unix::net as unix;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::Error;

/// Sockets that systemd opened, by the names that their units give them (`FileDescriptorName=`).
#[derive(Default)]
pub struct Inherited {
    pub(super) api: Option<unix::UnixListener>,
    pub(super) admin: Option<unix::UnixListener>,
    pub(super) checkout: Option<unix::UnixListener>,
    pub(super) metrics: Option<net::TcpListener>,
    pub(super) unseal: Option<unix::UnixListener>,
}

impl Inherited {
    /// Takes what this process was given, once.
    ///
    /// # Errors
    /// [`Error::UnknownSocket`]: a name that nothing here has, or one given twice; a descriptor that is no such socket.
    pub fn take() -> Result<Self, Error> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let mut all = Self::default();
        for (at, name) in names.split(':').take(given.len()).enumerate() {
            let failed = |source| Error::Io {
                what: format!("the socket {name} of systemd"),
                source,
            };
            let unknown = || Error::UnknownSocket(name.to_owned());
            match name {
                "metrics" => put(&mut all.metrics, given.take_tcp_listener(at).map_err(failed)?),
                "api" => put(&mut all.api, given.take_unix_listener(at).map_err(failed)?),
                "admin" => put(&mut all.admin, given.take_unix_listener(at).map_err(failed)?),
                "unseal" => put(&mut all.unseal, given.take_unix_listener(at).map_err(failed)?),
                "checkout" => put(&mut all.checkout, given.take_unix_listener(at).map_err(failed)?),
                _ => None,
            }
            .ok_or_else(unknown)?;
        }
        Ok(all)
    }
}

/// `None`: there is nothing to put, or there is one already.
fn put<T>(place: &mut Option<T>, given: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(given?);
    Some(())
}

/// How the daemon stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its sockets serve.
    Ready,
    /// It reads its files again; [`Standing::Ready`] follows.
    Reloading,
    /// It stops.
    Stopping,
    /// It lives: to be said more often than [`watchdog`] asks for.
    Alive,
    /// For people.
    Status(String),
}

/// Tells systemd, where that is who started this process.
pub fn tell(standing: &Standing) {
    let told = match standing {
        Standing::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Standing::Reloading => {
            NotifyState::monotonic_usec_now().and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now]))
        }
        Standing::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Standing::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        Standing::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, ?standing, "systemd was not told");
    }
}

/// Within which time systemd wants to hear that the process lives, where it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}
