//! `restore`: a backup into an empty place. Needs no HSM: what it opens is known when the daemon starts on it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::Args;
use serde_json::{Map, Value, json};

use super::approval::{self, ApprovalArgs};
use super::backup::coded;
use super::client::Client;
use super::credential::OperatorArgs;
use super::instance::Instance;
use super::progress::Progress;
use super::{Exit, Which, init, offline, shredded, terminal, transcript};
use crate::config::Config;
use crate::custody::{Guarded, OfflineCeremony};
use crate::hsm::{Epoch, KeyFingerprint};
use crate::id::UnixMillis;
use crate::keys::{EpochState, Keyring, Lifecycle};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::transfer::{
    Agreeing, Backup, Later, LaterKeyring, Manifest, Plan, Restored, Target, Verdict, is_half_restored, restore,
};
use crate::vault::epochs::Under;

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
    /// The vault's keyring.json of after a rotation of the audit key that came after the backup; by default one that is in the
    /// state directory, or in or above the directory of --audit, is used where it fits
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// What was deleted, spent or taken back after the backup may come back
    #[arg(long)]
    accept_returning: bool,
    /// The shred certificate of a KEK epoch that was destroyed after the backup was made; may be repeated
    #[arg(long, value_name = "CERTIFICATE")]
    shredded: Vec<PathBuf>,
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
    if let Some(file) = args.approvals.approving() {
        let mut backup = Backup::open(&args.from, None).map_err(coded)?;
        if let Some(pin) = args.key.as_deref().map(KeyFingerprint::parse).transpose()? {
            let later = args.keyring.as_deref().map(|path| LaterKeyring::load(path, &backup));
            let later = later.transpose().map_err(coded)?;
            backup = backup.pinned(&pin, later.as_ref()).map_err(coded)?;
        }
        args.approvals
            .write(file, &args.operator, Guarded::Restore, &subject(backup.manifest()))?;
        return Ok(Exit::Ok);
    }
    let instance = Instance::find(&args.which)?;
    let config = &instance.config;
    init::refuse_root(config)?;
    super::key::refuse_moving(config)?;
    if Client::new(instance.admin_socket())?.reachable() {
        return Err(Exit::Failure.because("a daemon serves this instance: stop it first; nothing was changed"));
    }
    let pin = args.key.as_deref().map(KeyFingerprint::parse).transpose()?;
    let backup = Backup::open(&args.from, None).map_err(coded)?;
    let successor = successor(args, config, &backup)?;
    let backup = match &pin {
        Some(pin) => backup.pinned(pin, successor.as_ref()).map_err(coded)?,
        None => backup,
    };
    let manifest = backup.manifest();
    let keyring = match &successor {
        Some(later) => later.keyring().clone(),
        None => backup.proved_keyring().map_err(coded)?,
    };
    let keys = keyring.audit_history()?;
    let certificates = args.shredded.iter();
    let certificates = certificates.map(|path| shredded::read(path, manifest.vault(), &keys));
    let certificates = certificates.collect::<anyhow::Result<Vec<_>>>()?;
    let life = shredded::applied(keyring, &certificates)?.lifecycle();
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
        keyring_there: successor.as_ref().map(|later| later.text().to_vec()),
        made: (init::store_mark(config), init::STORE_MADE.to_owned()),
    };
    let (shown, subject) = (args.approvals.shown()?, subject(manifest));
    let (acted_at, approved_by) = (UnixMillis::now(), OnceLock::new());
    let control = &config.dual_control;
    let agreed = |store: Arc<dyn Store>| -> Agreeing<'_> {
        let (subject, shown, approved_by) = (&subject, &shown, &approved_by);
        Box::pin(async move {
            let names = approval::ask(store.as_ref(), control, Guarded::Restore, subject, shown).await?;
            Ok(approved_by.get_or_init(|| names).clone())
        })
    };
    let plan = Plan {
        backup: &backup,
        later: later.as_ref(),
        keyring: successor.as_ref(),
        accept_returning: args.accept_returning,
        pages: offline::threads(),
        agreed: Some(&agreed),
    };
    let runtime = offline::runtime()?;
    let progress = Progress::start();
    let restored = runtime
        .block_on(restore(&plan, &target, Metrics::new()?, |step| progress.say(step)))
        .map_err(coded)?;
    shredded::put(config, &certificates)?;
    let mut result = Map::new();
    result.insert("revision".to_owned(), manifest.mark().rev.into());
    result.insert("records".to_owned(), restored.records.into());
    result.insert("audit_through".to_owned(), restored.through.into());
    let says = OfflineCeremony {
        operation: Guarded::Restore,
        subject: &subject,
        approved_by: approved_by.get().and_then(Option::as_deref),
        acted_at,
        done_at: UnixMillis::now(),
        result,
    };
    // a run before that was cut had asked, and left nothing
    let transcript = match restored.finished {
        true => None,
        false => Some(transcript::leave(
            &config.state_dir,
            Guarded::Restore.as_str(),
            acted_at,
            says.says(),
        )?),
    };
    drop(progress);
    let dead = dead(&restored, &life);
    let mark = manifest.mark();
    let authentic = backup.verdict() == Verdict::Authentic;
    if args.json {
        terminal::json(&json!({
            "vault": restored.vault, "records": restored.records, "revision": mark.rev,
            "audit_head": mark.head.to_string(), "made_at": manifest.made_at().to_string(), "authentic": authentic,
            "key": manifest.key(), "audit_key": keys.last(), "audit_through": restored.through, "replayed": restored.replayed,
            "dead": dead.iter().map(|(_, under)| under.all()).sum::<u64>(),
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
    if let (Some(later), Some(now)) = (&successor, keys.last()) {
        let count = later.rotations(&backup).map_err(coded)?;
        terminal::say(format!(
            "the keyring is a later one: the audit key was changed {count} times since the backup, each by the key before, and is \
             {now} now"
        ));
    }
    for (epoch, under) in &dead {
        terminal::say(format!(
            "{} tokens and {} other records open no more: they are under KEK epoch {epoch}, which was destroyed, or is in a HSM that was left",
            under.tokens, under.documents
        ));
    }
    tell_of_returning(&restored, later.is_some());
    if restored.finished {
        terminal::remark("A run before was cut after all was verified: what was left to put in place is there now.");
    }
    if let Some(file) = transcript {
        terminal::remark(format!(
            "Its transcript is signed when the daemon starts: {}.",
            file.display()
        ));
    }
    terminal::remark("Start the daemon; it refuses a HSM that does not have this vault's keys.");
    Ok(Exit::Ok)
}

/// The later keyring: the one that was named, or one that lies where it would be left and knows an audit key that the
/// backup does not.
fn successor(args: &RestoreArgs, config: &Config, backup: &Backup) -> anyhow::Result<Option<LaterKeyring>> {
    if let Some(path) = &args.keyring {
        return LaterKeyring::load(path, backup).map(Some).map_err(coded);
    }
    let trail = args.audit.as_deref();
    let mut places = vec![config.keyring_path()];
    places.extend(trail.map(|trail| trail.join(Keyring::FILE)));
    places.extend(trail.and_then(Path::parent).map(|above| above.join(Keyring::FILE)));
    // what does not fit is no keyring of this restoration, and what is missing then is told where it is missed
    let fits = |path: &PathBuf| {
        let later = LaterKeyring::load(path, backup).ok()?;
        later.rotations(backup).is_ok_and(|count| count > 0).then_some(later)
    };
    Ok(places.iter().find_map(fits))
}

/// What is sealed under KEKs that are destroyed.
fn dead(restored: &Restored, life: &Lifecycle) -> Vec<(u32, Under)> {
    let gone = |epoch: u32| {
        matches!(
            life.state(Epoch(epoch)),
            Some(EpochState::Destroying | EpochState::Destroyed | EpochState::Left)
        )
    };
    let under = restored.under.iter().map(|(epoch, under)| (*epoch, *under));
    under.filter(|(epoch, _)| gone(*epoch)).collect()
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
