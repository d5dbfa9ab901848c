//! One session and its hot path.

mod keyed;
mod settle;
mod wraps;

use std::sync::Arc;
use std::time::Instant;

use self::keyed::held;
use self::settle::epoch_of;
use self::wraps::Wraps;
use super::check::{check, report};
use super::dek::{Ivs, using};
use super::job::{Boxed, Epoch, Fault, Job, Plain, Reply, SealedPart, SecretBytes, WrappedKey};
use super::jwe::Recipient;
use super::pkcs11::{Ckr, Handle, RawSession, Signing};
use super::proof::{Kek, sign};
use super::token::Shared;
use super::{Generation, StartFault, limits};

/// Keys to be destroyed later that may gather before they are destroyed all the same.
const MOST_DEAD: usize = 64;

/// One session and its hot path; one thread owns it.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    session: RawSession,
    ivs: Ivs,
    ready: Vec<Ready>,
    /// Which epoch was last sealed under: the one worth making keys ahead for.
    epoch: Option<Epoch>,
    /// Done with, to be destroyed after the answer.
    dead: Vec<Handle>,
    wraps: Wraps,
}

/// A DEK made ahead.
struct Ready {
    epoch: Epoch,
    dek: Handle,
    wrapped: WrappedKey,
}

impl Engine {
    pub(super) fn open(shared: Arc<Shared>) -> Result<Self, StartFault> {
        let session = shared
            .module
            .session()
            .map_err(|e| StartFault::Unavailable(e.to_string()))?;
        Ok(Self {
            shared,
            session,
            ivs: Ivs::new(),
            ready: Vec::new(),
            epoch: None,
            dead: Vec::new(),
            wraps: Wraps::default(),
        })
    }

    /// Does a job. [`Fault::Token`] means that this process is of no more use.
    pub(crate) fn execute(&mut self, job: Job) -> Result<Reply, Fault> {
        if let Some(epoch) = job.seals_under() {
            self.wraps.counted(epoch);
        }
        limits::check(&job).map_err(Fault::Malformed)?;
        if let Some(epoch) = epoch_of(&job) {
            self.kek(epoch)?;
        }
        if let Job::Rewrap { to, .. } = &job {
            self.kek(*to)?;
        }
        match &job {
            Job::Open { .. } | Job::OpenJwe { .. }
                if self.shared.cap.as_ref().is_some_and(|cap| !cap.take(Instant::now())) =>
            {
                return Err(Fault::RateCapped);
            }
            Job::OpenLocker { .. } | Job::SignLocker { .. } if self.shared.keys.locker.is_none() => {
                return Err(Fault::Malformed("there is no locker key".to_owned()));
            }
            Job::SignPlatform { .. } if self.shared.keys.platform.is_none() => {
                return Err(Fault::Malformed("there is no platform key".to_owned()));
            }
            Job::Kek { epoch, act } => return self.kek_job(*epoch, *act),
            Job::Probe => return self.probe(),
            other if !self.has_key(other) => {
                return Err(Fault::Malformed("there is no key of that generation".to_owned()));
            }
            _ => {}
        }
        if self.recipient(&job).is_some_and(|key| !key.opens()) {
            let text = "the token has neither RSA-OAEP with SHA-256 nor raw RSA";
            return Err(Fault::Malformed(text.to_owned()));
        }
        self.attempt(&job).or_else(|ckr| self.settle(&job, ckr))
    }

    /// Does one piece of work that no caller waits for: destroys a key, or makes one ahead. False: nothing to do.
    /// Worth calling whenever the answers are sent and no job waits; without such settings it does nothing.
    pub(crate) fn idle(&mut self) -> Result<bool, Fault> {
        let done = match (self.dead.pop(), self.epoch) {
            (Some(key), _) => self.session.destroy(key),
            (None, Some(epoch)) if self.ready.len() < self.shared.pregenerate => self.make_ahead(epoch),
            (None, _) => return Ok(false),
        };
        match done {
            Ok(()) => Ok(true),
            Err(ckr) if ckr.is_fatal() => Err(Fault::Token(ckr.to_string())),
            // The next job finds out whether the HSM works.
            Err(_) => self.renew().map(|()| false),
        }
    }

    /// DEKs that were wrapped beside those of the jobs that the server counted, since this was last asked.
    pub(crate) fn wraps(&mut self) -> Vec<(Epoch, u32)> {
        self.wraps.tell()
    }

