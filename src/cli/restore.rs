//! `restore`: a backup into an empty place. Needs no HSM: what it opens is known when the daemon starts on it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::backup::coded;
use super::client::Client;
use super::credential::OperatorArgs;
use super::instance::Instance;
use super::progress::Progress;
use super::{Exit, Which, init, terminal};
use crate::config::Config;
use crate::custody::{APPROVAL_MAX, Guarded, ShownApproval, agreed, approval};
use crate::hsm::KeyFingerprint;
use crate::id::OperatorName;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::transfer::{Agreeing, Backup, Later, Manifest, Plan, Restored, Target, Verdict, is_half_restored, restore};

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The directory that `backup` wrote
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The audit key's fingerprint, as `init` printed it: that key must have signed the backup
    #[arg(long, value_name = "SHA256:…")]
    key: Option<String>,
    /// The audit trail after the backup: segment files (*.jsonl). What it says was deleted or spent is so again
    #[arg(long, value_name = "DIR")]
    audit: Option<PathBuf>,
    /// What was deleted, spent or taken back after the backup may come back
    #[arg(long)]
    accept_returning: bool,
    /// An operator's approval that something may come back; of two operators where restoring is under dual control
    #[arg(long = "approval", value_name = "FILE", requires = "accept_returning")]
    approvals: Vec<PathBuf>,
    /// Restore nothing: as an operator, approve into FILE that this backup is restored and something may come back
    #[arg(long, value_name = "FILE", conflicts_with_all = ["audit", "accept_returning"])]
    approve: Option<PathBuf>,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Nothing is made or served where a restoration was cut half-way.
pub(super) fn refuse_half(config: &Config) -> anyhow::Result<()> {
    if is_half_restored(&config.state_dir) {
        return Err(Exit::Refused.because(format!(
            "a backup is half put in place in {}: run `panvault restore` with the same backup again",
            config.state_dir.display()
        )));
    }
    Ok(())
}

