//! `backup`: of a running daemon over its operators' socket, of a stopped one from its store. This process writes it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use super::client::Client;
use super::instance::Instance;
use super::keyed::Keyed;
use super::progress::Progress;
use super::{Exit, PinArg, Which, terminal};
use crate::audit::Event;
use crate::store::{Commit, Store};
use crate::transfer::{Error, Manifest, Piece, Pieces, Source, Writing};

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where it is written: a directory that is not there, is empty, or has a backup that was cut, which goes on there
    out: PathBuf,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    pin: PinArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &BackupArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?.with_pin(&args.pin);
    let client = Client::new(instance.admin_socket())?;
    let mut writing = Writing::begin(&args.out).map_err(coded)?;
    for name in writing.changed() {
        terminal::remark(format!("{name} is not as it was written: it is copied again"));
    }
    let progress = Progress::start();
    let manifest = if client.reachable() {
        served(&client, &mut writing, &progress)?
    } else {
        stopped(&instance, &mut writing, &progress)?
    };
    drop(progress);
    let (mark, out) = (manifest.mark(), args.out.display());
    if args.json {
        terminal::json(&json!({
            "dir": args.out, "vault": manifest.vault(), "made_at": manifest.made_at().to_string(),
            "revision": mark.rev, "records": mark.records, "audit_head": mark.head.to_string(),
            "bytes": manifest.bytes(), "kept_bytes": writing.kept(), "key": manifest.key(), "sha256": manifest.digest(),
        }))?;
    } else {
        terminal::say(format!(
            "{out}: {} records at revision {}, {} bytes{}; audit head {}; signed by {}",
            mark.records,
            mark.rev,
            manifest.bytes(),
            kept(&writing, "of which the run before had written"),
            mark.head,
            manifest.key()
        ));
    }
    Ok(Exit::Ok)
}

fn served(client: &Client, writing: &mut Writing, progress: &Progress) -> anyhow::Result<Manifest> {
    let (mut pieces, mut manifest) = (Pieces::default(), None);
    let offer = serde_json::to_value(writing.offer())?;
    client.stream_of("/admin/backup", &offer, |bytes| {
        pieces.add(bytes);
        while let Some(piece) = pieces.next_piece()? {
            manifest = take(writing, piece, progress)?;
        }
        Ok(())
    })?;
    manifest.ok_or_else(|| {
        Exit::Unavailable.because("the daemon went before the backup was whole: run it again, it goes on where it was")
    })
}

fn stopped(instance: &Instance, writing: &mut Writing, progress: &Progress) -> anyhow::Result<Manifest> {
    let keyed = Keyed::open(instance)?;
    let store: Arc<dyn Store> = keyed.offline.store().clone();
    let source = Source {
        vault: keyed.keyring.vault().clone(),
        store,
        keys: keyed.keys.clone(),
        keyring: instance.config.keyring_path(),
    };
    let made = keyed.offline.run(async {
        let event = Commit {
            event: Some(Event::new("backup", "begun").encode()),
            ..Commit::default()
        };
        source.store.commit(event).await.map_err(Error::from).map_err(coded)?;
        let offer = writing.offer().clone();
        let (to, mut from) = mpsc::channel(2);
        // it owns its end: where the writing fails the sending must hear of it, and not wait for ever
        let write = async move {
            let mut manifest = None;
            while let Some(piece) = from.recv().await {
                manifest = take(writing, piece, progress)?;
            }
            anyhow::Ok(manifest)
        };
        let (sent, written) = tokio::join!(source.send(&offer, to), write);
        // where the writing failed the sending did too, and knows less
        let written = written?;
        sent.map_err(coded)?;
        written.ok_or_else(|| anyhow::anyhow!("the backup has no manifest"))
    });
    drop(source);
    keyed.end();
    made
}

fn take(writing: &mut Writing, piece: Piece, progress: &Progress) -> anyhow::Result<Option<Manifest>> {
    let manifest = writing.take(piece).map_err(coded)?;
    progress.say(format!("{} MiB{}", writing.bytes() >> 20, kept(writing, "kept")));
    Ok(manifest)
}

/// How much was there already, after a comma.
fn kept(writing: &Writing, what: &str) -> String {
    match writing.kept() {
        0 => String::new(),
        bytes if bytes < 1 << 20 => format!(", {what} {bytes} bytes"),
        bytes => format!(", {what} {} MiB", bytes >> 20),
    }
}

/// With its exit code.
pub(super) fn coded(error: Error) -> anyhow::Error {
    let exit = match &error {
        Error::Damaged(_) => Exit::Fault,
        Error::Hsm(_) => Exit::Unavailable,
        Error::Store(error) => return super::offline::store_fault(error.clone()),
        Error::Files(_) | Error::InTheWay(_) | Error::Newer(_) => Exit::Failure,
    };
    exit.because(error.to_string())
}
