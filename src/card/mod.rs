//! Cards: numbers, expiry, brands, masking. Pure; no I/O but reading a BIN table file.

mod bins;
mod expiry;
mod luhn;
mod mask;
mod pan;
mod scan;

pub use bins::{BadTable, BinInfo, BinTable};
pub use expiry::{BadExpiry, Expiry};
pub use luhn::{check_digit, luhn_ok};
pub use mask::Masked;
pub use pan::{BadPan, Pan};
pub use scan::{contains_live_pan, contains_pan, could_be_pan};
