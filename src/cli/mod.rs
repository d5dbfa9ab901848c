//! The command line: one file per command, and the exit codes.

mod admin;
mod anchor;
mod approval;
mod audit;
mod backup;
mod bench;
mod check;
mod client;
mod credential;
mod dev;
mod erase;
mod exit;
mod export;
mod import;
mod init;
mod instance;
mod inventory;
mod key;
mod keyed;
mod lines;
mod manual;
mod offline;
mod process;
mod progress;
mod receipt;
mod restore;
mod serve;
mod shares;
mod shredded;
mod terminal;
mod transcript;
mod unseal;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use exit::Exit;

/// Card vault daemon: a data key per token, used only inside a PKCS#11 HSM.
#[derive(Debug, Parser)]
#[command(name = "panvault", version, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is when nothing else is said.
const DEFAULT_CONFIG: &str = "/etc/panvault/panvault.toml";

/// Which instance a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Directory of a dev instance, instead of --config
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
}

/// The PIN of a vault that stores none.
#[derive(Debug, Clone, Args)]
pub(crate) struct PinArg {
    /// User PIN, from a file, for a vault that stores none (hsm.unseal = "custodians") while no daemon serves
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

impl Which {
    /// Whether it is an instance for trying and for tests.
    fn is_dev(&self) -> bool {
        self.dir.is_some()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve {
        #[command(flatten)]
        which: Which,
        /// Serve although started as root
        #[arg(long)]
        allow_root: bool,
    },
    /// Make a private SoftHSM token, keys and test merchants under DIR, and serve them
    Dev(dev::DevArgs),
    /// Make the keys that are missing in the HSM (re-runnable)
    Init(init::InitArgs),
    /// Check a part of the installation and say what is wrong
    #[command(subcommand)]
    Check(check::Check),
    /// The vault's keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Turn the cards of a file into tokens
    Import(import::ImportArgs),
    /// Encrypt the cards of a repository to a recipient's public key
    Export(export::ExportArgs),
    /// Erase all tokens of a repository or of one customer in it, with signed receipts
    Erase(erase::EraseArgs),
    /// Every key, the HSM, and which cryptography is used where
    Inventory(inventory::InventoryArgs),
    /// Show how the running daemon is
    Status {
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a custodian's share of the PIN to a vault that started sealed
    Unseal(unseal::UnsealArgs),
    /// Have the PIN forgotten and the workers ended: custodians unseal again
    Seal(admin::Common),
    /// Custodians' shares of the PIN
    #[command(subcommand)]
    Shares(shares::SharesCommand),
    /// Merchants: accounts that act
    #[command(subcommand)]
    Merchant(admin::MerchantCommand),
    /// Repositories: they own tokens
    #[command(subcommand)]
    Repository(admin::RepositoryCommand),
    /// Credentials of merchants
    #[command(subcommand)]
    Credential(admin::CredentialCommand),
    /// Token maintenance: cards that are charged again and again, held against the account updater
    #[command(subcommand)]
    Maintenance(admin::MaintenanceCommand),
    /// What merchants are told: notifications that wait, and those that were given up
    #[command(subcommand)]
    Notification(admin::NotificationCommand),
    /// The policy of the running daemon
    #[command(subcommand)]
    Policy(admin::PolicyCommand),
    /// Operators: the people who agree, two at a time, to what needs two
    #[command(subcommand)]
    Operator(admin::OperatorCommand),
    /// Ceremonies: what needs two operators
    #[command(subcommand)]
    Ceremony(admin::CeremonyCommand),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Deletion receipts and the vault's other signed statements
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// Check what is stored through the HSM: that every card opens in its place and is the one it is found by
    Verify(verify::VerifyArgs),
    /// Write a signed backup into a new directory, also while the daemon serves
    Backup(backup::BackupArgs),
    /// Put a backup into an empty place, after all of it was verified
    Restore(restore::RestoreArgs),
    /// Measure the HSM or the API
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print the manual (roff), or write a page per command into a directory
    Man {
        /// Where `panvault.8`, `panvault-serve.8` and so on are written
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Print a completion script
    Complete {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Worker process of the daemon (internal)
    #[command(hide = true)]
    HsmWorker,
    /// Keeper of the PIN for a vault that starts sealed (internal)
    #[command(hide = true)]
    PinKeeper,
    /// Worker process of `bench hsm` (internal)
    #[command(hide = true)]
    BenchWorker(bench::BenchWorkerArgs),
    /// Look at the token for `check hsm` (internal)
    #[command(hide = true)]
    ProbeWorker {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        pin: PinArg,
    },
    /// Look at the token for `inventory` (internal)
    #[command(hide = true)]
    InventoryWorker {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        pin: PinArg,
    },
    /// Token set-up of `dev` (internal)
    #[command(hide = true)]
    DevToken {
        /// The dev instance's directory
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    process::keep_private();
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve { which, allow_root } => serve::run(&which, allow_root),
        Command::Dev(args) => dev::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(what) => check::run(&what),
        Command::Key(command) => key::run(&command),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Status { which, json } => admin::status(&which, json),
        Command::Merchant(command) => admin::merchant(&command),
        Command::Repository(command) => admin::repository(&command),
        Command::Credential(command) => admin::credential(&command),
        Command::Maintenance(command) => admin::maintenance(&command),
        Command::Notification(command) => admin::notification(&command),
        Command::Policy(command) => admin::policy(&command),
        Command::Operator(command) => admin::operator(&command),
        Command::Ceremony(command) => admin::ceremony(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Receipt(command) => receipt::run(&command),
        Command::Verify(args) => verify::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Man { dir } => manual::man(dir.as_deref()),
        Command::Complete { shell } => manual::complete(shell),
        Command::Unseal(args) => unseal::run(&args),
        Command::Seal(common) => admin::seal(&common),
        Command::Shares(command) => shares::run(&command),
        Command::PinKeeper => return crate::hsm::keeper::main(),
        Command::HsmWorker => return crate::hsm::worker::main(),
        Command::BenchWorker(args) => bench::worker(&args),
        Command::ProbeWorker { which, pin } => check::probe_worker(&which, &pin),
        Command::InventoryWorker { which, pin } => inventory::worker(&which, &pin),
        Command::DevToken { dir } => dev::make_token(&dir),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            terminal::complain(&error);
            Exit::of(&error).into()
        }
    }
}

/// Where `dev` may listen for the API on TCP, beside the socket.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "not an ADDRESS:PORT".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("only a loopback address: the API over TCP belongs behind a TLS front".to_owned());
    }
    Ok(address)
}
