//! Settings of the dialect.

use std::time::Duration;

use crate::jose::OaepHash;

/// How the dialect is served; by default not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// It is served.
    pub enabled: bool,
    /// Whether requests are encrypted and signed.
    pub jwe: Jwe,
    /// How content keys of answers are encrypted: as the router's `decryption_scheme` says.
    pub answers: OaepHash,
    /// An encrypted request that comes again within this time is refused; one that comes later is not known again.
    pub replay_window: Option<Duration>,
}

/// Whether requests are JWE with a JWS in them, and answers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jwe {
    /// None is: a peer process is known by the kernel's word alone.
    Off,
    /// Those that are get such answers; the others are served as they are. For trying things out.
    Optional,
    /// All are.
    Required,
}

impl Config {
    /// Whether there must be a locker key in the HSM.
    pub fn needs_key(&self) -> bool {
        self.enabled && self.jwe != Jwe::Off
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            jwe: Jwe::Required,
            answers: OaepHash::Sha1,
            replay_window: None,
        }
    }
}
