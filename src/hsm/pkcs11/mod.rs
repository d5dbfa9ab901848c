//! PKCS#11 as the vault uses it: the module, its raw calls, and the templates of the vault's keys.

mod attribute;
mod fail;
mod module;
mod raw;
pub(crate) mod template;

pub(crate) use attribute::Template;
pub(crate) use fail::Ckr;
pub(crate) use module::{Module, OpenFault, Search, describe};
pub(crate) use raw::{Handle, IvOrigin, Oaep, RawSession, Rsa, Signing, TAG};
