//! JOSE: compact JWE taken apart, public keys as JWK. No keys are used here: the HSM does that.

mod header;
mod jwe;
mod jwk;

pub use jwe::{Compact, JweFault};
pub use jwk::Jwk;
