//! The commands as they are typed.

use clap::Subcommand;

use super::request::{Common, Named};

#[derive(Debug, Subcommand)]
pub(crate) enum MerchantCommand {
    /// Add a merchant, with a repository of its own unless one is named
    Add {
        /// Letters, digits, `_`, `-` and `.`
        id: String,
        /// Name for people; the id otherwise
        #[arg(long)]
        name: Option<String>,
        /// What it speaks, e.g. `native`; may be given several times
        #[arg(long, required = true)]
        dialect: Vec<String>,
        /// An existing repository to act in
        #[arg(long)]
        repository: Option<String>,
        /// Never does business: simulators serve it
        #[arg(long)]
        test: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List merchants
    List(Common),
    /// Refuse its requests until it is resumed
    Suspend(Named),
    /// Serve it again
    Resume(Named),
    /// Remove it; refused while its repository holds tokens
    Remove(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryCommand {
    /// Add a repository
    Add(Named),
    /// List repositories
    List(Common),
    /// Refuse all requests on it until it is resumed
    Suspend(Named),
    /// Serve it again
    Resume(Named),
    /// Remove it; refused while it holds tokens
    Remove(Named),
    /// Let a merchant act in it
    Grant {
        /// The repository
        name: String,
        /// The merchant's id
        #[arg(long)]
        merchant: String,
        /// It acts there when a request names no repository
        #[arg(long)]
        default: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Take that back
    Revoke {
        /// The repository
        name: String,
        /// The merchant's id
        #[arg(long)]
        merchant: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a credential; its secret is shown once
    Add {
        /// Whose it is
        #[arg(long)]
        merchant: String,
        /// What it is used in, e.g. `native`
        #[arg(long)]
        dialect: String,
        /// Good until then, RFC 3339
        #[arg(long)]
        expires_at: Option<jiff::Timestamp>,
        #[command(flatten)]
        common: Common,
    },
    /// List credentials, without their secrets
    List {
        /// Only this merchant's
        #[arg(long)]
        merchant: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Refuse it until it is resumed
    Suspend(Named),
    /// Take it again
    Resume(Named),
    /// Remove it
    Remove(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Which grants allow an operation to a user, and why the others do not
    Explain {
        /// User id of the calling process
        #[arg(long)]
        uid: u32,
        /// Its primary group id
        #[arg(long)]
        gid: Option<u32>,
        /// tokenize, inspect, reveal, update, delete, search, search-by-pan or export
        #[arg(long)]
        op: String,
        #[command(flatten)]
        common: Common,
    },
    /// Read the policy file again; one with a fault changes nothing
    Reload(Common),
}
