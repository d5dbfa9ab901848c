//! `erase`: all tokens of a namespace or of a repository, by a running daemon. This process keeps receipts and summary.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::segment;
use super::client::Client;
use super::instance::Instance;
use super::progress::Progress;
use super::{Exit, Which, terminal};
use crate::audit::{Receipts, Statement, StatementKind};

/// The longest line that the daemon sends.
const LINE_MAX: usize = 1 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "Each token goes with its key and all that leads to it, for good, and leaves a signed receipt; all of it \
                        ends with a signed summary. An erasure that was interrupted is run again, with another FILE."
)]
pub(crate) struct EraseArgs {
    /// The repository; without --namespace or --customer all of it, which must be suspended
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// One namespace of it, as the native API names it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["customer", "merchant"])]
    namespace: Option<String>,
    /// One customer of --merchant: a Hyperswitch customer, a PayKKa shopper, or a Worldpay namespace
    #[arg(long, alias = "shopper", value_name = "ID", requires = "merchant")]
    customer: Option<String>,
    /// Whose customer
    #[arg(long, value_name = "ID", requires = "customer")]
    merchant: Option<String>,
    /// Only say what there is
    #[arg(long)]
    dry_run: bool,
    /// Where receipts and summary are written; a new file
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// The most tokens in a second, so that callers are served meanwhile; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 200)]
    per_second: u32,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &EraseArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let client = Client::new(instance.admin_socket())?;
    let path = format!("/admin/repositories/{}/erase", segment(&args.repository)?);
    let body = |dry_run: bool| {
        json!({
            "namespace": args.namespace, "customer": args.customer, "merchant": args.merchant,
            "per_second": args.per_second, "dry_run": dry_run,
        })
    };
    let there = client.call(Method::POST, &path, Some(&body(true)))?;
    let Some(out) = args.out.as_deref().filter(|_| !args.dry_run) else {
        match args.json {
            true => terminal::json(&there)?,
            false => terminal::say(format!("{}: {}; nothing was erased", args.what(), told(&there))),
        }
        return Ok(Exit::Ok);
    };
    if out.exists() {
        anyhow::bail!("{} is there already: receipts are written to a new file", out.display());
    }
    args.confirm(&there)?;
    let mut taking = Taking::new(out);
    client.stream_of(&path, &body(false), |bytes| taking.take(bytes))?;
    let summary = taking.end()?;
    if args.json {
        terminal::json(&summary)?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!(
        "{}: erased {}; receipts and signed summary are in {}",
        args.what(),
        told(&summary),
        out.display()
    ));
    let later = summary.get("created_meanwhile").and_then(Value::as_u64).unwrap_or(0);
    if later > 0 {
        terminal::remark(format!(
            "{later} tokens were made there meanwhile and stay; run it again for them."
        ));
    }
    if args.is_whole() {
        terminal::remark(format!(
            "Nothing is left in it: `panvault repository remove {0}` removes it, or `panvault repository resume {0}`.",
            args.repository
        ));
    }
    Ok(Exit::Ok)
}

impl EraseArgs {
    fn is_whole(&self) -> bool {
        self.namespace.is_none() && self.customer.is_none()
    }

    fn what(&self) -> String {
        match self.is_whole() {
            true => format!("repository {}", self.repository),
            false => format!("a namespace of repository {}", self.repository),
        }
    }

    /// Asks on a terminal; elsewhere it must have been said.
    fn confirm(&self, there: &Value) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            anyhow::bail!("nobody is there to be asked: --yes erases without asking");
        }
        terminal::remark(format!("{}: {} will be erased for good.", self.what(), told(there)));
        terminal::remark("Type the repository's name to go on:");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("no answer")?;
        match line.trim() == self.repository {
            true => Ok(()),
            false => anyhow::bail!("that is not its name: nothing was erased"),
        }
    }
}

/// Receipts on their way into the file; the last line is the summary, or why there is none.
struct Taking<'a> {
    path: &'a Path,
    file: Option<BufWriter<File>>,
    receipts: Receipts,
    rest: Vec<u8>,
    last: Option<Vec<u8>>,
    progress: Progress,
}

impl<'a> Taking<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            file: None,
            receipts: Receipts::default(),
            rest: Vec::new(),
            last: None,
            progress: Progress::start(),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.rest.drain(..=end).collect();
            line.pop();
            if let Some(before) = self.last.replace(line) {
                self.receipts.add(&before);
                self.write(&before)?;
                self.progress.say(format!("{} tokens", self.receipts.count()));
            }
        }
        anyhow::ensure!(self.rest.len() <= LINE_MAX, "the daemon's answer is no erasure");
        Ok(())
    }

    /// What the last line says. A receipt in its place is kept too.
    fn end(mut self) -> anyhow::Result<Value> {
        let last = self.last.take().unwrap_or_default();
        let count = self.receipts.count();
        let value: Value = serde_json::from_slice(&last).unwrap_or_default();
        let summary = Statement::parse(&last).ok();
        let is_receipt = summary
            .as_ref()
            .is_some_and(|there| there.kind() == StatementKind::Deletion);
        if is_receipt || summary.is_some() {
            self.write(&last)?;
        }
        if let Some(mut file) = self.file.take() {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        let kept = |count: u64| match count {
            0 => "run it again".to_owned(),
            count => format!(
                "{count} receipts are in {}; run it again with another FILE",
                self.path.display()
            ),
        };
        match summary {
            Some(summary) if !is_receipt => {
                let covered = self.receipts.covered_by(&summary);
                covered.map_err(|fault| Exit::Fault.because(format!("the daemon's summary: {fault}")))?;
                Ok(value)
            }
            _ => Err(match value.get("error").and_then(Value::as_str) {
                Some(error) => anyhow::anyhow!("{error} ({})", kept(count)),
                None => Exit::Unavailable.because(format!(
                    "the daemon went before the erasure was whole: {}",
                    kept(count + u64::from(is_receipt))
                )),
            }),
        }
    }

    fn write(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let path = self.path;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                let made = made.with_context(|| format!("cannot write {}", path.display()))?;
                self.file.insert(BufWriter::new(made))
            }
        };
        file.write_all(line)
            .and_then(|()| file.write_all(b"\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Tokens and documents, for people.
fn told(counts: &Value) -> String {
    let tokens = counts.get("tokens").and_then(Value::as_u64).unwrap_or(0);
    let kinds = counts.get("documents").and_then(Value::as_object);
    let kinds: Vec<_> = kinds
        .into_iter()
        .flatten()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match kinds.is_empty() {
        true => format!("{tokens} tokens"),
        false => format!("{tokens} tokens and documents ({})", kinds.join(", ")),
    }
}
