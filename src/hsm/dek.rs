//! Data keys in a session: made, wrapped, used, destroyed.

use zeroize::{Zeroize, Zeroizing};

use super::pkcs11::template::{DekRules, DekUse, WRAP, WRAPPED_LEN};
use super::pkcs11::{Ckr, Handle, RawSession, Template};
use super::{Canary, Epoch, KekMode, SealedPart, WrappedKey};

/// Random bytes fetched at a time: one call serves 341 IVs.
const BLOCK: usize = 4096;
/// Bytes of the IV that we ask for.
const IV: usize = 12;

/// Which IV the module is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IvAsk {
    /// A fresh random one.
    Random,
    /// Zeros of this length: the module makes its own and refuses any other.
    Zeros(usize),
}

/// What was learnt about the module on a scratch key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Habits {
    pub(crate) iv: IvAsk,
    /// See [`DekRules::value_len`].
    pub(crate) value_len: bool,
}

/// How DEKs are asked for, in this mode on this module.
pub(crate) struct DekTemplates {
    pub(crate) rules: DekRules,
    iv: IvAsk,
    generate: Template,
    reseal: Template,
    reveal: Template,
    rotate: Template,
}

impl DekTemplates {
    pub(crate) fn new(mode: KekMode, habits: Habits) -> Self {
        let rules = DekRules::new(mode, habits.value_len);
        Self {
            rules,
            iv: habits.iv,
            generate: rules.dek_generate(),
            reseal: rules.dek_unwrap(DekUse::Reseal),
            reveal: rules.dek_unwrap(DekUse::Reveal),
            rotate: rules.dek_unwrap(DekUse::Rotate),
        }
    }

    /// A fresh DEK and its wrapped form. The DEK is the caller's to destroy.
    pub(crate) fn fresh(&self, session: &RawSession, kek: Handle) -> Result<(Handle, WrappedKey), Ckr> {
        let dek = session.generate_key(cryptoki_sys::CKM_AES_KEY_GEN, &self.generate)?;
        match wrapped(session, kek, dek) {
            Ok(wrapped) => Ok((dek, wrapped)),
            Err(fault) => {
                let _ = session.destroy(dek);
                Err(fault)
            }
        }
    }

    /// Encrypts under a DEK with an IV that was never used before.
    pub(crate) fn encrypt(
        &self,
        session: &RawSession,
        ivs: &mut Ivs,
        dek: Handle,
        aad: &[u8],
        text: &[u8],
    ) -> Result<SealedPart, Ckr> {
        let sealed = match self.iv {
            IvAsk::Random => session.encrypt_gcm(dek, &ivs.next(session)?, aad, text)?,
            IvAsk::Zeros(len) => session.encrypt_gcm(dek, &vec![0; len], aad, text)?,
        };
        if sealed.iv.iter().all(|b| *b == 0) {
            // A module that takes zeros as they are would use one IV for everything.
            return Err(Ckr::new("C_Encrypt", cryptoki_sys::CKR_MECHANISM_PARAM_INVALID));
        }
        Ok(SealedPart {
            iv: sealed.iv,
            text: sealed.text,
        })
    }

    /// The same DEK wrapped under another KEK.
    pub(crate) fn rewrap(
        &self,
        session: &RawSession,
        old: Handle,
        new: Handle,
        dek: &WrappedKey,
    ) -> Result<WrappedKey, Ckr> {
        let handle = session.unwrap(WRAP, old, &dek.0, &self.rotate)?;
        using(session, handle, || wrapped(session, new, handle))
    }

    /// The DEK for opening parts. The caller's to destroy.
    pub(crate) fn for_reveal(&self, session: &RawSession, kek: Handle, dek: &WrappedKey) -> Result<Handle, Ckr> {
        session.unwrap(WRAP, kek, &dek.0, &self.reveal)
    }

    /// The DEK for sealing a part anew. The caller's to destroy.
    pub(crate) fn for_reseal(&self, session: &RawSession, kek: Handle, dek: &WrappedKey) -> Result<Handle, Ckr> {
        session.unwrap(WRAP, kek, &dek.0, &self.reseal)
    }

    /// Makes a canary under this KEK.
    pub(crate) fn make_canary(
        &self,
        session: &RawSession,
        ivs: &mut Ivs,
        kek: Handle,
        epoch: Epoch,
    ) -> Result<Canary, Ckr> {
        let (handle, dek) = self.fresh(session, kek)?;
        let part = using(session, handle, || {
            self.encrypt(session, ivs, handle, &canary_aad(epoch), &CANARY_TEXT)
        })?;
        Ok(Canary { dek, part })
    }

