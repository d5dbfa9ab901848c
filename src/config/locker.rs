//! `[locker]`.

use std::time::Duration;

use serde::Deserialize;

use super::{Error, Reader};
use crate::api::locker;
use crate::jose::OaepHash;

/// The longest time in which a repeated request is known again, in seconds: an hour. All requests in it are in memory.
const MAX_REPLAY_WINDOW: u64 = 3_600;

/// Hyperswitch's card vault.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LockerSpec {
    /// It is served.
    pub(super) enabled: bool,
    /// Whether requests are encrypted and signed.
    pub(super) jwe: JweSpec,
    /// How content keys of answers are encrypted; the router calls it `decryption_scheme`.
    pub(super) answers: OaepSpec,
    /// An encrypted request that comes again within so many seconds is refused. 0: none is.
    pub(super) replay_window_s: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum JweSpec {
    Off,
    Optional,
    Required,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum OaepSpec {
    #[serde(rename = "RSA-OAEP")]
    Sha1,
    #[serde(rename = "RSA-OAEP-256")]
    Sha256,
}

impl Default for LockerSpec {
    fn default() -> Self {
        Self {
            enabled: false,
            jwe: JweSpec::Required,
            answers: OaepSpec::Sha1,
            replay_window_s: 0,
        }
    }
}

impl Reader<'_> {
    pub(super) fn locker(&self, spec: &LockerSpec) -> Result<locker::Config, Error> {
        if spec.replay_window_s > MAX_REPLAY_WINDOW {
            return Err(self.value("locker.replay_window_s", format!("must be 0 to {MAX_REPLAY_WINDOW}")));
        }
        Ok(locker::Config {
            enabled: spec.enabled,
            jwe: match spec.jwe {
                JweSpec::Off => locker::Jwe::Off,
                JweSpec::Optional => locker::Jwe::Optional,
                JweSpec::Required => locker::Jwe::Required,
            },
            answers: match spec.answers {
                OaepSpec::Sha1 => OaepHash::Sha1,
                OaepSpec::Sha256 => OaepHash::Sha256,
            },
            replay_window: (spec.replay_window_s > 0).then(|| Duration::from_secs(spec.replay_window_s)),
        })
    }
}
