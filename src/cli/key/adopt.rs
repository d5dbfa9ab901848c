//! `key adopt`: another token with the same keys becomes the vault's.

use std::cell::RefCell;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use crate::audit::Event;
use crate::cli::approval::{self, ApprovalArgs};
use crate::cli::credential::OperatorArgs;
use crate::cli::instance::Instance;
use crate::cli::offline::Offline;
use crate::cli::serve::own_peer;
use crate::cli::transcript::{self, Unsigned};
use crate::cli::{Exit, Which, init, terminal};
use crate::custody::{Guarded, OfflineCeremony};
use crate::hsm::PublicKey;
use crate::id::UnixMillis;
use crate::keys::Keyring;
use crate::keys::adopt::{Adopted, adopt};

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The token's serial number, as `check hsm` or the vendor's tool shows it
    #[arg(long)]
    serial: String,
    /// User PIN, from a file; the configured file, or asked for, otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    #[command(flatten)]
    approvals: ApprovalArgs,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &AdoptArgs) -> anyhow::Result<Exit> {
    let mut subject = Map::new();
    subject.insert("serial".to_owned(), Value::from(args.serial.as_str()));
    if let Some(file) = args.approvals.approving() {
        args.approvals
            .write(file, &args.operator, Guarded::KeyAdopt, &subject)?;
        return Ok(Exit::Ok);
    }
    let instance = Instance::find(&args.which)?;
    let config = &instance.config;
    init::refuse_root(config)?;
    super::refuse_moving(config)?;
    if let Some(ended) = init::again_with(config)? {
        return Ok(ended);
    }
    let user = init::user_pin(config, args.pin_file.as_deref())?;
    let shown = args.approvals.shown()?;
    // nobody serves while it is open
    let store = Offline::open(&instance)?;
    let control = &config.dual_control;
    let asked = approval::ask(store.store().as_ref(), control, Guarded::KeyAdopt, &subject, &shown);
    let names = store
        .run(asked)
        .map_err(|why| Exit::Failure.because(format!("{why}; nothing was changed")))?;
    let by = names.as_ref().map(|names| format!(", approved by {names}"));
    let by = by.unwrap_or_default();
    let acted_at = UnixMillis::now();
    let serial = &args.serial;
    let begun = Event {
        peer: Some(own_peer()),
        detail: Some(format!("the token with serial {serial} is tried{by}")),
        ..Event::new("key-adopt", "begun")
    };
    store.note(&begun)?;
    let record = store.last_record()?;
    let vault = Keyring::load(&config.keyring_path()).map_err(|error| init::coded(error.into()))?;
    let vault = vault.vault().clone();
    let unsigned = RefCell::new(None);
    let stated = |adopted: &Adopted, public: &PublicKey| {
        let says = OfflineCeremony {
            operation: Guarded::KeyAdopt,
            subject: &subject,
            approved_by: names.as_deref(),
            acted_at,
            done_at: UnixMillis::now(),
            result: serde_json::to_value(adopted).ok()?.as_object()?.clone(),
        };
        let made = Unsigned::new(&vault, says.says(), &record, public).ok()?;
        let message = made.message();
        unsigned.replace(Some(made));
        Some(message)
    };
    let adopted = adopt(&config.hsm, &config.keyring_path(), serial, &user, &stated).map_err(init::coded);
    let (outcome, detail) = match &adopted {
        Ok((adopted, _)) => (
            "ok",
            format!(
                "serial {} in the place of {}",
                adopted.now.serial, adopted.before.serial
            ),
        ),
        Err(error) => ("failed", error.to_string()),
    };
    let ended = Event {
        peer: Some(own_peer()),
        detail: Some(detail),
        ..Event::new("key-adopt", outcome)
    };
    store.note(&ended)?;
    let (adopted, signature) = adopted?;
    let transcript = match unsigned.take().zip(signature) {
        Some((unsigned, signature)) => {
            let (state_dir, name) = (&config.state_dir, Guarded::KeyAdopt.as_str());
            transcript::write(state_dir, name, acted_at, &unsigned.signed(signature))?
        }
        None => return Err(Exit::Failure.because("the token is adopted, and the HSM did not sign the transcript")),
    };
    if args.json {
        terminal::json(&adopted)?;
        return Ok(Exit::Ok);
    }
    terminal::remark(format!("The signed transcript is {}.", transcript.display()));
    let (before, now) = (&adopted.before, &adopted.now);
    terminal::say(match adopted.was_so {
        true => format!("{} ({}) is the vault's token already", now.label, now.serial),
        false => format!(
            "{} ({}) has every key of the vault, and takes the place of {} ({}); `hsm.token` and `hsm.serial` must name it",
            now.label, now.serial, before.label, before.serial
        ),
    });
    Ok(Exit::Ok)
}
