//! panvault keeps payment cards under a data key per token that never leaves a PKCS#11 HSM.
//!
//! The crate is built in floors, from the ground to the roof; a module names only modules of the floors
//! below its own (`tests/floors.rs` keeps this):
//!
//! | floor | modules |
//! |---|---|
//! | 7 | [`cli`], [`config`] |
//! | 6 | [`server`] |
//! | 5 | [`api`], [`ops`] |
//! | 4 | [`payment`], [`custody`], [`transfer`] |
//! | 3 | [`vault`] |
//! | 2 | [`keys`], [`audit`], [`jose`] |
//! | 1 | [`hsm`], [`store`] |
//! | 0 | [`card`], [`id`], [`telemetry`] |

pub mod api;
pub mod audit;
pub mod card;
pub mod cli;
pub mod config;
pub mod custody;
pub mod hsm;
pub mod id;
pub mod jose;
pub mod keys;
pub mod ops;
pub mod payment;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod transfer;
pub mod vault;
