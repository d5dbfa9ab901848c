//! A signed head: the audit key's word on how far the chain had come, and with which hash. It is a record of the chain
//! itself, so it travels with the segments.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::event::{AUDIT_HEAD, Event};
use super::line::{Envelope, Head, event_of};
use crate::hsm::{KeyFingerprint, PublicKey, SignatureFault, framed};
use crate::id::{UnixMillis, VaultId};

/// A head and the signature over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct SignedHead {
    /// Whose chain.
    pub vault: VaultId,
    /// The record that is named, and its hash.
    pub head: Head,
    /// When it was signed.
    pub at: UnixMillis,
    /// By which key. Whose that is, only its fingerprint can tell, as `init` printed it.
    pub public_key: PublicKey,
    /// The signature of [`SignedHead::statement`] in [`SignedHead::DOMAIN`].
    pub signature: Vec<u8>,
}

/// Its members in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    seq: u64,
    hash: String,
    vault: VaultId,
    at: UnixMillis,
    public_key: PublicKey,
    signature: String,
}

impl SignedHead {
    /// What the signature is made for.
    pub const DOMAIN: &str = "panvault audit head v1";

    /// What is signed, apart from the domain.
    pub fn statement(vault: &VaultId, head: Head, at: UnixMillis) -> Vec<u8> {
        framed(&[
            vault.as_str().as_bytes(),
            &head.seq.to_be_bytes(),
            &head.hash,
            &at.0.to_be_bytes(),
        ])
    }

    /// Whether the key that it names signed it; gives that key's name.
    ///
    /// # Errors
    /// The key or the signature is wrong.
    pub fn verify(&self) -> Result<KeyFingerprint, SignatureFault> {
        let statement = Self::statement(&self.vault, self.head, self.at);
        self.public_key.verify_in(Self::DOMAIN, &statement, &self.signature)?;
        self.public_key.fingerprint()
    }

    /// The event that puts it on record. Nothing in it but the signed members may vary, so that the signature covers
    /// the whole record.
    pub fn event(&self) -> Event {
        Event {
            at: self.at,
            head: Some(Box::new(self.clone())),
            ..Event::new(AUDIT_HEAD, "ok")
        }
    }

    /// The head that a line of the chain carries; `None` where the line is another record.
    ///
    /// # Errors
    /// Why it is not a head as the daemon writes them.
    pub fn of_line(line: &[u8]) -> Option<Result<Self, &'static str>> {
        let is_head = Envelope::read(line).is_ok_and(|says| says.is_head);
        is_head.then(|| Self::of_head(line))
    }

    /// The head that a line carries which calls itself one.
    pub(super) fn of_head(line: &[u8]) -> Result<Self, &'static str> {
        let event = event_of(line).ok_or("it does not have the form of a record")?;
        let read: Event = serde_json::from_slice(event).map_err(|_| "its signed head is malformed")?;
        let head = *read.head.ok_or("it holds no signed head")?;
        if head.event().encode() != event {
            return Err("it is not written as a signed head is");
        }
        Ok(head)
    }
}

impl TryFrom<Written> for SignedHead {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let bytes = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let hash = bytes(&written.hash).and_then(|hash| hash.try_into().ok());
        Ok(Self {
            vault: written.vault,
            head: Head {
                seq: written.seq,
                hash: hash.ok_or("its hash is malformed")?,
            },
            at: written.at,
            public_key: written.public_key,
            signature: bytes(&written.signature).ok_or("its signature is malformed")?,
        })
    }
}

impl From<SignedHead> for Written {
    fn from(head: SignedHead) -> Self {
        Self {
            seq: head.head.seq,
            hash: BASE64URL_NOPAD.encode(&head.head.hash),
            vault: head.vault,
            at: head.at,
            public_key: head.public_key,
            signature: BASE64URL_NOPAD.encode(&head.signature),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::hsm::{Handover, signed_form};

    /// An audit key in software.
    pub(in crate::audit) struct Signer {
        pair: Ed25519KeyPair,
        pub(in crate::audit) vault: VaultId,
    }

    impl Signer {
        pub(in crate::audit) fn new(seed: u8) -> Self {
            Self {
                pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(),
                vault: VaultId::parse("v-test").unwrap(),
            }
        }

        pub(in crate::audit) fn sign(&self, head: Head, at: UnixMillis) -> SignedHead {
            let statement = SignedHead::statement(&self.vault, head, at);
            SignedHead {
                vault: self.vault.clone(),
                head,
                at,
                public_key: PublicKey::Ed25519 {
                    x: BASE64URL_NOPAD.encode(self.pair.public_key().as_ref()),
                },
                signature: self
                    .pair
                    .sign(&signed_form(SignedHead::DOMAIN, &statement))
                    .as_ref()
                    .to_vec(),
            }
        }

        /// The word by which this key names the next one.
        pub(in crate::audit) fn hand_over(&self, to: &Self, at: UnixMillis) -> Handover {
            let public = |signer: &Self| signer.sign(Head::START, at).public_key;
            let (from, to) = (public(self), public(to));
            let statement = Handover::statement(&self.vault, at, &from, &to).unwrap();
            let signature = self.pair.sign(&signed_form(Handover::DOMAIN, &statement));
            Handover::new(self.vault.clone(), at, from, to, signature.as_ref())
        }

        pub(in crate::audit) fn fingerprint(&self) -> KeyFingerprint {
            self.sign(Head::START, UnixMillis(0)).public_key.fingerprint().unwrap()
        }
    }

    #[test]
    fn a_head_is_read_as_it_is_written_and_every_byte_of_it_counts() {
        let signer = Signer::new(1);
        let head = Head { seq: 7, hash: [9; 32] };
        let signed = signer.sign(head, UnixMillis(1_800_000_000_000));
        let mut line = Vec::new();
        { head }.append(&signed.event().encode(), &mut line);
        assert_eq!(SignedHead::of_line(&line), Some(Ok(signed.clone())));
        assert_eq!(signed.verify(), Ok(signer.fingerprint()));

        let from = line.windows(5).position(|part| part == b"\"at\":").unwrap() - 1;
        for at in from..line.len() - 1 {
            let mut changed = line.clone();
            changed[at] ^= 1;
            let holds = SignedHead::of_line(&changed)
                .and_then(Result::ok)
                .is_some_and(|head| head.verify() == Ok(signer.fingerprint()));
            assert!(!holds, "byte {at}: {}", String::from_utf8_lossy(&changed));
        }
    }

    #[test]
    fn other_records_are_no_heads() {
        let mut line = Vec::new();
        { Head::START }.append(&Event::new("tokenize", "ok").encode(), &mut line);
        assert_eq!(SignedHead::of_line(&line), None);
        let mut line = Vec::new();
        { Head::START }.append(&Event::new(AUDIT_HEAD, "ok").encode(), &mut line);
        assert_eq!(SignedHead::of_line(&line), Some(Err("it holds no signed head")));
    }
}
