//! What crosses the socketpair between the server and a worker: whole jobs and their replies.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Generation;

/// Bytes that are wiped when dropped and never printed.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// A look at the bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, still wiped when dropped.
    pub fn into_zeroizing(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(std::mem::take(&mut self.0))
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretBytes {
    fn from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(std::mem::take(&mut *bytes))
    }
}

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// Which KEK: epochs count up from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// A DEK wrapped by a KEK with AES Key Wrap (RFC 3394): 32 bytes become 40.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey(pub Vec<u8>);

/// A part to be sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plain {
    /// What the ciphertext is bound to.
    pub aad: Vec<u8>,
    /// The plaintext.
    pub text: SecretBytes,
}

/// A part that was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPart {
    /// The IV that the HSM really used (12 bytes, or 16 where the module makes its own).
    pub iv: Vec<u8>,
    /// Ciphertext, then the 16-byte tag.
    pub text: Vec<u8>,
}

/// A part to be opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Boxed {
    /// What it was bound to.
    pub aad: Vec<u8>,
    /// The sealed part.
    pub sealed: SealedPart,
}

impl Job {
    /// Under which KEK it wraps a DEK, if it does.
    pub fn seals_under(&self) -> Option<Epoch> {
        match self {
            Self::Seal { epoch, .. } | Self::Rewrap { to: epoch, .. } => Some(*epoch),
            Self::Kek { .. }
            | Self::Mac { .. }
            | Self::Open { .. }
            | Self::OpenJwe { .. }
            | Self::OpenLocker { .. }
            | Self::Probe
            | Self::Random { .. }
            | Self::Refingerprint { .. }
            | Self::Reseal { .. }
            | Self::Sign { .. }
            | Self::SignLocker { .. }
            | Self::SignPlatform { .. } => None,
        }
    }
}

/// One whole piece of work for a worker. None has an effect that outlives it in the HSM, but for the destruction of a KEK,
/// which is the same when it is done twice: so a job that died with its worker may be given to another one.
#[derive(Debug, Serialize, Deserialize)]
pub enum Job {
    /// HMAC-SHA-256 over `input` under a fingerprint key.
    Mac {
        /// Which fingerprint key.
        generation: Generation,
        /// The input, with its domain label.
        input: SecretBytes,
    },
    /// Looks for all that there is of a KEK in the token, or destroys it.
    Kek {
        /// Which.
        epoch: Epoch,
        /// What is done.
        act: super::KekAct,
    },
    /// Unwraps the DEK for decryption only and opens the parts.
    Open {
        /// Which KEK wrapped the DEK.
        epoch: Epoch,
        /// The DEK.
        dek: WrappedKey,
        /// In the order of the answer.
        parts: Vec<Boxed>,
    },
    /// Decrypts what was encrypted to a transport key: a JWE with RSA-OAEP-256 and A256GCM.
    OpenJwe {
        /// Which transport key.
        generation: Generation,
        /// The content key, encrypted with RSA-OAEP (SHA-256, MGF1 with SHA-256, no label).
        encrypted_key: Vec<u8>,
        /// The content; its IV has 12 bytes.
        content: Boxed,
    },
    /// As [`Job::OpenJwe`], of what was encrypted to the locker key. It opens no card, so the cap on opens does not count it.
    OpenLocker {
        /// The content key, encrypted.
        encrypted_key: Vec<u8>,
        /// The content.
        content: Boxed,
    },
    /// Runs the start-up check again and reports it.
    Probe,
    /// Random bytes of the HSM.
    Random {
        /// How many.
        len: u16,
    },
    /// Unwraps the DEK for decryption only, opens the part, and makes an HMAC-SHA-256 over `prefix`, the plaintext's length
    /// and the plaintext under a fingerprint key. The plaintext does not leave the worker, so the cap on opens does not
    /// count it.
    Refingerprint {
        /// Which KEK wrapped the DEK.
        epoch: Epoch,
        /// The DEK.
        dek: WrappedKey,
        /// What is opened.
        part: Boxed,
        /// Which fingerprint key.
        generation: Generation,
        /// What stands before the plaintext, as [`super::framed`] writes it.
        prefix: Vec<u8>,
    },
    /// Unwraps the DEK for encryption only and seals one part with a fresh IV.
    Reseal {
        /// Which KEK wrapped the DEK.
        epoch: Epoch,
        /// The DEK.
        dek: WrappedKey,
        /// The part.
        part: Plain,
    },
    /// Puts a record under another KEK. Where KEKs are TRUSTED the DEK is unwrapped for nothing but to be wrapped again, and
    /// no part is opened; elsewhere an unwrapped DEK cannot be wrapped, and the parts are sealed under a new one, inside the
    /// worker.
    Rewrap {
        /// Which KEK wrapped the DEK.
        from: Epoch,
        /// Which KEK is to wrap it.
        to: Epoch,
        /// The DEK.
        dek: WrappedKey,
        /// All parts that it seals; they are only looked at where they have to be sealed again.
        parts: Vec<Boxed>,
    },
    /// Makes a DEK, seals the parts with a fresh IV each, wraps the DEK, destroys it.
    Seal {
        /// Which KEK wraps it.
        epoch: Epoch,
        /// When given, also an HMAC-SHA-256 over it under that fingerprint key.
        mac: Option<(Generation, SecretBytes)>,
        /// In the order of the answer.
        parts: Vec<Plain>,
    },
    /// Signs with the locker key: RSASSA-PKCS1-v1_5 with SHA-256, as long as the modulus.
    SignLocker {
        /// What is signed, as it is: the locker's answers have card numbers in them.
        message: SecretBytes,
    },
    /// Signs with the platform key: as [`Job::SignLocker`].
    SignPlatform {
        /// What is signed, as it is: answers tell of payments.
        message: SecretBytes,
    },
    /// Signs with an audit key (Ed25519 over the message; ECDSA P-256 over its SHA-256, r then s).
    Sign {
        /// Which audit key.
        generation: Generation,
        /// The message, with its domain label.
        message: Vec<u8>,
    },
}

