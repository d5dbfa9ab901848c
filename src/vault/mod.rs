//! The core: repositories that own tokens, who may do what, and the verbs. It knows no HTTP, no PKCS#11 and no sled.

mod access;
pub mod types;

pub use access::Access;