    /// Opens a canary: it proves that the KEK is the one that made it, and that the HSM works.
    pub(crate) fn open_canary(
        &self,
        session: &RawSession,
        kek: Handle,
        epoch: Epoch,
        canary: &Canary,
    ) -> Result<(), Ckr> {
        let handle = self.for_reveal(session, kek, &canary.dek)?;
        let text = using(session, handle, || {
            session.decrypt_gcm(handle, &canary.part.iv, &canary_aad(epoch), &canary.part.text)
        })?;
        if text.as_slice() == CANARY_TEXT {
            Ok(())
        } else {
            Err(Ckr::new("C_Decrypt", cryptoki_sys::CKR_ENCRYPTED_DATA_INVALID))
        }
    }
}

fn wrapped(session: &RawSession, kek: Handle, dek: Handle) -> Result<WrappedKey, Ckr> {
    let blob = session.wrap(WRAP, kek, dek)?;
    if blob.len() == WRAPPED_LEN {
        Ok(WrappedKey(blob))
    } else {
        Err(Ckr::new("C_WrapKey", cryptoki_sys::CKR_WRAPPED_KEY_LEN_RANGE))
    }
}

/// The canary's plaintext.
const CANARY_TEXT: [u8; 16] = [0x50; 16];

fn canary_aad(epoch: Epoch) -> Vec<u8> {
    let mut aad = b"panvault canary v1".to_vec();
    aad.extend(epoch.0.to_be_bytes());
    aad
}

/// Does `work` with a session key and destroys it, whatever came of the work.
pub(crate) fn using<T>(session: &RawSession, key: Handle, work: impl FnOnce() -> Result<T, Ckr>) -> Result<T, Ckr> {
    let done = work();
    let destroyed = session.destroy(key);
    let done = done?;
    destroyed.map(|()| done)
}

/// IVs of the HSM's random, each given out once.
pub(crate) struct Ivs {
    block: Zeroizing<Vec<u8>>,
    used: usize,
    /// The first IV of the last block.
    last: [u8; IV],
}

impl Ivs {
    pub(crate) fn new() -> Self {
        Self {
            block: Zeroizing::new(vec![0; BLOCK]),
            used: BLOCK,
            last: [0; IV],
        }
    }

    fn next(&mut self, session: &RawSession) -> Result<[u8; IV], Ckr> {
        self.take(|block| session.random(block))
    }

    fn take(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<(), Ckr>) -> Result<[u8; IV], Ckr> {
        if self.used.saturating_add(IV) > BLOCK {
            // Wiped first, so that a fill that writes nothing is seen.
            self.block.as_mut_slice().zeroize();
            self.used = BLOCK;
            fill(&mut self.block)?;
            let first = self.block.first_chunk::<IV>().copied().unwrap_or_default();
            if first == self.last || first == [0; IV] {
                // A generator that repeats itself must not give IVs.
                return Err(Ckr::new("C_GenerateRandom", cryptoki_sys::CKR_DEVICE_ERROR));
            }
            self.last = first;
            self.used = 0;
        }
        let end = self.used.saturating_add(IV);
        let mut iv = [0u8; IV];
        if let Some(fresh) = self.block.get_mut(self.used..end) {
            iv.copy_from_slice(fresh);
            fresh.zeroize();
        }
        self.used = end;
        if iv == [0; IV] {
            return Err(Ckr::new("C_GenerateRandom", cryptoki_sys::CKR_DEVICE_ERROR));
        }
        Ok(iv)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_iv_is_given_once_and_wiped() {
        let mut ivs = Ivs::new();
        let mut seen = HashSet::new();
        let mut fills = 0;
        for _ in 0..1000 {
            let iv = ivs.take(|block| {
                fills += 1;
                crate::id::fill_random(block).unwrap();
                Ok(())
            });
            assert!(seen.insert(iv.unwrap()));
        }
        assert_eq!(fills, 3);
        assert!(ivs.block[..ivs.used].iter().all(|b| *b == 0));
    }

    #[test]
    fn a_generator_that_repeats_itself_or_writes_nothing_is_refused() {
        let mut ivs = Ivs::new();
        assert!(ivs.take(|_| Ok(())).is_err());
        let same = |block: &mut [u8]| {
            block.fill(7);
            Ok(())
        };
        let mut ivs = Ivs::new();
        for _ in 0..BLOCK / IV {
            assert!(ivs.take(same).is_ok());
        }
        assert!(ivs.take(same).is_err());
        // Nor does a failed fill make the old block usable again.
        assert!(ivs.take(|_| Err(Ckr::new("C_GenerateRandom", 5))).is_err());
    }
}