impl Job {
    /// A short name for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kek { .. } => "kek",
            Self::Mac { .. } => "mac",
            Self::Open { .. } => "open",
            Self::OpenJwe { .. } => "open-jwe",
            Self::OpenLocker { .. } => "open-locker",
            Self::Probe => "probe",
            Self::Random { .. } => "random",
            Self::Refingerprint { .. } => "refingerprint",
            Self::Reseal { .. } => "reseal",
            Self::Rewrap { .. } => "rewrap",
            Self::Seal { .. } => "seal",
            Self::Sign { .. } => "sign",
            Self::SignLocker { .. } => "sign-locker",
            Self::SignPlatform { .. } => "sign-platform",
        }
    }
}

/// The answer to a [`Job`] of the same name; those of locker and platform key are answered as those of other keys.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// What there is of it.
    Kek(super::KekReport),
    /// 32 bytes; of a `Refingerprint` as well.
    Mac([u8; 32]),
    /// The plaintexts, in the order asked.
    Open(Vec<SecretBytes>),
    /// The content; `None` where it does not open, for whatever reason: it came from outside, so this is no alarm.
    OpenJwe(Option<SecretBytes>),
    /// The report.
    Probe(super::ProbeReport),
    /// Random bytes.
    Random(Vec<u8>),
    /// The part sealed again.
    Reseal(SealedPart),
    /// What to store in the place of what was there.
    Rewrap {
        /// The wrapped DEK.
        dek: WrappedKey,
        /// The parts sealed again, in the order given; none where they are as they were.
        parts: Vec<SealedPart>,
    },
    /// What to store.
    Seal {
        /// The wrapped DEK.
        dek: WrappedKey,
        /// The fingerprint, when asked for.
        mac: Option<[u8; 32]>,
        /// The parts, in the order given.
        parts: Vec<SealedPart>,
    },
    /// The signature: 64 bytes, or as long as the RSA key's modulus.
    Sign(Vec<u8>),
}

/// Why a worker did not do a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The request makes no sense (unknown epoch, wrong lengths): a defect of the caller.
    #[error("the job is malformed: {0}")]
    Malformed(String),
    /// The worker's own cap on opens per second is used up.
    #[error("the worker's cap on opens is used up")]
    RateCapped,
    /// The HSM does not work now (settled by opening the canary): the worker ends after this.
    #[error("the HSM does not work: {0}")]
    Token(String),
    /// The ciphertext, its DEK or its place was changed: the canary opens, this does not.
    #[error("the sealed data does not open: it was changed or belongs elsewhere")]
    Tampered,
}