/// Runs it.
pub(super) fn run(args: &RestoreArgs) -> anyhow::Result<Exit> {
    if let Some(file) = &args.approve {
        return approve(args, file);
    }
    let instance = Instance::find(&args.which)?;
    let config = &instance.config;
    init::refuse_root(config)?;
    if Client::new(instance.admin_socket())?.reachable() {
        return Err(Exit::Failure.because("a daemon serves this instance: stop it first; nothing was changed"));
    }
    let pin = args.key.as_deref().map(KeyFingerprint::parse).transpose()?;
    let backup = Backup::open(&args.from, pin.as_ref()).map_err(coded)?;
    let manifest = backup.manifest();
    let later = args.audit.as_deref().map(Later::find).transpose().map_err(coded)?;
    if later.is_none() && !args.accept_returning {
        return Err(Exit::Failure.because(format!(
            "what was deleted, and single-use tokens that were spent, after the backup was made ({}, audit record {}) come \
             back, and accounts that were suspended or removed work again; how many is not known. Give the audit trail since \
             then with --audit, or say --accept-returning if that may be; nothing was changed",
            manifest.made_at(),
            manifest.mark().head.seq
        )));
    }
    let target = Target {
        state_dir: config.state_dir.clone(),
        store: config.store.clone(),
        keyring: config.keyring_path(),
        made: (init::store_mark(config), init::STORE_MADE.to_owned()),
    };
    let shown = args
        .approvals
        .iter()
        .map(|file| shown(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let subject = subject(manifest);
    let guarded = config.dual_control.guards(Guarded::Restore);
    let ask = |store: Arc<dyn Store>| -> Agreeing<'_> {
        let (control, subject, shown) = (&config.dual_control, &subject, &shown);
        Box::pin(async move {
            let agreed = agreed(store.as_ref(), control, Guarded::Restore, subject, shown).await;
            let names = agreed.map_err(|error| {
                format!("{error}: two operators run `panvault restore --from … --approve FILE`, and both files are given with --approval")
            })?;
            Ok(names.iter().map(OperatorName::as_str).collect::<Vec<_>>().join(" and "))
        })
    };
    let plan = Plan {
        backup: &backup,
        later: later.as_ref(),
        accept_returning: args.accept_returning,
        agreed: guarded.then_some(&ask),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let progress = Progress::start();
    let restored = runtime
        .block_on(restore(&plan, &target, Metrics::new()?, |step| progress.say(step)))
        .map_err(coded)?;
    drop(progress);
    let mark = manifest.mark();
    let authentic = backup.verdict() == Verdict::Authentic;
    if args.json {
        terminal::json(&json!({
            "vault": restored.vault, "records": restored.records, "revision": mark.rev,
            "audit_head": mark.head.to_string(), "made_at": manifest.made_at().to_string(), "authentic": authentic,
            "key": manifest.key(), "audit_through": restored.through, "replayed": restored.replayed,
        }))?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!(
        "vault {}: {} records at revision {}, as of {}; audit head {}",
        restored.vault,
        restored.records,
        mark.rev,
        manifest.made_at(),
        mark.head
    ));
    terminal::say(match authentic {
        true => "authentic: signed by the vault's audit key, and every byte is as it was signed".to_owned(),
        false => format!(
            "consistent, not authenticated: every byte is as the key {} signed it; compare that with what `init` printed, or \
             give it with --key",
            manifest.key()
        ),
    });
    tell_of_returning(&restored, later.is_some());
    if restored.finished {
        terminal::remark("A run before was cut after all was verified: what was left to put in place is there now.");
    }
    terminal::remark("Start the daemon; it refuses a HSM that does not have this vault's keys.");
    Ok(Exit::Ok)
}

fn tell_of_returning(restored: &Restored, knows: bool) {
    let Restored { replayed, through, .. } = restored;
    if !knows {
        return terminal::say("tokens that were deleted or spent after the backup may be back; how many is not known");
    }
    terminal::say(format!(
        "up to audit record {through}: {} tokens deleted and {} spent again; {} deletions and {} changes of accounts could not be \
         done again; {} tokens made since are not there",
        replayed.deleted, replayed.spent, replayed.returning, replayed.accounts, replayed.lost
    ));
}

/// What is approved: that just this backup is restored although something comes back.
fn subject(manifest: &Manifest) -> Map<String, Value> {
    let mut subject = Map::new();
    subject.insert("vault".to_owned(), manifest.vault().as_str().into());
    subject.insert("manifest_sha256".to_owned(), manifest.digest().into());
    subject
}

/// An operator's approval, in a file that this user owns.
fn approve(args: &RestoreArgs, file: &Path) -> anyhow::Result<Exit> {
    let credential = args
        .operator
        .credential()?
        .context("an operator's credential is needed: --operator-file FILE")?;
    let pin = args.key.as_deref().map(KeyFingerprint::parse).transpose()?;
    let backup = Backup::open(&args.from, pin.as_ref()).map_err(coded)?;
    let text = approval(
        credential.expose_secret(),
        Guarded::Restore,
        &subject(backup.manifest()),
    )?;
    let made = fs::OpenOptions::new().write(true).create_new(true).open(file);
    let mut made = made.with_context(|| format!("cannot make {}", file.display()))?;
    made.write_all(text.as_bytes())?;
    made.sync_all()?;
    terminal::say(format!(
        "approved: the backup of vault {} of {} may be restored although something comes back; {} is good for a short time",
        backup.manifest().vault(),
        backup.manifest().made_at(),
        file.display()
    ));
    Ok(Exit::Ok)
}

/// A file and whose it is.
fn shown(file: &Path) -> anyhow::Result<ShownApproval> {
    let opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let uid = opened.metadata()?.uid();
    let mut text = Vec::new();
    opened.take(APPROVAL_MAX).read_to_end(&mut text)?;
    Ok(ShownApproval { uid, text })
}