    pub(super) fn session(&self) -> &RawSession {
        &self.session
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn attempt(&mut self, job: &Job) -> Result<Reply, Ckr> {
        if self.dead.len() >= MOST_DEAD {
            for key in std::mem::take(&mut self.dead) {
                self.session.destroy(key)?;
            }
        }
        match job {
            Job::Mac { generation, input } => self.mac(*generation, input.expose()).map(Reply::Mac),
            Job::Open { epoch, dek, parts } => self.unseal(*epoch, dek, parts).map(Reply::Open),
            Job::OpenJwe {
                encrypted_key, content, ..
            }
            | Job::OpenLocker { encrypted_key, content } => self
                .recipient(job)
                .ok_or(Ckr::new("panvault", cryptoki_sys::CKR_KEY_HANDLE_INVALID))?
                .open(&self.session, encrypted_key, content)
                .map(Reply::OpenJwe),
            Job::Random { len } => {
                let mut bytes = vec![0u8; usize::from(*len)];
                self.session.random(&mut bytes)?;
                Ok(Reply::Random(bytes))
            }
            Job::Refingerprint {
                epoch,
                dek,
                part,
                generation,
                prefix,
            } => self
                .refingerprint(*epoch, dek, part, *generation, prefix)
                .map(Reply::Mac),
            Job::Reseal { epoch, dek, part } => self.reseal(*epoch, dek, part).map(Reply::Reseal),
            Job::Rewrap { from, to, dek, parts } => self.rewrap(*from, *to, dek, parts),
            Job::Seal { epoch, mac, parts } => self.seal(*epoch, mac.as_ref(), parts),
            Job::Sign { generation, message } => {
                let (key, how) = *held(&self.shared.keys.audits, *generation)?;
                sign(&self.session, key, how, message).map(Reply::Sign)
            }
            Job::SignLocker { message } => {
                // `execute` has refused those without a key
                let key = self.shared.keys.locker.as_ref();
                let key = key.ok_or(Ckr::new("panvault", cryptoki_sys::CKR_KEY_HANDLE_INVALID))?;
                sign(&self.session, key.private, Signing::Rs256, message.expose()).map(Reply::Sign)
            }
            Job::SignPlatform { message } => {
                let key = self.shared.keys.platform;
                let key = key.ok_or(Ckr::new("panvault", cryptoki_sys::CKR_KEY_HANDLE_INVALID))?;
                sign(&self.session, key, Signing::Rs256, message.expose()).map(Reply::Sign)
            }
            // Answered by `execute`.
            Job::Kek { .. } | Job::Probe => Err(Ckr::new("panvault", cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED)),
        }
    }

    /// The key that a JWE was encrypted to.
    fn recipient(&self, job: &Job) -> Option<&Recipient> {
        match job {
            Job::OpenJwe { generation, .. } => held(&self.shared.keys.transports, *generation).ok(),
            Job::OpenLocker { .. } => self.shared.keys.locker.as_ref(),
            Job::Kek { .. }
            | Job::Mac { .. }
            | Job::Open { .. }
            | Job::Probe
            | Job::Random { .. }
            | Job::Refingerprint { .. }
            | Job::Reseal { .. }
            | Job::Rewrap { .. }
            | Job::Seal { .. }
            | Job::Sign { .. }
            | Job::SignLocker { .. }
            | Job::SignPlatform { .. } => None,
        }
    }

    fn seal(&mut self, epoch: Epoch, mac: Option<&(Generation, SecretBytes)>, parts: &[Plain]) -> Result<Reply, Ckr> {
        let mac = mac
            .map(|(generation, input)| self.mac(*generation, input.expose()))
            .transpose()?;
        let (handle, dek) = self.take_dek(epoch)?;
        let shared = Arc::clone(&self.shared);
        let sealed = parts
            .iter()
            .map(|part| {
                shared
                    .templates
                    .encrypt(&self.session, &mut self.ivs, handle, &part.aad, part.text.expose())
            })
            .collect::<Result<Vec<SealedPart>, Ckr>>();
        let parts = self.discard(handle, sealed)?;
        Ok(Reply::Seal { dek, mac, parts })
    }

    fn unseal(&mut self, epoch: Epoch, dek: &WrappedKey, parts: &[Boxed]) -> Result<Vec<SecretBytes>, Ckr> {
        let handle = self
            .shared
            .templates
            .for_reveal(&self.session, self.kek_handle(epoch)?, dek)?;
        let opened = parts
            .iter()
            .map(|part| {
                let text = self
                    .session
                    .decrypt_gcm(handle, &part.sealed.iv, &part.aad, &part.sealed.text)?;
                Ok(SecretBytes::from(text))
            })
            .collect();
        self.discard(handle, opened)
    }

    fn reseal(&mut self, epoch: Epoch, dek: &WrappedKey, part: &Plain) -> Result<SealedPart, Ckr> {
        let handle = self
            .shared
            .templates
            .for_reseal(&self.session, self.kek_handle(epoch)?, dek)?;
        let sealed = self
            .shared
            .templates
            .encrypt(&self.session, &mut self.ivs, handle, &part.aad, part.text.expose());
        self.discard(handle, sealed)
    }

    fn rewrap(&mut self, from: Epoch, to: Epoch, dek: &WrappedKey, parts: &[Boxed]) -> Result<Reply, Ckr> {
        let (old, new) = (self.kek_handle(from)?, self.kek_handle(to)?);
        if self.shared.templates.rules.trusted {
            self.wraps.made(to);
            let dek = self.shared.templates.rewrap(&self.session, old, new, dek)?;
            let parts = Vec::new();
            return Ok(Reply::Rewrap { dek, parts });
        }
        if parts.is_empty() {
            return Err(Ckr::new("panvault", cryptoki_sys::CKR_ARGUMENTS_BAD));
        }
        let texts = self.unseal(from, dek, parts)?;
        let plain: Vec<Plain> = parts
            .iter()
            .zip(texts)
            .map(|(part, text)| Plain {
                aad: part.aad.clone(),
                text,
            })
            .collect();
        match self.seal(to, None, &plain)? {
            Reply::Seal { dek, parts, .. } => Ok(Reply::Rewrap { dek, parts }),
            _ => Err(Ckr::new("panvault", cryptoki_sys::CKR_FUNCTION_FAILED)),
        }
    }

    /// Destroys a DEK, now or after the answer, whatever came of the work with it.
    fn discard<T>(&mut self, dek: Handle, done: Result<T, Ckr>) -> Result<T, Ckr> {
        if self.shared.deferred_destroy && done.is_ok() {
            self.dead.push(dek);
            return done;
        }
        using(&self.session, dek, || done)
    }

    fn take_dek(&mut self, epoch: Epoch) -> Result<(Handle, WrappedKey), Ckr> {
        self.epoch = Some(epoch);
        while let Some(ready) = self.ready.pop() {
            if ready.epoch == epoch {
                return Ok((ready.dek, ready.wrapped));
            }
            // Made before the epoch changed.
            self.dead.push(ready.dek);
        }
        self.fresh(epoch)
    }

    fn fresh(&mut self, epoch: Epoch) -> Result<(Handle, WrappedKey), Ckr> {
        let kek = self.kek_handle(epoch)?;
        self.wraps.made(epoch);
        self.shared.templates.fresh(&self.session, kek)
    }

    fn make_ahead(&mut self, epoch: Epoch) -> Result<(), Ckr> {
        let (dek, wrapped) = self.fresh(epoch)?;
        self.ready.push(Ready { epoch, dek, wrapped });
        Ok(())
    }

    fn kek(&self, epoch: Epoch) -> Result<&Kek, Fault> {
        let unknown = || Fault::Malformed(format!("there is no KEK of epoch {}", epoch.0));
        self.shared.keys.keks.get(&epoch).ok_or_else(unknown)
    }

    /// `execute` has refused unknown epochs.
    fn kek_handle(&self, epoch: Epoch) -> Result<Handle, Ckr> {
        let unknown = Ckr::new("panvault", cryptoki_sys::CKR_KEY_HANDLE_INVALID);
        self.shared.keys.keks.get(&epoch).map(|kek| kek.handle).ok_or(unknown)
    }

    /// Another session in the place of one that an error may have left with an active operation. The session objects
    /// of the old one go with it.
    pub(super) fn renew(&mut self) -> Result<(), Fault> {
        self.ready.clear();
        self.dead.clear();
        self.session = self.shared.module.session().map_err(|e| Fault::Token(e.to_string()))?;
        Ok(())
    }

    fn probe(&mut self) -> Result<Reply, Fault> {
        let Shared {
            module,
            keyset,
            before_login,
            ..
        } = &*self.shared;
        let mut findings = before_login.clone();
        // Not strict: a gap that came up since the start is reported, not a reason to stop answering.
        match check(module, &self.session, keyset, false) {
            Ok(checked) => findings.append(checked.findings),
            Err(StartFault::Unavailable(text)) => return Err(Fault::Token(text)),
            Err(fault) => findings.gap("keys", fault.to_string()),
        }
        let report = report(module, keyset, findings);
        self.renew()?;
        Ok(Reply::Probe(report))
    }
}
