//! Sealed start: no PIN is stored. Custodians give their shares of it to the pin keeper, a process without HTTP and without
//! the PKCS#11 module, which puts them together and hands the PIN to each worker that starts.
//!
//! The server starts the keeper, hands on the socket of custodians to it, and hands on one end of a socket pair for each
//! worker; what goes over either never passes through the server's memory.

mod ask;
mod door;
mod gather;
mod handle;
mod pass;
mod process;
mod refusals;
mod settings;
mod wire;

pub use self::ask::{Asked, give, look};
pub use self::handle::Keeper;
pub use self::process::main;
pub use self::settings::{Custodian, Seal, SealEvent, SealOutcome, Settings};
pub use self::wire::Answer;
pub(super) use self::wire::{receive_pin, take_stdout};
