//! The token inside a worker: module loaded, logged in once, keys found and proved.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::session::UserType;
use cryptoki::slot::Limit;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::check::{Checked, check, report, unavailable};
use super::dek::DekTemplates;
pub(crate) use super::engine::Engine;
use super::pin::{self, RefusedPins};
use super::pkcs11::{Module, OpenFault, RawSession, Search};
use super::probe::Findings;
use super::proof::Keys;
use super::rate::Cap;
use super::{Config, Keyset, ProbeReport};

/// How long a start waits for another process's start.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Why a worker cannot start to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartFault {
    /// Keys missing, weak or swapped, by name. Not tried again by itself.
    #[error("keys: {0}")]
    Keys(String),
    /// The token holds no vault key at all: `panvault init` was not run on it. Not tried again by itself.
    #[error("the token holds no vault keys: {0}")]
    NotInitialised(String),
    /// The token refused the PIN, or refused it before and the PIN has not changed since. Never tried again.
    #[error("the token refused the PIN: {0}")]
    PinRefused(String),
    /// Policy gaps under `strict`. Not tried again by itself.
    #[error("policy gap: {0}")]
    Policy(String),
    /// The HSM, the module or the PIN file cannot be reached now. Tried again with back-off.
    #[error("the HSM is not available: {0}")]
    Unavailable(String),
}

/// A token that is ready: anchor session open, logged in, keys found and proved.
pub(crate) struct Token {
    shared: Arc<Shared>,
    /// Stays idle: closing a process's last session logs it out and kills its keys' handles.
    anchor: RawSession,
}

/// What the sessions of a process share.
pub(super) struct Shared {
    pub(super) module: Module,
    pub(super) keyset: Keyset,
    pub(super) keys: Keys,
    pub(super) templates: DekTemplates,
    /// What only a start can see.
    pub(super) before_login: Findings,
    pub(super) cap: Option<Cap>,
    pub(super) pregenerate: usize,
    pub(super) deferred_destroy: bool,
}

impl Token {
    /// Loads the module, logs in, finds and proves the keys, runs the start-up check, all under the start-up lock.
    pub(crate) fn start(config: &Config, keyset: &Keyset) -> Result<(Self, ProbeReport), StartFault> {
        let _lock = StartLock::take(&config.state_dir)?;
        if config
            .token_serial
            .as_ref()
            .is_some_and(|serial| *serial != keyset.token_serial)
        {
            return Err(StartFault::Keys(format!(
                "the keys were made in the token with serial {}, the configuration names another one; a replaced HSM \
                 is accepted by `panvault key adopt`",
                keyset.token_serial
            )));
        }
        let serial = Some(keyset.token_serial.as_str());
        let module =
            Module::open(&config.module, &config.environment, &config.token_label, serial).map_err(from_open)?;
        match ready(&module, config, keyset) {
            Ok((before_login, checked, anchor)) => {
                let Checked {
                    keys,
                    templates,
                    findings,
                } = checked;
                let mut all = before_login.clone();
                all.append(findings);
                let report = report(&module, keyset, all);
                let shared = Shared {
                    module,
                    keyset: keyset.clone(),
                    keys,
                    templates,
                    before_login,
                    cap: Cap::new(config.open_rate, Instant::now()),
                    pregenerate: config.pregenerate,
                    deferred_destroy: config.deferred_destroy,
                };
                Ok((
                    Self {
                        shared: Arc::new(shared),
                        anchor,
                    },
                    report,
                ))
            }
            Err(fault) => {
                // The fault is what counts; a module that also fails to end is replaced with the process.
                let _ = module.finalize();
                Err(fault)
            }
        }
    }

    pub(super) fn module(&self) -> &Module {
        &self.shared.module
    }

    pub(super) fn keyset(&self) -> &Keyset {
        &self.shared.keyset
    }

    /// Opens a session for a thread.
    pub(crate) fn engine(&self) -> Result<Engine, StartFault> {
        Engine::open(Arc::clone(&self.shared))
    }

    /// Closes all sessions and finalizes the module. All engines must be gone.
    pub(crate) fn finish(self) {
        let Self { shared, anchor } = self;
        drop(anchor);
        // Nothing is left to be saved if the module complains.
        let _ = shared.module.clone().finalize();
    }
}

/// What was seen before login, what was seen after it, and the anchor session.
type Ready = (Findings, Checked, RawSession);

fn ready(module: &Module, config: &Config, keyset: &Keyset) -> Result<Ready, StartFault> {
    let anchor = module.session().map_err(unavailable)?;
    let mut before_login = Findings::default();
    enough_sessions(module, config.sessions, &mut before_login);
    hidden_before_login(&anchor, keyset, &mut before_login)?;
    login(module, &anchor, config)?;
    let checked = check(module, &anchor, keyset, config.strict)?;
    let gaps = before_login.gaps();
    if config.strict && !gaps.is_empty() {
        return Err(StartFault::Policy(gaps.join("; ")));
    }
    Ok((before_login, checked, anchor))
}

