//! JOSE: JWE and JWS taken apart and put together, public keys as JWK and PEM. Private keys are used in the HSM alone; here
//! are others' public keys, and the content keys of what is encrypted to them.

mod der;
mod envelope;
mod header;
mod jwe;
mod jwk;
mod oaep;
mod rsa;

pub use envelope::{Claimed, Envelope, EnvelopeFault, Unsigned};
pub use jwe::{Compact, JweFault};
pub use jwk::{Jwk, rsa_of_jwk};
pub use rsa::{BadKey, OaepHash, RsaPublicKey, pem};
