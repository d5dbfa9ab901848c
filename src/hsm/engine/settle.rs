//! Whose fault it is when the module does not do a job.

use super::Engine;
use crate::hsm::job::{Epoch, Fault, Job, Reply};
use crate::hsm::pkcs11::Ckr;

impl Engine {
    /// Whose fault a failed call was. Modules answer changed data and a broken device with the same codes, so the
    /// canary tells: it opens, and the data was changed; or it does not, and the HSM is down.
    pub(super) fn settle(&mut self, job: &Job, ckr: Ckr) -> Result<Reply, Fault> {
        if ckr.is_fatal() {
            return Err(Fault::Token(ckr.to_string()));
        }
        self.renew()?;
        let keks = &self.shared.keys.keks;
        let known = epoch_of(job)
            .and_then(|epoch| keks.get_key_value(&epoch))
            .or_else(|| keks.first_key_value());
        if let Some((epoch, kek)) = known {
            self.shared
                .templates
                .open_canary(&self.session, kek.handle, *epoch, &kek.canary)
                .map_err(|e| Fault::Token(format!("{ckr}, and the canary does not open: {e}")))?;
        }
        let by_data = match job {
            Job::Open { .. } => true,
            Job::Rewrap { .. } => matches!(ckr.function, "C_UnwrapKey" | "C_Decrypt"),
            Job::Refingerprint { .. } => matches!(ckr.function, "C_UnwrapKey" | "C_Decrypt"),
            Job::Reseal { .. } => ckr.function == "C_UnwrapKey",
            Job::Kek { .. }
            | Job::Mac { .. }
            | Job::OpenJwe { .. }
            | Job::OpenLocker { .. }
            | Job::Probe
            | Job::Random { .. }
            | Job::Seal { .. }
            | Job::Sign { .. }
            | Job::SignLocker { .. }
            | Job::SignPlatform { .. } => false,
        };
        if by_data {
            return Err(Fault::Tampered);
        }
        // Nothing in the job can be at fault, but for a JWE: once more, on the new session.
        match self.attempt(job) {
            Err(again) if self.recipient(job).is_some() && !again.is_fatal() => self.settle_jwe(job, again),
            done => done.map_err(|again| Fault::Token(format!("{again}, after {ckr}"))),
        }
    }

    /// Whose fault it is that a JWE's key did not decrypt twice: the key that it is for has a canary of its own, made now.
    fn settle_jwe(&mut self, job: &Job, ckr: Ckr) -> Result<Reply, Fault> {
        self.renew()?;
        match self.recipient(job).map_or(Ok(false), |key| key.works(&self.session)) {
            Ok(true) => Ok(Reply::OpenJwe(None)),
            Ok(false) => Err(Fault::Token(format!(
                "{ckr}, and the key that it is for decrypts nothing"
            ))),
            Err(again) => Err(Fault::Token(format!("{again}, after {ckr}"))),
        }
    }
}

/// The KEK epoch that a job opens or seals under; of a rewrap the one that it leaves.
pub(super) fn epoch_of(job: &Job) -> Option<Epoch> {
    match job {
        Job::Open { epoch, .. }
        | Job::Refingerprint { epoch, .. }
        | Job::Reseal { epoch, .. }
        | Job::Rewrap { from: epoch, .. }
        | Job::Seal { epoch, .. } => Some(*epoch),
        Job::Kek { .. }
        | Job::Mac { .. }
        | Job::OpenJwe { .. }
        | Job::OpenLocker { .. }
        | Job::Probe
        | Job::Random { .. }
        | Job::Sign { .. }
        | Job::SignLocker { .. }
        | Job::SignPlatform { .. } => None,
    }
}