/// Only a remark: modules state limits that are not those they keep. The real one shows when a session is refused.
fn enough_sessions(module: &Module, sessions: usize, findings: &mut Findings) {
    let wanted = u64::try_from(sessions.saturating_add(1)).unwrap_or(u64::MAX);
    match module.token().max_rw_session_count() {
        Limit::Max(most) if most < wanted => {
            findings.note(
                "sessions",
                format!("the token allows {most} sessions, a worker wants {wanted}"),
            );
        }
        Limit::Infinite | Limit::Max(_) | Limit::Unavailable => findings.pass("sessions", "as many as wanted"),
    }
}

/// A KEK that shows before login is public: its value may lie on the disk in clear, and anyone may destroy it.
fn hidden_before_login(session: &RawSession, keyset: &Keyset, findings: &mut Findings) -> Result<(), StartFault> {
    let mut shown = Vec::new();
    for kek in &keyset.keks {
        // An id that is not hex is refused by name when the keys are proved.
        let id = data_encoding::HEXLOWER_PERMISSIVE
            .decode(kek.id.as_bytes())
            .unwrap_or_default();
        let class = Some(cryptoki::object::ObjectClass::SECRET_KEY);
        let found = session
            .find(&Search {
                class,
                id: Some(&id),
                ..Search::default()
            })
            .map_err(unavailable)?;
        if !found.is_empty() {
            shown.push(format!("epoch {}", kek.epoch.0));
        }
    }
    if shown.is_empty() {
        findings.pass("kek-hidden", "no KEK shows before login");
    } else {
        findings.gap("kek-hidden", format!("KEKs show before login: {}", shown.join(", ")));
    }
    Ok(())
}

/// Logs in with one try at most, and none for a PIN that the token refused before.
fn login(module: &Module, session: &RawSession, config: &Config) -> Result<(), StartFault> {
    let token = module.token_now().map_err(unavailable)?;
    if token.user_pin_locked() {
        return Err(StartFault::PinRefused("the token has locked its user PIN".to_owned()));
    }
    if token.user_pin_final_try() {
        let text = "one try is left before the token locks its user PIN: check the PIN and log in once with the \
                    vendor's tool";
        return Err(StartFault::PinRefused(text.to_owned()));
    }
    if !token.user_pin_initialized() {
        return Err(StartFault::NotInitialised("it has no user PIN yet".to_owned()));
    }
    let pin = pin::read(&config.pin).map_err(StartFault::Unavailable)?;
    let refused = RefusedPins::new(&config.state_dir);
    let serial = token.serial_number().trim();
    if refused.contains(serial, &pin).map_err(StartFault::Unavailable)? {
        return Err(StartFault::PinRefused(format!(
            "it refused this PIN before, and each try may lock it; give the right PIN, or remove {} if this one is \
             right by now",
            refused.path().display()
        )));
    }
    match module.login(session, UserType::User, &pin) {
        Ok(()) => {
            refused.forget();
            Ok(())
        }
        Err(OpenFault::PinRefused(why)) => match refused.remember(serial, &pin) {
            Ok(()) => Err(StartFault::PinRefused(why)),
            Err(e) => Err(StartFault::PinRefused(format!(
                "{why}; it could not be noted down: {e}"
            ))),
        },
        Err(fault) => Err(from_open(fault)),
    }
}

fn from_open(fault: OpenFault) -> StartFault {
    match fault {
        OpenFault::NoToken(text) => {
            StartFault::Unavailable(format!("{text} (a replaced HSM is accepted by `panvault key adopt`)"))
        }
        // it is not away, it is the wrong one: waiting mends nothing
        OpenFault::OtherToken(text) => StartFault::Keys(format!(
            "{text}: this is another HSM than the one with this vault's keys; connect that one, or have the vendor's tool \
             put its keys into this one and run `panvault key adopt`"
        )),
        OpenFault::PinRefused(text) => StartFault::PinRefused(text),
        OpenFault::Unavailable(text) => StartFault::Unavailable(text),
    }
}

/// Held while a process initialises, logs in and checks: SoftHSM fails at random when two do it at once.
pub(super) struct StartLock(#[expect(dead_code, reason = "held, not read")] Flock<std::fs::File>);

impl StartLock {
    pub(super) fn take(state_dir: &Path) -> Result<Self, StartFault> {
        let path = state_dir.join("hsm-start.lock");
        let failed = |e: &dyn std::fmt::Display| StartFault::Unavailable(format!("{}: {e}", path.display()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed(&e))?;
        let patience = Instant::now() + LOCK_PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self(lock)),
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < patience => file = back,
                Err((_, Errno::EWOULDBLOCK)) => {
                    return Err(failed(&"another process has held the start-up lock for a minute"));
                }
                Err((_, errno)) => return Err(failed(&errno)),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_start_waits_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let held = StartLock::take(directory.path()).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| StartLock::take(directory.path()).map(|_| Instant::now()));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!other.is_finished());
            let freed = Instant::now();
            drop(held);
            assert!(other.join().unwrap().unwrap() >= freed);
        });
    }
}
