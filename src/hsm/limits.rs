//! What a worker takes from a job, whoever sent it.

use super::job::{Boxed, Job};
use super::pkcs11::TAG;
use super::pkcs11::template::WRAPPED_LEN;

/// Parts of one job.
const PARTS: usize = 16;
/// Bytes of an AAD.
const AAD: usize = 4 << 10;
/// Bytes of an RSA modulus: RSA-16384.
const MODULUS: usize = 2 << 10;
/// Bytes of a plaintext, a message to sign or the input of a MAC. The largest body that a dialect takes is 1 MiB; its
/// sealed form and a domain label are a little longer.
const TEXT: usize = (1 << 20) + (64 << 10);

/// Whether the job makes sense, without a look into the HSM.
pub(super) fn check(job: &Job) -> Result<(), String> {
    match job {
        Job::Mac { input, .. } => at_most("the input", input.expose().len(), TEXT),
        Job::Rewrap { from, to, .. } if from == to => Err("a record is under that KEK already".to_owned()),
        Job::Open { dek, parts, .. } => {
            wrapped(dek.0.len())?;
            count(parts.len())?;
            parts.iter().try_for_each(boxed)
        }
        Job::OpenJwe {
            encrypted_key, content, ..
        }
        | Job::OpenLocker { encrypted_key, content } => {
            at_most("the encrypted key", encrypted_key.len(), MODULUS)?;
            boxed(content)?;
            if content.sealed.iv.len() == 12 {
                Ok(())
            } else {
                Err("a JWE's IV has 12 bytes".to_owned())
            }
        }
        Job::Kek { .. } | Job::Probe => Ok(()),
        Job::Random { len } => {
            if *len == 0 {
                return Err("no random bytes asked for".to_owned());
            }
            Ok(())
        }
        Job::Refingerprint { dek, part, prefix, .. } => {
            wrapped(dek.0.len())?;
            at_most("the prefix", prefix.len(), AAD)?;
            boxed(part)
        }
        Job::Reseal { dek, part, .. } => {
            wrapped(dek.0.len())?;
            at_most("the AAD", part.aad.len(), AAD)?;
            at_most("the part", part.text.expose().len(), TEXT)
        }
        // no parts, where the DEK alone is wrapped anew
        Job::Rewrap { dek, parts, .. } => {
            wrapped(dek.0.len())?;
            at_most("the number of parts", parts.len(), PARTS)?;
            parts.iter().try_for_each(boxed)
        }
        Job::Seal { mac, parts, .. } => {
            count(parts.len())?;
            if let Some((_, input)) = mac {
                at_most("the input", input.expose().len(), TEXT)?;
            }
            for part in parts {
                at_most("the AAD", part.aad.len(), AAD)?;
                at_most("a part", part.text.expose().len(), TEXT)?;
            }
            Ok(())
        }
        Job::Sign { message, .. } => at_most("the message", message.len(), TEXT),
        Job::SignLocker { message } | Job::SignPlatform { message } => {
            at_most("the message", message.expose().len(), TEXT)
        }
    }
}

fn boxed(part: &Boxed) -> Result<(), String> {
    at_most("the AAD", part.aad.len(), AAD)?;
    at_most("a part", part.sealed.text.len(), TEXT.saturating_add(TAG))?;
    if part.sealed.text.len() < TAG {
        return Err("a sealed part is shorter than its tag".to_owned());
    }
    if !matches!(part.sealed.iv.len(), 12 | 16) {
        return Err("an IV has 12 or 16 bytes".to_owned());
    }
    Ok(())
}

fn count(parts: usize) -> Result<(), String> {
    match parts {
        0 => Err("no part".to_owned()),
        n => at_most("the number of parts", n, PARTS),
    }
}

fn wrapped(len: usize) -> Result<(), String> {
    if len == WRAPPED_LEN {
        Ok(())
    } else {
        Err(format!("a wrapped DEK has {WRAPPED_LEN} bytes, not {len}"))
    }
}

fn at_most(what: &str, is: usize, most: usize) -> Result<(), String> {
    if is <= most {
        Ok(())
    } else {
        Err(format!("{what} is {is}, more than {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsm::job::{Epoch, Plain, SealedPart, SecretBytes, WrappedKey};

    fn plain(len: usize) -> Plain {
        Plain {
            aad: vec![1],
            text: SecretBytes::new(vec![2; len]),
        }
    }

    fn open(dek: usize, iv: usize, text: usize, parts: usize) -> Job {
        let sealed = SealedPart {
            iv: vec![1; iv],
            text: vec![1; text],
        };
        Job::Open {
            epoch: Epoch(1),
            dek: WrappedKey(vec![1; dek]),
            parts: vec![
                Boxed {
                    aad: Vec::new(),
                    sealed
                };
                parts
            ],
        }
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let seal = |parts| Job::Seal {
            epoch: Epoch(1),
            mac: None,
            parts,
        };
        assert!(check(&seal(vec![plain(0), plain(TEXT)])).is_ok());
        assert!(check(&seal(vec![plain(TEXT + 1)])).is_err());
        assert!(check(&seal(Vec::new())).is_err());
        assert!(check(&seal((0..17).map(|_| plain(1)).collect())).is_err());
        assert!(check(&open(40, 12, 16, 1)).is_ok());
        assert!(check(&open(40, 16, 17, 16)).is_ok());
        for bad in [
            open(39, 12, 16, 1),
            open(40, 0, 16, 1),
            open(40, 12, 15, 1),
            open(40, 12, 16, 0),
        ] {
            assert!(check(&bad).is_err());
        }
        let jwe = |key: usize, iv: usize, text: usize| {
            let Job::Open { mut parts, .. } = open(40, iv, text, 1) else {
                panic!("another job")
            };
            Job::OpenJwe {
                generation: crate::hsm::Generation::FIRST,
                encrypted_key: vec![1; key],
                content: parts.remove(0),
            }
        };
        assert!(check(&jwe(384, 12, 16)).is_ok());
        for bad in [jwe(MODULUS + 1, 12, 16), jwe(384, 16, 16), jwe(384, 12, 15)] {
            assert!(check(&bad).is_err());
        }
        assert!(check(&Job::Random { len: 0 }).is_err());
        assert!(
            check(&Job::Sign {
                generation: crate::hsm::Generation::FIRST,
                message: vec![0; TEXT + 1]
            })
            .is_err()
        );
        assert!(
            check(&Job::Mac {
                generation: crate::hsm::Generation::FIRST,
                input: SecretBytes::new(vec![0; TEXT + 1])
            })
            .is_err()
        );
    }
}
