//! The commands as they are typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::request::{Common, Named};
use crate::cli::approval::ApprovalArgs;

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
    /// Add a repository; with rules, for dialects that have such, it comes with a TEST twin
    Add {
        /// Letters, digits, `_`, `-` and `.`; with rules 1 to 12 letters and digits
        name: String,
        #[command(flatten)]
        rules: Rules,
        /// No token lives longer after it was made, whatever its own end says; 0: no limit
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
    /// Change its retention, at any time, or its rules: verification at any time, the others while it and its TEST twin hold
    /// no tokens
    Set {
        /// The repository
        name: String,
        #[command(flatten)]
        rules: Rules,
        /// No token lives longer after it was made, whatever its own end says, those that are there too; 0: no limit
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
        #[command(flatten)]
        common: Common,
    },
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

/// How tokens are made in a repository.
#[derive(Debug, Args)]
pub(crate) struct Rules {
    /// How many tokens a card may have: any number, or one
    #[arg(long, value_parser = ["UNIQUE_TOKEN", "UNIQUE_ACCOUNT_IDENTIFIER"])]
    pub(super) management: Option<String>,
    /// Where token ids come from
    #[arg(
        long,
        value_parser = ["RANDOM_WITH_LUHN", "PRESERVE_6_4", "MERCHANT_PROVIDED", "ACQUIRER_TOKENIZATION"]
    )]
    pub(super) generation: Option<String>,
    /// How a card is checked where the request does not say
    #[arg(long, value_parser = ["BASIC", "ACQUIRER", "NONE", "ACCOUNT_UPDATER"])]
    pub(super) verification: Option<String>,
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
        /// An API key in `native` and `hyperswitch`, a password elsewhere unless a certificate is given; `detokenize-password`, in `worldpay`,
        /// is good for seeing cards and for nothing else
        #[arg(long, value_parser = ["api-key", "password", "certificate", "detokenize-password", "public-key"])]
        kind: Option<String>,
        /// A client certificate in PEM, for `mastercard`
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// The client's RSA public key in PEM, for `hyperswitch-locker`
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
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
pub(crate) enum MaintenanceCommand {
    /// Hold the cards whose next charge is near against the account updater now, and print what came of it
    #[command(
        after_help = "looked_at counts the tokens that are charged again and again, due or not; a failed one is due again, \
                      and the log says why"
    )]
    Run(Common),
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotificationCommand {
    /// What merchants were not told yet, and what was given up
    List(Common),
    /// Deliver again what was given up
    Retry(Common),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Let a file come into force, where policies are under dual control: by its SHA-256, before it is put in place
    Approve {
        /// The policy as it is to be
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// The configuration as it is to be
        #[arg(long, value_name = "FILE")]
        configuration: Option<PathBuf>,
        #[command(flatten)]
        approvals: ApprovalArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Which grants allow an operation to a user, and why the others do not
    Explain {
        /// User id of the calling process
        #[arg(long)]
        uid: u32,
        /// Its primary group id
        #[arg(long)]
        gid: Option<u32>,
        /// tokenize, inspect, reveal, update, delete, search, search-by-pan, export or pay
        #[arg(long)]
        op: String,
        #[command(flatten)]
        common: Common,
    },
    /// Read the policy file again; one with a fault changes nothing
    Reload(Common),
}
