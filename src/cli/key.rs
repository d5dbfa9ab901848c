//! `key`: the vault's keys as others need them.

mod adopt;
mod relocate;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

pub(super) use self::relocate::{moved, refuse_moving};
use super::admin::{self, Common};
use super::instance::{self, Instance};
use super::{Exit, Which, terminal};
use crate::hsm::PublicKey;
use crate::jose::pem;
use crate::keys::Keyring;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a public key in PEM
    Show {
        /// Which
        key: Key,
        #[command(flatten)]
        which: Which,
    },
    /// Keys and their states, what is under each, how far a rotation is
    Status(Common),
    /// Destroy the KEK of an epoch that nothing is under: what backups have under it opens no more. Gives a shred certificate
    Destroy {
        /// Which
        #[arg(long, value_name = "N")]
        epoch: u32,
        /// A backup from after everything was put under another epoch; all of it is read first. Older ones lose what they have
        /// under the epoch. To finish what was cut it is not needed
        #[arg(long, value_name = "DIR")]
        backup: Option<PathBuf>,
        /// A new file that the certificate is written to
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Print the shred certificate of a destroyed epoch again
    Certificate {
        /// Which
        #[arg(long, value_name = "N")]
        epoch: u32,
        /// A new file that it is written to
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Mark a KEK epoch as compromised, for ever; where it is the one in use, the next one seals at once
    Compromise {
        /// Which
        #[arg(long, value_name = "N")]
        epoch: u32,
        /// Why, for the record
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Use the next key of a role from now on, and put all that there is under it
    Rotate {
        /// Which
        #[arg(long, value_enum, default_value_t = RotateRole::Kek)]
        role: RotateRole,
        /// Until everything is under it
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Take another token for the vault's: one that holds the same keys, in the place of a HSM that is gone
    Adopt(adopt::AdoptArgs),
    /// Move to a HSM that has other keys: every record is opened in the old one and sealed in the new one. Cut, it goes on
    Move(relocate::MoveArgs),
}

/// A role whose keys are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotateRole {
    /// Signs the audit trail, receipts, backups and the keyring
    Audit,
    /// Cards are found by it
    Fingerprint,
    /// Data keys are wrapped under it
    Kek,
    /// Clients encrypt to it
    Transport,
}

/// A key pair of the vault's.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Key {
    /// Signs deletion receipts and the keyring
    Audit,
    /// Decrypts and signs for Hyperswitch's locker: its routers know it as vault_encryption_key
    Locker,
    /// Signs answers and notifications of PayKKa's dialect: its clients know it as the platform's public key
    Platform,
    /// What clients encrypt to
    Transport,
}

/// Runs it.
pub(super) fn run(command: &KeyCommand) -> anyhow::Result<Exit> {
    match command {
        KeyCommand::Show { key, which } => {
            let config = Instance::find(which)?.config;
            let keyring = instance::keyring(&config)?;
            let text = shown(&keyring, *key).ok_or_else(|| {
                Exit::Refused.because("there is no such key: enable its dialect and run `panvault init` again")
            })?;
            terminal::say(text.trim_end());
            Ok(Exit::Ok)
        }
        KeyCommand::Status(common) => admin::show_keys(common),
        KeyCommand::Destroy {
            epoch,
            backup,
            out,
            common,
        } => admin::destroy(common, *epoch, backup.as_deref(), out.as_deref()),
        KeyCommand::Certificate { epoch, out, common } => admin::certificate(common, *epoch, out.as_deref()),
        KeyCommand::Compromise { epoch, reason, common } => admin::compromise(common, *epoch, reason.as_deref()),
        KeyCommand::Adopt(args) => adopt::run(args),
        KeyCommand::Move(args) => relocate::run(args),
        KeyCommand::Rotate { role, wait, common } => match role {
            RotateRole::Kek => admin::rotate(common, *wait),
            RotateRole::Fingerprint => admin::rotate_fingerprint(common, *wait),
            RotateRole::Audit => admin::rotate_audit(common),
            RotateRole::Transport => admin::rotate_transport(common),
        },
    }
}

/// The key's public half in PEM.
pub(super) fn shown(keyring: &Keyring, key: Key) -> Option<String> {
    let keyset = keyring.keyset();
    let public: &PublicKey = match key {
        Key::Audit => keyring.audit_public(),
        Key::Locker => &keyset.locker.as_ref()?.public,
        Key::Platform => &keyset.platform.as_ref()?.public,
        Key::Transport => keyring.transport_public(),
    };
    Some(pem(public))
}
